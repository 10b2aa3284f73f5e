"""What the SCD41 is told, as values, and how its answers are decoded.

Names, codes and times are those of Sensirion's SCD4x data sheet, chapter 3; every word on the wire
is followed by its CRC-8.
"""

from dataclasses import dataclass

from firedetect.errors import BusError, FrameRejectedError

CO2_MAX_PPM = 40_000
"""The end of the output range; 0 is what a failed measurement gives."""
CRC_POLYNOMIAL, CRC_INIT = 0x31, 0xFF
READY_MASK = 0x07FF
VARIANT_SHIFT, VARIANT_SCD41 = 12, 1
VARIANTS = {0: "SCD40", 1: "SCD41", 2: "SCD42", 5: "SCD43"}
CORRECTION_ZERO, CORRECTION_FAILED = 0x8000, 0xFFFF
WORD_BYTES = 3


@dataclass(frozen=True, slots=True)
class Command:
    """A code to send, seconds for which the sensor is busy with it, words to read after them."""

    code: int
    busy_s: float = 0.001
    words: int = 0

    def send(self, argument: int | None = None) -> bytes:
        """Return the bytes on the wire."""
        code = self.code.to_bytes(2, "big")
        word = b"" if argument is None else argument.to_bytes(2, "big")
        return code + word + bytes((crc8(word),) if word else ())


WAKE_UP = Command(0x36F6, busy_s=0.03)
"""Never acknowledged; other programs may have left the sensor asleep."""
STOP = Command(0x3F86, busy_s=0.5)
REINIT = Command(0x3646, busy_s=0.03)
SERIAL = Command(0x3682, words=3)
VARIANT = Command(0x202F, words=1)
SET_SELF_CALIBRATION = Command(0x2416)
GET_SELF_CALIBRATION = Command(0x2313, words=1)
SET_PRESSURE = Command(0xE000)
START = Command(0x21B1)
READY = Command(0xE4B8, words=1)
MEASUREMENT = Command(0xEC05, words=3)
RECALIBRATE = Command(0x362F, busy_s=0.4, words=1)


def crc8(data: bytes) -> int:
    """Return the checksum of a word (data sheet, Checksum Calculation)."""
    crc = CRC_INIT
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1) ^ CRC_POLYNOMIAL if crc & 0x80 else crc << 1
            crc &= 0xFF
    return crc


def decode_words(command: Command, reply: bytes) -> tuple[int, ...]:
    """Return the words; BusError if nobody drove the bus, FrameRejectedError for a checksum."""
    if reply.count(0xFF) == len(reply):
        raise BusError(f"co2: 0x{command.code:04X} answered 0xFF only: nothing drives the bus")
    parts = [reply[at : at + WORD_BYTES] for at in range(0, len(reply), WORD_BYTES)]
    for part in parts:
        if crc8(part[:2]) != part[2]:
            raise FrameRejectedError(
                f"co2: 0x{command.code:04X} answered 0x{part.hex()}, checksum "
                f"0x{crc8(part[:2]):02x} expected"
            )
    return tuple(int.from_bytes(part[:2], "big") for part in parts)


def decode_co2(words: tuple[int, ...]) -> float:
    """Return the CO2 (ppm) of a measurement; FrameRejectedError for what no air has."""
    if not 0 < words[0] <= CO2_MAX_PPM:
        raise FrameRejectedError(f"co2: {words[0]} ppm, expected 1 to {CO2_MAX_PPM}")
    return float(words[0])

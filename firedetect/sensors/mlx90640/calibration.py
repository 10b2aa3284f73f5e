"""Calibration terms of an MLX90640, taken from its 832 EEPROM words by the Adafruit package.

Datasheet symbols: Vdd supply, PTAT the sensor's own thermometer, CP the two compensation pixels,
TGC their weight, Kta and Kv how an offset depends on temperature and supply, Ks how a sensitivity
depends on temperature (KsTa ambient, KsTo object in four ranges that begin at CT), IL the
differences between the interleaved and the chess pattern.
"""

import hashlib
import threading
from dataclasses import dataclass

import adafruit_mlx90640
import numpy as np
from numpy.typing import NDArray

from firedetect.config import ThermalCalibration
from firedetect.errors import CalibrationError
from firedetect.sensors.bus import I2C_READ_FLAG, I2cMessage, I2cPort, answer, exchange

EEPROM_ADDRESS = 0x2400
EEPROM_WORDS = 832
PIXELS = 768
ROWS = 24
COLUMNS = 32
ALPHA_UNIT = 1e-6
"""The package stores sensitivities as this unit over alpha."""

_PIXEL_WORD = 64
_DEVICE_ID = slice(7, 10)
_UNSET = (0x0000, 0xFFFF)

# Twice to three times as wide as the values of every dump that is publicly known.
_PLAUSIBLE = {
    "kVdd": (-4096.0, -1024.0),
    "KtPTAT": (20.0, 64.0),
    "VPTAT25": (6000.0, 25000.0),
    "gain": (2000.0, 20000.0),
}
_ALPHA_PLAUSIBLE = (1e-9, 1e-6)

_LOCK = threading.Lock()
"""The package reads the EEPROM into a list of its module: one extraction at a time."""


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """What turns raw words into temperatures; pixel arrays are float64 of shape (768,).

    `alpha` is the sensitivity (counts/K⁴), `offset` counts at 25 °C and 3.3 V, `kta` 1/K, `kv` 1/V.
    `bad_pixels` are the indices that the maker marked as broken or outlying.
    """

    k_vdd: float
    vdd_25: float
    resolution: int
    kv_ptat: float
    kt_ptat: float
    v_ptat_25: float
    alpha_ptat: float
    gain: float
    tgc: float
    ks_ta: float
    ks_to: tuple[float, float, float, float]
    ct_c: tuple[float, float, float, float]
    cp_offset: tuple[float, float]
    cp_kta: float
    cp_kv: float
    il_chess: tuple[float, float, float]
    chess_calibrated: bool
    alpha: NDArray[np.float64]
    offset: NDArray[np.float64]
    kta: NDArray[np.float64]
    kv: NDArray[np.float64]
    bad_pixels: NDArray[np.int64]


def fingerprint(words: NDArray[np.uint16]) -> str:
    """Return the SHA-256 of an EEPROM dump, to compare it with one kept at commissioning."""
    return hashlib.sha256(np.asarray(words).astype(">u2").tobytes()).hexdigest()


def commissioned_words(calibration: ThermalCalibration) -> NDArray[np.uint16]:
    """Return the 832 words as they were when the array was commissioned."""
    return np.frombuffer(calibration.eeprom_bytes, dtype=">u2").astype(np.uint16)


def is_other_chip(words: NDArray[np.uint16], known: NDArray[np.uint16]) -> bool:
    """Whether two good dumps are of two sensors: another id, and most words differ.

    Damage changes some words; the terms of another sensor are different nearly everywhere.
    """
    id_differs = bool(np.any(words[_DEVICE_ID] != known[_DEVICE_ID]))
    return id_differs and 2 * int(np.count_nonzero(words != known)) > EEPROM_WORDS


def check_eeprom(words: NDArray[np.uint16]) -> None:
    """Raise CalibrationError, with the evidence, unless the 832 words can be an MLX90640's."""
    if words.shape != (EEPROM_WORDS,) or words.dtype != np.uint16:
        raise CalibrationError(
            f"EEPROM: expected 832 words of 16 bits, got {words.shape} of {words.dtype}"
        )
    first = int(words[0])
    if bool(np.all(words == first)):
        raise CalibrationError(f"EEPROM: all 832 words are 0x{first:04X}")
    device_id = [int(word) for word in words[_DEVICE_ID]]
    if len(set(device_id)) == 1 and device_id[0] in _UNSET:
        raise CalibrationError(f"EEPROM: device id words 0x2407-0x2409 are all {device_id[0]:#x}")
    for name, value in _scalars(words).items():
        low, high = _PLAUSIBLE[name]
        if not low <= value <= high:
            raise CalibrationError(f"EEPROM: {name} is {value:g}, expected {low:g} to {high:g}")
    _check_pixels(words)


def extract(words: NDArray[np.uint16]) -> Calibration:
    """Return the calibration that the maker's algorithm finds in `words`.

    Raises CalibrationError if the words are implausible, or if more than four pixels or two
    neighbours are marked as bad.
    """
    check_eeprom(words)
    with _LOCK:
        try:
            return adafruit_chip(words).calibration()
        except (ArithmeticError, RuntimeError, ValueError) as error:
            raise CalibrationError(f"EEPROM: {error}") from error


def adafruit_chip(words: NDArray[np.uint16]) -> "AdafruitChip":
    """Return the package's own object after its extraction, for what is to be compared with it."""
    return AdafruitChip(_EepromPort(words))


def _scalars(words: NDArray[np.uint16]) -> dict[str, float]:
    kt_ptat = int(words[50]) & 0x03FF
    return {
        "kVdd": 32.0 * _signed(int(words[51]) >> 8, 8),
        "KtPTAT": _signed(kt_ptat, 10) / 8,
        "VPTAT25": float(words[49]),
        "gain": float(_signed(int(words[48]), 16)),
    }


def _check_pixels(words: NDArray[np.uint16]) -> None:
    """Refuse terms on which the package would search for a scale for ever."""
    low, high = _ALPHA_PLAUSIBLE
    alpha = pixel_alpha(words)
    wrong = np.flatnonzero(~((alpha > low) & (alpha < high)))
    if wrong.size:
        raise CalibrationError(
            f"EEPROM: sensitivity of {wrong.size} pixels is implausible, pixel {wrong[0]} has "
            f"{alpha[wrong[0]]:.3g}, expected {low:g} to {high:g}"
        )
    if words[52] == 0:
        raise CalibrationError("EEPROM: Kv is 0 for every pixel (word 0x2434)")
    if words[54] == 0 and words[55] == 0 and not np.any(words[_PIXEL_WORD:] & 0x000E):
        raise CalibrationError("EEPROM: Kta is 0 for every pixel (words 0x2436, 0x2437)")


def pixel_alpha(words: NDArray[np.uint16]) -> NDArray[np.float64]:
    """Return the sensitivity of every pixel, shape (768,), less the compensation pixels' share."""
    raw = words.astype(np.int64)
    scales = int(raw[32])
    rows = _nibbles(raw[34:40]) << ((scales >> 8) & 0xF)
    columns = _nibbles(raw[40:48]) << ((scales >> 4) & 0xF)
    rest = (raw[_PIXEL_WORD:] >> 4) & 0x3F
    rest = np.where(rest > 31, rest - 64, rest) << (scales & 0xF)
    grid = raw[33] + rows[:, None] + columns[None, :] + rest.reshape(ROWS, COLUMNS)
    cp_scale = 2.0 ** ((scales >> 12) + 27)
    cp_first = _signed(int(raw[57]) & 0x03FF, 10) / cp_scale
    cp_second = cp_first * (1 + _signed(int(raw[57]) >> 10, 6) / 128)
    tgc = _signed(int(raw[60]) & 0xFF, 8) / 32
    alpha: NDArray[np.float64] = grid.reshape(-1) / 2.0 ** ((scales >> 12) + 30)
    return alpha - tgc * (cp_first + cp_second) / 2


def _nibbles(words: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the four signed nibbles of each word, lowest first."""
    values = ((words[:, None] >> np.array([0, 4, 8, 12])) & 0xF).reshape(-1)
    signed: NDArray[np.int64] = np.where(values > 7, values - 16, values)
    return signed


def _signed(value: int, bits: int) -> int:
    return value - (1 << bits) if value >= 1 << (bits - 1) else value


class _EepromPort:
    """A port behind which there is nothing but 832 words already checked."""

    def __init__(self, words: NDArray[np.uint16]) -> None:
        self._memory = words.astype(">u2").tobytes()
        self._at = 0

    def i2c_rdwr(self, *i2c_msgs: I2cMessage) -> None:
        """Follow address writes, answer reads."""
        for message in i2c_msgs:
            if message.flags & I2C_READ_FLAG:
                answer(message, self._memory[self._at : self._at + message.len])
            elif message.len == 2:
                self._at = 2 * (int.from_bytes(bytes(message), "big") - EEPROM_ADDRESS)

    def close(self) -> None:
        """Nothing is held."""


class _Busio:
    """What the package needs of `busio.I2C`, over a port."""

    def __init__(self, port: I2cPort) -> None:
        self._port = port

    def try_lock(self) -> bool:
        """Say yes: the port is used by one caller only."""
        return True

    def unlock(self) -> None:
        """Nothing is locked."""

    def writeto(
        self, address: int, buffer: bytes, *, start: int = 0, end: int | None = None
    ) -> None:
        """Write `buffer[start:end]`."""
        exchange(self._port, address, bytes(buffer[start:end]))

    def readfrom_into(
        self, address: int, buffer: bytearray, *, start: int = 0, end: int | None = None
    ) -> None:
        """Read into `buffer[start:end]`."""
        stop = len(buffer) if end is None else end
        buffer[start:stop] = exchange(self._port, address, b"", stop - start)

    def writeto_then_readfrom(
        self,
        address: int,
        out_buffer: bytes,
        in_buffer: bytearray,
        *,
        out_start: int = 0,
        out_end: int | None = None,
        in_start: int = 0,
        in_end: int | None = None,
    ) -> None:
        """Write, then read with a repeated start."""
        stop = len(in_buffer) if in_end is None else in_end
        written = bytes(out_buffer[out_start:out_end])
        in_buffer[in_start:stop] = exchange(self._port, address, written, stop - in_start)


class AdafruitChip(adafruit_mlx90640.MLX90640):  # type: ignore[misc]  # untyped package
    """One run of the package's extraction, with lists of its own.

    In the package the lists belong to the class: a second sensor would overwrite the first one's
    terms, and bad pixels would add up from one extraction to the next.
    """

    def __init__(self, port: I2cPort) -> None:
        self.ksTo = [0.0] * 5
        self.ct = [0.0] * 5
        self.alpha = [0] * PIXELS
        self.offset = [0] * PIXELS
        self.kta = [0] * PIXELS
        self.kv = [0] * PIXELS
        self.cpAlpha = [0.0] * 2
        self.cpOffset = [0] * 2
        self.ilChessC = [0.0] * 3
        self.brokenPixels: list[int] = []
        self.outlierPixels: list[int] = []
        super().__init__(_Busio(port))

    def calibration(self) -> Calibration:
        """Return the terms as values, scales resolved."""
        return Calibration(
            k_vdd=float(self.kVdd),
            vdd_25=float(self.vdd25),
            resolution=int(self.resolutionEE),
            kv_ptat=float(self.KvPTAT),
            kt_ptat=float(self.KtPTAT),
            v_ptat_25=float(self.vPTAT25),
            alpha_ptat=float(self.alphaPTAT),
            gain=float(self.gainEE),
            tgc=float(self.tgc),
            ks_ta=float(self.KsTa),
            ks_to=(self.ksTo[0], self.ksTo[1], self.ksTo[2], self.ksTo[3]),
            ct_c=(self.ct[0], self.ct[1], self.ct[2], self.ct[3]),
            cp_offset=(self.cpOffset[0], self.cpOffset[1]),
            cp_kta=float(self.cpKta),
            cp_kv=float(self.cpKv),
            il_chess=(self.ilChessC[0], self.ilChessC[1], self.ilChessC[2]),
            chess_calibrated=bool(self.calibrationModeEE),
            alpha=ALPHA_UNIT * 2.0**self.alphaScale / np.array(self.alpha, dtype=np.float64),
            offset=np.array(self.offset, dtype=np.float64),
            kta=np.array(self.kta, dtype=np.float64) / 2.0**self.ktaScale,
            kv=np.array(self.kv, dtype=np.float64) / 2.0**self.kvScale,
            bad_pixels=np.array(sorted(self.brokenPixels + self.outlierPixels), dtype=np.int64),
        )

"""An I2C bus without wires: devices answer smbus2 messages, bits take time, faults are injected."""

import errno
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from firedetect.clock import Clock
from firedetect.sensors.bus import I2C_READ_FLAG, I2cMessage, answer

BITS_PER_BYTE = 9
"""Eight and the acknowledge."""
CHUNK_BYTES = 128
"""A device is asked for so much at a time, so that its memory may change during a long read."""
LOG_LENGTH = 10_000


class EmulatedDevice(Protocol):
    """A chip model; raises OSError where the chip would not acknowledge."""

    def write(self, data: bytes) -> None:
        """Take the bytes of one write message."""

    def read(self, count: int) -> bytes:
        """Return the next `count` bytes of a read message."""


class Transfer(NamedTuple):
    """One message as it was asked for."""

    address: int
    written: bytes
    read_bytes: int


@dataclass(slots=True)
class _Fault:
    """One thing that goes wrong, for so many more transfers (None: until cleared)."""

    times: int | None
    errno: int = 0
    block_s: float = 0.0
    all_ones: bool = False
    flip_byte: int = -1
    flip_mask: int = 0


class Faults:
    """What goes wrong with the transfers to one address; see the methods for what can."""

    def __init__(self) -> None:
        self._active: list[_Fault] = []

    def fail(self, number: int = errno.EREMOTEIO, times: int | None = None) -> None:
        """Raise OSError(number): 121 no acknowledge, 110 time-out, 11 arbitration lost, 5 other."""
        self._active.append(_Fault(times, errno=number))

    def block(self, seconds: float, times: int | None = None) -> None:
        """Hold the bus for `seconds` before each transfer."""
        self._active.append(_Fault(times, block_s=seconds))

    def all_ones(self, times: int | None = None) -> None:
        """Read 0xFF everywhere, as from a bus that nobody drives."""
        self._active.append(_Fault(times, all_ones=True))

    def flip(self, byte: int, mask: int, times: int | None = None) -> None:
        """Flip the bits `mask` of byte `byte` in every read that is long enough to have it."""
        self._active.append(_Fault(times, flip_byte=byte, flip_mask=mask))

    @property
    def pending(self) -> int:
        """How many faults are still to come, or last until cleared."""
        return len(self._active)

    def clear(self) -> None:
        """Let everything work again."""
        self._active.clear()

    def before(self, clock: Clock) -> None:
        """Block or raise at the begin of a transfer."""
        for fault in list(self._active):
            if fault.block_s > 0:
                self._spend(fault)
                clock.block(fault.block_s)
            elif fault.errno:
                self._spend(fault)
                raise OSError(fault.errno, "injected")

    def damage(self, data: bytes) -> bytes:
        """Return what arrives of `data`."""
        for fault in list(self._active):
            if fault.all_ones:
                self._spend(fault)
                data = b"\xff" * len(data)
            elif 0 <= fault.flip_byte < len(data):
                self._spend(fault)
                changed = bytearray(data)
                changed[fault.flip_byte] ^= fault.flip_mask
                data = bytes(changed)
        return data

    def _spend(self, fault: _Fault) -> None:
        if fault.times is not None:
            fault.times -= 1
            if fault.times <= 0:
                self._active.remove(fault)


class EmulatedBus:
    """Stands where a `smbus2.SMBus` does.

    `log` holds the last messages, `closed` how often it was closed, `bits` how many have passed.
    `baud` may be changed at any time.
    """

    def __init__(
        self, clock: Clock, devices: Mapping[int, EmulatedDevice], baud: int = 400_000
    ) -> None:
        self.log: deque[Transfer] = deque(maxlen=LOG_LENGTH)
        self.closed = 0
        self.bits = 0
        self.baud = baud
        self._clock = clock
        self._devices = devices
        self._faults: dict[int, Faults] = {}

    def faults(self, address: int) -> Faults:
        """Return what goes wrong at `address`, to be changed at will."""
        return self._faults.setdefault(address, Faults())

    def i2c_rdwr(self, *i2c_msgs: I2cMessage) -> None:
        """Run the messages as one transfer; raises OSError as the kernel does."""
        for position, message in enumerate(i2c_msgs):
            reading = bool(message.flags & I2C_READ_FLAG)
            sent = b"" if reading else bytes(message)
            self.log.append(Transfer(message.addr, sent, message.len if reading else 0))
            faults = self.faults(message.addr)
            if position == 0:
                faults.before(self._clock)
            # Start (or repeated start), address; the stop bit belongs to the last message.
            stop = 1 if position == len(i2c_msgs) - 1 else 0
            self._pass_bits(1 + BITS_PER_BYTE + stop)
            device = self._devices.get(message.addr)
            if device is None:
                raise OSError(errno.EREMOTEIO, "Remote I/O error")
            if reading:
                answer(message, faults.damage(self._read(device, message.len)))
            else:
                self._pass_bits(BITS_PER_BYTE * len(sent))
                device.write(sent)

    def close(self) -> None:
        """Count; the bus can be used on, as another port to it."""
        self.closed += 1

    def _read(self, device: EmulatedDevice, count: int) -> bytes:
        data = bytearray()
        while len(data) < count:
            size = min(CHUNK_BYTES, count - len(data))
            data += device.read(size)
            self._pass_bits(BITS_PER_BYTE * size)
        return bytes(data)

    def _pass_bits(self, bits: int) -> None:
        self.bits += bits
        self._clock.block(bits / self.baud)

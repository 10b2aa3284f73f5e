"""An MLX90640 at register level: memory map, sub-page timing, new-data flag, pattern."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from firedetect.clock import NS_PER_S, Clock
from firedetect.emulator.frames import RAM_WORDS, encode_subpage
from firedetect.sensors.mlx90640.calibration import PIXELS, extract
from firedetect.sensors.mlx90640.compute import CHESS_BIT, pixels_of

USUAL_CONTROL = 0x1A01
"""The control register as it mostly is: chess pattern, 18 bits, 8 Hz."""

Scene: TypeAlias = Callable[[float], NDArray[np.float32] | NDArray[np.float64]]
"""Seconds since the chip was made to °C, shape (24, 32)."""
Source: TypeAlias = Callable[[int, float, int], tuple[int, NDArray[np.uint16]]]
"""(how many sub-pages before, its time in s, control register) to (sub-page number, 832 words)."""

EEPROM_AT, RAM_AT, STATUS_AT, CONTROL_AT = 0x2400, 0x0400, 0x8000, 0x800D
POWER_UP_CONTROL = 0x1901
SUBPAGE = 0x0007
NEW_DATA = 0x0008
OVERWRITE = 0x0010
DATA_HOLD = 0x0004


@dataclass(slots=True)
class ChipFaults:
    """What the chip itself does wrong; change the fields at any time.

    `silent`: data never gets ready. `frozen`: data gets ready but does not change. `only_page`:
    that sub-page alone. `words`: RAM words replaced, by index. `flips`: bits of RAM words flipped
    in the next sub-page only, by index. `torn`: in so many reads of the RAM to come a new sub-page
    is written half-way.
    """

    silent: bool = False
    frozen: bool = False
    only_page: int | None = None
    words: dict[int, int] = field(default_factory=dict)
    flips: dict[int, int] = field(default_factory=dict)
    torn: int = 0


class Mlx90640Chip:
    """Moves on lazily: whatever happened since the last access is caught up with at the next."""

    def __init__(self, clock: Clock, eeprom: NDArray[np.uint16], source: Source) -> None:
        self.eeprom = eeprom.copy()
        self.faults = ChipFaults()
        self._clock = clock
        self._source = source
        self._ram = np.zeros(RAM_WORDS, dtype=np.uint16)
        self._made_ns = clock.monotonic_ns()
        self._pointer = 0
        self.power_up()

    def power_up(self) -> None:
        """Begin as after a loss of supply: default control register, no data."""
        self._status = 0
        self._set_control(POWER_UP_CONTROL)
        self._count = 0

    def write(self, data: bytes) -> None:
        """Take a register address, and where a word follows write it."""
        if len(data) >= 2:
            self._pointer = int.from_bytes(data[:2], "big")
        if len(data) == 4:
            self._advance()
            value = int.from_bytes(data[2:], "big")
            if self._pointer == STATUS_AT:
                # Which sub-page was measured last can only be read.
                self._status = value & ~SUBPAGE | self._status & SUBPAGE
            elif self._pointer == CONTROL_AT:
                self._set_control(value)

    def read(self, count: int) -> bytes:
        """Return `count` bytes from the pointer on, which moves along."""
        if self.faults.torn > 0 and RAM_AT + RAM_WORDS // 2 <= self._pointer < RAM_AT + RAM_WORDS:
            self.faults.torn -= 1
            self._hurry()
        self._advance()
        words = np.array(
            [self._word(self._pointer + place) for place in range((count + 1) // 2)], dtype=">u2"
        )
        self._pointer += words.size
        return words.tobytes()[:count]

    def _word(self, address: int) -> int:
        if EEPROM_AT <= address < EEPROM_AT + self.eeprom.size:
            return int(self.eeprom[address - EEPROM_AT])
        if RAM_AT <= address < RAM_AT + RAM_WORDS:
            return int(self._ram[address - RAM_AT])
        return {STATUS_AT: self._status, CONTROL_AT: self._control}.get(address, 0)

    def _set_control(self, value: int) -> None:
        self._control = value
        rate = (value >> 7) & 7
        self._period_ns = round(2 * NS_PER_S / 2**rate)
        self._epoch_ns = self._clock.monotonic_ns()
        self._done = 0

    def _hurry(self) -> None:
        """Let the next sub-page be due now."""
        self._epoch_ns = self._clock.monotonic_ns() - (self._done + 1) * self._period_ns

    def _advance(self) -> None:
        """Measure what became due; of many only the last two can still be seen."""
        due = (self._clock.monotonic_ns() - self._epoch_ns) // self._period_ns
        missed = max(0, due - self._done - 2)
        self._done += missed
        self._count += missed
        while self._done < due:
            self._done += 1
            t_ns = self._epoch_ns + self._done * self._period_ns
            self._measure((t_ns - self._made_ns) / NS_PER_S)
            self._count += 1

    def _measure(self, t_s: float) -> None:
        held = self._status & NEW_DATA and not self._status & OVERWRITE
        if self.faults.silent or held or self._control & DATA_HOLD:
            return
        page, words = self._source(self._count, t_s, self._control)
        if self.faults.only_page is not None and page != self.faults.only_page:
            return
        if not self.faults.frozen:
            words = words.copy()
            for place, value in self.faults.words.items():
                words[place] = value
            for place, mask in self.faults.flips.items():
                words[place] ^= mask
            self.faults.flips.clear()
            self._ram = words
        self._status = (self._status & ~SUBPAGE) | NEW_DATA | page


class SceneSource:
    """Shows a scene through a chip with this EEPROM; the same seed gives the same words."""

    def __init__(
        self,
        eeprom: NDArray[np.uint16],
        scene: Scene,
        *,
        ta_c: Callable[[float], float] = lambda _t_s: 33.0,
        vdd_v: Callable[[float], float] = lambda _t_s: 3.3,
        emissivity: float = 0.95,
        ta_shift_c: float = 8.0,
        seed: int = 0,
    ) -> None:
        self._calibration = extract(eeprom)
        self._scene = scene
        self._ta_c = ta_c
        self._vdd_v = vdd_v
        self._emissivity = emissivity
        self._ta_shift_c = ta_shift_c
        self._rng = np.random.default_rng(seed)
        self._pixels = np.zeros(PIXELS, dtype=np.uint16)

    def __call__(self, count: int, t_s: float, control: int) -> tuple[int, NDArray[np.uint16]]:
        """Return the sub-page `count`; pixels of the other one stay from before."""
        page = count & 1
        words = encode_subpage(
            self._calibration,
            self._scene(t_s),
            page,
            ta_c=self._ta_c(t_s),
            vdd_v=self._vdd_v(t_s),
            emissivity=self._emissivity,
            ta_shift_c=self._ta_shift_c,
            control=control,
            rng=self._rng,
        )
        mine = pixels_of(1 if control & CHESS_BIT else 0, page)
        self._pixels[mine] = words[mine]
        words[:PIXELS] = self._pixels
        return page, words


def recorded_source(frames: Sequence[tuple[int, NDArray[np.uint16]]]) -> Source:
    """Return a source that plays (sub-page number, 832 words) over and over."""

    def source(count: int, _t_s: float, _control: int) -> tuple[int, NDArray[np.uint16]]:
        return frames[count % len(frames)]

    return source

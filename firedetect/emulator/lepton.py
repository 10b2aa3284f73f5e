"""A PureThermal board with a Lepton 3.5, a source of Y16 frames with telemetry below them."""

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from firedetect.clock import NS_PER_S, Clock

ROWS, COLUMNS = 120, 160
PERIOD_NS: Final = round(NS_PER_S / 8.7)
SENSOR_FRAMES: Final = 3
"""The sensor counts so many frames for each one that leaves the camera."""
KEPT: Final = 2
"""So many frames wait for a reader that is late."""
REVISION: Final = 0x0E0E
SENSOR_WARMER_K: Final = 2.0

Scene = Callable[[float], NDArray[np.float32] | NDArray[np.float64]]
"""Seconds since the board was made to °C, shape (120, 160)."""


@dataclass(slots=True)
class BoardFaults:
    """What goes wrong; change the fields at any time.

    `unplugged`: the device is gone. `stalled`: it is there and gives nothing. `block_s`: the next
    call takes so much longer. `repeats`: so many frames to come are the last one once more.
    `frozen`: the pixels stand still, the numbers go on. `size`: so many bytes instead of a frame.
    `word`: every pixel is this. `header`: telemetry is above the image.
    """

    unplugged: bool = False
    stalled: bool = False
    block_s: float = 0.0
    repeats: int = 0
    frozen: bool = False
    size: int | None = None
    word: int | None = None
    header: bool = False


class LeptonBoard:
    """Delivers `scene` in steps of 0.01 K with noise of up to `noise_steps`, 8.7 times a second.

    What tests may set beside `faults`: `tlinear`, without which pixels are raw counts of 14 bits,
    `coarse`, steps of 0.1 K, `agc`, and `gain` (0 high, 1 low, 2 automatic), of which only the
    telemetry tells. `opened` counts how often it was opened.
    """

    def __init__(
        self,
        clock: Clock,
        scene: Scene,
        *,
        housing_c: Callable[[float], float] = lambda _t_s: 31.0,
        telemetry: bool = True,
        noise_steps: int = 1,
        seed: int = 0,
    ) -> None:
        self.faults = BoardFaults()
        self.tlinear = True
        self.coarse = False
        self.agc = False
        self.gain = 2
        self.opened = 0
        self._clock = clock
        self._scene = scene
        self._housing_c = housing_c
        self._telemetry = telemetry
        self._noise_steps = noise_steps
        self._rng = np.random.default_rng(seed)
        self._made_ns = clock.monotonic_ns()
        self._streams = False
        self._taken = 0
        self._corrects_until_s = -1.0
        self._shows_shutter = False
        self._pixels = np.zeros((ROWS, COLUMNS), dtype=np.uint16)
        self._frame = b""

    def correct(self, seconds: float, *, shows_shutter: bool = False) -> None:
        """Close the shutter for a flat-field correction; the image stands still or shows it."""
        self._corrects_until_s = self._now_s() + seconds
        self._shows_shutter = shows_shutter

    def open(self) -> None:
        """Begin to deliver with the next frame."""
        self._spend_block()
        if self.faults.unplugged:
            raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
        self.opened += 1
        self._streams = True
        self._taken = self._newest()

    def read(self, wait_s: float) -> bytes | None:
        """Return the next frame when it is there, None if that takes longer than `wait_s`."""
        self._spend_block()
        if self.faults.unplugged or not self._streams:
            self._streams = False
            raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))
        number = max(self._taken, self._newest() - KEPT) + 1
        due_s = (self._made_ns + number * PERIOD_NS - self._clock.monotonic_ns()) / NS_PER_S
        self._clock.block(min(due_s, wait_s))
        if self.faults.stalled:
            self._clock.block(wait_s - due_s)
            self._taken = self._newest()
            return None
        if due_s > wait_s:
            return None
        self._taken = number
        return self._deliver(number)

    def close(self) -> None:
        """Stop the stream."""
        self._streams = False

    def _deliver(self, number: int) -> bytes:
        if self.faults.repeats > 0 and self._frame:
            self.faults.repeats -= 1
            return self._frame
        t_s = number * PERIOD_NS / NS_PER_S
        corrects = t_s <= self._corrects_until_s
        if self.faults.word is not None:
            self._pixels = np.full((ROWS, COLUMNS), self.faults.word, dtype=np.uint16)
        elif corrects and self._shows_shutter:
            self._pixels = self._words(np.full((ROWS, COLUMNS), self._housing_c(t_s)))
        elif not (corrects or self.faults.frozen):
            self._pixels = self._words(self._scene(t_s))
        parts = [self._pixels.astype("<u2").tobytes()]
        if self._telemetry:
            parts.append(self._rows(number, t_s, corrects=corrects))
        if self.faults.header:
            parts.reverse()
        self._frame = b"".join(parts)
        return self._frame if self.faults.size is None else self._frame[: self.faults.size]

    def _words(self, temp_c: NDArray[np.float32] | NDArray[np.float64]) -> NDArray[np.uint16]:
        kelvin = np.asarray(temp_c, dtype=np.float64) + 273.15
        if self.agc:
            return np.clip(kelvin - 250.0, 0, 255).astype(np.uint16)
        if not self.tlinear:
            return np.clip(8000.0 + 30.0 * (kelvin - 300.0), 0, 0x3FFF).astype(np.uint16)
        steps = np.rint(kelvin * (10 if self.coarse else 100))
        noise = self._rng.integers(-self._noise_steps, self._noise_steps + 1, steps.shape)
        # What is beyond the converter has no noise any more.
        return np.where(steps >= 0xFFFF, 0xFFFF, np.clip(steps + noise, 0, 0xFFFF)).astype(
            np.uint16
        )

    def _rows(self, number: int, t_s: float, *, corrects: bool) -> bytes:
        """Return lines A, B, C and an empty one, of 80 words each."""
        words = np.zeros(4 * 80, dtype=np.uint32)
        state = 2 if corrects else 3
        counter, uptime_ms = SENSOR_FRAMES * number, round(1000.0 * t_s)
        status = state << 4 | int(self.agc) << 12
        housing_k = self._housing_c(t_s) + 273.15
        words[0] = REVISION
        words[1], words[2] = uptime_ms % 65536, uptime_ms // 65536
        words[3], words[4] = status % 65536, status // 65536
        words[20], words[21] = counter % 65536, counter // 65536
        words[24] = round(100.0 * (housing_k + SENSOR_WARMER_K))
        words[26] = round(100.0 * housing_k)
        # Line C begins at 160; its words 5, 48 and 49.
        words[165] = self.gain
        words[208], words[209] = int(self.tlinear), int(not self.coarse)
        return words.astype("<u2").tobytes()

    def _spend_block(self) -> None:
        seconds, self.faults.block_s = self.faults.block_s, 0.0
        self._clock.block(seconds)

    def _newest(self) -> int:
        return (self._clock.monotonic_ns() - self._made_ns) // PERIOD_NS

    def _now_s(self) -> float:
        return (self._clock.monotonic_ns() - self._made_ns) / NS_PER_S

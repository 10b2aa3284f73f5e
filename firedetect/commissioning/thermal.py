"""One sitting of a calibration of the array: noise, bad pixels, offset, its warmth, its EEPROM.

Fed with events only; see `session` for the gas board's.
"""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from firedetect.commissioning.sitting import NS_PER_S
from firedetect.config import ThermalCalibration
from firedetect.readings import AirReading, Event, Sensor, SensorFault, SensorOpened, ThermalImage

WARM_UP_S: Final = 240.0
"""Specified accuracy only after so long under power (data sheet, Operating conditions)."""
NOISE_C_PER_ROOT_HZ: Final = 0.1
"""Noise (NETD, rms) at 1 Hz; it grows with the square root of the refresh rate."""
CORNER_NOISE: Final = 2.0
"""Noise of a corner pixel over that of the centre."""
NOISY: Final = 4.0
DEAF: Final = 0.1
"""A pixel with so many times its expected noise, or so little of it, is bad."""
OUTLIER_C: Final = 5.0
"""Before an even surface a pixel so far from its neighbours is bad."""
BAD_MAX: Final = 4
DRIFT_MAX_C: Final = 0.3
MOVES_C: Final = 2.0
MOVES_SHARE: Final = 0.01
"""More of the image than this moves by so much between quarters: somebody is in view."""
EVEN_C: Final = 1.0
OFFSET_MAX_C: Final = 5.0
HOT_RISE_C: Final = 20.0
HOT_PIXELS: Final = 8
SILENT_S: Final = 10.0
PATIENCE: Final = 3.0
_KELVIN: Final = 273.15
_CENTRE: Final = (slice(6, 18), slice(8, 24))


@dataclass(frozen=True, slots=True)
class ThermalReference:
    """What the operator knows: the true temperatures (°C) of what is in view, NaN if unknown.

    `surface_c` of an even surface that fills the view, `hot_c` of the hottest thing in it, `air_c`
    of the air, for which a BME280 stands in.
    """

    surface_c: float = math.nan
    hot_c: float = math.nan
    air_c: float = math.nan


@dataclass(frozen=True, slots=True, eq=False)
class ThermalProposal:
    """What was found, the mean image (°C, shape (24, 32)), expected noise and the conditions."""

    calibration: ThermalCalibration
    image_c: NDArray[np.float32]
    expected_noise_c: float
    taken: Mapping[str, float]


@dataclass(slots=True)
class ThermalSession:
    """Takes events; `share` and `problem` are the progress, `proposal` the end."""

    powered_s: float
    steady_s: float
    refresh_hz: float
    reference: ThermalReference = field(default_factory=ThermalReference)
    _opened: SensorOpened | None = field(default=None, init=False)
    _images: list[NDArray[np.float32]] = field(default_factory=list, init=False)
    _own_air_c: list[float] = field(default_factory=list, init=False)
    _air_c: list[float] = field(default_factory=list, init=False)
    _began_ns: int | None = field(default=None, init=False)
    _now_ns: int = field(default=0, init=False)
    _lost_ns: int | None = field(default=None, init=False)
    _fault: str = field(default="", init=False)

    def feed(self, event: Event) -> None:
        """Take an event of any sensor."""
        self._now_ns = event.t_ns
        if self._began_ns is None:
            self._began_ns = event.t_ns
        if isinstance(event, SensorFault) and event.sensor is Sensor.THERMAL:
            self._fault = event.detail
            self._lost_ns = event.t_ns if self._lost_ns is None else self._lost_ns
        elif isinstance(event, SensorOpened) and event.sensor is Sensor.THERMAL:
            self._open(event)
        elif isinstance(event, AirReading):
            self._air_c.append(event.temp_c)
        elif isinstance(event, ThermalImage):
            self._fault, self._lost_ns = "", None
            if self.warming_s <= 0.0:
                # Only the newest count, so that a sitting may become steady.
                self._images = [*self._images[1 - self._wanted :], event.temp_c]
                self._own_air_c = [*self._own_air_c[1 - self._wanted :], event.air_c]

    def _open(self, event: SensorOpened) -> None:
        self._opened = event
        # Another rate has another noise: the images of the old one say nothing of it.
        if event.refresh_hz > 0.0 and event.refresh_hz != self.refresh_hz:
            self.refresh_hz = event.refresh_hz
            self._images.clear()
            self._own_air_c.clear()

    @property
    def elapsed_s(self) -> float:
        """Time since the first event."""
        return 0.0 if self._began_ns is None else (self._now_ns - self._began_ns) / NS_PER_S

    @property
    def warming_s(self) -> float:
        """How long the array still needs after power-up."""
        return WARM_UP_S - self.powered_s - self.elapsed_s

    @property
    def share(self) -> float:
        """How much of what is needed has been taken, 0 to 1."""
        return min(1.0, len(self._images) / self._wanted)

    @property
    def problem(self) -> str:
        """What stands between now and a calibration, in words; empty if nothing does."""
        if self._fault:
            return f"the array does not answer: {self._fault}"
        if self.warming_s > 0.0:
            return f"the array is warming up, {self.warming_s:.0f} s left"
        if self.share < 1.0 or self._opened is None or self._opened.eeprom is None:
            return f"taking images, {len(self._images)} of {self._wanted}"
        return _unsteady(np.stack(self._images)) or self._implausible()

    @property
    def over(self) -> bool:
        """Whether there is a proposal, or patience is at its end."""
        silent_ns = 0 if self._lost_ns is None else self._now_ns - self._lost_ns
        limit_s = max(0.0, WARM_UP_S - self.powered_s) + PATIENCE * self.steady_s
        lost = silent_ns > SILENT_S * NS_PER_S
        # The cheap question first: the other looks at every image.
        ready = self.share >= 1.0 and not self.problem
        return ready or lost or self.elapsed_s > limit_s

    def proposal(self) -> ThermalProposal | str:
        """Return the calibration, or why there is none."""
        if self.problem:
            return self.problem
        assert self._opened is not None  # noqa: S101 - else there is a problem
        assert self._opened.eeprom is not None  # noqa: S101
        words = self._opened.eeprom.astype(">u2").tobytes()
        images = np.stack(self._images)
        mean = np.nanmean(images, axis=0)
        air_c = self._true_air_c
        taken = {"images": float(len(images)), "surface_c": self.reference.surface_c}
        taken |= {"hot_c": self.reference.hot_c, "air_c": air_c}
        calibration = ThermalCalibration(
            offset_c=round(self._offset_c(mean), 2),
            emissivity=round(self._emissivity(mean), 3),
            ta_shift_c=round(self._ta_shift_c(), 2),
            noise_c=round(float(np.median(noise_of(images))), 3),
            spread_c=round(float(np.nanstd(mean)), 3),
            bad_pixels=self._bad(images),
            eeprom_sha256=hashlib.sha256(words).hexdigest(),
            eeprom=words.hex(),
        )
        known = {name: value for name, value in taken.items() if not math.isnan(value)}
        return ThermalProposal(
            calibration, mean, NOISE_C_PER_ROOT_HZ * math.sqrt(self.refresh_hz), known
        )

    @property
    def _wanted(self) -> int:
        # Two sub-pages make an image.
        return max(20, round(self.steady_s * self.refresh_hz / 2.0 * 0.9))

    @property
    def _true_air_c(self) -> float:
        if not math.isnan(self.reference.air_c):
            return self.reference.air_c
        return float(np.median(self._air_c)) if self._air_c else math.nan

    def _implausible(self) -> str:
        images = np.stack(self._images)
        mean = np.nanmean(images, axis=0)
        surface_c, hot_c = self.reference.surface_c, self.reference.hot_c
        bad = self._bad(images)
        problem = ""
        if not math.isnan(surface_c) and float(np.nanstd(mean[_CENTRE])) > EVEN_C:
            spread_c = float(np.nanstd(mean[_CENTRE]))
            problem = f"the reference is not even: {spread_c:.1f} °C of deviation in the centre"
        elif abs(self._offset_c(mean)) > OFFSET_MAX_C:
            problem = f"the array is {-self._offset_c(mean):+.1f} °C off: check the reference"
        elif hot_c < self._reflected_c + HOT_RISE_C:
            problem = f"the hot reference must be {HOT_RISE_C:.0f} °C above the room"
        elif not 0.1 <= self._emissivity(mean) <= 1.0:
            problem = f"an emissivity of {self._emissivity(mean):.2f}: check the hot reference"
        elif not 0.0 <= self._ta_shift_c() <= 30.0:
            problem = f"the array is {self._ta_shift_c():+.1f} °C warmer than the air: check both"
        elif len(bad) > BAD_MAX or _adjacent(bad):
            problem = f"{len(bad)} bad pixels, {BAD_MAX} lone ones are allowed: replace the array"
        return problem

    def _offset_c(self, mean: NDArray[np.float32]) -> float:
        if math.isnan(self.reference.surface_c):
            return 0.0
        return self.reference.surface_c - float(np.nanmedian(mean[_CENTRE]))

    @property
    def _reflected_c(self) -> float:
        return float(np.median(self._own_air_c))

    def _emissivity(self, mean: NDArray[np.float32]) -> float:
        """Return the emissivity with which the hottest pixels have their true temperature.

        What arrives is e T^4 + (1 - e) Tr^4 (data sheet 11.2.2.9, without its corrections).
        """
        assert self._opened is not None  # noqa: S101 - asked after the opening
        before = self._opened.emissivity
        if math.isnan(self.reference.hot_c):
            return before
        hottest = np.sort(mean[~np.isnan(mean)])[-HOT_PIXELS:]
        seen = (float(hottest.mean()) + self._offset_c(mean) + _KELVIN) ** 4
        true = (self.reference.hot_c + _KELVIN) ** 4
        around = (self._reflected_c + _KELVIN) ** 4
        return before * (seen - around) / (true - around)

    def _ta_shift_c(self) -> float:
        assert self._opened is not None  # noqa: S101 - asked after the opening
        before = self._opened.ta_shift_c
        if math.isnan(self._true_air_c):
            return before
        return float(np.median(self._own_air_c)) + before - self._true_air_c

    def _bad(self, images: NDArray[np.float32]) -> tuple[int, ...]:
        expected = NOISE_C_PER_ROOT_HZ * math.sqrt(self.refresh_hz) * _corner_factor()
        noise = noise_of(images)
        bad = (noise > NOISY * expected) | (noise < DEAF * expected) | np.isnan(noise)
        if not math.isnan(self.reference.surface_c):
            mean = np.nanmean(images, axis=0)
            bad |= np.abs(mean - _around(mean)) > OUTLIER_C
        return tuple(int(pixel) for pixel in np.flatnonzero(bad))


def noise_of(images: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the noise of each pixel (°C rms): that of differences, so that no drift counts."""
    steps = np.diff(images.astype(np.float64), axis=0)
    rms: NDArray[np.float64] = np.sqrt(np.mean(steps**2, axis=0) / 2.0)
    return rms


def _corner_factor() -> NDArray[np.float64]:
    """Return expected noise over that of the centre, 1 to CORNER_NOISE; shape (24, 32)."""
    rows, columns = np.meshgrid(np.linspace(-1, 1, 24), np.linspace(-1, 1, 32), indexing="ij")
    factor: NDArray[np.float64] = 1.0 + (CORNER_NOISE - 1.0) * (rows**2 + columns**2) / 2.0
    return factor


def _around(mean: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the median of the neighbours of each pixel."""
    wide = np.pad(mean.astype(np.float64), 1, constant_values=np.nan)
    rows, columns = mean.shape
    shifted = [
        wide[1 + down : 1 + down + rows, 1 + right : 1 + right + columns]
        for down in (-1, 0, 1)
        for right in (-1, 0, 1)
        if down or right
    ]
    middle: NDArray[np.float64] = np.nanmedian(np.stack(shifted), axis=0)
    return middle


def _unsteady(images: NDArray[np.float32]) -> str:
    quarter = len(images) // 4
    parts = [np.nanmean(images[k * quarter : (k + 1) * quarter], axis=0) for k in range(4)]
    drift_c = float(np.nanmedian(parts[-1] - parts[0]))
    if abs(drift_c) > DRIFT_MAX_C:
        return f"the image still drifts ({drift_c:+.1f} °C): wait until all is warm"
    moved = np.ptp(np.stack(parts), axis=0) > MOVES_C
    if float(np.mean(moved)) > MOVES_SHARE:
        return f"something moves in view ({int(np.count_nonzero(moved))} pixels): leave it alone"
    return ""


def _adjacent(pixels: tuple[int, ...]) -> bool:
    places = [divmod(pixel, 32) for pixel in pixels]
    return any(
        max(abs(a[0] - b[0]), abs(a[1] - b[1])) == 1
        for at, a in enumerate(places)
        for b in places[at + 1 :]
    )

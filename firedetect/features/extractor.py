"""Readings in, one row of the model out: the only place where a feature is computed.

Live operation, replay, training and evaluation all use this class.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from firedetect.config import GasBaseline
from firedetect.features.baseline import CleanAirBaseline
from firedetect.features.gas import GasFilms
from firedetect.features.history import ImageHistory, SecondMeans
from firedetect.features.kernels import (
    WORK_SHAPE,
    clean_image,
    image_features,
    largest_region,
    reduce_image,
)
from firedetect.features.mask import NOTHING, HotMask
from firedetect.features.obstruction import Obstruction
from firedetect.features.vector import (
    CLEAN_AIR_INDEX,
    COLS,
    COLUMNS,
    INVALID_ABOVE_C,
    INVALID_BELOW_C,
    MIN_VALID_SHARE,
    ROWS,
)
from firedetect.readings import AirReading, Co2Reading, GasCounts, Sensor, ThermalImage

_SPATIAL = 13
"""Features that one kernel computes from the image: t_mean to tproxy_val."""
_PER_MINUTE = 60.0
_GAS_FROM_CO2 = "co2"
_GAS_FROM_FILMS = "films"


@dataclass(frozen=True, slots=True)
class HotRegions:
    """What the hard rules ask of an image: pixels at limits, as counts of the 24x32 grid.

    A mask hides nothing from `share_anywhere` and `clipped_px`.
    """

    largest_alert_px: int
    emergency_share: float
    share_anywhere: float
    clipped_px: int


class FeatureExtractor:
    """Folds readings; `row()` is the vector of the newest state (27 values, NaN where unknown)."""

    def __init__(self) -> None:
        self.films = GasFilms()
        self.co2_baseline = CleanAirBaseline(falls=True)
        self.co2_ppm = math.nan
        self.air_c = math.nan
        self.valid_share = math.nan
        self.mask = HotMask()
        self.obstruction = Obstruction()
        self._hidden_c = NOTHING
        self._rh_pct = math.nan
        self._thermal = np.full(_SPATIAL, np.nan)
        self._hot_spot_c = math.nan
        self._images = ImageHistory()
        self._hot_spot = SecondMeans()
        self._co2 = SecondMeans(interpolate=True)
        # The two sources differ by an offset, so each has its own past.
        self._air = {
            Sensor.AIR: SecondMeans(interpolate=True),
            Sensor.THERMAL: SecondMeans(interpolate=True),
        }
        self._air_source = Sensor.THERMAL
        self._humidity = SecondMeans(interpolate=True)
        self._gas = SecondMeans(interpolate=True)
        self._gas_source = ""
        self._full = np.full((ROWS, COLS), np.nan)
        self._small = np.full((ROWS, COLS), np.nan)
        self._work = np.zeros(WORK_SHAPE)
        self._stack = np.zeros(ROWS * COLS, dtype=np.int64)
        self._seen = np.zeros((ROWS, COLS), dtype=np.uint8)

    def image(self, event: ThermalImage) -> bool:
        """Fold an image; False, with all thermal features NaN, if too few pixels are valid."""
        if self._full.shape != event.temp_c.shape:
            self._full = np.full(event.temp_c.shape, np.nan)
            self._images.clear()
        valid = clean_image(event.temp_c, self._full)
        self.valid_share = valid / event.temp_c.size
        if _is_air(event.air_c):
            self._air[Sensor.THERMAL].add(event.t_ns, event.air_c)
            # The array's own temperature stands in while the air sensor is absent or lost.
            if self._air_source is not Sensor.AIR or math.isnan(self.air_c):
                self._air_source = Sensor.THERMAL
                self.air_c = event.air_c
        if self.valid_share < MIN_VALID_SHARE:
            self._forget_image()
            self._hot_spot.advance(event.t_ns)
            return False
        self._hidden_c = self.mask.hide(self._full)
        reduce_image(self._full, self._small)
        self.obstruction.image(event.t_ns, self._small)
        before = self._images.before(event.t_ns)
        image_features(
            self._full, self._small, before, self._thermal, self._work, self._stack, self._seen
        )
        self._images.add(event.t_ns, self._small)
        self._hot_spot_c = float(self._thermal[_SPATIAL - 1])
        self._hot_spot.add(event.t_ns, self._hot_spot_c)
        return True

    def hot_regions(self, alert_c: float, emergency_c: float, clip_c: float) -> HotRegions:
        """Judge the last image by fixed limits (°C)."""
        _, largest = largest_region(self._small, alert_c, self._stack, self._seen)
        share = float(np.count_nonzero(self._full >= emergency_c)) / self._full.size
        clipped = float(np.count_nonzero(self._full >= clip_c)) / self._full.size
        anywhere = share
        if self._hidden_c.size:
            anywhere += float(np.count_nonzero(self._hidden_c >= emergency_c)) / self._full.size
            clipped += float(np.count_nonzero(self._hidden_c >= clip_c)) / self._full.size
        return HotRegions(largest, share, anywhere, round(clipped * ROWS * COLS))

    def gas(self, event: GasCounts, *, quiet: bool) -> None:
        """Fold raw counts of the Grove board."""
        counts = (event.no2, event.c2h5oh, event.voc, event.co)
        self.films.add(event.t_ns, counts, quiet=quiet)
        if math.isnan(self.co2_ppm):
            self._fold_gas(event.t_ns, self.films.index, _GAS_FROM_FILMS)

    def co2(self, event: Co2Reading, *, quiet: bool) -> None:
        """Fold a CO2 concentration; values that no air has are unknown."""
        valid = _is_co2(event.co2_ppm)
        self.co2_ppm = event.co2_ppm if valid else math.nan
        if valid:
            self.co2_baseline.add(event.t_ns, (math.log(event.co2_ppm),), quiet=quiet)
            self._co2.add(event.t_ns, event.co2_ppm)
            self._fold_gas(event.t_ns, event.co2_ppm, _GAS_FROM_CO2)

    @property
    def co2_clean_ppm(self) -> tuple[float, float]:
        """The cleanest air that was known, and what is taken for clean; NaN while it is learnt."""
        air = self.co2_baseline
        if air.commissioned is None or air.tracked is None:
            return math.nan, math.nan
        return math.exp(air.commissioned[0]), math.exp(air.tracked[0])

    def restore_co2(self, cleanest_ppm: float, clean_ppm: float) -> None:
        """Take what was clean air before a restart: what fills the room now may be smoke."""
        if _is_co2(cleanest_ppm) and _is_co2(clean_ppm):
            self.co2_baseline.commission((math.log(cleanest_ppm),), (math.log(clean_ppm),))

    def air(self, event: AirReading) -> None:
        """Fold air temperature and humidity."""
        self._air_source = Sensor.AIR
        self.air_c = event.temp_c if _is_air(event.temp_c) else math.nan
        self._air[Sensor.AIR].add(event.t_ns, self.air_c)
        self._rh_pct = event.rh_pct if 0.0 <= event.rh_pct <= 100.0 else math.nan
        self._humidity.add(event.t_ns, self._rh_pct)

    def lose(self, sensor: Sensor) -> None:
        """Let the values of a lost sensor be unknown; what was learnt stays."""
        if sensor is Sensor.THERMAL:
            self._forget_image()
            self._images.clear()
        elif sensor is Sensor.GAS:
            self.films.forget()
        elif sensor is Sensor.CO2:
            self.co2_ppm = math.nan
            self._gas.clear()
        elif sensor is Sensor.AIR:
            self._rh_pct = math.nan
        if self._air_source is sensor:
            self.air_c = math.nan

    def commission(self, baseline: GasBaseline, tracked: GasBaseline | None) -> None:
        """Use a stored clean-air baseline of the Grove board."""
        self.films.commission(baseline, tracked)

    def advance(self, t_ns: int) -> None:
        """Let time pass without a reading."""
        means = (self._hot_spot, self._co2, self._humidity, self._gas, *self._air.values())
        for signal in means:
            signal.advance(t_ns)

    @property
    def air_rise_c(self) -> float:
        """Air temperature above its 10 min baseline (K)."""
        return self.air_c - self._air[self._air_source].baseline

    @property
    def air_rate_c_per_min(self) -> float:
        """Slope of the air temperature over 30 s (K/min), NaN without an air temperature."""
        slope_per_s = self._air[self._air_source].slope_per_s
        return math.nan if math.isnan(self.air_c) else slope_per_s * _PER_MINUTE

    @property
    def hot_spot_rise_c(self) -> float:
        """Hot spot above its 10 min baseline (K)."""
        return self._hot_spot_c - self._hot_spot.baseline

    def row(self) -> NDArray[np.float64]:
        """Return the model's columns (27,) of the newest state; NaN where unknown, never 0."""
        row = np.empty(len(COLUMNS))
        row[:_SPATIAL] = self._thermal
        # One assignment: each one costs as much as a small kernel.
        row[_SPATIAL:] = (
            self.hot_spot_rise_c,
            math.nan if math.isnan(self._hot_spot_c) else self._hot_spot.slope_per_s,
            *self._gas_features(),
            *self.films.ratios,
            self._co2_excess(),
            math.nan if math.isnan(self.co2_ppm) else self._co2.slope_per_s * _PER_MINUTE,
            self.air_rise_c,
            self.air_rate_c_per_min,
            self._rh_pct - self._humidity.baseline,
        )
        return row

    def _gas_features(self) -> tuple[float, float, float]:
        if not math.isnan(self.co2_ppm):
            value, delta = self.co2_ppm, self._co2_excess()
        else:
            value, delta = self.films.index, self.films.index - CLEAN_AIR_INDEX
        return value, delta, math.nan if math.isnan(value) else self._gas.slope_per_s

    def _co2_excess(self) -> float:
        tracked = self.co2_baseline.tracked
        return math.nan if tracked is None else self.co2_ppm - math.exp(tracked[0])

    def _forget_image(self) -> None:
        self._thermal[:] = np.nan
        self._hot_spot_c = math.nan

    def _fold_gas(self, t_ns: int, value: float, source: str) -> None:
        # CO2 and index have other units: a slope over the change would mean nothing.
        if source != self._gas_source:
            self._gas.clear()
            self._gas_source = source
        self._gas.add(t_ns, value)


def _is_air(temp_c: float) -> bool:
    return INVALID_BELOW_C <= temp_c <= INVALID_ABOVE_C


def _is_co2(ppm: float) -> bool:
    return 0.0 < ppm <= 40_000.0

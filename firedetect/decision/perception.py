"""What the sensors say: a reading becomes features, trust in its sensor, and hard-rule inputs."""

import math
from dataclasses import replace

from firedetect.contract.settings import HardLimits
from firedetect.decision.hard_rules import HardInputs
from firedetect.decision.health import HealthMachine
from firedetect.features.extractor import FeatureExtractor
from firedetect.features.vector import CLIP_C
from firedetect.readings import (
    AirReading,
    Co2Reading,
    FaultKind,
    GasCalibrated,
    GasCounts,
    Restored,
    Sensor,
    SensorOpened,
    ThermalImage,
)

QUIET_SPOT_RISE_C = 5.0
QUIET_AIR_RISE_C = 2.0
"""Above either the clean-air baseline stands still: a slow smoulder is no drift."""


class Perception:
    """Folds readings into `features` and `health`; returns what the hard rules are to judge.

    That is None where a reading tells them nothing. `calm` says that the judge sees nothing.
    """

    def __init__(self) -> None:
        self.features = FeatureExtractor()
        self.health = HealthMachine()

    def image(self, event: ThermalImage, limits: HardLimits) -> HardInputs:
        """Fold an image; if too few of its pixels are valid, its regions are unknown (None)."""
        usable = self.features.image(event)
        air = self._air_inputs(event.t_ns, self._air_of_array(event, limits))
        if not usable:
            self.lose(Sensor.THERMAL, FaultKind.FEW_PIXELS)
            return air
        self.health.reading(event.t_ns, Sensor.THERMAL)
        hot = self.features.hot_regions(limits.pixel_alert_c, limits.pixel_emergency_c, CLIP_C)
        return replace(
            air,
            region_px=hot.largest_alert_px,
            emergency_share=hot.emergency_share,
            share_anywhere=hot.share_anywhere,
            clipped_px=hot.clipped_px,
        )

    def gas(self, event: GasCounts, *, calm: bool) -> HardInputs | None:
        """Fold raw counts of the Grove board, which may not be ready to be trusted."""
        films = self.features.films
        if any(math.isnan(count) for count in (event.no2, event.c2h5oh, event.voc, event.co)):
            # As a rejected reading: if no good one follows, the board goes stale.
            return None
        self.features.gas(event, quiet=calm and not self._warm())
        if films.warming_up(event.t_ns):
            self.health.unready(event.t_ns, Sensor.GAS, FaultKind.WARM_UP)
        elif films.stuck_at_rail:
            self.health.fault(Sensor.GAS, FaultKind.AT_RAIL)
        elif films.clean_air.tracked is None:
            self.health.unready(event.t_ns, Sensor.GAS, FaultKind.LEARNING)
        elif films.common_mode:
            self.lose(Sensor.GAS, FaultKind.COMMON_MODE)
        elif films.frozen:
            self.lose(Sensor.GAS, FaultKind.FROZEN)
        else:
            self.health.reading(event.t_ns, Sensor.GAS)
        return HardInputs(event.t_ns, co_ppm=films.co_ppm)

    def co2(self, event: Co2Reading, *, calm: bool) -> HardInputs | None:
        """Fold a CO2 concentration."""
        self.features.co2(event, quiet=calm and not self._warm())
        if math.isnan(self.features.co2_ppm):
            self.lose(Sensor.CO2, FaultKind.IMPLAUSIBLE)
            return None
        self.health.reading(event.t_ns, Sensor.CO2)
        return HardInputs(
            event.t_ns,
            co2_ppm=event.co2_ppm,
            air_rise_c=self.features.air_rise_c,
            spot_rise_c=self.features.hot_spot_rise_c,
        )

    def air(self, event: AirReading) -> HardInputs | None:
        """Fold air temperature and humidity."""
        self.features.air(event)
        if math.isnan(self.features.air_c):
            self.lose(Sensor.AIR, FaultKind.IMPLAUSIBLE)
            return None
        self.health.reading(event.t_ns, Sensor.AIR)
        return self._air_inputs(event.t_ns, event.temp_c)

    def advance(self, t_ns: int, wall_ns: int) -> None:
        """Let time pass: sensors that say nothing become stale, an approved mask expires."""
        for sensor in self.health.advance(t_ns):
            self.features.lose(sensor)
        self.features.advance(t_ns)
        self.features.mask.age(wall_ns)

    def lose(self, sensor: Sensor, kind: FaultKind) -> None:
        """Note that a sensor is lost: its values are unknown."""
        self.health.fault(sensor, kind)
        self.features.lose(sensor)

    def opened(self, event: SensorOpened) -> None:
        """Note that a sensor was opened, and what is known of it since it was commissioned."""
        if event.sensor is Sensor.GAS:
            self.features.films.powered(event.t_ns, event.powered_s)
        elif event.sensor is Sensor.THERMAL:
            self.features.obstruction.commission(event.spread_c)

    def calibrate_gas(self, event: GasCalibrated) -> None:
        """Take a new clean-air baseline of the gas board; its films are watched anew."""
        self.features.commission(event.baseline, None)
        self.features.films.activity.begin()

    def restore(self, event: Restored) -> None:
        """Take what was remembered of clean air and of the gas board over a restart."""
        if event.gas_baseline is not None:
            self.features.commission(event.gas_baseline, event.gas_tracked)
        if event.gas_activity is not None:
            self.features.films.activity.restore(event.gas_activity)
        self.features.restore_co2(event.co2_cleanest_ppm, event.co2_clean_ppm)

    @property
    def troubles(self) -> tuple[str, ...]:
        """What is wrong with the sensors, their films, the lens or the mask."""
        features = self.features
        drift = ("gas:drift",) if features.films.clean_air.exhausted else ()
        deaf = ("gas:poisoned",) if features.films.activity.deaf else ()
        lens = ("thermal:obstructed",) if features.obstruction.seen else ()
        mask = (features.mask.trouble,) if features.mask.trouble else ()
        return (*self.health.troubles, *drift, *deaf, *lens, *mask)

    def _air_of_array(self, event: ThermalImage, limits: HardLimits) -> float:
        """Return the air temperature that the array gives in place of a lost sensor, else NaN.

        While the last reading of that one is recent, cooler air is not heard of: by turns with an
        array that warms slowly, a sensor that fails now and then would never be hot twice in a row.
        """
        if self.health.trusted(Sensor.AIR):
            return math.nan
        hot = event.air_c >= limits.air_emergency_c
        return event.air_c if hot or not self.health.recent(event.t_ns, Sensor.AIR) else math.nan

    def _air_inputs(self, t_ns: int, air_c: float) -> HardInputs:
        if math.isnan(air_c):
            return HardInputs(t_ns)
        return HardInputs(
            t_ns,
            air_c=air_c,
            air_rise_c=self.features.air_rise_c,
            air_rate_c_per_min=self.features.air_rate_c_per_min,
        )

    def _warm(self) -> bool:
        spot, air = self.features.hot_spot_rise_c, self.features.air_rise_c
        # A comparison with NaN is false: what is unknown is not called warm.
        return spot >= QUIET_SPOT_RISE_C or air >= QUIET_AIR_RISE_C

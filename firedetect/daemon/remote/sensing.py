"""What proves that the detector senses: fresh readings counted, their age and their noise."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from firedetect.clock import NS_PER_S, Clock
from firedetect.contract.messages import SensorBeat
from firedetect.readings import AirReading, Co2Reading, Event, GasCounts, Sensor, ThermalImage

_DIGITS = 3


@dataclass(slots=True)
class _Sense:
    fresh: int = 0
    last_ns: int | None = None
    noise: float = math.nan


class Sensing:
    """Hears of decoded readings. Raw words that repeat never become one: see the decoder."""

    def __init__(self, clock: Clock, configured: tuple[Sensor, ...]) -> None:
        self._clock = clock
        self._senses = {sensor: _Sense() for sensor in configured}
        self._image: NDArray[np.float32] | None = None
        self._counts: tuple[float, ...] | None = None

    def heard(self, event: Event) -> None:
        """Take one decoded reading; other events are none."""
        match event:
            case ThermalImage():
                self._note(Sensor.THERMAL, self._image_noise(event.temp_c))
            case GasCounts(no2=no2, c2h5oh=c2h5oh, voc=voc, co=co):
                self._note(Sensor.GAS, self._count_noise((no2, c2h5oh, voc, co)))
            case Co2Reading():
                self._note(Sensor.CO2, math.nan)
            case AirReading():
                self._note(Sensor.AIR, math.nan)
            case _:
                pass

    def beats(self) -> dict[str, SensorBeat]:
        """Return the proof of each configured sensor."""
        now = self._clock.monotonic_ns()
        return {
            sensor.value: SensorBeat(
                age_s=None if sense.last_ns is None else _rounded((now - sense.last_ns) / NS_PER_S),
                fresh=sense.fresh,
                noise=_rounded(sense.noise),
            )
            for sensor, sense in self._senses.items()
        }

    def _note(self, sensor: Sensor, noise: float) -> None:
        sense = self._senses.get(sensor)
        if sense is not None:
            sense.fresh += 1
            sense.last_ns = self._clock.monotonic_ns()
            sense.noise = noise

    def _image_noise(self, temp_c: NDArray[np.float32]) -> float:
        """Return the median absolute difference of two images in °C: about the array's noise."""
        before, self._image = self._image, temp_c
        if before is None or before.shape != temp_c.shape:
            return math.nan
        steps = np.abs(temp_c - before)
        valid = steps[~np.isnan(steps)]
        return float(np.median(valid)) if valid.size else math.nan

    def _count_noise(self, counts: tuple[float, ...]) -> float:
        before, self._counts = self._counts, counts
        if before is None:
            return math.nan
        return sum(abs(now - then) for now, then in zip(counts, before, strict=True)) / len(counts)


def _rounded(value: float) -> float | None:
    return round(value, _DIGITS) if math.isfinite(value) else None

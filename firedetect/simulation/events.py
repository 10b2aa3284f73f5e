"""An episode as the events that a detector would have."""

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from firedetect.config import GasBaseline
from firedetect.features.gas import FILMS
from firedetect.readings import (
    AirReading,
    Co2Reading,
    Event,
    GasCounts,
    Restored,
    Sensor,
    SensorOpened,
    Started,
    Stream,
    ThermalImage,
    Tick,
)
from firedetect.simulation.episodes import Episode
from firedetect.simulation.probes import CO2_EVERY_S, TA_SHIFT_C

NS_PER_S: Final = 1_000_000_000
IMAGES_PER_S: Final = 4
NO_EVENT: Final = -1
AIR_EVERY_S: Final = 2
LONG_POWERED_S: Final = 1e6
CHUNK_IMAGES: Final = 48
"""Images are rendered so many at a time."""
SPARSE_EVERY_S: Final = 5
SPARSE_IMAGE_EVERY_S: Final = 10
DENSE_LEAD_S: Final = 36
LEAD_EVERY_S: Final = 3
"""Outside the windows a reading now and then feeds the long baselines; from so long before a
window on more of them feed the slopes. Images are dear, and their maximum moves slowly then."""
STALE_S: Final = {
    Sensor.THERMAL: 12.0,
    Sensor.GAS: 10.0,
    Sensor.CO2: 25.0,
    Sensor.AIR: 10.0,
}


def episode_events(
    episode: Episode, windows: tuple[tuple[float, float], ...] | None = None
) -> Iterator[Event]:
    """Return what the detector is told, in order of time.

    Within `windows` (s) readings come at the nominal rates, outside of them just often enough for
    baselines and slopes; None is the whole episode at the nominal rates.
    """
    yield from _opening(episode)
    plan = image_plan(int(episode.duration_s), windows)
    for seconds in _chunks(plan):
        times = np.concatenate([s + np.arange(plan[s]) / IMAGES_PER_S for s in seconds])
        images = episode.images(times) if len(times) else ()
        k = 0
        for second in seconds:
            yield from _slow(episode, second, ticks=plan[second] == IMAGES_PER_S)
            for _ in range(plan[second]):
                yield _image(episode, float(times[k]), images[k])
                k += 1


def image_plan(seconds: int, windows: tuple[tuple[float, float], ...] | None) -> NDArray[np.int64]:
    """Return the number of images in each second, NO_EVENT where there is no reading at all."""
    if windows is None:
        return np.full(seconds, IMAGES_PER_S)
    plan = np.full(seconds, NO_EVENT)
    plan[::SPARSE_EVERY_S] = 0
    plan[::SPARSE_IMAGE_EVERY_S] = 1
    for start, stop in windows:
        first = max(int(start), 0)
        before = slice(max(first - DENSE_LEAD_S, 0), first, LEAD_EVERY_S)
        plan[before] = np.maximum(plan[before], 1)
        plan[first : int(stop)] = IMAGES_PER_S
    return plan


def _chunks(plan: NDArray[np.int64]) -> Iterator[list[int]]:
    """Return the seconds with events, so many at a time that rendering their images pays."""
    chunk: list[int] = []
    for second in np.flatnonzero(plan != NO_EVENT).tolist():
        chunk.append(second)
        if int(plan[chunk].sum()) >= CHUNK_IMAGES:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _opening(episode: Episode) -> Iterator[Event]:
    readings = episode.readings
    sensors = [Sensor.THERMAL]
    sensors += [Sensor.GAS] if readings.counts is not None else []
    sensors += [Sensor.CO2] if readings.co2_ppm is not None else []
    sensors += [Sensor.AIR] if readings.air_c is not None else []
    streams = tuple(Stream(sensor, STALE_S[sensor]) for sensor in sensors)
    yield Started(0, "simulation", 0, 0, streams)
    baseline = None
    if episode.baseline_counts is not None:
        baseline = GasBaseline(**dict(zip(FILMS, episode.baseline_counts.tolist(), strict=True)))
    yield Restored(0, gas_baseline=baseline, gas_tracked=baseline)
    if readings.counts is not None:
        yield SensorOpened(0, Sensor.GAS, LONG_POWERED_S)


def _slow(episode: Episode, second: int, *, ticks: bool) -> Iterator[Event]:
    t_ns = second * NS_PER_S
    readings = episode.readings
    if ticks:
        yield Tick(t_ns)
    if readings.air_c is not None and readings.rh_pct is not None and _due(second, AIR_EVERY_S):
        yield AirReading(t_ns, float(readings.air_c[second]), float(readings.rh_pct[second]))
    if readings.co2_ppm is not None and second % CO2_EVERY_S == 0:
        yield Co2Reading(t_ns, float(readings.co2_ppm[second]))
    if readings.counts is not None:
        yield GasCounts(t_ns, *readings.counts[second].tolist())


def _due(second: int, every_s: int) -> bool:
    """Whether a slow sensor is read in this second; the sparse seconds are always among them."""
    return second % every_s == 0 or second % SPARSE_EVERY_S == 0


def _image(episode: Episode, t_s: float, image: NDArray[np.float32]) -> ThermalImage:
    return ThermalImage(round(t_s * NS_PER_S), image, episode.array_c(t_s) - TA_SHIFT_C)

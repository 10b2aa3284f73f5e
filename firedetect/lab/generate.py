"""Draws a training data set: episodes of every family, through the Pi's own features."""

import multiprocessing
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from firedetect.errors import DatasetError
from firedetect.features.extractor import FeatureExtractor
from firedetect.features.vector import COLUMNS
from firedetect.lab.dataset import Dataset, join, write_dataset
from firedetect.readings import Co2Reading, GasCounts, ThermalImage
from firedetect.simulation.episodes import TA_SHIFT_C, Episode
from firedetect.simulation.families import FIRES, NUISANCES, draw_episode

NS_PER_S = 1_000_000_000
IMAGES_PER_S = 4
KEEP_EVERY = 2
"""Rows 0.25 s apart are nearly the same: every second one teaches as much."""
CO2_EVERY_S = 5
OUTDOOR_CO2_PPM = 420.0
_DATASET_SEED_STEP = 1_000_003

Progress = Callable[[float], None]


def generate(
    out: Path, *, episodes: int, seed: int, jobs: int, progress: Progress | None = None
) -> int:
    """Write a data set of `episodes` episodes and return its number of rows.

    The same seed gives the same rows whatever the number of jobs. Raises DatasetError.
    """
    if episodes < len(FIRES) + len(NUISANCES):
        raise DatasetError(
            f"{episodes} episodes are too few: each of {len(FIRES) + len(NUISANCES)} families "
            "needs at least one"
        )
    plan = [(number, *_plan(number, seed)) for number in range(episodes)]
    parts = []
    for done, part in enumerate(_run(plan, jobs), start=1):
        parts.append(part)
        if progress is not None:
            progress(done / episodes)
    data = join(parts)
    write_dataset(out, data, seed=seed)
    return len(data)


def _run(plan: list[tuple[int, str, int]], jobs: int) -> Iterator[Dataset]:
    if jobs <= 1:
        yield from map(_rows, plan)
        return
    # Forked children would share the parent's threads: start them fresh.
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        yield from pool.imap(_rows, plan, chunksize=4)


def _plan(number: int, seed: int) -> tuple[str, int]:
    """Return family and seed of one episode: one fire to two nuisances, families in turn."""
    families = sorted(NUISANCES) if number % 3 else sorted(FIRES)
    turn = number // 3 if number % 3 == 0 else number - number // 3 - 1
    family = families[turn % len(families)]
    return family, seed * _DATASET_SEED_STEP + number


def _rows(plan: tuple[int, str, int]) -> Dataset:
    number, family, seed = plan
    episode = draw_episode(family, seed)
    chooser = np.random.default_rng([seed, 1])
    with_co2 = bool(chooser.random() < 0.35)
    with_films = not with_co2 or bool(chooser.random() < 0.6)
    rows, labels, times = _features(episode, chooser, with_co2=with_co2, with_films=with_films)
    n = len(rows)
    return Dataset(
        rows=np.array(rows, dtype=np.float32).reshape(n, len(COLUMNS)),
        label=np.array(labels, dtype=np.float32),
        episode=np.full(n, number, dtype=np.int32),
        family=np.full(n, family),
        room=np.full(n, number, dtype=np.int32),
        board=np.full(n, number, dtype=np.int32),
        t_s=np.array(times, dtype=np.float32),
    )


def _features(
    episode: Episode, rng: np.random.Generator, *, with_co2: bool, with_films: bool
) -> tuple[list[np.ndarray], list[float], list[float]]:
    extractor = FeatureExtractor()
    rows, labels, times = [], [], []
    for step in range(int(episode.duration_s * IMAGES_PER_S)):
        t_s = step / IMAGES_PER_S
        t_ns = step * NS_PER_S // IMAGES_PER_S
        if with_co2 and step % (CO2_EVERY_S * IMAGES_PER_S) == 0:
            _, co2_ppm, _ = episode.board.air.at(t_s)
            measured = OUTDOOR_CO2_PPM + co2_ppm + float(rng.normal(0.0, 5.0))
            extractor.co2(Co2Reading(t_ns, measured), quiet=False)
        if with_films and step % IMAGES_PER_S == 0:
            extractor.gas(GasCounts(t_ns, *episode.board.counts(t_s)), quiet=False)
        image = episode.scene.image_c(t_s).astype(np.float32)
        extractor.image(ThermalImage(t_ns, image, episode.array_c(t_s) - TA_SHIFT_C))
        hazard = episode.hazard(t_s)
        if step % KEEP_EVERY == 0:
            rows.append(extractor.row())
            labels.append(hazard)
            times.append(t_s)
    return rows, labels, times

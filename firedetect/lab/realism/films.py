"""G7: raw counts of the four films near odours, against 250 recordings of a real board."""

from pathlib import Path
from typing import Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from firedetect.features.gas import FILMS, FULL_SCALE
from firedetect.lab.realism.check import Check, bands, spread
from firedetect.lab.realism.data import columns, real_file, split_by
from firedetect.lab.statistics import upper_rate
from firedetect.simulation.families import draw_episode
from firedetect.simulation.stage import Choice

GROUP: Final = "G7 films"
SOURCE: Final = "SmellNet, 250 recordings of 50 odours"
LENGTH_S: Final = 600
BASE_S: Final = 60
START_S: Final = 10
LATE_S: Final = 120
GLITCH_COUNTS: Final = 50.0
RISES_BY: Final = 1.1
_NEAR: Final = 2
_EVERY: Final = 10
"""Of the whole set every so many rows tell its quantiles."""

Counts = NDArray[np.float64]
"""Counts of one film, one a second."""


def log_rs(counts: Counts) -> Counts:
    """Return ln(Rs/RL) of counts; those at the rails are one count off them."""
    held = np.clip(counts, 1.0, FULL_SCALE - 1.0)
    return np.asarray(np.log((FULL_SCALE - held) / held))


def smoothed(counts: Counts) -> Counts:
    """Return counts without what lasts one or two samples."""
    padded = np.pad(counts, _NEAR, mode="edge")
    return np.asarray(np.median(sliding_window_view(padded, 2 * _NEAR + 1), axis=1))


def noise_rms(counts: Counts) -> float:
    """Return the noise from sample to sample in the last minutes."""
    return float(np.std(np.diff(counts[-LATE_S:])) / np.sqrt(2.0))


def drift_per_min(counts: Counts) -> float:
    """Return the slope of the last minutes, counts a minute."""
    late = counts[-LATE_S:]
    return float(np.polyfit(np.arange(len(late)) / 60.0, late, 1)[0])


def glitches(counts: Counts) -> int:
    """Return how many samples stand far from their neighbours on both sides."""
    return int((np.abs(counts - smoothed(counts)) > GLITCH_COUNTS).sum())


def rise_t63_s(counts: Counts) -> float:
    """Return when 63 % of the way from the start to the top is done; NaN without a clear rise."""
    held = smoothed(counts)
    first, top = float(held[:START_S].mean()), float(held.max())
    if top < RISES_BY * first:
        return float("nan")
    return float(np.flatnonzero(held >= first + 0.63 * (top - first))[0])


def response(counts: Counts) -> float:
    """Return the largest answer, up or down, as ln(R0/Rs) against the first minute."""
    held = log_rs(smoothed(counts))
    answers = float(np.median(held[:BASE_S])) - held
    return float(answers[np.argmax(np.abs(answers))])


def real_films(data: Path | None = None) -> tuple[dict[str, list[Counts]], list[int]]:
    """Return each film's recordings, and the number of the substance of each recording."""
    path = real_file("gas_smellnet/offline_training.parquet", data)
    told = columns(path, ("recording", "substance", *FILMS))
    keys = told["recording"].astype(str)
    _, first = np.unique(keys, return_index=True)
    _, substance = np.unique(told["substance"].astype(str)[first], return_inverse=True)
    return {film: split_by(keys, told[film]) for film in FILMS}, substance.tolist()


def our_films(count: int) -> dict[str, list[Counts]]:
    """Return each film's counts in so many episodes with an odour, ten minutes each."""
    choice = Choice(films=True, co2=False, air=False, lead_s=75.0)
    found: dict[str, list[Counts]] = {film: [] for film in FILMS}
    for number in range(count):
        counts = draw_episode("odour", (107, number), choice).readings.counts
        if counts is not None:
            for i, film in enumerate(FILMS):
                found[film].append(counts[:LENGTH_S, i].astype(np.float64))
    return found


def film_checks(data: Path | None = None, count: int = 250) -> list[Check]:
    """Return the checks of start, noise, drift, glitches, rise, levels and answers."""
    real, substance = real_films(data)
    ours = our_films(count)
    made = []
    for film in FILMS:
        made += _of_film(film, real[film], ours[film], np.array(substance))
    return [*made, *_of_board(real, ours)]


def _of_film(
    film: str, real: list[Counts], ours: list[Counts], substance: NDArray[np.int64]
) -> list[Check]:
    def by_substance(values: list[float]) -> list[Counts]:
        return split_by(substance, np.array(values))

    def start(counts: Counts) -> float:
        return float(counts[:START_S].mean())

    whole = [np.concatenate([real[i][::_EVERY] for i in np.flatnonzero(substance == k)])
             for k in np.unique(substance)]  # fmt: skip
    rises = np.array([rise_t63_s(counts) for counts in real])
    our_rises = np.array([rise_t63_s(counts) for counts in ours])
    our_rises = our_rises[np.isfinite(our_rises)]
    return [
        *_quantiles(f"{film}: start", "counts", (0.05, 0.5, 0.95),
                    by_substance([start(one) for one in real]), [start(one) for one in ours]),
        *_quantiles(f"{film}: all counts", "counts", (0.01, 0.5, 0.99), whole,
                    np.concatenate(ours).tolist()),
        *_quantiles(f"{film}: largest answer", "ln(R0/Rs)", (0.05, 0.5, 0.95),
                    by_substance([response(one) for one in real]),
                    [response(one) for one in ours]),
        *_quantiles(f"{film}: drift", "counts/min", (0.5,),
                    by_substance([drift_per_min(one) for one in real]),
                    [drift_per_min(one) for one in ours]),
        Check(
            name=f"{film}: 63 % of a rise",
            group=GROUP,
            source=SOURCE,
            compared="median time from the start of those that rise by a tenth; 25 to 75 % of real",
            unit="s",
            low=float(np.nanquantile(rises, 0.25)),
            high=float(np.nanquantile(rises, 0.75)),
            got=float(np.median(our_rises)) if len(our_rises) else float("nan"),
            spread=spread(our_rises),
            count=len(our_rises),
        ),
    ]  # fmt: skip


def _of_board(real: dict[str, list[Counts]], ours: dict[str, list[Counts]]) -> list[Check]:
    all_real = [one for film in FILMS for one in real[film]]
    all_ours = [one for film in FILMS for one in ours[film]]
    film_groups = [np.array([noise_rms(real[film][i]) for film in FILMS])
                   for i in range(len(real[FILMS[0]]))]  # fmt: skip
    drifts = [np.array([drift_per_min(real[film][i]) for film in FILMS])
              for i in range(len(real[FILMS[0]]))]  # fmt: skip
    found = sum(glitches(one) for one in all_real)
    hours = sum(len(one) for one in all_real) / 3600.0
    our_hours = sum(len(one) for one in all_ours) / 3600.0
    return [
        *_quantiles("all films: noise", "counts", (0.5, 0.95), film_groups,
                    [noise_rms(one) for one in all_ours]),
        *_quantiles("all films: drift", "counts/min", (0.05, 0.95), drifts,
                    [drift_per_min(one) for one in all_ours]),
        Check(
            name="all films: glitches",
            group=GROUP,
            source=SOURCE,
            compared=f"samples {GLITCH_COUNTS:g} counts off both sides, {found} in {hours:.0f} h "
            "of film; range up to their 95 % bound",
            unit="1/h",
            low=0.0,
            high=upper_rate(found, hours),
            got=sum(glitches(one) for one in all_ours) / our_hours,
            count=len(all_ours),
        ),
    ]  # fmt: skip


def _quantiles(
    name: str, unit: str, shares: tuple[float, ...], real: list[Counts], ours: list[float]
) -> list[Check]:
    return [
        Check(
            name=f"{name}, {100 * share:.0f} %",
            group=GROUP,
            source=SOURCE,
            compared="quantile; the range is what 50 odours can tell (95 %)",
            unit=unit,
            low=low,
            high=high,
            got=float(np.quantile(ours, share)),
            count=len(ours),
        )
        for share, (low, high) in zip(shares, bands(real, shares), strict=True)
    ]

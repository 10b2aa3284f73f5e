"""G1 and G2: heat and gas at the ceiling of the room of origin, against home fires of NIST."""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from firedetect.lab.realism.check import Check, first_time, quantile, spread
from firedetect.lab.realism.growth import growth_of
from firedetect.simulation.array import DRIFT
from firedetect.simulation.episodes import Episode
from firedetect.simulation.families import draw_episode
from firedetect.simulation.probes import Probes
from firedetect.simulation.stage import Choice

GROUP: Final = "G1, G2 room of origin"
SOURCE: Final = "NIST home fires (TN 1455), 8 tests"
VOLUME_M3: Final = (25.0, 60.0)
ALPHA: Final = (0.006, 0.1)
"""Bedrooms, medium to fast growth."""
INCUBATION_S: Final = 15.0
"""The real fires grew 10 to 20 s after their ignition."""
AMBIENT_C: Final = 22.0
RATE_S: Final = 30
RATE_K: Final = 8.3 * RATE_S / 60.0
_MOST_DRAWS: Final = 3000
_HALF_S: Final = 5
_LAGS: Final = (1.0 / 300.0, 1.0 / 10.0)
"""Between these a gain per second of the array's own temperature is believed."""

REAL_S: Final = {
    "+5 K": (22.0, 45.0),
    "+10 K": (42.0, 74.0),
    "57 °C": (96.0, 126.0),
    "8.3 K/min over 30 s": (30.0, 62.0),
    "CO 30 ppm": (32.0, 53.0),
    "CO2 +200 ppm": (42.0, 57.0),
}


@dataclass(frozen=True, slots=True, eq=False)
class CeilingAir:
    """What is at the detector: seconds since ignition (n,), rise of the air, CO, rise of CO2."""

    t_s: NDArray[np.float64]
    rise_k: NDArray[np.float64]
    co_ppm: NDArray[np.float64]
    co2_ppm: NDArray[np.float64]


def signs(air: CeilingAir) -> dict[str, float]:
    """Return when each sign of a fire is there (s), infinite if it never is."""
    before = np.concatenate((np.full(RATE_S, air.rise_k[0]), air.rise_k[:-RATE_S]))
    return {
        "+5 K": first_time(air.t_s, air.rise_k, 5.0),
        "+10 K": first_time(air.t_s, air.rise_k, 10.0),
        "57 °C": first_time(air.t_s, air.rise_k, 57.0 - AMBIENT_C),
        "8.3 K/min over 30 s": first_time(air.t_s, air.rise_k - before, RATE_K),
        "CO 30 ppm": first_time(air.t_s, air.co_ppm, 30.0),
        "CO2 +200 ppm": first_time(air.t_s, air.co2_ppm, 200.0),
    }


def ceiling_air(episode: Episode, ignition_s: float, co2_lag_s: float) -> CeilingAir:
    """Return the air at the detector, without the lags of its sensors: real probes were fast."""
    start = int(ignition_s)
    rise = unlagged_rise(episode.readings.array_c, episode.scene.zones[:, DRIFT], start)
    if episode.readings.co2_ppm is None:
        raise ValueError("the episode has no CO2 sensor")
    co2 = unlagged(episode.readings.co2_ppm, co2_lag_s)
    before = slice(max(start - 40, 0), start)
    return CeilingAir(
        t_s=np.arange(len(rise), dtype=np.float64) - ignition_s,
        rise_k=rise,
        co_ppm=episode.truth.co_ppm,
        co2_ppm=co2 - float(np.median(co2[before])),
    )


def unlagged_rise(
    held: NDArray[np.float64], room: NDArray[np.float64], start: int
) -> NDArray[np.float64]:
    """Return the air's rise since `start` behind a noiseless first-order lag.

    Before `start` the air does what the room does: this tells the lag.
    """
    steps = np.diff(held)
    ahead = room[1:start] - held[: start - 1]
    centred = ahead - ahead.mean()
    power = float(centred @ centred)
    gain = float(centred @ steps[: start - 1]) / power if power > 0.0 else 0.0
    if not _LAGS[0] < gain < _LAGS[1]:
        gain = 1.0 / mean_lag_s("array_lag_s")
    air = held + np.concatenate(([0.0], steps)) / gain - np.concatenate(([0.0], steps))
    return np.asarray(air - air[start - 1])


def unlagged(held: NDArray[np.float64], lag_s: float) -> NDArray[np.float64]:
    """Return a noisy course ahead of its lag, by its slope over some seconds."""
    offsets = np.arange(-_HALF_S, _HALF_S + 1, dtype=np.float64)
    padded = np.pad(held, _HALF_S, mode="edge")
    slope = np.convolve(padded, -offsets / float(offsets @ offsets), mode="valid")
    mean = np.convolve(padded, np.full(len(offsets), 1.0 / len(offsets)), mode="valid")
    return np.asarray(mean + lag_s * slope)


def mean_lag_s(name: str) -> float:
    """Return the mean lag of the probes that the generator draws."""
    rng = np.random.default_rng(5)
    return float(np.mean([getattr(Probes.of(rng), name) for _ in range(64)]))


def bedroom_signs(count: int) -> dict[str, list[float]]:
    """Return the signs of flaming fires in bedrooms, detector at the ceiling, s from ignition."""
    choice = Choice(mount="ceiling", lead_s=75.0, co2=True, ambient_c=AMBIENT_C, people=False)
    lag_s = mean_lag_s("co2_lag_s")
    found: dict[str, list[float]] = {name: [] for name in REAL_S}
    for number in range(_MOST_DRAWS):
        if len(found["+5 K"]) == count:
            break
        episode = draw_episode("flaming", (101, number), choice)
        ignition_s = episode.truth.ignition_s
        if ignition_s is None or not VOLUME_M3[0] <= episode.volume_m3 <= VOLUME_M3[1]:
            continue
        heat = episode.truth.heat_kw
        growth = growth_of(np.arange(len(heat), dtype=np.float64), heat)
        if not ALPHA[0] <= growth.alpha <= ALPHA[1] or not math.isfinite(growth.onset_s):
            continue
        air = ceiling_air(episode, ignition_s, lag_s)
        shift_s = growth.onset_s - ignition_s - INCUBATION_S
        for name, at_s in signs(air).items():
            found[name].append(at_s - shift_s)
    return found


def origin_checks(count: int = 60) -> list[Check]:
    """Return the checks of the first signs of a fire in a bedroom."""
    found = bedroom_signs(count)
    return [
        Check(
            name=f"bedroom fire: {name}",
            group=GROUP,
            source=SOURCE + (", 3 of them" if name.startswith("CO") else ""),
            compared="median time from ignition at the ceiling, 15 s before growth begins",
            unit="s",
            low=low,
            high=high,
            got=quantile(found[name], 0.5),
            spread=spread(found[name]),
            count=len(found[name]),
        )
        for name, (low, high) in REAL_S.items()
    ]

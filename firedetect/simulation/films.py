"""The four films of a Grove board: response, cross-sensitivity, lag, drift, raw counts.

A film answers with ln(R0/Rs) = beta ln(1 + C/C0); several gases add as equivalents. The numbers
are those of the makers' curves where three readings of them agree, else design values.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from firedetect.features.gas import FILMS, FULL_SCALE, log_resistance
from firedetect.features.jit import kernel

BETA: Final = {"no2": 0.34, "c2h5oh": 0.36, "voc": 0.34, "co": 0.29}
BETA_SPREAD: Final = 0.1
LOWEST_PPM: Final = (0.8, 3.0)
"""Below this a film hardly answers; drawn per board on a logarithmic scale."""
EQUIVALENT: Final = {
    "no2": (0.10, 6.0, 0.10),
    "c2h5oh": (0.25, 1.1, 0.3),
    "voc": (0.35, 6.0, 0.4),
    "co": (1.0, 0.7, 1.0),
}
"""Equivalent ppm for 1 ppm of CO, of an odour and of hydrogen. The answers to odours are in the
proportions of 250 real recordings: the film for NO2 moves as much as that for VOC."""
ALCOHOL: Final = (0.2, 8.0, 1.5, 4.0)
"""How much more than to an odour each film answers to alcohols and other solvents."""
EQUIVALENT_SPREAD: Final = 0.3
"""Spread (of the logarithm) between boards."""
VAPOUR_SPREAD: Final = 0.6
"""Spread between kinds of vapour: between 50 foods the film for CO moves 0.08 to 1.5 times as much
as that for VOC."""
NO2_LOWEST_PPM: Final = 0.6
_NO2_LOG_PER_LOG: Final = 0.9
PER_RH: Final = 0.006
PER_K: Final = 0.01
CLIMATE_LAG_S: Final = (60.0, 180.0)
RISE_S: Final = (5.0, 30.0)
FALL_S: Final = (30.0, 180.0)
NOISE_COUNTS: Final = 0.31
"""Before rounding to whole counts, which brings it to the 0.43 of real boards."""
NOISY_SHARE: Final = 0.08
NOISY: Final = 2.5
"""So many boards have so much more noise."""
GLITCH_PER_S: Final = 2e-5
DRIFT_PER_H: Final = (0.15, 0.32)
"""Mean and deviation of the drift in ln(resistance) per hour: -1 to +2 counts a minute."""
DRIFTS: Final = {"no2": 1.0, "c2h5oh": 1.0, "voc": 2.5, "co": 0.7}
"""How much more or less than that each film drifts."""
_SHARES: Final = (0.0, 0.05, 0.5, 0.95, 1.0)
START_COUNTS: Final = {
    "no2": (16.0, 24.0, 41.0, 222.0, 520.0),
    "c2h5oh": (42.0, 52.0, 70.0, 428.0, 740.0),
    "voc": (30.0, 45.0, 95.0, 543.0, 746.0),
    "co": (690.0, 715.0, 764.0, 882.0, 960.0),
}
"""Counts in room air: smallest, 5, 50, 95 %, largest of the boards and days that are known."""


@dataclass(frozen=True, slots=True, eq=False)
class RoomGas:
    """What the films stand in, one value a second (n,): ppm above clean air; RH and K of change."""

    co_ppm: NDArray[np.float64]
    co2_ppm: NDArray[np.float64]
    voc_ppm: NDArray[np.float64]
    no2_ppm: NDArray[np.float64]
    h2_ppm: NDArray[np.float64]
    rh_pct: NDArray[np.float64]
    temp_k: NDArray[np.float64]
    vapour: tuple[float, ...] = (1.0, 1.0, 1.0, 1.0)
    """How each film answers to this vapour, against an ordinary odour."""


@dataclass(frozen=True, slots=True, eq=False)
class FilmBoard:
    """One board: for each film its answer to each gas, its lags, its counts in clean air."""

    beta: NDArray[np.float64]
    lowest_ppm: NDArray[np.float64]
    equivalent: NDArray[np.float64]
    rise_s: NDArray[np.float64]
    fall_s: NDArray[np.float64]
    start_counts: NDArray[np.float64]
    drift_per_h: NDArray[np.float64]
    climate: NDArray[np.float64]
    climate_lag_s: float
    gain: float
    noise_counts: float

    @classmethod
    def of(cls, rng: np.random.Generator) -> "FilmBoard":
        """Draw a board."""
        count = len(FILMS)
        # The counts of one board go together: a day or a supply moves all of them.
        common = rng.normal(0.0, 0.6)
        share = _normal_share((common + 0.8 * rng.normal(0.0, 1.0, count)) / 1.0)
        spread = np.exp(rng.normal(0.0, EQUIVALENT_SPREAD, (count, 3)))
        # Boards of one make share what they answer to; half of the spread is common.
        spread *= np.exp(rng.normal(0.0, EQUIVALENT_SPREAD / 2.0, 3))[None, :]
        return cls(
            beta=np.array([BETA[film] for film in FILMS]) * rng.normal(1.0, BETA_SPREAD, count),
            lowest_ppm=np.exp(rng.uniform(math.log(LOWEST_PPM[0]), math.log(LOWEST_PPM[1]), count)),
            equivalent=np.array([EQUIVALENT[film] for film in FILMS]) * spread,
            rise_s=rng.uniform(*RISE_S, count),
            fall_s=rng.uniform(*FALL_S, count),
            start_counts=np.array(
                [np.interp(share[i], _SHARES, START_COUNTS[film]) for i, film in enumerate(FILMS)]
            ),
            drift_per_h=rng.normal(*DRIFT_PER_H, count) * [DRIFTS[film] for film in FILMS],
            climate=np.array([PER_RH, PER_K]) * rng.uniform(0.5, 1.5, 2),
            climate_lag_s=float(rng.uniform(*CLIMATE_LAG_S)),
            gain=float(np.exp(rng.normal(0.0, 0.15))),
            noise_counts=NOISE_COUNTS * (NOISY if rng.random() < NOISY_SHARE else 1.0),
        )

    def counts(self, gas: RoomGas, rng: np.random.Generator) -> NDArray[np.float64]:
        """Return raw counts (n, 4), one row a second: whole numbers from 1 to 1022."""
        t_h = np.arange(len(gas.co_ppm)) / 3600.0
        climate = self.climate[0] * gas.rh_pct + self.climate[1] * gas.temp_k
        answers = np.empty((len(t_h), len(FILMS)))
        for i, film in enumerate(FILMS):
            gases = (gas.co_ppm, gas.voc_ppm, gas.h2_ppm)
            weights = self.equivalent[i] * (1.0, gas.vapour[i], 1.0)
            total = sum(w * ppm for w, ppm in zip(weights, gases, strict=True))
            target = self.gain * self.beta[i] * np.log1p(total / self.lowest_ppm[i])
            if film == "no2":
                target = target - _NO2_LOG_PER_LOG * np.log1p(gas.no2_ppm / NO2_LOWEST_PPM)
            answers[:, i] = lagged(target, self.rise_s[i], self.fall_s[i])
            answers[:, i] += lagged(climate, self.climate_lag_s, self.climate_lag_s)
            answers[:, i] += self.drift_per_h[i] * t_h
        start = np.array([log_resistance(count) for count in self.start_counts])
        ideal = FULL_SCALE / (1.0 + np.exp(start[None, :] - answers))
        noisy = np.rint(ideal + rng.normal(0.0, self.noise_counts, ideal.shape))
        glitches = rng.random(ideal.shape) < GLITCH_PER_S
        noisy[glitches] += rng.uniform(50.0, 965.0, int(glitches.sum()))
        return np.clip(np.rint(noisy), 1.0, FULL_SCALE - 1.0)


@kernel
def lagged(target: NDArray[np.float64], rise_s: float, fall_s: float) -> NDArray[np.float64]:
    """Return a series (one value a second) behind its first-order lag, up and down apart."""
    out = np.empty_like(target)
    held = target[0]
    up = 1.0 - np.exp(-1.0 / rise_s)
    down = 1.0 - np.exp(-1.0 / fall_s)
    for i in range(len(target)):
        step = target[i] - held
        held += step * (up if step > 0.0 else down)
        out[i] = held
    return out


def _normal_share(z: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return about the share of a normal distribution below z."""
    share: NDArray[np.float64] = 1.0 / (1.0 + np.exp(-1.702 * z))
    return share

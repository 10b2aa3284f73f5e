"""G3: how fast fires grow and how large they become, against 40 burns of small and medium items."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from firedetect.lab.realism.check import Check, bands, first_time, quantile, spread
from firedetect.lab.realism.data import columns, real_file, split_by
from firedetect.lab.room_specs import draw_alpha, draw_specs

GROUP: Final = "G3 growth"
SOURCE: Final = "NIST/NRC transient combustibles, 40 burns"
SHARES: Final = (0.1, 0.25, 0.5, 0.75, 0.9)
TOLD_ALPHA: Final = (0.0011, 0.0018, 0.0087, 0.067, 0.187)
TOLD_PEAK_KW: Final = (125.0, 306.0, 627.0, 1799.0, 2439.0)
"""Quantiles of the same burns in the domain's reference, by its own fit of the growth."""
GROWS: Final = (0.1, 0.9)
EVERY_S: Final = 10.0
"""Step of the real curves: ours are looked at as coarsely."""
START_KW: Final = 5.0
FIRST_KW: Final = 25.0
_DRAWS: Final = 2000


@dataclass(frozen=True, slots=True)
class Growth:
    """A fire's growth rate (kW/s2), when that parabola begins (s), its peak, 5 to 25 kW (s)."""

    alpha: float
    onset_s: float
    peak_kw: float
    to_25_kw_s: float


def growth_of(t_s: NDArray[np.float64], heat_kw: NDArray[np.float64]) -> Growth:
    """Return the parabola through 10 and 90 % of a fire's peak."""
    peak = float(heat_kw.max())
    low, high = (share * peak for share in GROWS)
    from_s, to_s = first_time(t_s, heat_kw, low), first_time(t_s, heat_kw, high)
    slope = (math.sqrt(high) - math.sqrt(low)) / max(to_s - from_s, 1e-6) if peak > 0 else 0.0
    onset_s = from_s - math.sqrt(low) / slope if slope > 0 else math.inf
    to_25 = first_time(t_s, heat_kw, FIRST_KW) - first_time(t_s, heat_kw, START_KW)
    return Growth(slope**2, onset_s, peak, to_25 if math.isfinite(to_25) else math.inf)


def real_growths(data: Path | None = None) -> list[Growth]:
    """Return the growth of each real burn."""
    path = real_file("nist_transient_combustibles/hrr.parquet", data)
    told = columns(path, ("test_no", "t_s", "hrr_kw"))
    times = split_by(told["test_no"], told["t_s"])
    return [
        growth_of(t_s, kw)
        for t_s, kw in zip(times, split_by(told["test_no"], told["hrr_kw"]), strict=True)
    ]


def library_growths(seed: int = 1) -> list[Growth]:
    """Return the growth of the flaming fires that the library of rooms is made from."""
    found = []
    for spec in draw_specs(seed):
        if spec.family == "flaming":
            t_s, kw = np.array(spec.burns[-1].curve).T
            grid_s = np.arange(0.0, spec.duration_s, EVERY_S)
            found.append(growth_of(grid_s, np.interp(grid_s, t_s, kw)))
    return found


def growth_checks(data: Path | None = None) -> list[Check]:
    """Return the checks of growth and peak: of the prior, and of the library's flaming fires."""
    real, ours = real_growths(data), library_growths()
    rng = np.random.default_rng(3)
    prior = np.array([draw_alpha(rng) for _ in range(_DRAWS)])
    alphas = np.array([fire.alpha for fire in ours])
    alpha_bands = bands([np.array([fire.alpha]) for fire in real], SHARES)
    own = np.quantile([fire.alpha for fire in real], SHARES)
    told_bands = [
        (low / middle * told, high / middle * told)
        for (low, high), middle, told in zip(alpha_bands, own, TOLD_ALPHA, strict=True)
    ]
    peak_bands = bands([np.array([fire.peak_kw]) for fire in real], SHARES)
    peaks = np.array([fire.peak_kw for fire in ours])
    made = [
        *_quantiles("alpha of the prior", "kW/s2", told_bands, prior, "drawn, as told in 1.13"),
        *_quantiles("alpha of flaming fires", "kW/s2", alpha_bands, alphas, "fitted alike"),
        *_quantiles("peak of flaming fires", "kW", peak_bands, peaks, "largest heat"),
    ]
    early = [np.array([fire.to_25_kw_s]) for fire in real if math.isfinite(fire.to_25_kw_s)]
    times = np.array([fire.to_25_kw_s for fire in ours])
    times = times[np.isfinite(times)]
    shares = (0.5, 0.9)
    early_bands = bands(early, shares)
    made += [
        Check(
            name=f"5 to 25 kW, {100 * share:.0f} %",
            group=GROUP,
            source=SOURCE,
            compared="time from 5 to 25 kW of fires that reach them, looked at every 10 s",
            unit="s",
            low=low,
            high=high,
            got=float(np.quantile(times, share)),
            spread=spread(times),
            count=len(times),
        )
        for share, (low, high) in zip(shares, early_bands, strict=True)
    ]
    return made


def _quantiles(
    name: str,
    unit: str,
    real: list[tuple[float, float]],
    values: NDArray[np.float64],
    how: str,
) -> list[Check]:
    return [
        Check(
            name=f"{name}, {100 * share:.0f} %",
            group=GROUP,
            source=SOURCE,
            compared=f"quantile; {how}; the range is what 40 burns can tell (95 %)",
            unit=unit,
            low=low,
            high=high,
            got=quantile(values, share),
            count=len(values),
        )
        for share, (low, high) in zip(SHARES, real, strict=True)
    ]

"""Courses of heat release and of smoulder over time, as points (s, kW or g/s) to join by lines."""

import math
from typing import Final

import numpy as np

Curve = tuple[tuple[float, float], ...]

_GROWTH_POINTS: Final = 20
_FINE_POINTS: Final = 60
_SMOTHERING_S: Final = 60.0
_GAP_S: Final = 0.5
"""Between a value and the next that it jumps to: times of a curve must grow."""


def growth(
    start_s: float, alpha: float, peak_kw: float, hold_s: float, decay_s: float, end_s: float
) -> Curve:
    """Return alpha t2 from `start_s` to a peak that is held, then a line to nothing."""
    rise_s = math.sqrt(peak_kw / alpha)
    points = [(0.0, 0.0)] if start_s > 0 else []
    parts = np.linspace(0.0, 1.0, _GROWTH_POINTS).tolist()
    points += [(start_s + rise_s * part, peak_kw * part**2) for part in parts]
    held_s = start_s + rise_s + hold_s
    points += [(held_s, peak_kw), (held_s + decay_s, 0.0)]
    return until(tuple(points), end_s)


def step(start_s: float, rise_s: float, peak_kw: float, out_s: float, end_s: float) -> Curve:
    """Return a line to a peak that is held until the fuel is used up at `out_s`."""
    points = (
        (0.0, 0.0),
        (start_s, 0.0),
        (start_s + rise_s, peak_kw),
        (out_s, peak_kw * 0.9),
        (out_s + 15.0, 0.0),
    )
    return until(points, end_s)


def power(start_s: float, full_s: float, full: float, exponent: float, end_s: float) -> Curve:
    """Return a power of time from `start_s` that is `full` at `full_s`, and goes on until the end.

    For a smoulder that ends, cut it with `until`.
    """
    points = [(0.0, 0.0)] if start_s > 0 else []
    times = np.linspace(start_s, end_s, _GROWTH_POINTS).tolist()
    points += [(t_s, full * ((t_s - start_s) / (full_s - start_s)) ** exponent) for t_s in times]
    return tuple(points)


def ramp(first: float, full: float, full_s: float, end_s: float) -> Curve:
    """Return a line from `first` to `full`, held until the end."""
    return until(((0.0, first), (full_s, full), (max(end_s, full_s + 1.0), full)), end_s)


def until(curve: Curve, end_s: float) -> Curve:
    """Return a curve with strictly growing times that reaches to `end_s` and no further."""
    kept: list[tuple[float, float]] = []
    for at_s, value in curve:
        if at_s >= end_s:
            break
        if not kept or at_s > kept[-1][0]:
            kept.append((at_s, value))
    t_s, values = zip(*curve, strict=True)
    return (*kept, (end_s, float(np.interp(end_s, t_s, values))))


def ended(curve: Curve, at_s: float) -> Curve:
    """Return a curve that drops to nothing at a time within it."""
    return (*until(curve, at_s), (at_s + _GAP_S, 0.0))


def smothered(curve: Curve, air_kj: float, supported_kw: float) -> Curve:
    """Return a fire that shrinks to what openings support once it has used the room's air."""
    end_s = curve[-1][0]
    t_s, kw = np.array(curve).T
    times = np.union1d(t_s, np.linspace(t_s[0], end_s, _FINE_POINTS))
    heat = np.interp(times, t_s, kw)
    used_kj = np.concatenate(([0.0], np.cumsum(np.diff(times) * (heat[1:] + heat[:-1]) / 2.0)))
    if used_kj[-1] <= air_kj:
        return curve
    from_s = float(np.interp(air_kj, used_kj, times))
    left = np.clip(1.0 - (times - from_s) / _SMOTHERING_S, 0.0, 1.0)
    supported = np.minimum(heat, supported_kw)
    heat = supported + (heat - supported) * left
    return tuple(zip(times.tolist(), heat.tolist(), strict=True))

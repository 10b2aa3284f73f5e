"""Things in the picture: upright and lying shapes of one temperature, over time.

A shape is a function of times (n,) to its states (n, 6): row and column of its centre, height and
width (px), temperature (°C), effective emissivity; below 1 what lies behind shines through.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from firedetect.simulation.camera import Camera

Times: TypeAlias = NDArray[np.float64]
Series: TypeAlias = Callable[[Times], np.ndarray]
"""A value of every time."""
Path: TypeAlias = Callable[[Times], np.ndarray]
"""A point (n, 3) of every time, in m."""

STATES: Final = 6
RECTANGLE: Final = 0
ELLIPSE: Final = 1


@dataclass(frozen=True, slots=True)
class Patch:
    """One shape; `distance_m` orders what lies behind what."""

    states: Callable[[Times], NDArray[np.float64]]
    distance_m: float
    shape: int = RECTANGLE


def steady(value: float) -> Series:
    """Return the value that never changes."""
    return lambda t_s: np.full(len(t_s), value)


def still(point: tuple[float, float, float]) -> Path:
    """Return the path of what does not move."""
    return lambda t_s: np.broadcast_to(np.array(point), (len(t_s), 3))


def ramp(t_s: Times, start_s: float, over_s: float) -> NDArray[np.float64]:
    """Return 0 before `start_s`, 1 from `over_s` later on, a straight line between."""
    share: NDArray[np.float64] = np.clip((t_s - start_s) / max(over_s, 1e-6), 0.0, 1.0)
    return share


def between(t_s: Times, start_s: float, stop_s: float) -> NDArray[np.float64]:
    """Return 1 from `start_s` to `stop_s`, else 0."""
    return ((t_s >= start_s) & (t_s < stop_s)).astype(np.float64)


def wobble(rng: np.random.Generator, centre_hz: float, spread: float, waves: int = 4) -> Series:
    """Return narrow-band noise of unit deviation: a few waves around a frequency."""
    frequency = centre_hz * (1.0 + spread * rng.standard_normal(waves))
    phase = rng.uniform(0.0, 2.0 * np.pi, waves)
    scale = np.sqrt(2.0 / waves)
    turn = 2.0 * np.pi * frequency

    def series(t_s: Times) -> NDArray[np.float64]:
        waved: NDArray[np.float64] = scale * np.sin(np.outer(t_s, turn) + phase).sum(axis=1)
        return waved

    return series


def upright(
    camera: Camera,
    base: Path,
    *,
    width_m: Series,
    height_m: Series,
    temp_c: Series,
    emissivity: Series,
    shape: int = RECTANGLE,
) -> Patch:
    """Return something that stands on `base`: a flame, a person, a kettle.

    Seen from above it shortens to its footprint.
    """

    def states(t_s: Times) -> NDArray[np.float64]:
        foot = base(t_s)
        high, wide = height_m(t_s), width_m(t_s)
        top = foot + np.stack((np.zeros_like(high), np.zeros_like(high), high), axis=1)
        low, tip = camera.project(foot), camera.project(top)
        middle = camera.project((foot + top) / 2.0)
        drop = np.abs(tip.row - low.row)
        # The footprint: a disc as wide as the thing, seen under its depression.
        depth = np.minimum(np.abs(foot[:, 2] - camera.at[2]) / low.distance_m, 1.0)
        return _states(
            row=middle.row,
            col=middle.col,
            height=np.maximum(drop, wide * middle.rows_per_m * depth),
            width=wide * middle.cols_per_m + np.abs(tip.col - low.col),
            temp_c=temp_c(t_s),
            emissivity=emissivity(t_s) * middle.ahead,
        )

    return Patch(states, _distance(camera, base), shape)


def lying(
    camera: Camera,
    centre: Path,
    *,
    width_m: Series,
    height_m: Series,
    temp_c: Series,
    emissivity: Series,
    shape: int = ELLIPSE,
) -> Patch:
    """Return something that lies flat: a fuel bed, a hot plate, a patch of sun on the floor.

    Its height is its depth along the line of sight.
    """

    def states(t_s: Times) -> NDArray[np.float64]:
        at = centre(t_s)
        seen = camera.project(at)
        tilt = np.abs(at[:, 2] - camera.at[2]) / seen.distance_m
        return _states(
            row=seen.row,
            col=seen.col,
            height=height_m(t_s) * seen.rows_per_m * np.maximum(tilt, 0.05),
            width=width_m(t_s) * seen.cols_per_m,
            temp_c=temp_c(t_s),
            emissivity=emissivity(t_s) * seen.ahead,
        )

    return Patch(states, _distance(camera, centre), shape)


def facing(
    camera: Camera,
    centre: Path,
    *,
    width_m: Series,
    height_m: Series,
    temp_c: Series,
    emissivity: Series,
    shape: int = RECTANGLE,
) -> Patch:
    """Return something that turns its face to the array: an oven, a heater, a reflection."""

    def states(t_s: Times) -> NDArray[np.float64]:
        seen = camera.project(centre(t_s))
        return _states(
            row=seen.row,
            col=seen.col,
            height=height_m(t_s) * seen.rows_per_m,
            width=width_m(t_s) * seen.cols_per_m,
            temp_c=temp_c(t_s),
            emissivity=emissivity(t_s) * seen.ahead,
        )

    return Patch(states, _distance(camera, centre), shape)


def stacked(patches: tuple[Patch, ...], t_s: Times) -> NDArray[np.float64]:
    """Return the states (n, patches, 6), the farthest first: near things hide far ones."""
    ordered = farthest_first(patches)
    if not ordered:
        return np.zeros((len(t_s), 0, STATES))
    return np.ascontiguousarray(np.stack([patch.states(t_s) for patch in ordered], axis=1))


def farthest_first(patches: tuple[Patch, ...]) -> tuple[Patch, ...]:
    """Return the patches in the order in which they are painted."""
    return tuple(sorted(patches, key=lambda patch: -patch.distance_m))


def _states(**values: NDArray[np.float64]) -> NDArray[np.float64]:
    names = ("row", "col", "height", "width", "temp_c", "emissivity")
    return np.stack([values[name] for name in names], axis=1)


def _distance(camera: Camera, path: Path) -> float:
    return float(camera.project(path(np.zeros(1))).distance_m[0])

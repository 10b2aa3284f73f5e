"""What every nuisance is made from: a stage, a start, stretches to look at, simple things."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from firedetect.simulation.air import Emission
from firedetect.simulation.camera import Point
from firedetect.simulation.episodes import Episode
from firedetect.simulation.patches import (
    ELLIPSE,
    RECTANGLE,
    Patch,
    Path,
    Series,
    Times,
    facing,
    lying,
    ramp,
    steady,
    still,
    upright,
    wobble,
)
from firedetect.simulation.stage import Choice, Stage

REFERENCE_L: Final = 60_000.0
"""Room in which the concentrations of the catalogue hold (litres)."""
LEAD_IN_S: Final = 10.0
GHOST_SHARE: Final = 0.12
GHOST: Final = (0.03, 0.12)
"""So often a thing has a reflection, and so much of its radiance: panes and painted steel."""
IN_VIEW_SHARE: Final = 0.85


@dataclass(slots=True)
class Scenery:
    """The stage of one nuisance: it begins at `start_s`, lasts `lasts_s`; in view or not."""

    stage: Stage
    start_s: float
    lasts_s: float
    in_view: bool

    @property
    def rng(self) -> np.random.Generator:
        """Chance."""
        return self.stage.rng

    def uniform(self, low: float, high: float) -> float:
        """Draw between two values."""
        return float(self.rng.uniform(low, high))

    def log_uniform(self, low: float, high: float) -> float:
        """Draw between two values, evenly in the logarithm."""
        return float(np.exp(self.rng.uniform(np.log(low), np.log(high))))

    def on(self, t_s: Times, over_s: float = 1.0) -> np.ndarray:
        """Return 1 while it lasts, rising at its start over some time."""
        return ramp(t_s, self.start_s, over_s) * (t_s < self.start_s + self.lasts_s)

    def heats(self, rise_k: float, up_s: float, down_s: float = 300.0) -> Series:
        """Return a temperature (°C): up with a time constant while it lasts, then down."""
        ambient, start, stop = self.stage.ambient_c, self.start_s, self.start_s + self.lasts_s

        def series(t_s: Times) -> np.ndarray:
            since = np.maximum(t_s - start, 0.0)
            warm = 1.0 - np.exp(-np.minimum(since, stop - start) / up_s)
            return ambient + rise_k * warm * np.exp(-np.maximum(t_s - stop, 0.0) / down_s)

        return series

    def place(self, low_m: float, high_m: float) -> Point:
        """Return a place for what happens: in the image, or out of it."""
        return self.stage.spot(
            (low_m, high_m), in_view=self.in_view, nearest_m=self.stage.nearest_m
        )

    def stands(
        self,
        base: Point | Path,
        width_m: float,
        height_m: float,
        temp_c: Series,
        emissivity: float | Series = 0.95,
        shape: int = RECTANGLE,
    ) -> Patch:
        """Return something of fixed size that stands there."""
        return self._fixed(upright, base, (width_m, height_m), temp_c, emissivity, shape)

    def lies(
        self,
        centre: Point | Path,
        width_m: float,
        depth_m: float,
        temp_c: Series,
        emissivity: float | Series = 0.95,
        shape: int = ELLIPSE,
    ) -> Patch:
        """Return something of fixed size that lies there."""
        return self._fixed(lying, centre, (width_m, depth_m), temp_c, emissivity, shape)

    def shows(
        self,
        centre: Point | Path,
        width_m: float,
        height_m: float,
        temp_c: Series,
        emissivity: float | Series = 0.95,
        shape: int = RECTANGLE,
    ) -> Patch:
        """Return something of fixed size that faces the array."""
        return self._fixed(facing, centre, (width_m, height_m), temp_c, emissivity, shape)

    def _fixed(
        self,
        kind: Callable[..., Patch],
        at: Point | Path,
        size_m: tuple[float, float],
        temp_c: Series,
        emissivity: float | Series,
        shape: int,
    ) -> Patch:
        return kind(
            self.stage.camera,
            at if callable(at) else still(at),
            width_m=steady(size_m[0]),
            height_m=steady(size_m[1]),
            temp_c=temp_c,
            emissivity=emissivity if callable(emissivity) else steady(emissivity),
            shape=shape,
        )

    def put(self, *patches: Patch) -> None:
        """Put things into the picture; some of them have a reflection in a pane or a pan."""
        self.stage.put(*patches)
        if patches and self.rng.random() < GHOST_SHARE:
            self.stage.put(self._ghost(patches[0]))

    def gives(
        self,
        *,
        co_ppm: float = 0.0,
        co2_ppm: float = 0.0,
        voc_ppm: float = 0.0,
        no2_ppm: float = 0.0,
        rh_pct: float = 0.0,
        over_s: float | None = None,
        shape: Series | None = None,
    ) -> None:
        """Give off as much as makes these concentrations in 60 m³ without any loss, over a time."""
        time_s = over_s or self.lasts_s
        active = shape or (lambda t_s: (t_s >= self.start_s) & (t_s < self.start_s + time_s))
        per_s = REFERENCE_L / 1e6 / time_s
        moist = rh_pct / time_s * REFERENCE_L / (self.stage.air.ventilation.volume_m3 * 1000.0)

        def flow(scale: float) -> Series:
            return lambda t_s: scale * active(t_s).astype(np.float64)

        self.stage.emit(
            Emission(
                co_l=flow(co_ppm * per_s),
                co2_l=flow(co2_ppm * per_s),
                voc_l=flow(voc_ppm * per_s),
                no2_l=flow(no2_ppm * per_s),
                rh_pct_per_s=flow(moist),
            )
        )

    def done(self, family: str, cause: str) -> Episode:
        """Return the finished episode of a nuisance."""
        return self.stage.episode(family, cause=cause, windows=_windows(self), in_view=self.in_view)

    def _ghost(self, patch: Patch) -> Patch:
        """Return the reflection of a thing: elsewhere, mirrored, a part of its radiance."""
        share = self.uniform(*GHOST)
        rows, cols = self.stage.camera.shape
        shift = self.uniform(-0.5, 0.5) * rows

        def states(t_s: Times) -> np.ndarray:
            mirrored = patch.states(t_s).copy()
            mirrored[:, 1] = cols - mirrored[:, 1]
            mirrored[:, 0] += shift
            mirrored[:, 5] *= share
            return mirrored

        return Patch(states, patch.distance_m + 1.0, patch.shape)


def begin(
    rng: np.random.Generator,
    choice: Choice,
    lasts_s: float,
    *,
    stays_s: float = 30.0,
    size: Point | None = None,
    air_changes_per_h: float | None = None,
) -> Scenery:
    """Return an empty scenery in which something will last so long, and be seen after its end."""
    stage = Stage.draw(
        rng, lasts_s + stays_s, choice=choice, size=size, air_changes_per_h=air_changes_per_h
    )
    in_view = choice.in_view
    if in_view is None:
        in_view = bool(rng.random() < IN_VIEW_SHARE)
    return Scenery(stage, stage.lead_s, lasts_s, in_view)


def flicker(rng: np.random.Generator, hz: float, depth: float) -> Series:
    """Return a factor about 1 that flickers."""
    wave = wobble(rng, hz, 0.2)
    return lambda t_s: np.clip(1.0 + depth * wave(t_s), 0.0, 2.0)


def _windows(scenery: Scenery) -> tuple[tuple[float, float], ...]:
    """Return the start of a nuisance, one stretch later on, its end, and a quiet stretch before."""
    rng, last = scenery.rng, scenery.stage.seconds - 2.0
    start = scenery.start_s
    windows = [(max(start - LEAD_IN_S, 0.0), min(start + 26.0, last))]
    quiet = float(rng.uniform(0.0, max(start - 30.0, 1.0)))
    windows.insert(0, (quiet, min(quiet + 6.0, windows[0][0])))
    while len(windows) < 4 and windows[-1][1] + 15.0 < last:
        at = float(rng.uniform(windows[-1][1], last - 10.0))
        windows.append((at, min(at + 12.0, last)))
    return tuple(window for window in windows if window[1] - window[0] >= 1.0)

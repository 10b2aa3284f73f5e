"""Families of fires: a run of the zone model, seen, smelt and felt by a detector in its room."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from firedetect.simulation.camera import Point
from firedetect.simulation.episodes import Episode
from firedetect.simulation.flame import Burning, Glow, flame_patches
from firedetect.simulation.layout import draw_mount
from firedetect.simulation.patches import Patch, lying, ramp, steady, still, upright
from firedetect.simulation.people import person
from firedetect.simulation.rooms import CHANNELS, RoomRun
from firedetect.simulation.small_flames import candle_patch
from firedetect.simulation.smoke import spread_gases, spread_heat
from firedetect.simulation.splits import runs_of
from firedetect.simulation.stage import Choice, Stage

LEAD_IN_S: Final = 12.0
TEACHES_S: Final = 48.0
"""Of a fire the first while, and stretches later on, teach what there is to learn."""
GLOWING: Final = frozenset(
    ("smoulder", "TF2", "TF2a", "TF2b", "TF3", "TF7", "TF9", "UL-pu-smoulder")
)
"""Runs without any flame."""
PLATES: Final = {"TF2": 660.0, "TF2a": 1650.0, "TF2b": 940.0, "TF7": 2640.0}
"""Wood on a hot plate: how long the plate takes to 600 °C (s)."""
PLATE_C: Final = 600.0
PLATE_M: Final = 0.22
SMOULDER_KW_PER_G: Final = 15.0
REACH_M: Final = 6.0
ARC_M: Final = 3.0


@dataclass(frozen=True, slots=True)
class FireFamily:
    """Which runs a family draws from and how the fire stands to the detector.

    `view` is in-view, occluded (behind something) or hidden (not in the image); `lasts_s` cuts
    long runs; `legal_first` burns a candle before something else catches fire.
    """

    runs: tuple[str, ...]
    view: str = "in-view"
    lasts_s: float = 300.0
    on_arc: bool = False
    legal_first: bool = False


_STANDARD: Final = (
    "TF1", "TF2", "TF2a", "TF2b", "TF3", "TF4", "TF5", "TF5a", "TF5b", "TF6", "TF7", "TF8", "TF9",
)  # fmt: skip
_LISTED: Final = ("UL-paper", "UL-wood", "UL-heptane", "UL-pu-flaming", "UL-pu-smoulder")

FIRES: Final[Mapping[str, FireFamily]] = {
    "flaming": FireFamily(("flaming",)),
    "occluded": FireFamily(("flaming",), view="occluded", lasts_s=420.0),
    "small": FireFamily(("small",), lasts_s=240.0),
    "liquid": FireFamily(("liquid",), lasts_s=240.0),
    "candle-to-curtain": FireFamily(("flaming",), lasts_s=240.0, legal_first=True),
    "smoulder": FireFamily(("smoulder",), lasts_s=2400.0),
    "smoulder-hidden": FireFamily(("smoulder",), view="hidden", lasts_s=2400.0),
    "smoulder-to-flame": FireFamily(("smoulder-to-flame",), lasts_s=1800.0),
    "next-room": FireFamily(("next-room",), view="hidden", lasts_s=900.0),
} | {
    name: FireFamily((name,), lasts_s=3500.0, on_arc=True) for name in _STANDARD
} | {name: FireFamily((name,), lasts_s=3500.0) for name in _LISTED}  # fmt: skip
"""Every family of fires."""


def draw_fire(family: str, rng: np.random.Generator, choice: Choice, split: str = "all") -> Episode:
    """Return one fire of a family, from the rooms of a split."""
    kind = FIRES[family]
    runs = runs_of(kind.runs, split)
    run = runs[int(rng.integers(len(runs)))]
    lasts_s = min(run.duration_s, kind.lasts_s)
    waits_s = float(rng.uniform(30.0, 90.0)) if kind.legal_first else 0.0
    stage = _stage(run, kind, rng, choice, lasts_s + waits_s)
    ignition_s = stage.lead_s + waits_s
    shown = _into_room(stage, run, kind.view, ignition_s, rng)
    if kind.legal_first:
        _candle(stage, run.fire_xyz_m)
    if rng.random() < 0.4 and choice.people is not False:
        stage.put(*person(stage))
    heat = shown.heat_kw
    ends_s = run.end_of_test_s
    return stage.episode(
        family,
        cause=f"{run.name}: {run.fuel}, {run.peak_kw:.0f} kW at most, {kind.view}",
        windows=_windows(stage, ignition_s, heat, rng),
        fire=True,
        heat_kw=heat,
        ignition_s=ignition_s,
        end_of_test_s=None if math.isnan(ends_s) else ignition_s + ends_s,
        in_view=kind.view == "in-view" and stage.camera.sees(run.fire_xyz_m, margin=0.0),
    )


def _stage(
    run: RoomRun, kind: FireFamily, rng: np.random.Generator, choice: Choice, lasts_s: float
) -> Stage:
    size = (run.length_m, run.width_m, run.height_m)
    at = None
    if kind.on_arc:
        turn = rng.uniform(0.0, 2.0 * math.pi)
        x, y, _ = run.fire_xyz_m
        at = (
            min(max(x + ARC_M * math.cos(turn), 0.1), size[0] - 0.1),
            min(max(y + ARC_M * math.sin(turn), 0.1), size[1] - 0.1),
            size[2] - 0.05,
        )
    aim = None if kind.view == "hidden" else _aim(run.fire_xyz_m)
    if aim is not None and at is None:
        at = _near(rng, size, aim, choice.mount)
    stage = Stage.draw(rng, lasts_s, choice=choice, size=size, at=at, aim=aim)
    stage.room = run.room
    return stage


def _aim(fire: Point) -> Point:
    """Return what the array is pointed at: a little above the fuel."""
    return fire[0], fire[1], fire[2] + 0.15


def _near(rng: np.random.Generator, size: Point, aim: Point, mount: str | None) -> Point:
    """Return a mount within the reach that is recommended."""
    for _ in range(20):
        at = draw_mount(rng, size, aim, mount)
        if math.dist(at, aim) <= REACH_M:
            return at
    return draw_mount(rng, size, aim, "ceiling")


def _into_room(
    stage: Stage, run: RoomRun, view: str, ignition_s: float, rng: np.random.Generator
) -> Burning:
    """Let the run happen from `ignition_s` on: image, heat and gas."""
    t_s = stage.t_s
    began = t_s >= ignition_s
    values = run.at(t_s - ignition_s) * began[:, None]
    told = {name: values[:, i] for i, name in enumerate(CHANNELS)}
    told["layer_m"] = np.where(began, told["layer_m"], run.height_m)
    glows = np.maximum(told["smoulder_g_per_s"], 0.0)
    heat = np.maximum(told["hrr_kw"], 0.0)
    flames = np.zeros_like(heat)
    if run.family not in GLOWING:
        flames = np.where(heat > SMOULDER_KW_PER_G * glows + 0.05, heat, 0.0)
    fire = Burning(
        at=run.fire_xyz_m,
        heat_kw=heat,
        flame_kw=flames,
        smoulder_g_per_s=glows,
        per_area_kw=run.hrr_per_area_kw,
        absorption_per_m=run.flame_absorption_per_m,
        radiated=run.radiated_fraction,
        fuel=run.fuel,
        glow=_glow(run.family, rng),
    )
    if view != "hidden":
        stage.put(*flame_patches(stage.camera, fire, rng))
        if run.family in PLATES:
            stage.put(_plate(stage, run, ignition_s, rng))
    if view == "occluded":
        stage.put(_screen(stage, run.fire_xyz_m, rng))
    spread_heat(stage, run, told)
    spread_gases(stage, run, told, fire, rng)
    return fire


def _glow(family: str, rng: np.random.Generator) -> Glow:
    """Return what is seen of a smoulder; upholstery and towels glow inside, mostly unseen."""
    if family == "TF3":
        # A ring of wicks that hangs free.
        return Glow(0.1, float(rng.uniform(430.0, 630.0)), float(rng.uniform(0.6, 0.9)))
    hides = family == "TF9" or rng.random() < 0.4
    width, temp_c = float(rng.uniform(0.03, 0.15)), float(rng.uniform(250.0, 600.0))
    return Glow(width, temp_c, 0.0 if hides else float(rng.uniform(0.3, 0.9)))


def _screen(stage: Stage, fire: Point, rng: np.random.Generator) -> Patch:
    """Return what stands before the fire: a sofa, a shelf, a stack of goods."""
    x, y, z = stage.camera.at
    away = math.hypot(fire[0] - x, fire[1] - y)
    nearer = max(1.0 - 0.5 / max(away, 0.6), 0.2)
    base = (x + (fire[0] - x) * nearer, y + (fire[1] - y) * nearer, 0.0)
    # High enough to hide the fuel and the foot of the flame from where the array hangs.
    sight = z + (fire[2] + 0.25 - z) * nearer
    height = max(sight, 0.3) + float(rng.uniform(0.0, 0.6))
    width = float(rng.uniform(1.2, 3.0))
    own_c = stage.ambient_c + float(rng.normal(0.0, 0.5))
    return upright(
        stage.camera,
        still(base),
        width_m=steady(width),
        height_m=steady(height),
        temp_c=steady(own_c),
        emissivity=steady(1.0),
    )


def _plate(stage: Stage, run: RoomRun, ignition_s: float, rng: np.random.Generator) -> Patch:
    """Return the hot plate under the wood: its rim can be seen."""
    heats_s, rim = PLATES[run.family], float(rng.uniform(0.2, 0.6))
    return lying(
        stage.camera,
        still(run.fire_xyz_m),
        width_m=steady(PLATE_M),
        height_m=steady(PLATE_M),
        temp_c=lambda t_s: (
            stage.ambient_c + (PLATE_C - stage.ambient_c) * ramp(t_s, ignition_s, heats_s)
        ),
        emissivity=steady(rim),
    )


def _candle(stage: Stage, at: Point) -> None:
    stage.put(candle_patch(stage, at, lit_s=max(stage.lead_s - 30.0, 0.0)))


def _windows(
    stage: Stage, ignition_s: float, heat_kw: NDArray[np.float64], rng: np.random.Generator
) -> tuple[tuple[float, float], ...]:
    """Return where the fire is worth looking at: its start, its way to 3 kW, and two later looks.

    Slow fires are sampled along their way: a smoulder of an hour is not taught second by second.
    """
    last = stage.seconds - 2.0
    start = max(ignition_s - LEAD_IN_S, 0.0)
    windows = [(start, min(start + TEACHES_S, last))]
    reached = np.flatnonzero(heat_kw >= 3.0)
    if reached.size and reached[0] > windows[0][1]:
        windows.append((max(reached[0] - 25.0, windows[0][1]), min(reached[0] + 20.0, last)))
    while len(windows) < 4 and windows[-1][1] + 30.0 < last:
        begin = float(rng.uniform(windows[-1][1], last - 12.0))
        windows.append((begin, min(begin + 12.0, last)))
    return tuple(windows)

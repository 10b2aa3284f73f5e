"""Gas burners in one real room, against the zone model that the generator draws from."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from firedetect.lab.realism.burner_room import (
    PLACES,
    SIZE_M,
    TREES,
    burner_spec,
    burner_tests,
    cached_run,
)
from firedetect.lab.realism.check import Check, spread
from firedetect.lab.realism.data import columns, real_file, split_by
from firedetect.simulation.rooms import CHANNELS, JET_R_M, RoomRun

GROUP: Final = "Gas burners in a room"
SOURCE: Final = "UL FSRI compartment experiments 2018, 32 burner tests"
WITHIN: Final = (0.8, 1.25)
TIMES_S: Final = (30.0, 60.0, 120.0, 300.0)
MEAN_S: Final = 5.0
DOORS: Final = ("open", "closed")
BELOW_M: Final = (0.3, 0.6, 0.9)
JET_BELOW: Final = "25 mm"


@dataclass(frozen=True, slots=True)
class Ratio:
    """Generator over real rise of one test at one time: the air below the ceiling, the jet."""

    door: str
    place: str
    at_s: float
    layer: float
    jet: float


def zone_rises(run: RoomRun, place: str, at_s: float) -> tuple[float, float]:
    """Return the model's rise of layer air and of its jet at the trees (K)."""
    told = dict(zip(CHANNELS, run.at([at_s])[0], strict=True))
    heights = SIZE_M[2] - np.array(BELOW_M)
    layer = np.where(heights > told["layer_m"], told["upper_rise_k"], told["lower_rise_k"])
    (x, y), trees = PLACES[place]
    away = [math.hypot(TREES[tree][0] - x, TREES[tree][1] - y) for tree in trees]
    reach = [min(r_m, _farthest_m(x, y)) for r_m in JET_R_M]
    jets = [told[f"jet_{r_m:g}_k"] for r_m in JET_R_M]
    return float(layer.mean()), float(np.mean(np.interp(away, reach, jets)))


def burner_ratios(data: Path | None = None, *, doors: tuple[str, ...] = DOORS) -> list[Ratio]:
    """Return generator over real for every test at every time that it tells something of."""
    path = real_file("fsri_burners/burners.parquet", data)
    names = tuple(
        f"Quadrant {tree} Temperature {below} Below Ceiling"
        for tree in TREES
        for below in (JET_BELOW, *(f"{below:g} m" for below in BELOW_M))
    )
    told = columns(path, ("test", "t_s", *names))
    keys = np.unique(told["test"].astype(str)).tolist()
    series = {name: split_by(told["test"].astype(str), told[name]) for name in ("t_s", *names)}
    found = []
    for test in burner_tests(data):
        if test.door not in doors:
            continue
        number = keys.index(test.name)
        mine = {name: series[name][number] for name in series}
        run = cached_run(burner_spec(test))
        for at_s in TIMES_S:
            if at_s <= test.until_s:
                layer, jet = real_rises(mine, test.place, at_s)
                ours = zone_rises(run, test.place, at_s)
                found.append(Ratio(test.door, test.place, at_s, ours[0] / layer, ours[1] / jet))
    return found


def real_rises(
    told: dict[str, NDArray[np.float64]], place: str, at_s: float
) -> tuple[float, float]:
    """Return the rise (K) of the air 0.3 to 0.9 m below the ceiling, and 25 mm below it."""
    t_s = told["t_s"]
    before, near = t_s < 0.0, np.abs(t_s - at_s) <= MEAN_S

    def rise(tree: str, below: str) -> float:
        course = told[f"Quadrant {tree} Temperature {below} Below Ceiling"]
        return float(np.nanmean(course[near]) - np.nanmean(course[before]))

    trees = PLACES[place][1]
    layer = np.mean([rise(tree, f"{below:g} m") for tree in trees for below in BELOW_M])
    return float(layer), float(np.mean([rise(tree, JET_BELOW) for tree in trees]))


def burner_checks(data: Path | None = None, *, doors: tuple[str, ...] = DOORS) -> list[Check]:
    """Return the checks per door and time, and per place with the door open."""
    ratios = burner_ratios(data, doors=doors)
    made = []
    for door in doors:
        for at_s in TIMES_S:
            some = [one for one in ratios if one.door == door and one.at_s == at_s]
            told = f"door {door}, {at_s:g} s"
            made += [
                _check(f"{told}: layer", "air 0.3 to 0.9 m down", [one.layer for one in some]),
                _check(f"{told}: jet", "25 mm down", [one.jet for one in some]),
            ]
    for place in PLACES:
        some = [one for one in ratios if one.door == "open" and one.place == place]
        made += [
            _check(f"burner {place}: layer", "door open, all times", [one.layer for one in some]),
            _check(f"burner {place}: jet", "door open, all times", [one.jet for one in some]),
        ]
    return made


def _farthest_m(x: float, y: float) -> float:
    return math.hypot(max(x, SIZE_M[0] - x), max(y, SIZE_M[1] - y))


def _check(name: str, what: str, ratios: list[float]) -> Check:
    return Check(
        name=name,
        group=GROUP,
        source=SOURCE,
        compared=f"median ratio of rises, generator over real; {what}",
        unit="x",
        low=WITHIN[0],
        high=WITHIN[1],
        got=float(np.median(ratios)) if ratios else math.nan,
        spread=spread(ratios),
        count=len(ratios),
    )

"""The real room with a gas burner: its tests, and the zone model's run of each."""

import csv
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from firedetect.errors import DatasetError
from firedetect.lab.cfast import cfast_version, run_room, spec_hash
from firedetect.lab.curves import Curve, smothered
from firedetect.lab.realism.data import real_file
from firedetect.lab.room_library import CACHE
from firedetect.lab.room_spec import Burn, Opening, RoomSpec
from firedetect.lab.room_specs import AIR_KJ_PER_M3
from firedetect.simulation.rooms import RoomRun, load_rooms, write_rooms

SIZE_M: Final = (3.66, 3.66, 2.44)
DURATION_S: Final = 330.0
BURNER_TOP_M: Final = 0.3
"""Not told; a burner's usual height."""
RADIATED: Final = 0.2
METHANE_KJ_PER_G: Final = 50.0
DOOR: Final = (0.9, 2.0)
GAP_M: Final = 0.01
PLACES: Final = {
    "corner": ((0.3, 3.36), "ACD"),
    "back": ((1.83, 3.36), "AD"),
    "side": ((0.3, 1.83), "CD"),
    "center": ((1.83, 1.83), "ABCD"),
}
"""Where the burner stands (x from the left wall, y from the front), and the trees that are not in
its quadrant: near a flame beads read its radiation."""
TREES: Final = {"A": (0.92, 0.92), "B": (0.92, 2.74), "C": (2.74, 2.74), "D": (2.74, 0.92)}


@dataclass(frozen=True, slots=True)
class BurnerTest:
    """One real test; it tells nothing after `until_s`."""

    name: str
    heat_kw: float
    side_m: float
    door: str
    place: str
    until_s: float


def burner_tests(data: Path | None = None) -> list[BurnerTest]:
    """Return all tests; raises DatasetError."""
    path = real_file("fsri_burners/tests.csv", data)
    try:
        with path.open(newline="") as file:
            return [
                BurnerTest(
                    row["test"],
                    float(row["nominal_hrr_kw"]),
                    float(row["burner_side_m"]),
                    row["door"],
                    row["position"],
                    min(float(row["burner_off_s"] or math.inf), float(row["t_last_s"])),
                )
                for row in csv.DictReader(file)
            ]
    except (OSError, KeyError, ValueError) as error:
        raise DatasetError(f"{path}: cannot be read: {error}; copy it again") from error


def burner_spec(test: BurnerTest) -> RoomSpec:
    """Return the real room with this burner; a shut room's fire shrinks as in the library."""
    curve: Curve = ((0.0, 0.0), (3.0, test.heat_kw), (DURATION_S, test.heat_kw))
    shut = test.door == "closed"
    if shut:
        curve = smothered(curve, AIR_KJ_PER_M3 * math.prod(SIZE_M), 0.0)
    burn = Burn(
        fuel="methane",
        formula=(1.0, 4.0, 0.0),
        heat_kj_per_g=METHANE_KJ_PER_G,
        radiated_fraction=RADIATED,
        hrr_per_area_kw=test.heat_kw / test.side_m**2,
        curve=curve,
        co_yield=0.001,
        soot_yield=0.001,
        starved_co_yield=0.1,
        voc_yield=0.0,
        starved_voc_yield=0.0,
    )
    return RoomSpec(
        name=test.name,
        family="burner",
        room=0,
        length_m=SIZE_M[0],
        width_m=SIZE_M[1],
        height_m=SIZE_M[2],
        walls="gypsum",
        leak_cm2_per_m2=1.0,
        openings=(Opening(GAP_M if shut else DOOR[0], DOOR[1]),),
        fire_xyz_m=(*PLACES[test.place][0], BURNER_TOP_M),
        burns=(burn,),
        flame_absorption_per_m=0.1,
        duration_s=DURATION_S,
    )


def cached_run(spec: RoomSpec, cache: Path = CACHE) -> RoomRun:
    """Return the zone model's run; one that is in the cache, where there is one, is taken."""
    kept = cache / f"{spec_hash(spec)}.npz"
    if kept.is_file():
        return load_rooms(kept).runs[0]
    run = run_room(spec)
    if cache.is_dir():
        write_rooms(kept, [run], cfast_version())
    return run

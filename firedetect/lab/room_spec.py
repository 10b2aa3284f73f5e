"""What is to be burnt where: the description of one run of the zone model."""

from dataclasses import dataclass
from typing import Literal

Wall = Literal["gypsum", "brick", "concrete", "wood"]
Criterion = Literal["drawn", "density_db_per_m", "arc_rise_k", "co_ppm"]


@dataclass(frozen=True, slots=True)
class Opening:
    """A rectangular opening in a wall, to the outside or into the room of the fire."""

    width_m: float
    height_m: float
    sill_m: float = 0.0
    to_fire_room: bool = False


@dataclass(frozen=True, slots=True)
class Burn:
    """One thing that burns or smoulders, with constant chemistry (yields in g per g lost).

    `formula` is C, H, O; where fuel leaves char it is what burns of it, as carbon and water.
    `curve` holds time (s) and heat release (kW) before lack of air. `voc_lead_s` is how long
    vapour comes before the loss that it is a share of.
    """

    fuel: str
    formula: tuple[float, float, float]
    heat_kj_per_g: float
    radiated_fraction: float
    hrr_per_area_kw: float
    curve: tuple[tuple[float, float], ...]
    co_yield: float
    soot_yield: float
    starved_co_yield: float
    voc_yield: float
    starved_voc_yield: float
    voc_lead_s: float = 0.0
    smoulders: bool = False


@dataclass(frozen=True, slots=True)
class EndOfTest:
    """How a standard fire ends: a limit is reached, at a drawn time, or the time is the limit."""

    criterion: Criterion
    limit: float
    at_s: float = 0.0


@dataclass(frozen=True, slots=True)
class RoomSpec:
    """A room with a detector, its walls and openings, and a fire in it or in the next room.

    Sizes are inside, x along the length, y along the width. `fire_room_m` is length, width and
    height of a second room at x > `length_m`, in which the fire then burns; `fire_xyz_m` stays in
    the coordinates of the first room. Leaks are cm2 per m2 of wall.
    """

    name: str
    family: str
    room: int
    length_m: float
    width_m: float
    height_m: float
    walls: Wall
    leak_cm2_per_m2: float
    openings: tuple[Opening, ...]
    fire_xyz_m: tuple[float, float, float]
    burns: tuple[Burn, ...]
    flame_absorption_per_m: float
    duration_s: float
    fire_room_m: tuple[float, float, float] | None = None
    end: EndOfTest | None = None

    @property
    def fire_compartment(self) -> int:
        """The number of the room in which the fire burns: 1 with the detector, 2 the next."""
        return 1 if self.fire_room_m is None else 2

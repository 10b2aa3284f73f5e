"""Every family of episodes, and how often each nuisance comes to a site of each class."""

import csv
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np

from firedetect.errors import SimulationError
from firedetect.simulation import building, household, kitchen, small_flames, vapours
from firedetect.simulation.episodes import Episode
from firedetect.simulation.fires import FIRES, draw_fire
from firedetect.simulation.stage import Choice

Draw: TypeAlias = Callable[[np.random.Generator, Choice], Episode]

SITES: Final = ("dwelling", "office", "kitchen", "workshop")
_HIDDEN: Final = "hidden"
_BEYOND: Final = "beyond"

NUISANCES: Final[Mapping[str, Draw]] = {
    "quiet-room": household.quiet_room,
    "people": household.people,
    "pets": household.pets,
    "gathering": household.gathering,
    "hot-food": household.hot_food,
    "candles": small_flames.candles,
    "birthday-cake": small_flames.birthday_cake,
    "smoking": small_flames.smoking,
    "lighter": small_flames.lighter,
    "hot-tool": household.hot_tool,
    "radiator": household.radiator,
    "radiant-heater": household.radiant_heater,
    "turning-heater": household.turning_heater,
    "fireplace": household.fireplace,
    "machine": household.machine,
    "kettle": kitchen.kettle,
    "shower": kitchen.shower,
    "hot-plate": kitchen.hot_plate,
    "gas-hob": kitchen.gas_hob,
    "frying": kitchen.frying,
    "toast": kitchen.toast,
    "oven-door": kitchen.oven_door,
    "sun-patch": building.sun_patch,
    "reflection": building.reflection,
    "ventilation": building.ventilation,
    "cold-door": building.cold_door,
    "draught": building.draught,
    "haze": building.haze,
    "knock": building.knock,
    "car": building.car,
    "welding": building.welding,
    "soldering": building.soldering,
    "solvent": vapours.solvent,
    "cleaning": vapours.cleaning,
    "odour": vapours.odour,
    "breath": vapours.breath,
    "damp": vapours.damp,
}
"""Families in which nothing burns that should not."""


@dataclass(frozen=True, slots=True)
class Rate:
    """Episodes a year of one nuisance at one class of site, and where they are to the detector.

    At the recommended siting a stove, its window or an exhaust is not in direct view, and a
    detector of a dwelling or an office does not hang in the kitchen or the bathroom: what happens
    there comes through a door.
    """

    family: str
    per_year: float
    in_view: bool
    beyond: bool = False


def draw_episode(
    family: str,
    seed: tuple[int, ...],
    choice: Choice | None = None,
    *,
    split: str = "all",
) -> Episode:
    """Return the episode of a family that a seed gives; the same seed gives the same episode.

    `split` chooses the rooms of fires.
    """
    rng = np.random.default_rng(seed)
    choice = choice or Choice()
    if family in FIRES:
        return draw_fire(family, rng, choice, split)
    draw = NUISANCES.get(family)
    if draw is None:
        raise SimulationError(f"no family {family!r}; there are: {', '.join(family_names())}")
    return draw(rng, choice)


def family_names() -> tuple[str, ...]:
    """Return all families, fires first."""
    return (*FIRES, *NUISANCES)


def rates_path() -> Path:
    """Return the table of rates that comes with the program."""
    return Path(__file__).parent / "nuisances.csv"


def load_rates(site: str, path: Path | None = None) -> tuple[Rate, ...]:
    """Return how often each nuisance comes to a class of site; raises SimulationError.

    The table has a row per family, a column of episodes a year per class of site, in `hidden` the
    classes in which it is out of the image at the recommended siting, and in `beyond` those in
    which it happens in the next room.
    """
    path = path or rates_path()
    if site not in SITES:
        raise SimulationError(f"no site class {site!r}; there are: {', '.join(SITES)}")
    try:
        with path.open(newline="") as file:
            rows = list(csv.DictReader(line for line in file if not line.startswith("#")))
        for row in rows:
            # A table of one's own may be older than this column.
            row.setdefault(_BEYOND, "")
        found = tuple(
            Rate(
                row["family"],
                float(row[site]),
                site not in row[_HIDDEN].split() + row[_BEYOND].split(),
                site in row[_BEYOND].split(),
            )
            for row in rows
        )
    except (OSError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise SimulationError(f"{path}: is no table of nuisance rates: {error}") from error
    unknown = [rate.family for rate in found if rate.family not in NUISANCES]
    negative = [rate.family for rate in found if not rate.per_year >= 0.0]
    if unknown or negative or len({rate.family for rate in found}) != len(found):
        raise SimulationError(f"{path}: unknown, negative or double: {unknown + negative}")
    return found

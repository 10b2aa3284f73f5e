"""What a data set is to hold: the list of its episodes, each known by its number alone."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from firedetect.errors import DatasetError
from firedetect.simulation.families import NUISANCES, SITES, load_rates
from firedetect.simulation.fires import FIRES
from firedetect.simulation.splits import LEARNED, RUN_SPLITS

FIRE_TURNS: Final = 4
TURNS: Final = 9
"""Of nine episodes four are fires."""
TAUGHT_MORE: Final = {
    "odour": 3,
    "solvent": 4,
    "ventilation": 4,
    "turning-heater": 2,
    "breath": 2,
    "hot-plate": 2,
    "gas-hob": 2,
    "frying": 2,
    "car": 2,
    "gathering": 2,
    "hot-tool": 2,
    "machine": 2,
    "birthday-cake": 2,
    "smoulder": 2,
    "smoulder-hidden": 2,
    "small": 2,
}
"""Families that are near the border between fires and nuisances come more often."""
_SEED_WORD: Final = 20_260_101


@dataclass(frozen=True, slots=True)
class Task:
    """One episode to draw: its family and seed, from which runs, whole or only what teaches."""

    number: int
    family: str
    seed: tuple[int, ...]
    split: str = LEARNED
    whole: bool = False
    in_view: bool | None = None
    films: bool | None = None
    sited: bool = False
    beyond: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """All episodes of a data set."""

    tasks: tuple[Task, ...]
    seed: int

    @property
    def digest(self) -> str:
        """Tells two plans apart."""
        told = [
            [
                task.number,
                task.family,
                task.seed,
                task.split,
                task.whole,
                task.in_view,
                task.films,
                task.sited,
                task.beyond,
            ]
            for task in self.tasks
        ]
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def learning_plan(episodes: int, seed: int, *, split: str = LEARNED) -> Plan:
    """Return a plan over all families in turn; raises DatasetError for too few episodes."""
    families = len(FIRES) + len(NUISANCES)
    if episodes < families:
        raise DatasetError(
            f"{episodes} episodes are too few: each of {families} families needs at least one"
        )
    _check_split(split)
    fires, others = _turns(tuple(FIRES)), _turns(tuple(NUISANCES))
    tasks, turn = [], {True: 0, False: 0}
    for number in range(episodes):
        burns = number % TURNS < FIRE_TURNS
        chosen = fires if burns else others
        family = chosen[turn[burns] % len(chosen)]
        turn[burns] += 1
        tasks.append(Task(number, family, (_SEED_WORD, seed, number), split))
    return Plan(tuple(tasks), seed)


def _turns(families: tuple[str, ...]) -> list[str]:
    """Return the families in turn, each as often as it is taught."""
    rounds = [
        sorted(family for family in families if TAUGHT_MORE.get(family, 1) > turn)
        for turn in range(max(TAUGHT_MORE.values()))
    ]
    return [family for turn in rounds for family in turn]


def judging_plan(each: int, seed: int, *, split: str) -> Plan:
    """Return a plan of so many whole episodes of each family.

    What may happen in the next room does so in every second of its episodes.
    """
    beyond = {rate.family for site in SITES for rate in load_rates(site) if rate.beyond}
    return family_plan(
        dict.fromkeys((*FIRES, *NUISANCES), each),
        seed,
        split=split,
        beyond=lambda family, k: family in beyond and k % 2 == 1,
    )


def family_plan(
    counts: dict[str, int],
    seed: int,
    *,
    split: str,
    in_view: dict[str, bool] | None = None,
    beyond: Callable[[str, int], bool] = lambda _family, _k: False,
) -> Plan:
    """Return a plan of whole episodes, so many of each family, nuisances at the recommended siting.

    Every detector has its Grove board; CO2 and air are optional, so some have them. `beyond` tells
    of a family and a number in it whether it happens in the next room.
    """
    _check_split(split)
    tasks: list[Task] = []
    for family, count in sorted(counts.items()):
        shown = (in_view or {}).get(family)
        sited = family in NUISANCES
        # The seed hangs on the family's own counter: more of one family change no other.
        tasks += [
            Task(
                len(tasks) + k,
                family,
                (_SEED_WORD, seed, _word(family), k),
                split,
                whole=True,
                in_view=False if beyond(family, k) else shown,
                films=True,
                sited=sited,
                beyond=beyond(family, k),
            )
            for k in range(count)
        ]
    return Plan(tuple(tasks), seed)


def _word(family: str) -> int:
    return int.from_bytes(hashlib.sha256(family.encode()).digest()[:4], "big")


def _check_split(split: str) -> None:
    if split not in RUN_SPLITS:
        raise DatasetError(f"no split {split!r}; there are: {', '.join(RUN_SPLITS)}")

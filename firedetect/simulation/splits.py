"""Which recorded runs are learned from, and which are held out to judge by."""

import zlib
from collections.abc import Mapping
from functools import cache
from typing import Final

from firedetect.simulation.rooms import RoomRun, load_rooms

LEARNED: Final = "learned"
HELD_OUT: Final = "held-out"
RUN_SPLITS: Final = (LEARNED, HELD_OUT, "all")
STANDARD_ROOMS: Final = (0, 1)
"""Rooms of the fires of EN 54 and UL 217."""
_HELD_OUT_ONE_IN: Final = 4


@cache
def runs_of(families: tuple[str, ...], split: str = "all") -> tuple[RoomRun, ...]:
    """Return the recorded runs of these families: those learned from, those held out, or all.

    Rooms are held out whole; in the rooms of the standard fires, runs are.
    """
    library = _library()
    runs = tuple(run for name in families for run in library[name])
    if split == "all":
        return runs
    return tuple(run for run in runs if _held_out(run) == (split == HELD_OUT))


def _held_out(run: RoomRun) -> bool:
    if run.room in STANDARD_ROOMS:
        number = int(run.name.rpartition("-")[2])
    else:
        number = zlib.crc32(f"room {run.room}".encode())
    return number % _HELD_OUT_ONE_IN == 1


@cache
def _library() -> Mapping[str, tuple[RoomRun, ...]]:
    library = load_rooms()
    return {name: library.of(name) for name in {run.family for run in library.runs}}

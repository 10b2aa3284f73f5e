"""Makes the library of rooms: every spec through the zone model, each kept once computed."""

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Final

from firedetect.clock import SystemClock
from firedetect.errors import SimulationError
from firedetect.lab.cfast import cfast_version, run_room, spec_hash
from firedetect.lab.jobs import run_all
from firedetect.lab.room_spec import RoomSpec
from firedetect.lab.room_specs import draw_specs
from firedetect.simulation.rooms import RoomRun, load_rooms, rooms_path, write_rooms

CACHE: Final = Path("var/cfast")
_TOLD: Final = 10

Progress = Callable[[float], None]
Result = tuple[RoomRun | None, str]
"""A run, or what is wrong with it."""


def make_library(
    out: Path,
    *,
    seed: int = 1,
    jobs: int = 2,
    cache: Path | None = CACHE,
    progress: Progress | None = None,
) -> tuple[RoomRun, ...]:
    """Write the library of a seed and return its runs; runs in the cache are not computed again.

    Raises SimulationError with the names of all runs that failed: none is left out silently.
    """
    specs = draw_specs(seed)
    if cache is not None:
        cache.mkdir(parents=True, exist_ok=True)
    runs, wrong = [], []
    for done, (run, evidence) in enumerate(_run_all(specs, jobs, cache), start=1):
        if run is None:
            wrong.append(evidence)
        else:
            runs.append(run)
        if progress is not None:
            progress(done / len(specs))
    if wrong:
        more = f" and {len(wrong) - _TOLD} more" if len(wrong) > _TOLD else ""
        raise SimulationError(f"{len(wrong)} runs failed: {'; '.join(wrong[:_TOLD])}{more}")
    write_rooms(out, runs, cfast_version())
    return tuple(runs)


def _run_all(specs: list[RoomSpec], jobs: int, cache: Path | None) -> Iterator[Result]:
    yield from run_all(partial(_run, cache=cache), specs, jobs, in_order=True)


def _run(spec: RoomSpec, cache: Path | None) -> Result:
    kept = None if cache is None else cache / f"{spec_hash(spec)}.npz"
    try:
        if kept is not None and kept.exists():
            return load_rooms(kept).runs[0], ""
        run = run_room(spec)
        if kept is not None:
            write_rooms(kept, [run], cfast_version())
    except SimulationError as error:
        return None, str(error)
    return run, ""


def main() -> None:
    """Make the library that comes with the program; print how long it took and what is in it."""
    clock = SystemClock()
    started_ns = clock.monotonic_ns()
    try:
        runs = make_library(rooms_path())
    except SimulationError as error:
        sys.exit(str(error))
    took_s = (clock.monotonic_ns() - started_ns) / 1e9
    families = Counter(run.family for run in runs)
    told = ", ".join(f"{family} {count}" for family, count in families.items())
    size = rooms_path().stat().st_size
    sys.stdout.write(f"{len(runs)} runs in {took_s:.0f} s, {size} bytes: {told}\n")


if __name__ == "__main__":
    main()

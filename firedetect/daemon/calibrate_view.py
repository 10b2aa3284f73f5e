"""What the operator sees of a calibration: how far it is, what hinders it, what was found."""

import json
import sys
from collections.abc import Sequence
from itertools import pairwise
from types import TracebackType
from typing import Final, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from firedetect.commissioning.session import GasSession, Proposal
from firedetect.config import GasBaseline
from firedetect.features.gas import FILMS

_BARS: Final = "▁▂▃▄▅▆▇█"
_COLUMNS: Final = 40


class Guide:
    """Shows a sitting on a terminal, as lines where there is none, or as JSON lines."""

    def __init__(self, *, as_json: bool) -> None:
        self._json = as_json
        console = Console(stderr=True)
        self._live = console.is_terminal and not as_json
        self._bar = Progress(
            BarColumn(), TextColumn("{task.description}"), console=console, transient=True
        )
        self._task = self._bar.add_task("", total=1.0)
        self._told = ("", -1)

    def __enter__(self) -> Self:
        """Begin to show."""
        if self._live:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, why: BaseException | None, at: TracebackType | None
    ) -> None:
        """Leave the terminal as it was."""
        self._end()

    def show(self, session: GasSession) -> None:
        """Show how far it is; without a terminal, when something has changed."""
        problem = session.problem
        if self._live:
            self._bar.update(self._task, completed=session.share, description=problem)
            return
        # Its beginning, for the rest counts; and every tenth part of the way.
        told = (problem.split(",", 1)[0], int(10.0 * session.share))
        if told == self._told:
            return
        self._told = told
        if self._json:
            self._say({"share": round(session.share, 3), "problem": problem})
        elif problem:
            print(problem, file=sys.stderr)

    def propose(self, proposal: Proposal, present: GasBaseline | None) -> None:
        """Show what was found beside what is in force."""
        self._end()
        found = proposal.baseline
        if self._json:
            self._say(
                {
                    "baseline": {film: getattr(found, film) for film in FILMS},
                    "uncertainty": dict(proposal.uncertainty),
                    "present": None if present is None else present.model_dump(exclude_none=True),
                    "taken": dict(proposal.taken),
                }
            )
            return
        for film in FILMS:
            before = "none before" if present is None else f"{getattr(present, film):.1f} before"
            course = proposal.courses[film]
            print(
                f"{film:7} {getattr(found, film):6.1f} ± {proposal.uncertainty[film]:.1f} counts, "
                f"{before:13} {sparkline(course)} {min(course):.0f} to {max(course):.0f}"
            )

    def _end(self) -> None:
        # It would leave an empty line where it has never been.
        if self._live:
            self._bar.stop()

    def _say(self, record: dict[str, object]) -> None:
        print(json.dumps(record), flush=True)


def sparkline(values: Sequence[float]) -> str:
    """Return the course of values as a row of bars, means of as many parts as the row is long."""
    parts = min(_COLUMNS, len(values))
    edges = [len(values) * k // parts for k in range(parts + 1)]
    means = [sum(values[low:high]) / (high - low) for low, high in pairwise(edges)]
    low, wide = min(means), max(means) - min(means)
    steps = [0.0 if wide == 0.0 else (mean - low) / wide for mean in means]
    return "".join(_BARS[min(len(_BARS) - 1, int(step * len(_BARS)))] for step in steps)

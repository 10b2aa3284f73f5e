"""What the operator sees of a calibration that is going on: how far it is, what hinders it."""

import json
import sys
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from firedetect.commissioning.sitting import Sitting


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
        self.end()

    def show(self, session: Sitting) -> None:
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
            self.say({"share": round(session.share, 3), "problem": problem})
        elif problem:
            print(problem, file=sys.stderr)

    def end(self) -> None:
        """Leave the terminal to what was found."""
        # It would leave an empty line where it has never been.
        if self._live:
            self._bar.stop()

    def say(self, record: dict[str, object]) -> None:
        """Print a JSON line."""
        print(json.dumps(record), flush=True)

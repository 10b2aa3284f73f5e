"""What several commands of the command line share."""

import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

ConfigOption = Annotated[
    Path | None, typer.Option("--config", help="settings file (TOML); else $FIREDETECT_CONFIG")
]
JsonOption = Annotated[bool, typer.Option("--json", help="JSON lines on standard output")]
DurationOption = Annotated[
    float | None, typer.Option("--duration", min=0.1, help="stop after this many seconds")
]
SimulateOption = Annotated[
    str | None, typer.Option("--simulate", help="play this scenario on an emulated bus")
]


def read_settings(path: Path | None) -> Any:  # noqa: ANN401 - Settings, imported when needed
    """Return the settings of the file, else of $FIREDETECT_CONFIG."""
    from firedetect.config import load_settings

    return load_settings(settings_file(path))


def settings_file(path: Path | None) -> Path | None:
    """Return the file that was named, else that of $FIREDETECT_CONFIG, else None."""
    named = os.environ.get("FIREDETECT_CONFIG")
    return path or (Path(named) if named else None)


def answer_alone() -> None:
    """Keep standard output for the answer: errors that parts log go to standard error."""
    from firedetect.config import LogSettings
    from firedetect.daemon.logs import configure_logging

    configure_logging(LogSettings(level="error"), sys.stderr)


def show(record: dict[str, Any]) -> None:
    """Print a JSON line."""
    print(json.dumps(record, allow_nan=False), flush=True)


def agreed(question: str) -> bool:
    """Ask the operator; no answer is no."""
    try:
        return typer.confirm(question, err=True)
    except typer.Abort:
        print(file=sys.stderr)
        return False


def progress(what: str) -> Any:  # noqa: ANN401 - a context manager around a call-back
    """Show how far something is, on stderr."""
    from contextlib import contextmanager

    from rich.progress import Progress

    @contextmanager
    def shown() -> Any:  # noqa: ANN401
        console = Console(stderr=True)
        with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
            task = bar.add_task(what, total=1.0)
            yield lambda share: bar.update(task, completed=share)

    return shown()


def ask_detector(config: Path | None, request: dict[str, Any]) -> dict[str, Any]:
    """Return what the running detector answers on its control socket."""
    from firedetect.daemon.control import ask

    return ask(read_settings(config).device.data_dir / "control.sock", request)

"""The commands that speak to the running detector."""

from pathlib import Path
from typing import Any

import typer

from firedetect.cli.common import (
    ConfigOption,
    DurationOption,
    JsonOption,
    ask_detector,
    show,
)
from firedetect.errors import FiredetectError

running_app = typer.Typer()


@running_app.command()
def status(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Show what the running daemon sees. Example: firedetect status --json."""
    answer = ask_detector(config, {"do": "status"})
    if as_json:
        show(answer)
        return
    outcome = answer.pop("outcome") or {}
    for name in ("level", "current", "alarm", "score", "reasons", "health", "troubles", "model"):
        print(f"{name:>16}  {outcome.get(name)}")
    settings = answer.pop("settings")
    cloud = answer.pop("cloud")
    retries = answer.pop("i2c_retries").items()
    answer["i2c_retries"] = ", ".join(f"{bus} {count}" for bus, count in retries) or None
    for name, value in answer.items():
        print(f"{name:>16}  {value}")
    version = f", version {settings['version']} of the shadow" if settings["version"] else ""
    print(f"{'settings':>16}  {settings['status']}{version}")
    link = "none" if cloud is None else "connected" if cloud["up"] else f"no link: {cloud['why']}"
    where = "" if cloud is None else f" ({cloud['endpoint']})"
    print(f"{'cloud':>16}  {link}{where}")


def _command(config: Path | None, action: str, duration: float | None = None) -> None:
    request: dict[str, Any] = {"do": action}
    if duration is not None:
        request["duration_s"] = duration
    answer = ask_detector(config, request)
    if not answer["accepted"]:
        raise FiredetectError(f"{action} refused: {answer['detail']}")
    print(f"{action}: done; level {answer['level']}, alarm {answer['alarm']}")


@running_app.command()
def ack(config: ConfigOption = None) -> None:
    """Acknowledge the alarm: somebody has seen it. Example: firedetect ack."""
    _command(config, "ack")


@running_app.command()
def silence(config: ConfigOption = None, duration: DurationOption = None) -> None:
    """Silence the siren for at most ten minutes. Example: firedetect silence --duration 120."""
    _command(config, "silence", duration)


@running_app.command()
def reset(config: ConfigOption = None) -> None:
    """End a latched alarm once its causes are gone. Example: firedetect reset."""
    _command(config, "reset")


@running_app.command()
def drill(config: ConfigOption = None, duration: DurationOption = None) -> None:
    """Sound the outputs as a drill, marked as one. Example: firedetect drill --duration 10."""
    _command(config, "drill", duration)

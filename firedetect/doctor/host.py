"""The machine as the checks see it: files below a root, commands, buses, chips, a clock."""

import asyncio
import grp
import os
import platform
import pwd
import shutil
import struct
import subprocess
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

from firedetect.clock import Clock, SystemClock
from firedetect.outputs.local import find_chip
from firedetect.sensors.bus import I2cPort, open_i2c
from firedetect.sensors.frames import OpenFrames, frames_of

_T = TypeVar("_T")

COMMAND_LIMIT_S: Final = 3.0
ROOT_USER: Final = "root"


class Play(Protocol):
    """Runs a coroutine to its end, as `asyncio.run` does."""

    def __call__(self, main: Coroutine[Any, Any, _T], /) -> _T:
        """Return what the coroutine returns."""


@dataclass(frozen=True, slots=True)
class Host:
    """What is asked of a machine; the defaults are those of a Raspberry Pi that answers nothing.

    `run` returns what a command prints, or None if it cannot be had. `may` says whether this user
    may use a path (as `os.access`). `bits` is the width of addresses of this program.
    """

    root: Path = Path("/")
    clock: Clock = field(default_factory=SystemClock)
    machine: str = "aarch64"
    bits: int = 64
    user: str = ROOT_USER
    groups: frozenset[str] = frozenset()
    run: Callable[[tuple[str, ...]], str | None] = lambda _command: None
    may: Callable[[Path, int], bool] = os.access
    free_bytes: Callable[[Path], int] = lambda path: shutil.disk_usage(path).free
    open_i2c: Callable[[int], I2cPort] = open_i2c
    open_frames: OpenFrames = frames_of
    find_chip: Callable[[str], str] = find_chip
    play: Play = asyncio.run

    def at(self, path: Path | str) -> Path:
        """Return where `path` of this machine really lies."""
        return self.root / Path(path).absolute().relative_to("/")

    def text(self, path: Path | str) -> str | None:
        """Return what stands in a file without blanks around it, or None."""
        try:
            return self.at(path).read_text(errors="replace").strip("\0 \n")
        except OSError:
            return None

    def number(self, path: Path | str) -> int | None:
        """Return the decimal number in a file, or None."""
        text = self.text(path)
        return int(text) if text and text.lstrip("-").isdecimal() else None


def this_machine() -> Host:
    """Return the machine that this program runs on."""
    return Host(
        machine=platform.machine(),
        bits=8 * struct.calcsize("P"),
        user=_user_name(),
        groups=frozenset(filter(None, map(_group_name, {os.getgid(), *os.getgroups()}))),
        run=run_command,
    )


def run_command(command: tuple[str, ...], limit_s: float = COMMAND_LIMIT_S) -> str | None:
    """Return what a command prints, or None if it is missing, fails or does not end in time."""
    try:
        done = subprocess.run(  # noqa: S603 - the commands are literals, no shell
            command, capture_output=True, text=True, timeout=limit_s, check=False
        )
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return None
    return done.stdout if done.returncode == 0 else None


def _user_name() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def _group_name(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return ""

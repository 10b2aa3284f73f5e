"""The folder of recordings of alarms: bounded in number and size, each one whole or not there."""

import contextlib
import os
import re
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from firedetect.errors import RecordingError
from firedetect.readings import Event
from firedetect.sensors.recording import RecordingWriter
from firedetect.storage.slots import Disk

FOLDER: Final = "incidents"
"""Below the data folder."""
BYTES_MAX: Final = 200_000_000
FREE_MIN_BYTES: Final = 50_000_000
"""Evidence takes no space that the state of an alarm may need."""
_NEW: Final = ".new"


def free_bytes(folder: Path) -> int:
    """Return how many bytes its file system has left."""
    return shutil.disk_usage(folder).free


class IncidentFile:
    """One recording while it is written: `begin`, `write` in pieces, then `end` or `drop`.

    Every call blocks: they are for the disk's thread, and raise OSError or RecordingError.
    """

    def __init__(
        self,
        folder: Path,
        incident: str,
        kept: int,
        *,
        bytes_max: int = BYTES_MAX,
        free: Callable[[Path], int] = free_bytes,
    ) -> None:
        self._target = folder / f"{incident}.mcap"
        self._new = folder / f"{incident}{_NEW}"
        self._kept = kept
        self._bytes_max = bytes_max
        self._free = free
        self._writer: RecordingWriter | None = None

    def begin(self) -> bool:
        """Open the file; returns False if this incident has its recording already."""
        folder = self._target.parent
        folder.mkdir(exist_ok=True, mode=0o750)
        for left in folder.glob(f"*{_NEW}"):
            # Of a run that ended in the middle.
            left.unlink()
        if self._target.exists():
            return False
        free = self._free(folder)
        if free < FREE_MIN_BYTES:
            raise RecordingError(
                f"only {free // 1_000_000} MB are free, {FREE_MIN_BYTES // 1_000_000} are needed"
            )
        self._writer = RecordingWriter(self._new)
        return True

    def write(self, events: Iterable[Event]) -> None:
        """Append events."""
        if self._writer is None:
            raise RecordingError(f"{self._new}: is not open")
        for event in events:
            self._writer.write(event)

    def end(self) -> int:
        """Make the recording durable in place of the oldest ones; returns its size (bytes)."""
        if self._writer is not None:
            self._writer.close()
        with self._new.open("rb") as file:
            os.fsync(file.fileno())
        size = self._new.stat().st_size
        self._make_room(size)
        disk = Disk()
        disk.replace(self._new, self._target)
        disk.sync(self._target.parent)
        self._writer = None
        return size

    def drop(self) -> None:
        """Leave nothing of a recording that has not come to its end."""
        if self._writer is None:
            return
        with contextlib.suppress(OSError, RecordingError):
            self._writer.close()
        self._writer = None
        self._new.unlink(missing_ok=True)

    def _make_room(self, size: int) -> None:
        """Remove the oldest recordings until one of `size` bytes fits beside the others."""
        if size > self._bytes_max:
            raise RecordingError(f"{size} bytes are too many, at most {self._bytes_max}")
        there = self._target.parent.glob("*.mcap")
        found = [(path.stat(), path) for path in there if path.is_file()]
        found.sort(key=lambda known: (*_number(known[1].stem), known[0].st_mtime_ns))
        total = size + sum(stat.st_size for stat, _ in found)
        while found and (len(found) >= self._kept or total > self._bytes_max):
            stat, oldest = found.pop(0)
            oldest.unlink()
            total -= stat.st_size


def _number(incident: str) -> tuple[int, int]:
    """Return boot and number of an incident: no clock that was wrong makes it look old."""
    tail = re.search(r"-(\d+)-(\d+)$", incident)
    return (int(tail[1]), int(tail[2])) if tail else (0, 0)

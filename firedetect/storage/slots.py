"""A/B storage of one small JSON body: what was adopted last, and what it replaced.

Two files hold a record each; the valid one with the highest sequence is active. A new body is
unconfirmed until it has proved itself; until then the confirmed one stays beside it.
"""

import contextlib
import hashlib
import json
import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from firedetect.errors import StorageError

STARTS_ALLOWED: Final = 2
"""Starts of the program that an unconfirmed body gets: a power cut is no proof against it."""
MAX_BYTES: Final = 64 << 10
_SIDES: Final = ("a", "b")
_TYPES: Final = {"sequence": int, "confirmed": bool, "starts": int, "body": dict}


@dataclass(frozen=True, slots=True)
class Slot:
    """One stored record; `starts` counts the program's starts with it while unconfirmed."""

    sequence: int
    confirmed: bool
    starts: int
    body: dict[str, Any]


class Disk:
    """The steps of a durable change, each of which may fail with OSError."""

    def write(self, path: Path, content: bytes) -> None:
        """Write a new file and wait until it is on the disk."""
        with path.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())

    def replace(self, source: Path, target: Path) -> None:
        """Put `source` in the place of `target` at once."""
        source.replace(target)

    def remove(self, path: Path) -> None:
        """Remove a file if it is there."""
        path.unlink(missing_ok=True)

    def sync(self, folder: Path) -> None:
        """Wait until the folder's names are on the disk."""
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


class Slots:
    """The two files `<name>-a.json` and `<name>-b.json` in `folder`, used by one program at a time.

    Content of files never raises: a damaged one counts as absent and is told in `problems`. A
    disk that cannot be written raises StorageError, and what was active stays active, unless only
    the very last step failed and its undoing too.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        *,
        starts_allowed: int = STARTS_ALLOWED,
        disk: Disk | None = None,
    ) -> None:
        self._folder = folder
        self._paths = [folder / f"{name}-{side}.json" for side in _SIDES]
        self._starts_allowed = starts_allowed
        self._disk = disk or Disk()

    @property
    def problems(self) -> tuple[str, ...]:
        """What is wrong with files that are there, by path; empty if nothing is."""
        read = (_read(path) for path in self._paths)
        return tuple(found for found in read if isinstance(found, str))

    def active(self) -> Slot | None:
        """Return the record in force, None when there is none."""
        stored = self.stored()
        return stored[0] if stored else None

    def stored(self) -> tuple[Slot, ...]:
        """Return every valid record, the active one first."""
        return tuple(slot for _, slot in self._valid())

    def propose(self, body: dict[str, Any]) -> Slot:
        """Make `body` active, unconfirmed; the confirmed record stays beside it.

        An active record that is itself unconfirmed is replaced, so that a way back to a proven
        body always remains.
        """
        valid = self._valid()
        if not valid:
            path, sequence = self._paths[0], 1
        else:
            active_path, active = valid[0]
            other = next(path for path in self._paths if path != active_path)
            path = other if active.confirmed else active_path
            sequence = active.sequence + 1
        slot = Slot(sequence, confirmed=False, starts=0, body=body)
        self._store(path, slot)
        return slot

    def confirm(self) -> Slot | None:
        """Mark the active record as proven and return it."""
        valid = self._valid()
        if not valid:
            return None
        path, slot = valid[0]
        if not slot.confirmed:
            slot = replace(slot, confirmed=True)
            self._store(path, slot)
        return slot

    def revert(self, *, even_confirmed: bool = False) -> Slot | None:
        """Drop the active record if it is unconfirmed; return the one that is active then."""
        valid = self._valid()
        if not valid:
            return None
        path, slot = valid[0]
        if slot.confirmed and not even_confirmed:
            return slot
        self._change(path, None)
        return self.active()

    def withdraw(self, body: dict[str, Any]) -> None:
        """Drop the active record if it is unconfirmed and holds `body`; another one stays."""
        active = self.active()
        if active is not None and active.body == body:
            self.revert()

    def count_start(self) -> str:
        """Note a start of the program; returns why the active record was reverted, or nothing."""
        valid = self._valid()
        if not valid or valid[0][1].confirmed:
            return ""
        path, slot = valid[0]
        if slot.starts >= self._starts_allowed:
            self._change(path, None)
            return f"started {slot.starts} times without proving itself"
        self._store(path, replace(slot, starts=slot.starts + 1))
        return ""

    def _valid(self) -> list[tuple[Path, Slot]]:
        read = [(path, _read(path)) for path in self._paths]
        valid = [(path, slot) for path, slot in read if isinstance(slot, Slot)]
        return sorted(valid, key=lambda found: found[1].sequence, reverse=True)

    def _store(self, path: Path, slot: Slot) -> None:
        content = _encode(slot)
        if len(content) > MAX_BYTES:
            raise StorageError(f"{path}: {len(content)} bytes are too many, at most {MAX_BYTES}")
        self._change(path, content)

    def _change(self, path: Path, content: bytes | None) -> None:
        """Let `path` hold `content`, or nothing; on an error it holds what it held."""
        before = None
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            before = _content(path)
            self._put(path, content)
            self._disk.sync(self._folder)
        except OSError as error:
            # The rename may have been done and only its sync have failed.
            with contextlib.suppress(OSError):
                if _content(path) != before:
                    self._put(path, before)
            raise StorageError(f"{path}: cannot be written: {error.strerror}") from error

    def _put(self, path: Path, content: bytes | None) -> None:
        if content is None:
            self._disk.remove(path)
            return
        new = path.with_name(f".{path.name}.new")
        self._disk.write(new, content)
        self._disk.replace(new, path)


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None


def _digest(record: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()


def _encode(slot: Slot) -> bytes:
    record = asdict(slot)
    return json.dumps(record | {"sha256": _digest(record)}, allow_nan=False).encode()


def _read(path: Path) -> Slot | str | None:
    """Return the record in a file, what is wrong with it, or None when there is no file."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        return f"{path}: cannot be read: {error.strerror}"
    slot = _decode(content)
    return f"{path}: is damaged" if slot is None else slot


def _decode(content: bytes) -> Slot | None:
    """Return the record, None unless its hash is right and every field has its type."""
    try:
        record: dict[str, Any] = json.loads(content)
        digest = record.pop("sha256")
        right = digest == _digest(record)
        typed = {name: type(value) for name, value in record.items()} == _TYPES
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError):
        return None
    return Slot(**record) if right and typed else None

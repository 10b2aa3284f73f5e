"""The database file: opened in the newest schema; a damaged one is moved aside, never deleted.

WAL with `synchronous=FULL`: what was committed survives a power cut if the disk keeps its word.
"""

import contextlib
import sqlite3
from pathlib import Path
from typing import Final

from firedetect.errors import StorageError

SCHEMA_VERSION = 2
WAL = "-wal"
_SCHEMA_1 = """
CREATE TABLE state (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE outbox (
    event_id TEXT PRIMARY KEY,
    priority INTEGER NOT NULL,
    kind TEXT NOT NULL,
    payload TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX outbox_order ON outbox (priority, event_id);
"""
_SCHEMA_2 = """
CREATE TABLE telemetry (number INTEGER PRIMARY KEY, payload BLOB NOT NULL);
"""
_STEPS = (_SCHEMA_1, _SCHEMA_2)
"""What leads from each version to the next; a database of any earlier one still loads."""
IN_MEMORY: Final = Path(":memory:")
"""Opened like this a database has no file."""
_PRAGMAS = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "PRAGMA wal_autocheckpoint=256",
    "PRAGMA journal_size_limit=1048576",
    "PRAGMA busy_timeout=100",
)


def open_database(path: Path) -> tuple[sqlite3.Connection, Path | None]:
    """Return the open database, and where a damaged one was put; raises StorageError."""
    try:
        return _open(path), None
    except sqlite3.OperationalError as error:
        # A full or read-only disk: the file itself may be whole and stays where it is.
        raise StorageError(f"{path}: cannot be opened: {error}") from error
    except sqlite3.DatabaseError:
        aside = _move_aside(path)
        return _open_anew(path, aside), aside


def beside(path: Path, suffix: str) -> Path:
    """Return a file that belongs to a database: its log, its shared memory."""
    return path.with_name(path.name + suffix)


def _open_anew(path: Path, aside: Path) -> sqlite3.Connection:
    try:
        return _open(path)
    except sqlite3.Error as error:
        raise StorageError(
            f"{path}: was damaged, is now {aside.name}; a new one cannot be opened: {error}"
        ) from error


def _open(path: Path) -> sqlite3.Connection:
    # A card writes more than the bytes that were asked for: what lies beside them may go too.
    address = str(path) if path == IN_MEMORY else f"{path.absolute().as_uri()}?psow=0"
    db = sqlite3.connect(address, uri=path != IN_MEMORY, check_same_thread=False)
    try:
        for pragma in _PRAGMAS:
            db.execute(pragma)
        _check(db)
        _migrate(db, path)
    except BaseException:
        db.close()
        raise
    return db


def _check(db: sqlite3.Connection) -> None:
    if db.execute("PRAGMA quick_check").fetchone()[0] != "ok":
        msg = "the database is damaged"
        raise sqlite3.DatabaseError(msg)


def _migrate(db: sqlite3.Connection, path: Path) -> None:
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if version > SCHEMA_VERSION:
        raise StorageError(
            f"{path}: was written by a newer firedetect (schema {version}, "
            f"this one has {SCHEMA_VERSION})"
        )
    if version < SCHEMA_VERSION:
        steps = " ".join(_STEPS[version:])
        db.executescript(f"BEGIN; {steps} PRAGMA user_version={SCHEMA_VERSION}; COMMIT;")


def _move_aside(path: Path) -> Path:
    number = 1
    try:
        while (aside := path.with_suffix(f".damaged-{number}")).exists():
            number += 1
        path.rename(aside)
        # The log may hold the newest commits: it stays beside its file.
        for suffix in WAL, "-shm":
            with contextlib.suppress(FileNotFoundError):
                beside(path, suffix).rename(beside(aside, suffix))
    except OSError as error:
        raise StorageError(f"{path}: is damaged and cannot be moved aside") from error
    return aside

"""The database: boot counter, remembered alarm, outbox. An alarm is one transaction, synced.

WAL with `synchronous=FULL`: what `commit` returned for survives a power cut if the disk keeps its
word. A damaged file is moved aside, never deleted, and never stops the detector.
"""

import contextlib
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from firedetect.errors import StorageError

SCHEMA_VERSION = 1
_TABLES = """
CREATE TABLE state (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE outbox (
    event_id TEXT PRIMARY KEY,
    priority INTEGER NOT NULL,
    kind TEXT NOT NULL,
    payload TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX outbox_order ON outbox (priority, event_id);
"""
_PRAGMAS = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "PRAGMA wal_autocheckpoint=256",
    "PRAGMA journal_size_limit=1048576",
    "PRAGMA busy_timeout=100",
)
_BOOT = "boot"
_REMEMBERED = "remembered"


@dataclass(frozen=True, slots=True)
class Message:
    """One message for the cloud; a lower `priority` goes first, `event_id` makes it idempotent."""

    event_id: str
    priority: int
    kind: str
    payload: str


class Store:
    """The open database. Every method blocks: call it from one thread at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.moved_aside: Path | None = None
        """Where a damaged database was put, None if there was none."""
        try:
            self._db = self._open()
        except sqlite3.OperationalError as error:
            # A full or read-only disk: the file itself may be whole and stays where it is.
            raise StorageError(f"{path}: cannot be opened: {error}") from error
        except sqlite3.DatabaseError:
            self.moved_aside = self._move_aside()
            self._db = self._open()

    def next_boot(self) -> int:
        """Count this start and return its number; event ids hold it. Raises StorageError."""
        try:
            with self._db:
                row = self._db.execute("SELECT value FROM state WHERE name=?", (_BOOT,)).fetchone()
                boot = int(row[0]) + 1 if row else 1
                self._set(_BOOT, str(boot))
        except sqlite3.Error as error:
            raise StorageError(f"{self._path}: cannot be written: {error}") from error
        return boot

    def remembered(self) -> str | None:
        """Return what was remembered at the last commit (JSON), None at the first start."""
        row = self._db.execute("SELECT value FROM state WHERE name=?", (_REMEMBERED,)).fetchone()
        return str(row[0]) if row else None

    def commit(self, remembered: str, messages: Iterable[Message] = ()) -> None:
        """Store state and messages together; on return they survive a power cut.

        Raises sqlite3.Error if the disk refuses; then neither is stored.
        """
        with self._db:
            self._set(_REMEMBERED, remembered)
            self._db.executemany(
                "INSERT OR IGNORE INTO outbox (event_id, priority, kind, payload) VALUES (?,?,?,?)",
                [(m.event_id, m.priority, m.kind, m.payload) for m in messages],
            )

    def waiting(self, limit: int = 100) -> list[Message]:
        """Return the next messages to send: by priority, then in order of their ids."""
        rows = self._db.execute(
            "SELECT event_id, priority, kind, payload FROM outbox "
            "ORDER BY priority, length(event_id), event_id LIMIT ?",
            (limit,),
        )
        return [Message(*row) for row in rows]

    def waiting_count(self) -> int:
        """Return how many messages wait."""
        return int(self._db.execute("SELECT count(*) FROM outbox").fetchone()[0])

    def close(self) -> None:
        """Close the database."""
        self._db.close()

    @staticmethod
    def in_memory() -> "Store":
        """Return a store that forgets at the end: for a disk that cannot be used."""
        return Store(Path(":memory:"))

    def _set(self, name: str, value: str) -> None:
        self._db.execute(
            "INSERT INTO state (name, value) VALUES (?,?) "
            "ON CONFLICT (name) DO UPDATE SET value=excluded.value",
            (name, value),
        )

    def _open(self) -> sqlite3.Connection:
        db = sqlite3.connect(self._path, check_same_thread=False)
        try:
            for pragma in _PRAGMAS:
                db.execute(pragma)
            self._check(db)
            self._migrate(db)
        except BaseException:
            db.close()
            raise
        return db

    def _check(self, db: sqlite3.Connection) -> None:
        if db.execute("PRAGMA quick_check").fetchone()[0] != "ok":
            msg = "the database is damaged"
            raise sqlite3.DatabaseError(msg)

    def _migrate(self, db: sqlite3.Connection) -> None:
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if version > SCHEMA_VERSION:
            raise StorageError(
                f"{self._path}: was written by a newer firedetect (schema {version}, "
                f"this one has {SCHEMA_VERSION})"
            )
        if version == 0:
            db.executescript(f"BEGIN; {_TABLES} PRAGMA user_version={SCHEMA_VERSION}; COMMIT;")

    def _move_aside(self) -> Path:
        number = 1
        while (aside := self._path.with_suffix(f".damaged-{number}")).exists():
            number += 1
        try:
            self._path.rename(aside)
        except OSError as error:
            raise StorageError(f"{self._path}: is damaged and cannot be moved aside") from error
        for suffix in ("-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                self._path.with_name(self._path.name + suffix).unlink()
        return aside


def read_remembered(path: Path) -> str | None:
    """Return what a database remembers without writing anything, None if it cannot be read."""
    try:
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
            row = db.execute("SELECT value FROM state WHERE name=?", (_REMEMBERED,)).fetchone()
    except sqlite3.Error:
        return None
    return str(row[0]) if row else None

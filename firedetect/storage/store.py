"""What is kept: boot counter, remembered alarm, outbox, telemetry. An alarm is one transaction.

What `commit` returned for survives a power cut if the disk keeps its word.
"""

import contextlib
import json
import sqlite3
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from firedetect.errors import StorageError
from firedetect.storage.database import IN_MEMORY, WAL, beside, open_database

OUTBOX_MAX = 20_000
_TRIM_EVERY = 100
"""After so many inserts the outbox is counted: counting on every alarm would cost it time."""
_BY_AGE = """
CAST(substr({head}, length(rtrim({head}, '0123456789')) + 1) AS INTEGER),
CAST(substr(event_id, length(rtrim(event_id, '0123456789')) + 1) AS INTEGER)
""".format(head="rtrim(rtrim(event_id, '0123456789'), '-')")
"""Ids end in `-<boot>-<number>`; compared as text, boot 10 would come before boot 9."""
TELEMETRY_MAX = 72 * 60
TELEMETRY_FULL = 24 * 60
TELEMETRY_KEPT_OF = 6
"""Batches of a minute: 72 h of them, after 24 h one of six."""
_BOOT = "boot"
_SENT = "telemetry-sent"
_REMEMBERED = "remembered"


@dataclass(frozen=True, slots=True)
class Batch:
    """A stored telemetry batch: `number` rises with time, `payload` is its JSON.

    A batch that the disk has damaged has no payload.
    """

    number: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Message:
    """One message for the cloud; a lower `priority` goes first, `event_id` makes it idempotent."""

    event_id: str
    priority: int
    kind: str
    payload: str


class Store:
    """The open database. Every method blocks: call it from one thread at a time.

    `moved_aside` is where a damaged database was put, None if there was none.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        # Trimmed with the first messages: an older version may have left too many.
        self._inserted = _TRIM_EVERY
        self._db, self.moved_aside = open_database(path)
        self._file = _file_at(path)

    def next_boot(self, first: int) -> int:
        """Count this start and return its number; event ids hold it. Raises StorageError.

        A database without a counter begins at `first`: counted from 1 again, a new card or a
        database that was moved aside would give new events the ids of old ones.
        """
        try:
            with self._db:
                row = self._db.execute("SELECT value FROM state WHERE name=?", (_BOOT,)).fetchone()
                boot = int(row[0]) + 1 if row else first
                self._set(_BOOT, str(boot))
        except sqlite3.Error as error:
            raise StorageError(f"{self._path}: cannot be written: {error}") from error
        except ValueError as error:
            raise StorageError(f"{self._path}: the boot counter is no number") from error
        return boot

    def remembered(self) -> str | None:
        """Return what was remembered at the last commit (JSON), None at the first start.

        Raises StorageError.
        """
        try:
            return _remembered(self._db)
        except sqlite3.Error as error:
            raise StorageError(f"{self._path}: cannot be read: {error}") from error

    def commit(self, remembered: str, messages: Iterable[Message] = ()) -> None:
        """Store state and messages together; on return they survive a power cut.

        Raises sqlite3.Error if the disk refuses; then neither is stored. A full outbox loses its
        oldest events, then its oldest troubles, never an alarm.
        """
        # SQLite writes on into a file that has no name any more: no later start would find it.
        if _file_at(self._path) != self._file:
            msg = f"{self._path}: was deleted or replaced: start firedetect again"
            raise sqlite3.OperationalError(msg)
        rows = [(m.event_id, m.priority, m.kind, m.payload) for m in messages]
        inserted = self._inserted + len(rows)
        trim = bool(rows) and inserted >= _TRIM_EVERY
        with self._db:
            self._set(_REMEMBERED, remembered)
            self._db.executemany(
                "INSERT OR IGNORE INTO outbox (event_id, priority, kind, payload) VALUES (?,?,?,?)",
                rows,
            )
            if trim:
                self._trim()
        self._inserted = 0 if trim else inserted

    def waiting(self, limit: int = 100, skip: Iterable[str] = ()) -> list[Message]:
        """Return the next messages to send but those in `skip`: by priority, then the oldest."""
        rows = self._db.execute(
            "SELECT event_id, priority, kind, payload FROM outbox "  # noqa: S608 - a constant
            "WHERE event_id NOT IN (SELECT value FROM json_each(?)) "
            f"ORDER BY priority, {_BY_AGE} LIMIT ?",
            (json.dumps(list(skip)), limit),
        )
        return [Message(*row) for row in rows]

    def delivered(self, event_ids: Iterable[str]) -> None:
        """Delete messages that have arrived. Raises sqlite3.Error; then all of them stay."""
        with self._db:
            self._db.executemany(
                "DELETE FROM outbox WHERE event_id=?", [(event_id,) for event_id in event_ids]
            )

    def add_batch(self, payload: bytes, sent: int) -> int:
        """Store a telemetry batch, note up to which number all were sent; returns its number.

        What is older than 72 h is forgotten, of what is older than 24 h one in six stays. Raises
        sqlite3.Error; then nothing has changed.
        """
        with self._db:
            cursor = self._db.execute(
                "INSERT INTO telemetry (payload) VALUES (?)", (zlib.compress(payload),)
            )
            number = cursor.lastrowid or 0
            self._set(_SENT, str(sent))
            self._db.execute(
                "DELETE FROM telemetry WHERE number <= ? OR (number = ? AND number % ? <> 0)",
                (number - TELEMETRY_MAX, number - TELEMETRY_FULL, TELEMETRY_KEPT_OF),
            )
        return number

    def telemetry_sent(self) -> int:
        """Return the number up to which every batch was sent; later ones may be sent twice."""
        row = self._db.execute("SELECT value FROM state WHERE name=?", (_SENT,)).fetchone()
        return int(row[0]) if row else 0

    def batches(self, after: int, limit: int) -> list[Batch]:
        """Return stored batches with a higher number than `after`, the oldest first."""
        rows = self._db.execute(
            "SELECT number, payload FROM telemetry WHERE number > ? ORDER BY number LIMIT ?",
            (after, limit),
        )
        return _whole(rows)

    def waiting_count(self) -> int:
        """Return how many messages wait."""
        return int(self._db.execute("SELECT count(*) FROM outbox").fetchone()[0])

    def close(self) -> None:
        """Close the database."""
        self._db.close()

    @staticmethod
    def in_memory() -> "Store":
        """Return a store that forgets at the end: for a disk that cannot be used."""
        return Store(IN_MEMORY)

    def _set(self, name: str, value: str) -> None:
        self._db.execute(
            "INSERT INTO state (name, value) VALUES (?,?) "
            "ON CONFLICT (name) DO UPDATE SET value=excluded.value",
            (name, value),
        )

    def _trim(self) -> None:
        # Room is left for what comes before the next count.
        excess = self.waiting_count() - (OUTBOX_MAX - _TRIM_EVERY)
        if excess > 0:
            self._db.execute(
                "DELETE FROM outbox WHERE event_id IN "  # noqa: S608 - a constant
                "(SELECT event_id FROM outbox "
                f"WHERE kind <> 'alarm' ORDER BY kind = 'trouble', {_BY_AGE} LIMIT ?)",
                (excess,),
            )


def read_remembered(path: Path) -> str | None:
    """Return what a database remembers without writing anything, None if there is nothing.

    Raises StorageError if there is a database that cannot be read.
    """
    try:
        if not path.exists():
            return None
        wal = beside(path, WAL)
        # Opening a WAL database creates files beside it, which a read-only file system refuses.
        # Without a log the file alone holds everything and can be read as one that never changes.
        logged = wal.exists() and wal.stat().st_size > 0
        uri = f"{path.absolute().as_uri()}?mode=ro{'' if logged else '&immutable=1'}"
        with contextlib.closing(sqlite3.connect(uri, uri=True)) as db:
            begun = db.execute("PRAGMA user_version").fetchone()[0] != 0
            return _remembered(db) if begun else None
    except (sqlite3.Error, OSError) as error:
        raise StorageError(f"{path}: cannot be read: {error}") from error


def read_batches(path: Path, before: int | None, limit: int) -> list[Batch]:
    """Return the newest stored batches with a lower number than `before`, the newest first.

    Reads over a connection of its own, so that it never delays a commit. Raises StorageError.
    """
    try:
        uri = f"{path.absolute().as_uri()}?mode=ro"
        with contextlib.closing(sqlite3.connect(uri, uri=True)) as db:
            rows = db.execute(
                "SELECT number, payload FROM telemetry WHERE number < ? "
                "ORDER BY number DESC LIMIT ?",
                (2**62 if before is None else before, limit),
            )
            return _whole(rows)
    except (sqlite3.Error, OSError) as error:
        raise StorageError(f"{path}: the stored features cannot be read: {error}") from error


def _whole(rows: Iterable[tuple[int, bytes]]) -> list[Batch]:
    """Return the batches of rows; a damaged one is empty, so that it holds nothing up."""
    batches = []
    for number, payload in rows:
        try:
            content = zlib.decompress(payload)
        except (zlib.error, TypeError):
            content = b""
        batches.append(Batch(number, content))
    return batches


def _file_at(path: Path) -> tuple[int, int] | None:
    """Return which file has this name, None if there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _remembered(db: sqlite3.Connection) -> str | None:
    row = db.execute("SELECT value FROM state WHERE name=?", (_REMEMBERED,)).fetchone()
    return str(row[0]) if row else None

"""The box's SQLite file: shadows, jobs and certificates outlive the process."""

import sqlite3
from pathlib import Path

_SCHEMA = """
CREATE TABLE IF NOT EXISTS shadow (
    thing TEXT NOT NULL, name TEXT NOT NULL, version INTEGER NOT NULL, timestamp INTEGER NOT NULL,
    state TEXT NOT NULL, metadata TEXT NOT NULL, deleted INTEGER NOT NULL,
    PRIMARY KEY (thing, name)
);
CREATE TABLE IF NOT EXISTS job (
    thing TEXT NOT NULL, job_id TEXT NOT NULL, number INTEGER NOT NULL, document TEXT NOT NULL,
    status TEXT NOT NULL, details TEXT NOT NULL, version INTEGER NOT NULL,
    queued_at INTEGER NOT NULL, started_at INTEGER, updated_at INTEGER NOT NULL,
    PRIMARY KEY (thing, job_id)
);
CREATE TABLE IF NOT EXISTS certificate (
    certificate_id TEXT PRIMARY KEY, pem TEXT NOT NULL, token TEXT NOT NULL,
    expires INTEGER NOT NULL, thing TEXT
);
"""


def open_database(path: Path | None) -> sqlite3.Connection:
    """Open the file, made if missing; None keeps everything in memory. Every statement commits."""
    connection = sqlite3.connect(path or ":memory:", isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.executescript(_SCHEMA)
    return connection

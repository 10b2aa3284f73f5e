"""Folder and store: one daemon at a time, nothing acknowledged is lost, damage is set aside."""

import os
import sqlite3
import subprocess
import sys

import pytest

from firedetect.errors import StorageError
from firedetect.storage.folder import DataFolder
from firedetect.storage.store import SCHEMA_VERSION, Message, Store


def message(number, priority=1):
    return Message(f"d-1-{number}", priority, "trouble", f"payload {number}")


def test_a_second_daemon_is_refused_and_told_by_whom(tmp_path):
    with DataFolder(tmp_path / "var"), pytest.raises(StorageError, match=str(os.getpid())):
        DataFolder(tmp_path / "var")
    with DataFolder(tmp_path / "var"):
        pass


def test_a_folder_that_cannot_be_made_is_one_clear_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be used as data folder"):
        DataFolder(tmp_path / "file" / "var")


def test_boots_are_counted_over_restarts(tmp_path):
    for expected in (1, 2, 3):
        store = Store(tmp_path / "f.db")
        assert store.next_boot() == expected
        store.close()


def test_state_and_messages_are_stored_together_and_come_back(tmp_path):
    store = Store(tmp_path / "f.db")
    assert store.remembered() is None
    store.commit('{"a": 1}', [message(1), message(2)])
    store.close()
    store = Store(tmp_path / "f.db")
    assert store.remembered() == '{"a": 1}'
    assert [m.event_id for m in store.waiting()] == ["d-1-1", "d-1-2"]
    store.close()


def test_the_same_event_is_stored_once(tmp_path):
    store = Store(tmp_path / "f.db")
    store.commit("{}", [message(1)])
    store.commit("{}", [message(1), message(2)])
    assert store.waiting_count() == 2
    store.close()


def test_alarms_go_first_then_in_order(tmp_path):
    store = Store(tmp_path / "f.db")
    store.commit("{}", [message(n, priority=1) for n in (9, 10)] + [message(11, priority=0)])
    assert [m.event_id for m in store.waiting()] == ["d-1-11", "d-1-9", "d-1-10"]
    store.close()


def test_a_damaged_database_is_moved_aside_and_kept(tmp_path):
    path = tmp_path / "f.db"
    path.write_bytes(os.urandom(8192))
    store = Store(path)
    assert store.moved_aside is not None
    assert store.moved_aside.stat().st_size == 8192
    assert store.next_boot() == 1
    store.close()
    path.write_bytes(b"SQLite format 3\0" + os.urandom(4096))
    second = Store(path)
    assert second.moved_aside is not None
    assert second.moved_aside != store.moved_aside
    second.close()


def test_a_newer_database_is_refused_not_moved(tmp_path):
    path = tmp_path / "f.db"
    Store(path).close()
    with sqlite3.connect(path) as db:
        db.execute(f"PRAGMA user_version={SCHEMA_VERSION + 1}")
    db.close()
    with pytest.raises(StorageError, match="newer firedetect"):
        Store(path)
    assert path.exists()


def test_what_was_committed_survives_a_kill(tmp_path):
    path = tmp_path / "f.db"
    code = (
        "import os, signal\n"
        "from pathlib import Path\n"
        "from firedetect.storage.store import Message, Store\n"
        f"store = Store(Path({str(path)!r}))\n"
        "for n in range(1000):\n"
        "    store.commit(str(n), [Message(f'd-1-{n}', 0, 'alarm', 'p')])\n"
        "    if n == 123:\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False)
    assert done.returncode == -9
    store = Store(path)
    assert store.remembered() == "123"
    assert store.waiting_count() == 124
    store.close()

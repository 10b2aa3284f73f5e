"""Folder and store: one daemon at a time, nothing acknowledged is lost, damage is set aside."""

import errno
import fcntl
import os
import shutil
import sqlite3
import stat
import subprocess
import sys

import numpy as np
import pytest

from firedetect.errors import FolderInUseError, StorageError
from firedetect.storage.database import SCHEMA_VERSION
from firedetect.storage.folder import DataFolder
from firedetect.storage.store import OUTBOX_MAX, Message, Store, read_remembered


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


def refusing(code):
    def refuse(*_args):
        raise OSError(code, os.strerror(code))

    return refuse


def test_a_full_disk_that_takes_no_process_number_ends_no_start(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "ftruncate", refusing(errno.ENOSPC))
    with DataFolder(tmp_path / "var"), pytest.raises(FolderInUseError, match="process unknown"):
        DataFolder(tmp_path / "var")


def test_a_file_system_without_locks_is_not_taken_for_another_daemon(tmp_path, monkeypatch):
    monkeypatch.setattr(fcntl, "flock", refusing(errno.ENOLCK))
    with pytest.raises(StorageError, match="cannot be locked") as caught:
        DataFolder(tmp_path / "var")
    assert not isinstance(caught.value, FolderInUseError)


def test_boots_are_counted_over_restarts(tmp_path):
    for expected in (1, 2, 3):
        store = Store(tmp_path / "f.db")
        assert store.next_boot(1) == expected
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


@pytest.mark.fault("F42")
def test_a_damaged_database_is_moved_aside_and_kept(tmp_path):
    path = tmp_path / "f.db"
    path.write_bytes(os.urandom(8192))
    store = Store(path)
    assert store.moved_aside is not None
    assert store.moved_aside.stat().st_size == 8192
    assert store.next_boot(1) == 1
    store.close()
    path.write_bytes(b"SQLite format 3\0" + os.urandom(4096))
    second = Store(path)
    assert second.moved_aside is not None
    assert second.moved_aside != store.moved_aside
    second.close()


@pytest.mark.parametrize("replaced", [False, True])
def test_nothing_is_committed_into_a_file_that_no_start_would_find(tmp_path, replaced):
    path = tmp_path / "f.db"
    store = Store(path)
    store.commit("{}")
    path.unlink()
    if replaced:
        path.write_bytes(b"")
    with pytest.raises(sqlite3.OperationalError, match="was deleted or replaced"):
        store.commit("{}", [message(1)])
    assert store.waiting() == []
    store.close()


def test_a_newer_database_is_refused_not_moved(tmp_path):
    path = tmp_path / "f.db"
    Store(path).close()
    with sqlite3.connect(path) as db:
        db.execute(f"PRAGMA user_version={SCHEMA_VERSION + 1}")
    db.close()
    with pytest.raises(StorageError, match="newer firedetect"):
        Store(path)
    assert path.exists()


@pytest.mark.fault("F32")
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


SECTOR = 512
CUTS = 120


def torn(old, new, rng):
    """Return a file of which all or some sectors of a write arrived; others are old or noise.

    As SQLite does by default, it believes a disk that a write harms no byte beside it.
    """
    found = bytearray(new)
    lost = rng.choice([0.0, 0.1, 0.9])
    for at in range(0, len(new), SECTOR):
        now = new[at : at + SECTOR]
        before = old[at : at + len(now)].ljust(len(now), b"\0")
        changed = [place for place in range(len(now)) if now[place] != before[place]]
        if changed and rng.random() < lost:
            same = changed[0]
            noise = rng.bytes(len(now) - same)
            found[at + same : at + len(now)] = before[same:] if rng.random() < 0.5 else noise
    return bytes(found)


@pytest.mark.fault("F41")
@pytest.mark.slow
def test_a_power_cut_within_a_commit_leaves_what_was_committed_before(tmp_path, say):
    rng = np.random.default_rng(41)
    paths = tmp_path / "f.db", tmp_path / "f.db-wal"
    store = Store(paths[0])
    assert store._db.execute("PRAGMA synchronous").fetchone() == (2,), "not every commit is synced"
    checkpoints = whole = 0
    for number in range(CUTS):
        before = [path.read_bytes() for path in paths]
        alarm = Message(f"d-1-{number}", 0, "alarm", "p" * 12_000)
        store.commit(str(number), [alarm])
        after = [path.read_bytes() for path in paths]
        # The log is synced before its pages go to the database: never are both under way.
        checkpoint = after[0] != before[0]
        files = (
            [torn(before[0], after[0], rng), after[1]]
            if checkpoint
            else [after[0], torn(before[1], after[1], rng)]
        )
        cut = tmp_path / f"cut-{number}"
        cut.mkdir()
        for path, content in zip(paths, files, strict=True):
            (cut / path.name).write_bytes(content)
        found = Store(cut / "f.db")
        assert found.moved_aside is None
        assert found._db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        kept = int(found.remembered() or -1)
        assert number - 1 + checkpoint <= kept <= number
        assert found.waiting_count() == kept + 1
        found.close()
        shutil.rmtree(cut)
        checkpoints += checkpoint
        whole += kept == number
    store.close()
    say(f"{CUTS} power cuts, {checkpoints} in a checkpoint: {whole} kept the commit under way")
    assert checkpoints >= 3
    assert checkpoints < whole < CUTS


def spoil(path, statement, *values):
    with sqlite3.connect(path) as db:
        db.execute(statement, values)
    db.close()


def test_a_boot_counter_that_is_no_number_is_a_stated_error(tmp_path):
    path = tmp_path / "f.db"
    store = Store(path)
    store.next_boot(1)
    spoil(path, "UPDATE state SET value='many' WHERE name='boot'")
    with pytest.raises(StorageError, match="boot counter is no number"):
        store.next_boot(1)
    store.close()


def test_a_state_that_is_no_text_is_a_stated_error(tmp_path):
    path = tmp_path / "f.db"
    store = Store(path)
    spoil(path, "INSERT INTO state VALUES ('remembered', CAST(x'ff' AS TEXT))")
    with pytest.raises(StorageError, match="cannot be read"):
        store.remembered()
    store.close()
    with pytest.raises(StorageError, match="cannot be read"):
        read_remembered(path)


def test_a_damaged_database_in_a_folder_that_takes_no_new_one_is_a_stated_error(tmp_path):
    class Closing(type(tmp_path)):
        """A path whose place is taken by a folder once the file has gone."""

        def rename(self, target):
            moved = super().rename(target)
            self.mkdir()
            return moved

    path = Closing(tmp_path / "f.db")
    path.write_bytes(os.urandom(8192))
    with pytest.raises(StorageError, match=r"is now f\.damaged-1; a new one cannot be opened"):
        Store(path)


def test_the_state_is_read_without_writing_anything(tmp_path):
    folder = tmp_path / "odd ?#% name"
    folder.mkdir()
    path = folder / "f.db"
    assert read_remembered(path) is None
    store = Store(path)
    assert read_remembered(path) is None
    store.commit('{"a": 1}')
    # Nothing is in the file itself yet: it must be read from the log.
    assert (folder / "f.db-wal").stat().st_size > 0
    assert read_remembered(path) == '{"a": 1}'
    store.close()
    before = sorted(folder.iterdir())
    folder.chmod(stat.S_IRUSR | stat.S_IXUSR)
    assert read_remembered(path) == '{"a": 1}'
    folder.chmod(stat.S_IRWXU)
    assert sorted(folder.iterdir()) == before == [path]


def test_a_state_that_cannot_be_read_is_not_an_empty_one(tmp_path):
    path = tmp_path / "f.db"
    path.write_bytes(b"")
    assert read_remembered(path) is None
    path.write_bytes(os.urandom(8192))
    with pytest.raises(StorageError, match="cannot be read"):
        read_remembered(path)


def test_messages_go_in_order_of_starts_not_of_letters(tmp_path):
    store = Store(tmp_path / "f.db")
    ids = ["d-2-9-1000", "d-2-10-2", "d-2-10-11"]
    store.commit("{}", [Message(name, 1, "trouble", "p") for name in reversed(ids)])
    assert [m.event_id for m in store.waiting()] == ids
    store.close()


@pytest.mark.fault("F39")
@pytest.mark.slow
def test_a_full_outbox_drops_the_oldest_events_then_troubles_never_alarms(tmp_path):
    store = Store(tmp_path / "f.db")

    def fill(boot, kind, priority, count):
        store.commit("{}", [Message(f"d-{boot}-{n}", priority, kind, "p") for n in range(count)])

    def left(kind):
        return [m.event_id for m in store.waiting(100_000) if m.kind == kind]

    fill(8, "trouble", 1, 500)
    fill(9, "alarm", 0, 500)
    fill(10, "event", 2, OUTBOX_MAX)
    assert store.waiting_count() <= OUTBOX_MAX
    assert (len(left("trouble")), len(left("alarm"))) == (500, 500)
    assert left("event")[-1] == f"d-10-{OUTBOX_MAX - 1}"
    assert left("event")[0] == "d-10-1100"
    for number in range(250):
        store.commit("{}", [Message(f"d-11-{number}", 2, "event", "p")])
        assert store.waiting_count() <= OUTBOX_MAX
    assert left("event")[-1] == "d-11-249"
    fill(12, "alarm", 0, OUTBOX_MAX)
    assert left("event") == left("trouble") == []
    assert len(left("alarm")) == OUTBOX_MAX + 500
    store.close()


def test_a_store_in_memory_leaves_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    store = Store.in_memory()
    store.commit("known")
    assert store.remembered() == "known"
    store.close()
    assert list(tmp_path.iterdir()) == []

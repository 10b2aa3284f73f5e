"""Whatever the last run left on the disk, the next one starts, knows what it can, says the rest."""

import contextlib
import json
import os
import sqlite3
from dataclasses import replace

import pytest

from firedetect.clock import CLOCK_SET_S, NS_PER_S, ManualClock
from firedetect.config import DeviceSettings, GasBaseline, GasSettings, Settings
from firedetect.contract.level import Level
from firedetect.daemon.remember import open_memory, restored
from firedetect.errors import FolderInUseError
from firedetect.readings import Restored
from firedetect.sensors.codec import encode
from firedetect.storage.folder import DataFolder
from firedetect.storage.store import Store

BASELINE = GasBaseline(no2=700.0, c2h5oh=500.0, voc=600.0, co=760.0)
ALARM = Restored(5, Level.EMERGENCY, "i-1", "d-1-7", reasons=("hot",), gas_baseline=BASELINE)
UNREAD = "the state of the last run cannot be read"


def settings_for(folder, calibration=None):
    gas = GasSettings(calibration=calibration)
    return Settings(device=DeviceSettings(data_dir=folder), gas=gas)


@contextlib.contextmanager
def memory_of(folder, calibration=None, wall_s=CLOCK_SET_S):
    settings = settings_for(folder, calibration)
    with contextlib.ExitStack() as stack:
        memory = open_memory(settings, ManualClock(0, wall_s * NS_PER_S), stack)
        yield memory, restored(settings, memory, 9)
        memory.store.close()


def leave(folder, text):
    with DataFolder(folder) as data:
        store = Store(data.database)
        store.next_boot(1)
        store.commit(text)
        store.close()
        return data.database


def spoil(path, statement):
    with sqlite3.connect(path) as db:
        db.execute(statement)
    db.close()


def test_the_first_start_knows_nothing_and_has_no_trouble(tmp_path):
    with memory_of(tmp_path) as (memory, event):
        assert (memory.boot, memory.troubles, event) == (CLOCK_SET_S, {}, Restored(9))


@pytest.mark.fault("F45")
def test_a_database_that_was_lost_gives_no_event_an_id_that_was_used(tmp_path):
    boots = []
    for days in range(3):
        for _ in range(2):
            with memory_of(tmp_path, wall_s=CLOCK_SET_S + 86_400 * days) as (memory, _):
                boots.append(memory.boot)
        (tmp_path / "firedetect.db").write_bytes(os.urandom(8192))
    assert boots == sorted(set(boots))


@pytest.mark.fault("F46")
def test_without_a_counter_and_without_a_clock_boots_are_drawn(tmp_path):
    boots = set()
    for number in range(5):
        with memory_of(tmp_path / str(number), wall_s=0) as (memory, _):
            boots.add(memory.boot)
    assert len(boots) == 5
    assert all(0 <= boot < CLOCK_SET_S for boot in boots)


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "null",
        "7",
        "",
        "{",
        "[" * 100_000,
        '{"level": "' + "x" * 10 + '"}',
        '{"t_ns": 1, "reasons": {}}',
        '{"t_ns": 1, "gas_baseline": []}',
        '{"t_ns": ' + "9" * 5000 + "}",
        '{"t_ns": 1, "incident_id": "\\ud800"}',
    ],
)
def test_any_remembered_text_lets_the_detector_start_and_is_a_trouble(tmp_path, text):
    leave(tmp_path, text)
    with memory_of(tmp_path) as (memory, event):
        assert event == Restored(9)
        assert memory.boot == 2
        assert memory.troubles == {"memory": "the remembered state cannot be read"}


def test_a_spoilt_boot_counter_loses_neither_the_alarm_nor_the_order_of_ids(tmp_path):
    path = leave(tmp_path, json.dumps(encode(ALARM)))
    spoil(path, "UPDATE state SET value='many' WHERE name='boot'")
    with memory_of(tmp_path) as (memory, event):
        assert (event.level, event.event_id) == (Level.EMERGENCY, "d-1-7")
        assert memory.boot > 1_700_000_000
        assert list(memory.troubles) == ["storage"]
        assert "boot counter" in memory.troubles["storage"]


@pytest.mark.fault("F42")
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE state SET value=CAST(x'ff' AS TEXT) WHERE name='remembered'",
        "DROP TABLE state",
        "PRAGMA user_version=99",
    ],
)
def test_a_spoilt_database_is_a_trouble_and_the_run_stays_in_memory(tmp_path, statement):
    path = leave(tmp_path, json.dumps(encode(ALARM)))
    spoil(path, statement)
    with memory_of(tmp_path) as (memory, event):
        assert "storage" in memory.troubles
        memory.store.commit("{}")
        assert path.exists()
        if "user_version" in statement:
            assert event.level is Level.EMERGENCY
        else:
            assert memory.troubles["memory"] == UNREAD


def test_a_folder_that_cannot_be_locked_still_gives_the_last_alarm(tmp_path):
    leave(tmp_path, json.dumps(encode(ALARM)))
    (tmp_path / "lock").unlink()
    (tmp_path / "lock").mkdir()
    with memory_of(tmp_path) as (memory, event):
        assert event.level is Level.EMERGENCY
        assert memory.folder is None
        assert list(memory.troubles) == ["storage"]


def test_a_folder_that_cannot_be_locked_with_a_damaged_database_says_both(tmp_path):
    (tmp_path / "lock").mkdir()
    (tmp_path / "firedetect.db").write_bytes(os.urandom(8192))
    with memory_of(tmp_path) as (memory, event):
        assert event == Restored(9)
        assert memory.troubles["memory"] == UNREAD


def test_a_path_that_is_none_ends_no_start(tmp_path):
    with memory_of(tmp_path / "a\0b") as (memory, event):
        assert event == Restored(9)
        assert "storage" in memory.troubles


@pytest.mark.fault("F42")
def test_a_damaged_database_is_said(tmp_path):
    (tmp_path / "firedetect.db").write_bytes(os.urandom(8192))
    with memory_of(tmp_path) as (memory, _):
        assert memory.troubles == {"database": "damaged, now firedetect.damaged-1"}


def test_two_daemons_on_one_folder_are_refused(tmp_path):
    with DataFolder(tmp_path), pytest.raises(FolderInUseError), memory_of(tmp_path):
        pass


@pytest.mark.parametrize(
    "content",
    [None, b"", b"\xff\xfe", b"[gas]\nco = 'much'\n", b"gas = " + b"[" * 5000],
)
def test_a_damaged_calibration_keeps_the_remembered_baseline_and_says_why(tmp_path, content):
    leave(tmp_path, json.dumps(encode(ALARM)))
    file = tmp_path / "gas.toml"
    if content is not None:
        file.write_bytes(content)
    with memory_of(tmp_path, file) as (memory, event):
        assert event.gas_baseline == BASELINE
        assert event.level is Level.EMERGENCY
        assert list(memory.troubles) == ["calibration"]
        assert memory.troubles["calibration"]


@pytest.mark.parametrize(("off", "kept"), [(1.0, True), (1.0 + 1e-12, True), (1.001, False)])
def test_the_tracked_drift_survives_a_restart_unless_the_calibration_is_another(
    tmp_path, off, kept
):
    """The commissioned counts come back through a logarithm, not to the last bit."""
    calibration = tmp_path / "gas.toml"
    calibration.write_text("[gas]\nno2 = 700.0\nc2h5oh = 500.0\nvoc = 600.0\nco = 760.0\n")
    stored = BASELINE.model_copy(update={"no2": BASELINE.no2 * off})
    tracked = BASELINE.model_copy(update={"no2": 710.0})
    left = replace(ALARM, gas_baseline=stored, gas_tracked=tracked)
    leave(tmp_path, json.dumps(encode(left)))
    with memory_of(tmp_path, calibration) as (_, event):
        assert (event.gas_tracked is not None) == kept

"""A service whose settings file is damaged detects with the last good one, and says so."""

import os
from pathlib import Path

import pytest

from firedetect.config import Settings
from firedetect.daemon.start_settings import start_settings
from firedetect.errors import ConfigError

GOOD = '[device]\nid = "hall-2"\n[decision.thresholds]\nalert = 0.55\n'


@pytest.fixture
def started(tmp_path, monkeypatch):
    """Start a service with this text in its file; None is a file that is gone."""
    monkeypatch.setenv("FIREDETECT_DEVICE__DATA_DIR", str(tmp_path / "var"))
    (tmp_path / "var").mkdir()
    path = tmp_path / "firedetect.toml"

    def start(text, *, service=True):
        path.unlink(missing_ok=True)
        if text is not None:
            path.write_bytes(text if isinstance(text, bytes) else text.encode())
        found = start_settings(path, service=service)
        assert found.keep(tmp_path / "var") == ""
        return found

    return start


@pytest.mark.fault("F43")
@pytest.mark.parametrize(
    ("damaged", "named"),
    [
        (GOOD[:-9], "cannot be read as TOML"),
        (b"\x00" * 4096, "cannot be read as TOML"),
        (b"\xff\xfe", "cannot be read as TOML"),
        ("[device]\nident = 'x'\n", "device.ident: unknown key"),
        ("[decision.hard]\npixel_alert_c = 500\n", "decision.hard.pixel_alert_c"),
        (None, "no such file"),
        # What a power cut leaves: nothing, or the first lines.
        ("", "is empty"),
        ("\n \n", "is empty"),
        ('[device]\nid = "hall-2"\n', "goes on"),
        ("a = " + "[" * 3000, "cannot be read as TOML"),
        ("a = " + "1" * 5000, "cannot be read as TOML"),
    ],
)
def test_a_damaged_file_gives_way_to_the_last_good_one(started, damaged, named):
    good = started(GOOD)
    assert (good.problem, good.settings.device.id) == ("", "hall-2")
    for _ in range(3):
        found = started(damaged)
        assert found.settings == good.settings
        assert named in found.problem
        assert "last good" in found.problem
    assert started(GOOD).problem == ""


@pytest.mark.fault("F43")
def test_without_a_good_copy_the_settings_of_the_factory_detect(started):
    found = started("[devic")
    assert found.settings == Settings()
    assert "factory" in found.problem


def test_a_damaged_copy_gives_way_to_the_one_before(started, tmp_path):
    started(GOOD)
    started(GOOD.replace("0.55", "0.6"))
    newest = max((tmp_path / "var").glob("settings-file-*.json"), key=os.path.getmtime)
    assert started(None).settings.decision.thresholds.alert == 0.6
    newest.write_bytes(newest.read_bytes()[:-20])
    assert started(None).settings.decision.thresholds.alert == 0.55


def test_a_file_that_was_made_shorter_on_purpose_is_taken(started):
    started(GOOD)
    found = started('# no thresholds of our own\n[device]\nid = "hall-2"\n')
    assert (found.problem, found.settings.decision) == ("", Settings().decision)


def test_a_person_is_told_at_once_and_nothing_runs(started):
    started(GOOD)
    with pytest.raises(ConfigError, match="unknown key"):
        started("[device]\nident = 'x'\n", service=False)


def test_a_folder_that_cannot_be_written_is_told(started, tmp_path):
    found = started(GOOD)
    assert "no copy could be kept" in found.keep(tmp_path / "firedetect.toml")


def test_a_run_of_a_person_keeps_nothing(started, tmp_path):
    started(GOOD, service=False)
    assert list(Path(tmp_path / "var").iterdir()) == []

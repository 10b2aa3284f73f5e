"""Notices and bill of materials have the packages of the lock."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FILES = ("requirements.lock", "sbom.cdx.json", "THIRD_PARTY_NOTICES.md", "scripts/notices")


def checked(folder):
    done = subprocess.run(
        [sys.executable, folder / "scripts" / "notices", "--check"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout.strip()


@pytest.fixture
def copied(tmp_path):
    (tmp_path / "scripts").mkdir()
    for name in FILES:
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def test_both_are_current():
    assert checked(ROOT) == (0, "current")


def test_a_package_that_was_raised_or_came_new_is_noticed(copied):
    lock = copied / "requirements.lock"
    text = lock.read_text()
    lock.write_text(re.sub(r"^numpy==\S+", "numpy==99.0", text, flags=re.MULTILINE))
    code, said = checked(copied)
    assert (code, "sbom.cdx.json, THIRD_PARTY_NOTICES.md" in said) == (1, True)
    lock.write_text(text + "zzz-new==1.0 \\\n")
    assert checked(copied)[0] == 1


def test_what_runs_on_the_detector_says_so_and_has_its_licence():
    parts = {
        one["name"]: one for one in json.loads((ROOT / "sbom.cdx.json").read_text())["components"]
    }
    where = {name: part["properties"][0]["value"] for name, part in parts.items()}
    assert where["numba"] == where["smbus2"] == "detector"
    assert "functions" in where["aws-lambda-powertools"]
    assert where["pytest"] == "development"
    on_device = [name for name, place in where.items() if "detector" in place]
    unknown = [n for n in on_device if "package" in parts[n]["licenses"][0]["license"]["name"]]
    assert unknown == []

"""Who may import whom: the repository keeps the contracts, and each contract catches its breach."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINT = Path(sys.executable).with_name("lint-imports")


def lint(folder):
    done = subprocess.run(
        [LINT, "--config", folder / "pyproject.toml", "--no-cache"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_the_repository_keeps_every_contract():
    code, said = lint(ROOT)
    assert code == 0, said
    assert "0 broken" in said


@pytest.fixture(scope="module")
def copied(tmp_path_factory):
    folder = tmp_path_factory.mktemp("layers")
    ignored = shutil.ignore_patterns("__pycache__", "default", "static")
    shutil.copytree(ROOT / "firedetect", folder / "firedetect", ignore=ignored)
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


BREACHES = [
    ("sensors/codec.py", "import firedetect.simulation.fire", "Higher may import lower"),
    ("decision/judge.py", "import asyncio", "Deciding code"),
    ("decision/alarm.py", "import firedetect.clock", "Deciding code"),
    ("features/gas.py", "import random", "Deciding code"),
    ("readings.py", "import time", "Deciding code"),
    ("contract/messages.py", "import numpy", "The contract is light"),
    ("contract/level.py", "import firedetect.readings", "Higher may import lower"),
    ("web/view.py", "import smbus2", "Only the bus opens I2C"),
    ("sensors/grove_gas.py", "import firedetect.sensors.mlx90640.driver", "Drivers know"),
    ("daemon/app.py", "import xgboost", "xgboost stays out"),
    ("pipeline.py", "import numba", "Kernels live in four places"),
    ("model/scorer.py", "import firedetect.pipeline", "Higher may import lower"),
    ("outputs/local.py", "import firedetect.web.view", "Higher may import lower"),
    ("surprise.py", "", "Higher may import lower"),
]


def contracts(said, verdict):
    return [line for line in said.splitlines() if f" {verdict}" in line]


@pytest.mark.parametrize(("file", "line", "contract"), BREACHES)
def test_a_planted_breach_is_caught(copied, file, line, contract):
    path = copied / "firedetect" / file
    before = path.read_text() if path.exists() else None
    path.write_text(f"{before or ''}\n{line}\n")
    try:
        code, said = lint(copied)
    finally:
        if before is None:
            path.unlink()
        else:
            path.write_text(before)
    assert code == 1, said
    assert any(contract in broken for broken in contracts(said, "BROKEN")), said


def test_the_copy_itself_keeps_every_contract(copied):
    code, said = lint(copied)
    assert code == 0, said
    assert len(contracts(said, "KEPT")) >= 7

"""The fault catalogue is whole: every fault has a test, every label is a fault, all are told."""

import ast
import subprocess
import sys
from pathlib import Path

from tests.faults import read_catalogue

ROOT = Path(__file__).parent.parent
FAULTS = [f"F{number:02}" for number in range(1, 76)]
THREE = """
import pytest

@pytest.mark.fault("F01", "F03")
def test_passes(say):
    say("0.5 s")

@pytest.mark.fault("F02")
@pytest.mark.parametrize("good", [True, False])
def test_fails_once(good):
    assert good

@pytest.mark.fault("F03")
@pytest.mark.xfail(strict=True, reason="not yet")
def test_does_not_hold_yet():
    raise AssertionError

@pytest.mark.fault("F04")
def test_is_skipped():
    pytest.skip("no data")

def test_shows_no_fault():
    raise AssertionError
"""


def labels(path):
    """Yield what stands within every `pytest.mark.fault(...)` of a file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.fault":
            yield from (ast.literal_eval(argument) for argument in node.args)


def test_every_fault_has_a_test_and_every_label_is_a_fault():
    assert list(read_catalogue()) == FAULTS
    files = (path for path in ROOT.glob("tests/**/test_*.py") if path != Path(__file__))
    assert sorted({label for path in files for label in labels(path)}) == FAULTS


def test_the_end_of_a_run_tells_of_every_fault(tmp_path):
    (tmp_path / "conftest.py").write_text("from tests.conftest import say\n")
    (tmp_path / "test_three.py").write_text(THREE)
    plugins = ("-p", "tests.faults", "-p", "no:cacheprovider", "-n", "1")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-m", "fault", "-c", "pyproject.toml", *plugins),
            *("--rootdir", str(tmp_path), str(tmp_path)),
        ],
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    told = {line[:3]: line for line in done.stdout.splitlines() if line[:3] in FAULTS}
    ends = {fault: line.split("  ", 2)[2].split() for fault, line in told.items()}
    assert list(told) == FAULTS
    assert ends["F01"][-4:] == ["passed", "1", "0.5", "s"]
    assert ends["F02"][-2:] == ["failed", "2"]
    assert ends["F03"][-5:] == ["NOT", "SHOWN", "2", "0.5", "s"]
    assert ends["F04"][-3:] == ["NOT", "SHOWN", "1"]
    assert ends["F05"][-3:] == ["NOT", "SHOWN", "0"]
    assert "1 passed, 1 failed, 73 NOT SHOWN" in done.stdout
    assert done.returncode == 1

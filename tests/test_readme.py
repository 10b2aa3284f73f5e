"""The README's commands are run as they stand there; its links exist."""

import contextlib
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
import typer

from firedetect.cli import app
from firedetect.contract.level import Level
from tests.daemon.helpers import environment

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def commands():
    return re.findall(r"^```sh\n(.+?)\n```$", README, flags=re.MULTILINE | re.DOTALL)


def alive(group):
    """Return the processes of a process group that are no zombies."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = stat.read_text().rsplit(")", 1)[1].split()
            if int(fields[2]) == group and fields[0] != "Z":
                found.append(stat.parent.name)
    return found


def test_the_readme_shows_two_commands():
    assert commands() == ["make run", "make test"]


@pytest.mark.slow
def test_make_run_goes_from_normal_to_emergency_and_leaves_nothing_behind(tmp_path):
    env = environment({"FIREDETECT_DEVICE__DATA_DIR": str(tmp_path / "var")})
    log = tmp_path / "log"
    with log.open("w") as out:
        process = subprocess.Popen(
            ["/bin/sh", "-c", commands()[0]],
            cwd=ROOT, env=env, stdout=out, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        end = time.monotonic() + 240.0
        while "-> emergency" not in log.read_text() and time.monotonic() < end:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.5)
            assert process.poll() is None, log.read_text()
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(60.0)
    text = log.read_text()
    assert "people were told: FIRE ALERT" in text
    steps = re.findall(r"level (\w+) -> (\w+)", text)
    reached = [Level.from_label(after) for _, after in steps]
    # In real time a hard rule may overtake the score on the way up.
    assert reached[:2] == [Level.NORMAL, Level.INFORMATIONAL]
    assert reached[-1] is Level.EMERGENCY
    assert reached == sorted(set(reached))
    assert text.count("reasons=['score'") >= 3
    end = time.monotonic() + 30.0
    while alive(process.pid) and time.monotonic() < end:
        time.sleep(0.1)
    assert alive(process.pid) == []


@pytest.mark.slow
def test_make_test_runs_the_tests():
    # One test stands for all: the whole suite would run itself again.
    env = environment({"PYTEST_ADDOPTS": "-k test_the_table_is_the_contract"})
    env.pop("PYTEST_CURRENT_TEST", None)
    done = subprocess.run(
        ["/bin/sh", "-c", commands()[1]],
        cwd=ROOT, env=env, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout


@pytest.mark.parametrize(
    "page", ["README.md", *sorted(p.name for p in (ROOT / "docs").glob("*.md"))]
)
def test_links_lead_somewhere(page):
    path = ROOT / page if page == "README.md" else ROOT / "docs" / page
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", path.read_text()):
        assert (path.parent / target).exists(), target


def test_every_command_that_the_readme_names_exists():
    names = typer.main.get_command(app).commands
    for command in re.findall(r"firedetect ([a-z]+)", README):
        assert command in names, command


def test_help_lists_the_targets_that_the_readme_names():
    done = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    for target in re.findall(r"make ([a-z]+)", README):
        assert re.search(rf"^{target} ", done.stdout, flags=re.MULTILINE), target

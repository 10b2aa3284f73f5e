"""Data sets are drawn: one content for any number of jobs, in parts that go on."""

import json
import os
import signal
import subprocess
import sys
import time
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from firedetect.errors import DatasetError
from firedetect.features.vector import INDEX
from firedetect.lab.dataset import content_hash, read_dataset
from firedetect.lab.generate import (
    FACTS_GLOB,
    STRETCH_S,
    episode_rows,
    generate,
    read_facts,
    taught_windows,
)
from firedetect.lab.plan import Plan, Task, family_plan, judging_plan, learning_plan
from firedetect.simulation.families import NUISANCES, draw_episode
from firedetect.simulation.fires import FIRES
from firedetect.simulation.splits import HELD_OUT

QUICK = ("lighter", "liquid", "pets", "small", "people")


def small_plan(count=6, seed=3):
    tasks = tuple(
        Task(number, QUICK[number % len(QUICK)], (seed, number)) for number in range(count)
    )
    return Plan(tasks, seed)


def test_the_rows_do_not_depend_on_the_number_of_jobs(tmp_path):
    plan = small_plan()
    count = generate(tmp_path / "one", plan, jobs=1, part_episodes=2)
    assert generate(tmp_path / "two", plan, jobs=2, part_episodes=2) == count
    one, two = read_dataset(tmp_path / "one"), read_dataset(tmp_path / "two")
    assert content_hash(one) == content_hash(two)
    assert len(one) == count
    facts = read_facts(tmp_path / "one")
    assert facts["family"].tolist() == [task.family for task in plan.tasks]
    assert facts["rows"].sum() == count
    assert facts.loc[facts["fire"], "ignition_s"].notna().all()
    assert facts.loc[~facts["fire"], "ignition_s"].isna().all()


def test_a_run_that_broke_off_goes_on(tmp_path):
    plan, folder = small_plan(), tmp_path / "set"
    generate(tmp_path / "whole", plan, jobs=1, part_episodes=2)
    heard = []
    generate(folder, Plan(plan.tasks, plan.seed), jobs=1, progress=heard.append, part_episodes=2)
    assert heard == pytest.approx([1 / 3, 2 / 3, 1.0])
    # As a run leaves it that was killed after its first part.
    (folder / "dataset.json").unlink()
    for part in (1, 2):
        for path in folder.glob(f"*-{part:05d}.parquet"):
            path.unlink()
    (folder / "plan.sha256").write_text(plan.digest)
    kept = (folder / "data-00000.parquet").stat().st_mtime_ns
    generate(folder, plan, jobs=1, part_episodes=2)
    assert (folder / "data-00000.parquet").stat().st_mtime_ns == kept
    assert content_hash(read_dataset(folder)) == content_hash(read_dataset(tmp_path / "whole"))


def test_parts_of_another_plan_or_other_files_are_refused(tmp_path):
    folder = tmp_path / "set"
    folder.mkdir()
    (folder / "plan.sha256").write_text(small_plan(seed=4).digest)
    with pytest.raises(DatasetError, match="another plan"):
        generate(folder, small_plan(), jobs=1, part_episodes=2)
    other = tmp_path / "other"
    other.mkdir()
    (other / "notes.txt").write_text("mine")
    with pytest.raises(DatasetError, match="not empty"):
        generate(other, small_plan(), jobs=1, part_episodes=2)
    assert (other / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("number", range(4))
def test_every_second_stretch_of_a_window_is_taught(number):
    task = Task(number, "people", (5, number))
    episode = draw_episode(task.family, task.seed)
    taught = taught_windows(episode, task.seed)
    assert taught == taught_windows(episode, task.seed)
    for start, stop in episode.happening.windows:
        mine = [(a, b) for a, b in taught if start <= a < b <= stop]
        assert mine
        assert all(b - a <= STRETCH_S for a, b in mine)
        assert all(later - first == 2.0 * STRETCH_S for (first, _), (later, _) in pairwise(mine))
        shares = sum(b - a for a, b in mine) / (stop - start)
        assert stop - start <= STRETCH_S or abs(shares - 0.5) * (stop - start) <= STRETCH_S
    data, _ = episode_rows(task)
    inside = [any(a <= t <= b for a, b in taught) for t in data.t_s]
    assert all(inside)
    # The first image of a stretch has none before it, and is not taught.
    assert np.isfinite(data.rows[:, INDEX["t_diff_mean"]]).all()


def test_a_plan_has_every_family_and_fires_in_four_of_nine():
    plan = learning_plan(900, 1)
    families = {task.family for task in plan.tasks}
    assert families == set(FIRES) | set(NUISANCES)
    fires = sum(task.family in FIRES for task in plan.tasks)
    assert fires == 400
    assert learning_plan(900, 1).digest == plan.digest != learning_plan(900, 2).digest
    with pytest.raises(DatasetError, match="too few"):
        learning_plan(20, 1)
    with pytest.raises(DatasetError, match="held-out"):
        learning_plan(900, 1, split="secret")


def test_more_of_one_family_changes_no_other():
    few = family_plan({"kettle": 2, "toast": 3}, 1, split="all")
    more = family_plan({"kettle": 5, "toast": 3}, 1, split="all")
    seeds = [{t.seed for t in plan.tasks if t.family == "toast"} for plan in (few, more)]
    assert seeds[0] == seeds[1]
    judging = judging_plan(2, 1, split=HELD_OUT)
    assert len(judging.tasks) == 2 * (len(FIRES) + len(NUISANCES))
    assert all(task.whole for task in judging.tasks)


def test_a_whole_fire_is_followed_from_before_its_ignition_to_its_danger():
    data, facts = episode_rows(Task(0, "flaming", (5, 1), "all", whole=True))
    assert data.t_s[0] >= facts["from_s"]
    assert facts["from_s"] <= facts["ignition_s"] - 10.0
    assert data.label[0] == 0.0
    assert data.label.max() >= 0.8
    steps = np.diff(data.t_s)
    assert np.median(steps) == pytest.approx(0.25)
    assert json.dumps(facts)


def test_no_facts_is_one_clear_error(tmp_path):
    with pytest.raises(DatasetError, match=FACTS_GLOB.split("-", maxsplit=1)[0]):
        read_facts(tmp_path)


@pytest.mark.slow
def test_ctrl_c_ends_every_process_without_a_trace(tmp_path):
    out = tmp_path / "data"
    # What was started in the background of a shell without job control ignores the signal.
    heed = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    command = f"{heed}; from firedetect.cli import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", command, "simulate", "dataset", "-o", str(out), "--episodes", "400",
         "--jobs", "2"],
        stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        while not list(out.glob("episodes-*.parquet")) and process.poll() is None:
            time.sleep(0.2)
        # As a terminal does: to the parent and to its workers.
        os.killpg(process.pid, signal.SIGINT)
        _, told = process.communicate(timeout=60)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 130
    assert "Traceback" not in told
    assert (out / "plan.sha256").exists()


def test_facts_of_an_earlier_version_are_one_clear_error(tmp_path):
    pq.write_table(pa.table({"episode": [0], "rows": [4]}), tmp_path / "episodes-00000.parquet")
    with pytest.raises(DatasetError, match="draw it again"):
        read_facts(tmp_path)

"""A year of nuisances, lived through: how often a device would cry wolf, and at what exactly."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np

from firedetect.contract.level import LATCHING_FROM
from firedetect.contract.settings import DecisionSettings
from firedetect.errors import DatasetError
from firedetect.lab.alarm_page import write_alarm_page
from firedetect.lab.boost import forest_scores
from firedetect.lab.exposure import Judged, false_alarm_table
from firedetect.lab.generate import episode_rows
from firedetect.lab.jobs import run_all
from firedetect.lab.plan import Plan, Task, family_plan
from firedetect.lab.verdicts import LEVELS, earliest, judge_hard, judge_scores
from firedetect.model.bundle import default_bundle_path, load_bundle
from firedetect.model.forest import Forest
from firedetect.simulation.families import Rate, load_rates

BLOCK_EPISODES: Final = 50
LEAST: Final = 20
MOST: Final = 50_000
"""Of each nuisance at least so many are tried, and at most: a quiet room teaches little."""

Progress = Callable[[float], None]


def live_year(
    out: Path,
    *,
    bundle: Path | None,
    site: str,
    rates: Path | None,
    years: float,
    seed: int,
    jobs: int,
    progress: Progress | None = None,
    least: int = LEAST,
    block_episodes: int = BLOCK_EPISODES,
) -> dict[str, Any]:
    """Judge `years` device-years of each nuisance of a site; blocks that are done stay done.

    Writes year.json and year.html and returns the former. Raises BundleError, SimulationError,
    DatasetError.
    """
    model = load_bundle(bundle or default_bundle_path())
    table = load_rates(site, rates)
    plan = year_plan(table, years, seed, least)
    folder = out / f"{model.hash[:12]}-{plan.digest[:12]}"
    folder.mkdir(parents=True, exist_ok=True)
    starts = range(0, len(plan.tasks), block_episodes)
    count = len(starts)
    missing = [block for block in range(count) if not _block_path(folder, block).exists()]
    work = [
        (folder, block, plan.tasks[starts[block] : starts[block] + block_episodes], model.path)
        for block in missing
    ]
    for done, _ in enumerate(run_all(_live, work, jobs), start=1):
        if progress is not None:
            progress((count - len(missing) + done) / count)
    told = [row for block in range(count) for row in _read(_block_path(folder, block))]
    alarms = [row for row in told if _level_of(row) >= LATCHING_FROM and row["worst"] < 0.4]
    year = {
        "site": site,
        "years": years,
        "seed": seed,
        "bundle": model.hash,
        "episodes": len(told),
        "table": false_alarm_table(_judged(told), table),
        "alarms": alarms,
    }
    (out / "year.json").write_text(json.dumps(year, indent=1) + "\n")
    write_alarm_page(out / "year.html", year, {task.number: task for task in plan.tasks})
    return year


def year_plan(rates: tuple[Rate, ...], years: float, seed: int, least: int = LEAST) -> Plan:
    """Return the nuisances of so many years, at the recommended siting."""
    counts = {
        rate.family: min(max(round(rate.per_year * years), least), MOST)
        for rate in rates
        if rate.per_year > 0.0
    }
    shown = {rate.family: rate.in_view for rate in rates}
    beyond = {rate.family for rate in rates if rate.beyond}
    return family_plan(
        counts, seed, split="all", in_view=shown, beyond=lambda family, _k: family in beyond
    )


def judge_task(task: Task, forest: Forest) -> dict[str, Any]:
    """Live through one nuisance; return what became of it."""
    data, facts = episode_rows(task)
    settings = DecisionSettings()
    hard = judge_hard(data)
    verdicts = earliest(judge_scores(data, forest_scores(forest, data.rows), settings), hard)
    return {
        "episode": task.number,
        "family": task.family,
        "in_view": bool(facts["in_view"]),
        "beyond": bool(facts["beyond"]),
        "cause": str(facts["cause"]),
        "worst": float(data.label.max(initial=0.0)),
        "first_s": [_or_none(value) for value in verdicts.first_s[0].tolist()],
        "hard_s": [_or_none(value) for value in hard.first_s[0].tolist()],
    }


def _judged(told: list[dict[str, Any]]) -> Judged:
    first = [[math.inf if s is None else s for s in row["first_s"]] for row in told]
    return Judged(
        family=np.array([row["family"] for row in told]),
        fire=np.zeros(len(told), bool),
        in_view=np.array([row["in_view"] for row in told], bool),
        beyond=np.array([row["beyond"] for row in told], bool),
        worst=np.array([row["worst"] for row in told]),
        first_s=np.array(first).reshape(len(told), len(LEVELS)),
    )


def _level_of(row: dict[str, Any]) -> int:
    reached = [level for level, s in zip(LEVELS, row["first_s"], strict=True) if s is not None]
    return max(reached, default=0)


def _or_none(value: float) -> float | None:
    return round(value, 3) if math.isfinite(value) else None


_Work = tuple[Path, int, tuple[Task, ...], Path]


def _live(work: _Work) -> int:
    folder, block, tasks, bundle = work
    forest = load_bundle(bundle).forest
    told = [judge_task(task, forest) for task in tasks]
    path = _block_path(folder, block)
    new = path.with_suffix(".new")
    new.write_text("\n".join(json.dumps(row) for row in told) + "\n")
    new.replace(path)
    return block


def _block_path(folder: Path, block: int) -> Path:
    return folder / f"block-{block:06d}.jsonl"


def _read(path: Path) -> list[dict[str, Any]]:
    try:
        return [json.loads(line) for line in path.read_text().splitlines()]
    except (OSError, ValueError) as error:
        raise DatasetError(f"{path}: cannot be read: {error}") from error

"""Draws a data set: episodes through the Pi's own pipeline, in parts, on all cores.

A part is a fixed stretch of the plan: the same seed gives the same rows whatever the number of
jobs, and a run that was broken off goes on with the parts that are missing.
"""

import math
from collections.abc import Callable
from itertools import takewhile
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from firedetect.decision.hard_rules import HardInputs
from firedetect.errors import DatasetError
from firedetect.features.vector import COLUMNS, N_FEATURES
from firedetect.lab.dataset import Dataset, join, write_part, write_summary
from firedetect.lab.jobs import run_all
from firedetect.lab.plan import Plan, Task
from firedetect.pipeline import Pipeline
from firedetect.readings import ThermalImage
from firedetect.simulation.episodes import Episode
from firedetect.simulation.events import NS_PER_S, episode_events
from firedetect.simulation.families import draw_episode
from firedetect.simulation.stage import Choice

PART_EPISODES: Final = 40
KEEP_EVERY: Final = 2
STRETCH_S: Final = 6.0
"""Neighbouring rows are nearly the same, and another episode teaches more than another second of
this one: every second row is taught, of stretches of which every second one is drawn."""
WHOLE_LEAD_S: Final = 20.0
AFTER_DANGER_S: Final = 120.0
LATE_HEAT_KW: Final = 250.0
LATE_HAZARD: Final = 0.8
FACTS_GLOB: Final = "episodes-*.parquet"
_PLAN_FILE: Final = "plan.sha256"

Progress = Callable[[float], None]
Window = tuple[float, float]


class RowRecorder:
    """An observer of the pipeline that keeps every row that the model would score."""

    def __init__(self) -> None:
        self.t_s: list[float] = []
        self.rows: list[NDArray[np.float32]] = []

    def hard(self, inputs: HardInputs, image: ThermalImage | None) -> None:
        """Keep nothing: the outcome tells what the hard rules make of it."""

    def row(self, t_ns: int, row: NDArray[np.float64]) -> None:
        """Keep a row."""
        self.t_s.append(t_ns / NS_PER_S)
        self.rows.append(row.astype(np.float32))


def generate(
    out: Path,
    plan: Plan,
    *,
    jobs: int,
    progress: Progress | None = None,
    part_episodes: int = PART_EPISODES,
) -> int:
    """Write the data set of a plan to a folder and return its number of rows.

    The folder may hold parts of the same plan, which are kept. Raises DatasetError.
    """
    _claim(out, plan)
    starts = range(0, len(plan.tasks), part_episodes)
    count = len(starts)
    missing = [part for part in range(count) if not _facts_path(out, part).exists()]
    work = [
        (out, part, plan.tasks[starts[part] : starts[part] + part_episodes]) for part in missing
    ]
    for done, _ in enumerate(run_all(_make_part, work, jobs), start=1):
        if progress is not None:
            progress((count - len(missing) + done) / count)
    kept = read_facts(out)["rows"].to_numpy()
    write_summary(out, seed=plan.seed, episodes=int((kept > 0).sum()), rows=int(kept.sum()))
    (out / _PLAN_FILE).unlink()
    return int(kept.sum())


def read_facts(folder: Path) -> Any:  # noqa: ANN401 - pandas has no types here
    """Return what is known of each episode, a row each in order of its number.

    Columns: episode, family, fire, cause, room, board, lens, in_view, beyond, ignition_s,
    end_of_test_s (NaN for none), volume_m3, from_s, to_s, rows.
    """
    paths = sorted(folder.glob(FACTS_GLOB))
    if not paths:
        raise DatasetError(f"{folder}: holds no {FACTS_GLOB}")
    try:
        table = pa.concat_tables([pq.read_table(path) for path in paths])
    except (OSError, pa.ArrowException) as error:
        raise DatasetError(f"{folder}: its episodes cannot be read: {error}") from error
    if "beyond" not in table.column_names:
        raise DatasetError(f"{folder}: was drawn by an earlier version; draw it again")
    return table.to_pandas().sort_values("episode", ignore_index=True)


def episode_rows(task: Task) -> tuple[Dataset, dict[str, Any]]:
    """Return the rows of one task, and the facts of its episode."""
    choice = Choice(in_view=task.in_view, films=task.films, sited=task.sited, beyond=task.beyond)
    episode = draw_episode(task.family, task.seed, choice, split=task.split)
    windows = (whole_window(episode),) if task.whole else taught_windows(episode, task.seed)
    recorder, hard = record(episode, windows)
    data = _dataset(task, episode, recorder, hard).take(_chosen(recorder.t_s, windows, task))
    return data, _facts(task, episode, windows, len(data))


def record(episode: Episode, windows: tuple[Window, ...]) -> tuple[RowRecorder, list[int]]:
    """Run an episode without a model; return its rows, and the level of the hard rules at each."""
    recorder, hard = RowRecorder(), []
    pipeline = Pipeline(None, observer=recorder)
    last_ns = max(stop for _, stop in windows) * NS_PER_S
    for event in takewhile(lambda event: event.t_ns <= last_ns, episode_events(episode, windows)):
        pipeline.step(event)
        outcome = pipeline.score()
        if outcome is not None:
            hard.append(int(outcome.current))
    return recorder, hard


def taught_windows(episode: Episode, seed: tuple[int, ...]) -> tuple[Window, ...]:
    """Return every second stretch of an episode's windows, the first or the second by chance."""
    rng = np.random.default_rng(seed)
    taught = []
    for start, stop in episode.happening.windows:
        first = start + STRETCH_S * float(rng.integers(2) if stop - start > STRETCH_S else 0)
        begins = np.arange(first, stop, 2.0 * STRETCH_S)
        taught += [(float(begin), min(float(begin) + STRETCH_S, stop)) for begin in begins]
    return tuple(taught)


def whole_window(episode: Episode) -> Window:
    """Return the stretch that is judged: from just before anything happens to its end.

    A fire that is as dangerous as it gets is not followed for ever.
    """
    last = episode.duration_s - 1.0
    truth = episode.truth
    if truth.ignition_s is None:
        starts = [start for start, _ in episode.happening.windows]
        return max(min(starts[-1], starts[min(1, len(starts) - 1)]) - WHOLE_LEAD_S, 0.0), last
    late = [_first_s(truth.hazard >= LATE_HAZARD), _first_s(truth.heat_kw >= LATE_HEAT_KW)]
    known = [second for second in late if second is not None]
    if known and late[0] is not None:
        last = min(max(known) + AFTER_DANGER_S, last)
        last = max(last, min(truth.end_of_test_s or 0.0, episode.duration_s - 1.0))
    return max(truth.ignition_s - WHOLE_LEAD_S, 0.0), last


def _first_s(reached: NDArray[np.bool_]) -> float | None:
    found = np.flatnonzero(reached)
    return float(found[0]) if found.size else None


def _chosen(t_s: list[float], windows: tuple[Window, ...], task: Task) -> NDArray[np.intp]:
    """Return the rows that are kept: those of the windows, all of a whole episode's."""
    times = np.array(t_s)
    inside = np.zeros(len(times), bool)
    for start, stop in windows:
        inside |= (times >= start) & (times <= stop)
    kept = np.flatnonzero(inside)
    # The first image of a stretch has none before it.
    return kept if task.whole else kept[KEEP_EVERY - 1 :: KEEP_EVERY]


def _dataset(task: Task, episode: Episode, recorder: RowRecorder, hard: list[int]) -> Dataset:
    times = np.array(recorder.t_s)
    second = np.minimum(times.astype(np.intp), len(episode.truth.hazard) - 1)
    n = len(times)
    rows = np.array(recorder.rows, np.float32).reshape(n, len(COLUMNS))
    data = Dataset(
        rows=rows,
        label=episode.truth.hazard[second].astype(np.float32),
        episode=np.full(n, task.number, np.int32),
        family=np.full(n, task.family),
        room=np.full(n, episode.happening.room, np.int32),
        board=np.full(n, episode.happening.board, np.int32),
        t_s=times.astype(np.float32),
        heat_kw=episode.truth.heat_kw[second].astype(np.float32),
        co_ppm=episode.truth.co_ppm[second].astype(np.float32),
        hard=np.array(hard, np.int8),
    )
    # Without any of the 18 features there is no score, so nothing to learn or to judge.
    blind = np.isnan(rows[:, :N_FEATURES]).all(axis=1)
    data.label[blind] = 0.0
    return data


def _facts(task: Task, episode: Episode, windows: tuple[Window, ...], rows: int) -> dict[str, Any]:
    truth, happening = episode.truth, episode.happening
    room = episode.scene.hits
    return {
        "episode": task.number,
        "family": task.family,
        "fire": happening.fire,
        "cause": happening.cause,
        "room": happening.room,
        "board": happening.board,
        "lens": episode.scene.camera.lens,
        "in_view": truth.in_view,
        "beyond": task.beyond,
        "ignition_s": math.nan if truth.ignition_s is None else truth.ignition_s,
        "end_of_test_s": math.nan if truth.end_of_test_s is None else truth.end_of_test_s,
        "volume_m3": episode.volume_m3,
        "films": episode.readings.counts is not None,
        "co2": episode.readings.co2_ppm is not None,
        "air": episode.readings.air_c is not None,
        "farthest_m": float(room.distance_m.max()),
        "from_s": windows[0][0],
        "to_s": windows[-1][1],
        "rows": rows,
    }


def _make_part(work: tuple[Path, int, tuple[Task, ...]]) -> int:
    out, part, tasks = work
    made = [episode_rows(task) for task in tasks]
    write_part(out, part, join([data for data, _ in made]))
    facts = pa.Table.from_pylist([told for _, told in made])
    # The facts come last: where they are, the part is whole.
    path = _facts_path(out, part)
    new = path.with_suffix(".new")
    pq.write_table(facts, new, compression="zstd")
    new.replace(path)
    return part


def _claim(out: Path, plan: Plan) -> None:
    """Take a folder that is new, empty, or holds parts of the same plan."""
    known = out / _PLAN_FILE
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        if not known.is_file():
            raise DatasetError(f"{out}: is not empty; choose another folder")
        if known.read_text() != plan.digest:
            raise DatasetError(f"{out}: holds parts of another plan; choose another folder")
    try:
        out.mkdir(parents=True, exist_ok=True)
        known.write_text(plan.digest)
    except OSError as error:
        raise DatasetError(f"{out}: cannot be written: {error.strerror or error}") from error


def _facts_path(out: Path, part: int) -> Path:
    return out / f"episodes-{part:05d}.parquet"

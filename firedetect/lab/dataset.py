"""Training data sets: a folder of Parquet parts, one row per image, and a summary.

A data set has one content: its rows in the order of episode, room, board and time, however they
were spread over files.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from firedetect.errors import DatasetError
from firedetect.features.vector import COLUMNS, SCHEMA_ID

FORMAT: Final = 2
SUMMARY_FILE: Final = "dataset.json"
PART_GLOB: Final = "data-*.parquet"
PART_ROWS: Final = 1_000_000

_EXTRA: Final = {
    "label": np.float32,
    "episode": np.int32,
    "family": np.str_,
    "room": np.int32,
    "board": np.int32,
    "t_s": np.float32,
    "heat_kw": np.float32,
    "co_ppm": np.float32,
    "hard": np.int8,
}


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """Rows of a data set, n of each.

    `rows` is float32 (n, 27), NaN = missing; `label` the hazard 0 to 1, float32; `t_s` seconds
    since the episode's start, float32; `episode`, `room` and `board` int32; `family` text.
    `heat_kw` and `co_ppm` are what the fire really gives and what is at the sensor, float32;
    `hard` the level that the hard rules demand at that row, int8.
    """

    rows: NDArray[np.float32]
    label: NDArray[np.float32]
    episode: NDArray[np.int32]
    family: NDArray[np.str_]
    room: NDArray[np.int32]
    board: NDArray[np.int32]
    t_s: NDArray[np.float32]
    heat_kw: NDArray[np.float32]
    co_ppm: NDArray[np.float32]
    hard: NDArray[np.int8]

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.label)

    def take(self, chosen: NDArray[Any]) -> "Dataset":
        """Return the rows at these indices, or those of a mask."""
        return Dataset(*(getattr(self, field.name)[chosen] for field in fields(self)))


def write_dataset(path: Path, data: Dataset, *, seed: int, part_rows: int = PART_ROWS) -> None:
    """Write `data` to the folder `path`, which must not hold a data set; raises DatasetError."""
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise DatasetError(f"{path}: is not empty; choose another folder")
    _check(data, path)
    for part, start in enumerate(range(0, len(data), part_rows)):
        write_part(path, part, data.take(np.arange(start, min(start + part_rows, len(data)))))
    episodes = len(np.unique(data.episode))
    write_summary(path, seed=seed, episodes=episodes, rows=len(data))


def write_part(path: Path, part: int, data: Dataset) -> None:
    """Write one part file; write_summary makes the folder a data set when all are there."""
    arrays = {name: np.ascontiguousarray(data.rows[:, i]) for i, name in enumerate(COLUMNS)}
    arrays |= {name: getattr(data, name) for name in _EXTRA}
    try:
        path.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table(arrays), path / f"data-{part:05d}.parquet", compression="zstd")
    except OSError as error:
        raise DatasetError(f"{path}: cannot be written: {error.strerror or error}") from error


def write_summary(path: Path, *, seed: int, episodes: int, rows: int) -> None:
    """Write the summary: what the parts together must be."""
    summary = {
        "format": FORMAT,
        "schema_id": SCHEMA_ID,
        "seed": seed,
        "episodes": episodes,
        "rows": rows,
    }
    (path / SUMMARY_FILE).write_text(json.dumps(summary, indent=1) + "\n")


def read_dataset(path: Path) -> Dataset:
    """Return the data set in the folder `path`, in its own order; raises DatasetError."""
    summary = _read_summary(path / SUMMARY_FILE)
    parts = sorted(path.glob(PART_GLOB))
    if not parts:
        raise DatasetError(f"{path}: holds no {PART_GLOB}")
    data = join([_read_part(part) for part in parts])
    _check(data, path)
    found = {"rows": len(data), "episodes": len(np.unique(data.episode))}
    for name, count in found.items():
        if summary[name] != count:
            raise DatasetError(f"{path}: {count} {name}, {SUMMARY_FILE} says {summary[name]}")
    return data.take(_order(data))


def content_hash(data: Dataset) -> str:
    """Return the sha256 of schema and content, the same for any split into files."""
    digest = hashlib.sha256(SCHEMA_ID.encode())
    ordered = data.take(_order(data))
    # Missing is missing: the bits of a NaN are no content.
    rows = np.where(np.isnan(ordered.rows), np.float32(np.nan), ordered.rows)
    names, codes = np.unique(ordered.family, return_inverse=True)
    digest.update(json.dumps([len(ordered), names.tolist()]).encode())
    digest.update(np.ascontiguousarray(rows, "<f4").tobytes())
    for name in _EXTRA:
        values = codes if name == "family" else getattr(ordered, name)
        kind = np.dtype(np.int32) if name == "family" else values.dtype
        digest.update(np.ascontiguousarray(values, kind.newbyteorder("<")).tobytes())
    return digest.hexdigest()


def join(parts: Sequence[Dataset]) -> Dataset:
    """Return the rows of all parts, one after the other."""
    joined = ([getattr(part, field.name) for part in parts] for field in fields(Dataset))
    return Dataset(*(np.concatenate(arrays) for arrays in joined))


def _order(data: Dataset) -> NDArray[np.intp]:
    return np.lexsort((data.t_s, data.board, data.room, data.episode))


def _read_summary(path: Path) -> dict[str, Any]:
    try:
        summary = json.loads(path.read_text())
    except FileNotFoundError as error:
        raise DatasetError(f"{path.parent}: is no data set, {SUMMARY_FILE} is missing") from error
    except (OSError, ValueError, RecursionError) as error:
        raise DatasetError(f"{path}: cannot be read as JSON") from error
    if not isinstance(summary, dict) or summary.get("format") != FORMAT:
        raise DatasetError(f"{path}: is no summary of format {FORMAT}")
    if summary.get("schema_id") != SCHEMA_ID:
        raise DatasetError(
            f"{path}: the data set is for schema {summary.get('schema_id')!r}, this program has "
            f"{SCHEMA_ID}; make a new one"
        )
    for name in ("episodes", "rows"):
        if not isinstance(summary.get(name), int):
            raise DatasetError(f"{path}: {name} is missing")
    return summary


def _read_part(path: Path) -> Dataset:
    wanted = [*COLUMNS, *_EXTRA]
    try:
        with pq.ParquetFile(path) as file:
            if sorted(file.schema_arrow.names) != sorted(wanted):
                raise DatasetError(f"{path}: its columns are not those of this program")
            table = file.read()
        rows = np.empty((table.num_rows, len(COLUMNS)), np.float32)
        for i, name in enumerate(COLUMNS):
            rows[:, i] = _column(table, name, np.float32)
        extra = {name: _column(table, name, kind) for name, kind in _EXTRA.items()}
    except (OSError, ValueError, TypeError, pa.ArrowException) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DatasetError(f"{path}: cannot be read as Parquet: {reason}") from error
    return Dataset(rows, **extra)


def _column(table: Any, name: str, kind: type[np.generic]) -> Any:  # noqa: ANN401 - pyarrow
    column = table[name]
    # An empty cell is how other writers store NaN; the check of the whole finds a missing label.
    if column.null_count and kind is not np.float32:
        raise ValueError(f"column {name} has empty cells")
    return column.to_numpy().astype(kind, casting="unsafe" if kind is np.str_ else "same_kind")


def _check(data: Dataset, path: Path) -> None:
    """Refuse what no training can use."""
    if not len(data):
        raise DatasetError(f"{path}: holds no rows")
    if data.rows.shape != (len(data), len(COLUMNS)):
        raise DatasetError(f"{path}: rows of shape {data.rows.shape} for {len(data)} labels")
    if not ((data.label >= 0) & (data.label <= 1)).all():
        raise DatasetError(f"{path}: a label is not between 0 and 1")
    if np.isinf(data.rows).any():
        raise DatasetError(f"{path}: a feature is infinite")
    if not np.isfinite(data.t_s).all():
        raise DatasetError(f"{path}: a time is missing")

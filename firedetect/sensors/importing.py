"""Your own data as a recording: a folder of arrays and tables becomes events.

`thermal.npy` (float32, n x 24 x 32 or n x 120 x 160, °C) with `thermal_t.npy` (float64, s), and
where present `gas.csv`, `co2.csv`, `env.csv`. A missing file means: sensor not configured.
"""

import csv
import heapq
import math
import tokenize
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from firedetect.contract.settings import DecisionSettings
from firedetect.errors import RecordingError
from firedetect.readings import (
    AirReading,
    Co2Reading,
    Event,
    FaultKind,
    FrameRejected,
    GasCounts,
    Restored,
    Sensor,
    SettingsChanged,
    Started,
    Stream,
    ThermalImage,
    Tick,
)
from firedetect.sensors.codec import IMAGE_SHAPES
from firedetect.sensors.recording import RecordingWriter

NS_PER_S = 1_000_000_000
STALE_INTERVALS = 5.0
"""A stream is stale after five of its own median intervals."""
_SINGLE_ROW_STALE_S = 10.0
_MAX_DAYS = 31.0
"""Longer than this is hardly one recording, but files that count from different zeros."""
_DEFAULT_START = "2026-01-01T00:00:00Z"
_COUNTS_MAX = 1023.0


@dataclass(frozen=True, slots=True)
class _Table:
    """One file's times (s) and what each row becomes."""

    sensor: Sensor
    t_s: NDArray[np.float64]
    event: Callable[[int, int], Event]


def import_folder(folder: Path, target: Path, start: str | None = None) -> int:
    """Write the folder's data as a recording and return the number of events.

    Raises RecordingError, naming file and row, for anything that cannot be used; then nothing is
    written.
    """
    wall_ns = _wall_ns(start or _DEFAULT_START)
    if not folder.is_dir():
        raise RecordingError(f"{folder}: is no folder")
    found = [_thermal(folder), _gas(folder), _co2(folder), _air(folder)]
    tables = [table for table in found if table is not None]
    if not tables:
        raise RecordingError(f"{folder}: holds none of thermal.npy, gas.csv, co2.csv, env.csv")
    first_s, last_s = _span_s(tables)
    if last_s - first_s > _MAX_DAYS * 86_400:
        raise RecordingError(
            f"{folder}: times go from {first_s} to {last_s} s, over {_MAX_DAYS:.0f} days; "
            "the files must share one clock"
        )
    if target.exists():
        raise RecordingError(f"{target}: exists already; choose another name")
    unfinished = target.with_name(f".{target.name}.part")
    unfinished.unlink(missing_ok=True)
    count = 0
    try:
        with RecordingWriter(unfinished) as writer:
            for event in _events(tables, wall_ns):
                writer.write(event)
                count += 1
        unfinished.rename(target)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    return count


def _events(tables: list[_Table], wall_ns: int) -> Iterator[Event]:
    zero_s, end_s = _span_s(tables)
    streams = tuple(Stream(table.sensor, _stale_s(table.t_s)) for table in tables)
    yield Started(0, "import", 0, wall_ns, streams)
    yield SettingsChanged(0, DecisionSettings())
    yield Restored(0)
    # At one time: gas and air before the image whose vector uses them, the tick last.
    order = (Sensor.AIR, Sensor.CO2, Sensor.GAS, Sensor.THERMAL)
    tables = sorted(tables, key=lambda table: order.index(table.sensor))
    rows = [_timed(table, zero_s, rank) for rank, table in enumerate(tables)]
    ticks = (
        (second * NS_PER_S, len(tables), second) for second in range(math.ceil(end_s - zero_s) + 1)
    )
    for t_ns, rank, row in heapq.merge(*rows, ticks):
        yield tables[rank].event(t_ns, row) if rank < len(tables) else Tick(t_ns)


def _span_s(tables: list[_Table]) -> tuple[float, float]:
    firsts, lasts = zip(
        *((float(table.t_s[0]), float(table.t_s[-1])) for table in tables), strict=True
    )
    return min(firsts), max(lasts)


def _timed(table: _Table, zero_s: float, rank: int) -> Iterator[tuple[int, int, int]]:
    for row, t_s in enumerate(table.t_s):
        yield round((float(t_s) - zero_s) * NS_PER_S), rank, row


def _stale_s(t_s: NDArray[np.float64]) -> float:
    if len(t_s) < 2:
        return _SINGLE_ROW_STALE_S
    return STALE_INTERVALS * float(np.median(np.diff(t_s)))


def _thermal(folder: Path) -> _Table | None:
    images_path, times_path = folder / "thermal.npy", folder / "thermal_t.npy"
    if not images_path.exists():
        if times_path.exists():
            raise RecordingError(f"{times_path}: has no thermal.npy beside it")
        return None
    images = _load(images_path)
    if images.ndim != 3 or images.shape[1:] not in IMAGE_SHAPES:
        raise RecordingError(
            f"{images_path}: has shape {images.shape}; expected n x 24 x 32 or n x 120 x 160"
        )
    if images.dtype != np.float32:
        raise RecordingError(f"{images_path}: holds {images.dtype}; expected float32 in °C")
    if not times_path.exists():
        raise RecordingError(f"{times_path}: is missing; thermal.npy needs its times")
    times = _load(times_path)
    if times.dtype != np.float64 or times.ndim != 1:
        raise RecordingError(
            f"{times_path}: holds {times.dtype} of shape {times.shape}; "
            "expected float64 seconds, one per image"
        )
    if len(times) != len(images):
        raise RecordingError(f"{times_path}: has {len(times)} times for {len(images)} images")
    _check_times(times_path, times, range(len(times)))
    if not any(bool(np.isfinite(image).any()) for image in images):
        raise RecordingError(f"{images_path}: every value is NaN")

    def image(t_ns: int, row: int) -> Event:
        return ThermalImage(t_ns, np.array(images[row], dtype=np.float32))

    return _Table(Sensor.THERMAL, times, image)


def _gas(folder: Path) -> _Table | None:
    columns = ("no2", "c2h5oh", "voc", "co")
    path = folder / "gas.csv"
    values = _read_csv(path, columns)
    if values is None:
        return None

    def counts(t_ns: int, row: int) -> Event:
        given = values[row, 1:]
        if not bool(np.all((given >= 0.0) & (given <= _COUNTS_MAX))):
            return FrameRejected(t_ns, Sensor.GAS, FaultKind.IMPLAUSIBLE, "not 0 to 1023")
        return GasCounts(t_ns, *(float(value) for value in given))

    return _Table(Sensor.GAS, values[:, 0], counts)


def _co2(folder: Path) -> _Table | None:
    values = _read_csv(folder / "co2.csv", ("co2_ppm",))
    if values is None:
        return None
    return _Table(
        Sensor.CO2, values[:, 0], lambda t_ns, row: Co2Reading(t_ns, float(values[row, 1]))
    )


def _air(folder: Path) -> _Table | None:
    values = _read_csv(folder / "env.csv", ("air_temp_c", "rh_pct", "pressure_hpa"))
    if values is None:
        return None
    return _Table(
        Sensor.AIR,
        values[:, 0],
        lambda t_ns, row: AirReading(t_ns, *(float(value) for value in values[row, 1:])),
    )


def _read_csv(path: Path, columns: tuple[str, ...]) -> NDArray[np.float64] | None:
    """Return time and columns (n, 1 + len(columns)), an empty cell as NaN; None without a file."""
    if not path.exists():
        return None
    expected = ("t_s", *columns)
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = list(csv.reader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise RecordingError(f"{path}: cannot be read as a table: {error}") from error
    if not lines:
        raise RecordingError(f"{path}: is empty")
    header = tuple(name.strip() for name in lines[0])
    if header != expected:
        raise RecordingError(
            f"{path}: has columns {','.join(header)}; expected {','.join(expected)}"
        )
    rows = [(number, line) for number, line in enumerate(lines[1:], start=2) if line]
    if not rows:
        raise RecordingError(f"{path}: has no row")
    values = np.array([_csv_row(path, number, line, expected) for number, line in rows])
    _check_times(path, values[:, 0], [number for number, _ in rows])
    if not np.isfinite(values[:, 1:]).any():
        raise RecordingError(f"{path}: every value is NaN")
    return values


def _csv_row(path: Path, number: int, line: list[str], columns: tuple[str, ...]) -> list[float]:
    if len(line) != len(columns):
        raise RecordingError(f"{path}: row {number} has {len(line)} cells; expected {len(columns)}")
    values = []
    for column, cell in zip(columns, line, strict=True):
        try:
            values.append(float(cell) if cell.strip() else math.nan)
        except ValueError as error:
            raise RecordingError(
                f"{path}: row {number}: {column} is {cell!r}, no number"
            ) from error
    return values


def _check_times(path: Path, t_s: NDArray[np.float64], rows: Sequence[int]) -> None:
    if len(t_s) == 0:
        raise RecordingError(f"{path}: is empty")
    bad = np.flatnonzero(~np.isfinite(t_s))
    if len(bad):
        raise RecordingError(f"{path}: row {rows[bad[0]]}: the time is {t_s[bad[0]]}")
    back = np.flatnonzero(np.diff(t_s) <= 0.0)
    if len(back):
        late = int(back[0]) + 1
        raise RecordingError(
            f"{path}: row {rows[late]}: time {t_s[late]} does not come after {t_s[late - 1]}"
        )


def _load(path: Path) -> NDArray[np.float64]:
    try:
        # Not np.load: it opens archives too, and must be kept from unpickling.
        array: NDArray[np.float64] = np.lib.format.open_memmap(path, mode="r")
    except (OSError, ValueError, EOFError, tokenize.TokenError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise RecordingError(f"{path}: cannot be read as an array: {reason}") from error
    return array


def _wall_ns(start: str) -> int:
    try:
        moment = datetime.fromisoformat(start)
    except ValueError as error:
        raise RecordingError(f"--start {start}: is no ISO 8601 time") from error
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return round(moment.timestamp() * NS_PER_S)

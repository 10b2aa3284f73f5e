"""The library of fires and nuisances that comes with the program, as one compressed file."""

import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from firedetect.contract.settings import DecisionSettings, HardLimits
from firedetect.decision.hard_rules import HardInputs
from firedetect.errors import ARCHIVE_DAMAGES, TrialError
from firedetect.features.vector import COLUMNS, SCHEMA_ID
from firedetect.trial.trace import VALUES, Trace, alert_s, hard_inputs

FORMAT: Final = 1
MAX_BYTES: Final = 16 << 20
_META: Final = "meta"
_KEPT: Final = 4
"""Results kept of each kind: of the present and of a candidate, and of the pair before."""

_ARRAYS: Final = tuple(item.name for item in fields(Trace) if item.name not in {"name", "fire"})
_TYPES: Final = {
    "hard_t_ns": np.int64,
    "hard_values": np.float64,
    "hard_image": np.bool_,
    "pixel_event": np.int32,
    "pixel_at": np.int16,
    "pixel_c": np.float32,
    "row_t_ns": np.int64,
    "row_after": np.int32,
    "rows": np.float32,
}


class BatchScorer(Protocol):
    """What a trial asks of a model."""

    @property
    def hash(self) -> str:
        """What tells this model from every other."""

    def scores(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the scores (0 to 1, NaN for none) of rows (n, 27), shape (n,)."""


class Library:
    """Traces, with what was computed last: the next trial compares with the same present."""

    def __init__(self, traces: tuple[Trace, ...]) -> None:
        self.traces = traces
        self._scores: dict[str, list[NDArray[np.float64]]] = {}
        self._alerts: dict[tuple[DecisionSettings, str | None], dict[str, float | None]] = {}
        self._inputs: dict[tuple[float, float], list[list[HardInputs]]] = {}

    def alerts(
        self, settings: DecisionSettings, scorer: BatchScorer | None
    ) -> dict[str, float | None]:
        """Return when each trace reaches `alert` (s since it began), None if never."""
        scored = zip(self.traces, self._hard(settings.hard), self._scored(scorer), strict=True)
        return {
            trace.name: alert_s(trace, settings, inputs, scores) for trace, inputs, scores in scored
        }

    def _scored(self, scorer: BatchScorer | None) -> list[NDArray[np.float64]]:
        if scorer is None:
            return [np.full(len(trace.rows), np.nan) for trace in self.traces]
        known = self._scores.get(scorer.hash)
        if known is None:
            known = [scorer.scores(trace.rows) for trace in self.traces]
            _keep(self._scores, scorer.hash, known)
        return known

    def _hard(self, limits: HardLimits) -> list[list[HardInputs]]:
        pixels = (limits.pixel_alert_c, limits.pixel_emergency_c)
        known = self._inputs.get(pixels)
        if known is None:
            known = [hard_inputs(trace, limits) for trace in self.traces]
            _keep(self._inputs, pixels, known)
        return known


def library_path() -> Path:
    """Return the file that comes with the program."""
    return Path(__file__).parent / "library.npz"


def load_library(path: Path | None = None) -> Library:
    """Return the library in a file, by default the one that came along.

    Raises TrialError for a file that is missing, damaged or of another schema: without a library
    no change can be tried, and so none is adopted.
    """
    path = path or library_path()
    try:
        with np.load(io.BytesIO(_content(path)), allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        meta = json.loads(arrays.pop(_META).tobytes())
        return Library(_traces(meta, arrays))
    except TrialError as error:
        raise TrialError(f"{path}: {error}; run `make model`") from error
    except ARCHIVE_DAMAGES as error:
        raise TrialError(f"{path}: is damaged: {error}; run `make model`") from error


def write_library(path: Path, traces: tuple[Trace, ...]) -> None:
    """Write a library of traces; equal traces give equal bytes."""
    arrays: dict[str, NDArray[Any]] = {
        f"{number}/{name}": getattr(trace, name)
        for number, trace in enumerate(traces)
        for name in _ARRAYS
    }
    meta = {
        "format": FORMAT,
        "schema_id": SCHEMA_ID,
        "traces": [{"name": trace.name, "fire": trace.fire} for trace in traces],
        "sha256": _digest(arrays),
    }
    arrays[_META] = np.frombuffer(json.dumps(meta).encode(), np.uint8)
    new = path.with_name(f".{path.name}.new.npz")
    np.savez_compressed(new, allow_pickle=False, **arrays)
    new.replace(path)


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise TrialError(f"cannot be read: {error.strerror}") from error
    if len(content) > MAX_BYTES:
        raise TrialError(f"has more than {MAX_BYTES} bytes")
    return content


def _keep(kept: dict[Any, Any], key: object, value: object) -> None:
    kept[key] = value
    while len(kept) > _KEPT:
        kept.pop(next(iter(kept)), None)


def _digest(arrays: Mapping[str, NDArray[Any]]) -> str:
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _traces(meta: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> tuple[Trace, ...]:
    if meta["format"] != FORMAT:
        raise TrialError(f"is of format {meta['format']!r}, this program reads {FORMAT}")
    if meta["schema_id"] != SCHEMA_ID:
        raise TrialError(f"is for schema {meta['schema_id']!r}, this program has {SCHEMA_ID}")
    if meta["sha256"] != _digest(arrays):
        raise TrialError("is damaged: its sha256 is not right")
    traces = tuple(
        Trace(
            str(told["name"]),
            bool(told["fire"]),
            **{name: arrays[f"{number}/{name}"] for name in _ARRAYS},
        )
        for number, told in enumerate(meta["traces"])
    )
    if not any(trace.fire for trace in traces) or not all(_sound(trace) for trace in traces):
        raise TrialError("holds no fires, or traces of another form")
    return traces


def _sound(trace: Trace) -> bool:
    """Whether types and shapes are those that `Trace` states."""
    typed = all(getattr(trace, name).dtype == kind for name, kind in _TYPES.items())
    hard, pixels, rows = len(trace.hard_t_ns), len(trace.pixel_at), len(trace.row_t_ns)
    return (
        typed
        and trace.hard_values.shape == (hard, len(VALUES))
        and trace.hard_image.shape == (hard,)
        and trace.pixel_event.shape == trace.pixel_c.shape == (pixels,)
        and trace.row_after.shape == (rows,)
        and trace.rows.shape == (rows, len(COLUMNS))
    )

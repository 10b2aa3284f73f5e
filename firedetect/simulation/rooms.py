"""Recorded runs of a zone model of fires in rooms: the physics that a simulated fire draws from."""

import hashlib
import io
import json
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from firedetect.errors import ARCHIVE_DAMAGES, SimulationError

FORMAT: Final = 1
POINTS: Final = 121
MAX_BYTES: Final = 16 << 20

CHANNELS: Final = (
    "hrr_kw",
    "upper_rise_k",
    "lower_rise_k",
    "layer_m",
    "ceiling_rise_k",
    "wall_rise_k",
    "floor_rise_k",
    "co_upper_ppm",
    "co_lower_ppm",
    "co2_upper_ppm",
    "co2_lower_ppm",
    "o2_upper_pct",
    "soot_upper_per_m",
    "jet_0_k",
    "jet_1_k",
    "jet_2_k",
    "jet_4_k",
    "smoulder_g_per_s",
    "voc_g_per_s",
)
"""What a run tells over time.

`_rise_k` and `jet_` are above the first 20 °C; CO and CO2 are what the fire added to the air.
`layer_m` is the height of the interface above the floor, `wall_rise_k` is for the upper wall.
`soot_upper_per_m` is a decimal optical density: times 10 it is m in dB/m (EN 54), times ln 10 the
extinction coefficient; m = 10 log10(e) = 4.343 times that coefficient.
`jet_r_k` is gas 5 cm below the ceiling, r m from the axis of the fire. Where the room is too small
for r it is the farthest corner; in a room next to the fire it is the layer there.
`smoulder_g_per_s` is fuel lost without flame, `voc_g_per_s` vapour as ethanol: neither is diluted.
"""

JET_R_M: Final = (0.0, 1.0, 2.0, 4.0)
_META: Final = "meta"
_VALUES: Final = "values"
_KEPT_BITS: Final = 12
"""Of 23 in the fraction of a float32: 4 significant digits, and the rest compresses to nothing."""
_SMALLEST: Final = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class RoomRun:
    """One fire in one room.

    The size is that of the room with the detector. A fire outside 0..length, 0..width burns in
    the room next to it. `end_of_test_s` is NaN unless the run is a standard fire. The absorption
    of the flame is for long waves. `values` has shape (121, channels), from 0 to `duration_s`.
    """

    name: str
    family: str
    room: int
    length_m: float
    width_m: float
    height_m: float
    fire_xyz_m: tuple[float, float, float]
    fuel: str
    duration_s: float
    end_of_test_s: float
    peak_kw: float
    radiated_fraction: float
    hrr_per_area_kw: float
    flame_absorption_per_m: float
    values: NDArray[np.float32]

    @property
    def t_s(self) -> NDArray[np.float64]:
        """The times of `values`, shape (121,)."""
        return np.linspace(0.0, self.duration_s, POINTS)

    def channel(self, name: str) -> NDArray[np.float32]:
        """Return one channel over time, shape (121,)."""
        return self.values[:, CHANNELS.index(name)]

    def at(self, t_s: ArrayLike) -> NDArray[np.float64]:
        """Return the channels at times (n,), shape (n, channels).

        Between points it is a line; before the start the first row, after the end the last.
        """
        place = np.clip(np.atleast_1d(np.asarray(t_s, np.float64)) / self.duration_s, 0.0, 1.0)
        place *= POINTS - 1
        left = np.minimum(place.astype(np.intp), POINTS - 2)
        part = (place - left)[:, None]
        values = self.values.astype(np.float64)
        return np.asarray(values[left] * (1.0 - part) + values[left + 1] * part)


@dataclass(frozen=True, slots=True, eq=False)
class RoomLibrary:
    """All runs of one file, and the version of the zone model that made them."""

    runs: tuple[RoomRun, ...]
    cfast_version: str

    def of(self, family: str) -> tuple[RoomRun, ...]:
        """Return the runs of a family, none if there is no such family."""
        return tuple(run for run in self.runs if run.family == family)


_TOLD: Final = tuple(item.name for item in fields(RoomRun) if item.name != _VALUES)


def rooms_path() -> Path:
    """Return the file that comes with the program."""
    return Path(__file__).parent / "rooms.npz"


def load_rooms(path: Path | None = None) -> RoomLibrary:
    """Return the runs in a file, by default the one that came along.

    Raises SimulationError for a file that is missing, damaged or of another format.
    """
    path = path or rooms_path()
    try:
        with np.load(io.BytesIO(_content(path)), allow_pickle=False) as stored:
            values = stored[_VALUES]
            meta = json.loads(stored[_META].tobytes())
        return RoomLibrary(_runs(meta, values), str(meta["cfast"]))
    except SimulationError as error:
        raise SimulationError(f"{path}: {error}") from error
    except ARCHIVE_DAMAGES as error:
        raise SimulationError(f"{path}: is damaged: {error}") from error


def write_rooms(path: Path, runs: Iterable[RoomRun], cfast_version: str) -> None:
    """Write runs, values to 4 significant digits; equal runs give equal bytes."""
    runs = tuple(runs)
    # One channel of one run after the other: neighbours in time are alike, and so compress.
    values = np.ascontiguousarray(
        rounded(np.stack([run.values for run in runs])).transpose(0, 2, 1)
    )
    told = [{name: _plain(getattr(run, name)) for name in _TOLD} for run in runs]
    meta = {
        "format": FORMAT,
        "cfast": cfast_version,
        "channels": CHANNELS,
        "runs": told,
        "sha256": _digest(told, values),
    }
    content = json.dumps(meta, allow_nan=False).encode()
    new = path.with_name(f".{path.name}.new.npz")
    np.savez_compressed(
        new, allow_pickle=False, meta=np.frombuffer(content, np.uint8), values=values
    )
    new.replace(path)


def rounded(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return finite values to 4 significant digits, with nothing below 1e-6."""
    drop = 23 - _KEPT_BITS
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    kept = ((bits + np.uint32(1 << (drop - 1))) >> drop << drop).astype(np.uint32).view(np.float32)
    return np.where(np.abs(kept) < _SMALLEST, np.float32(0.0), kept)


def _plain(value: object) -> object:
    return None if isinstance(value, float) and np.isnan(value) else value


def _digest(told: list[dict[str, Any]], values: NDArray[np.float32]) -> str:
    digest = hashlib.sha256(json.dumps(told, sort_keys=True).encode())
    digest.update(values.tobytes())
    return digest.hexdigest()


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise SimulationError(f"cannot be read: {error.strerror}") from error
    if len(content) > MAX_BYTES:
        raise SimulationError(f"has more than {MAX_BYTES} bytes")
    return content


def _runs(meta: dict[str, Any], values: NDArray[np.float32]) -> tuple[RoomRun, ...]:
    if meta["format"] != FORMAT:
        raise SimulationError(f"is of format {meta['format']!r}, this program reads {FORMAT}")
    if tuple(meta["channels"]) != CHANNELS:
        raise SimulationError(f"has the channels {meta['channels']}, not {list(CHANNELS)}")
    told = meta["runs"]
    if values.dtype != np.float32 or values.shape != (len(told), len(CHANNELS), POINTS):
        raise SimulationError(f"is damaged: values of {values.dtype} {values.shape}")
    if meta["sha256"] != _digest(told, values):
        raise SimulationError("is damaged: its sha256 is not right")
    return tuple(_run(one, values[number].T) for number, one in enumerate(told))


def _run(told: dict[str, Any], values: NDArray[np.float32]) -> RoomRun:
    end_s = told["end_of_test_s"]
    return RoomRun(
        **told
        | {
            "fire_xyz_m": tuple(told["fire_xyz_m"]),
            "end_of_test_s": float("nan") if end_s is None else end_s,
            _VALUES: np.ascontiguousarray(values),
        }
    )

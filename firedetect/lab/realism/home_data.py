"""The real home: what its two sensors told over ten days, and in labelled windows."""

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from firedetect.errors import DatasetError
from firedetect.lab.realism.data import columns, real_file, split_by

SPAN_S: Final = 1200
_BEFORE_S: Final = 600
_FULL: Final = 15

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Home:
    """What both sensors told: sensor, time (s), CO2 (ppm), vapour (ppb), temperature (°C)."""

    sensor: NDArray[Any]
    t_s: Floats
    co2_ppm: Floats
    tvoc_ppb: Floats
    temp_c: Floats
    windows: tuple[tuple[str, float, float], ...]


def load_home(data: Path | None = None) -> Home:
    """Return the recordings of the home; raises DatasetError."""
    names = ("sensor", "t_s", "co2_ppm", "tvoc_ppb", "temp_c")
    told = columns(real_file("household_air/air.parquet", data), names)
    path = real_file("household_air/windows.csv", data)
    try:
        with path.open(newline="") as file:
            windows = tuple(
                (row["label"], float(row["start_s"]), float(row["end_s"]))
                for row in csv.DictReader(file)
            )
    except (OSError, KeyError, ValueError) as error:
        raise DatasetError(f"{path}: cannot be read: {error}; copy it again") from error
    t_s, co2, tvoc, temp = (np.asarray(told[name], np.float64) for name in names[1:])
    return Home(told["sensor"].astype(str), t_s, co2, tvoc, temp, windows)


def window_rises(home: Home, label: str, after_s: float) -> list[float]:
    """Return how far CO2 is up so long after a labelled start, per window and sensor (ppm)."""
    found = []
    for start_s, _, mine in _of_windows(home, label):
        before = mine & (home.t_s >= start_s - _BEFORE_S) & (home.t_s < start_s)
        near = mine & (np.abs(home.t_s - start_s - after_s) <= 120.0)
        found.append(float(np.nanmedian(home.co2_ppm[near]) - np.nanmedian(home.co2_ppm[before])))
    return found


def window_ratios(home: Home, label: str) -> list[float]:
    """Return vapour in a labelled window (90 %) over that before it, per window and sensor."""
    found = []
    for start_s, end_s, mine in _of_windows(home, label):
        before = mine & (home.t_s >= start_s - _BEFORE_S) & (home.t_s < start_s)
        during = mine & (home.t_s >= start_s) & (home.t_s <= end_s)
        top = float(np.nanquantile(home.tvoc_ppb[during], 0.9))
        found.append(top / float(np.nanmedian(home.tvoc_ppb[before])))
    return found


def swings_k(t_s: Floats, temp_c: Floats) -> Floats:
    """Return how far the temperature moves in each twenty minutes that are complete."""
    pieces = split_by((t_s // SPAN_S).astype(np.int64), temp_c)
    return np.array([float(np.ptp(piece)) for piece in pieces if len(piece) > _FULL])


def _of_windows(home: Home, label: str) -> list[tuple[float, float, NDArray[np.bool_]]]:
    return [
        (start_s, end_s, home.sensor == name)
        for told, start_s, end_s in home.windows
        if told == label
        for name in np.unique(home.sensor)
    ]

"""An episode: one stretch of one room with what its sensors see, smell and feel."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from firedetect.simulation.array import ArrayUnit, Scene, take_images
from firedetect.simulation.patches import Times


@dataclass(frozen=True, slots=True)
class Truth:
    """What really happens, one value a second: the fire's heat (kW), CO at the sensor, hazard."""

    heat_kw: NDArray[np.float64]
    co_ppm: NDArray[np.float64]
    hazard: NDArray[np.float64]
    ignition_s: float | None = None
    end_of_test_s: float | None = None
    in_view: bool = True


@dataclass(frozen=True, slots=True)
class Readings:
    """What the slow sensors deliver, one row a second; None where the sensor is not there.

    `array_c` is the array's own temperature; `counts` raw counts (n, 4).
    """

    array_c: NDArray[np.float64]
    counts: NDArray[np.float64] | None = None
    co2_ppm: NDArray[np.float64] | None = None
    air_c: NDArray[np.float64] | None = None
    rh_pct: NDArray[np.float64] | None = None


@dataclass(frozen=True, slots=True)
class Happening:
    """What an episode is: its family, cause in words, room, board, and the stretches to look at.

    `windows` are (start, stop) in s: what happens and what is quiet; outside of them an episode
    teaches nothing new.
    """

    family: str
    fire: bool
    cause: str = ""
    room: int = 0
    board: int = 0
    windows: tuple[tuple[float, float], ...] = ()


@dataclass(slots=True)
class Episode:
    """Everything of one stretch; images are made when asked for, in any order."""

    happening: Happening
    duration_s: float
    volume_m3: float
    unit: ArrayUnit
    scene: Scene
    readings: Readings
    truth: Truth
    baseline_counts: NDArray[np.float64] | None = None
    """What the board's baseline was when the detector was commissioned; None to learn it anew."""

    def images(self, t_s: Times) -> NDArray[np.float32]:
        """Return complete images (n, rows, cols) in °C, interleaved as the array does it."""
        return take_images(self.unit, self.scene, t_s, interleaved=True)

    def image_c(self, t_s: float) -> NDArray[np.float32]:
        """Return the image of one moment, as one sub-page would see it."""
        image: NDArray[np.float32] = take_images(
            self.unit, self.scene, np.array([t_s]), interleaved=False
        )[0]
        return image

    def counts(self, t_s: float) -> tuple[float, float, float, float]:
        """Return the raw counts of the films at a time (s)."""
        if self.readings.counts is None:
            raise ValueError("the episode has no gas board")
        row = self.readings.counts[self._second(t_s, len(self.readings.counts))]
        return float(row[0]), float(row[1]), float(row[2]), float(row[3])

    def array_c(self, t_s: float) -> float:
        """Return the array's own temperature at a time (s)."""
        return float(np.interp(t_s, np.arange(len(self.readings.array_c)), self.readings.array_c))

    def hazard(self, t_s: float) -> float:
        """Return the hazard (0 to 1) at a time (s)."""
        return self.value(self.truth.hazard, t_s)

    @classmethod
    def value(cls, course: NDArray[np.float64], t_s: float) -> float:
        """Return what has one value a second (n,) at a time (s); the last one lasts for ever."""
        return float(course[cls._second(t_s, len(course))])

    @staticmethod
    def _second(t_s: float, count: int) -> int:
        return min(max(int(t_s), 0), count - 1)

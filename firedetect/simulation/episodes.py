"""An episode: one stretch of one room, drawn at random, with what its sensors would see."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from firedetect.features.gas import FILMS
from firedetect.features.vector import COLS, ROWS
from firedetect.simulation.fire import Fire, hazard
from firedetect.simulation.gas import GasBoard, RoomAir
from firedetect.simulation.thermal import (
    Source,
    ThermalScene,
    constant,
    pixel_size_m,
    room_background,
)

TA_SHIFT_C = 8.0
_AIR_LAG_S = 45.0
_ARRAY_LAG_S = 90.0
PERSON_MAX_RISE_C = 11.0
DRIFT_PER_H = (0.06, 0.25)
"""Mean and deviation of the films' drift in ln(resistance) per hour: -1 to +2 counts a minute."""
SWING_MAX_C = 0.8
"""Heating and ventilation swing the room's air by up to so much within minutes."""


@dataclass(slots=True)
class Episode:
    """One stretch of one room: ask `scene`, `board`, `array_c` in order of time."""

    family: str
    duration_s: float
    scene: ThermalScene
    board: GasBoard
    room_c: float
    fire: Fire | None = None
    swing_c: float = 0.0
    swing_period_s: float = 600.0
    _hot_air_c: float = 0.0
    _array_c: float = 0.0
    _t_s: float = 0.0

    def array_c(self, t_s: float) -> float:
        """Return the array's own temperature: the room's air with lag, plus its own heat."""
        step = max(t_s - self._t_s, 0.0)
        self._t_s = t_s
        ceiling = self.fire.ceiling_rise_k(t_s) if self.fire else 0.0
        self._hot_air_c += (ceiling - self._hot_air_c) * (1.0 - math.exp(-step / _AIR_LAG_S))
        lag = 1.0 - math.exp(-step / _ARRAY_LAG_S)
        self._array_c += (self._hot_air_c - self._array_c) * lag
        swing = self.swing_c * math.sin(2.0 * math.pi * t_s / self.swing_period_s)
        return self.room_c + swing + self._array_c + TA_SHIFT_C

    def hazard(self, t_s: float) -> float:
        """Return the hazard (0 to 1) at `t_s`; legal heat and odours are none."""
        if self.fire is None or t_s < self.fire.ignition_s:
            return 0.0
        co_ppm, _, _ = self.board.air.at(t_s)
        return hazard(self.fire.heat_kw(t_s), co_ppm)


@dataclass(slots=True)
class Draw:
    """A room with its sensors, drawn at random; families add what happens in it."""

    rng: np.random.Generator
    room_c: float
    lens: str
    distance_m: float
    volume_m3: float

    @classmethod
    def of(cls, rng: np.random.Generator) -> "Draw":
        """Draw a room."""
        return cls(
            rng=rng,
            room_c=float(rng.uniform(16.0, 28.0)),
            lens="wide" if rng.random() < 0.5 else "narrow",
            distance_m=float(rng.uniform(1.5, 6.0)),
            volume_m3=float(rng.uniform(20.0, 90.0)),
        )

    def place(self) -> tuple[float, float]:
        """Return a place in the picture (row, column), not at its border."""
        return float(self.rng.uniform(6, ROWS - 4)), float(self.rng.uniform(4, COLS - 4))

    def pixels(self, width_m: float, height_m: float) -> tuple[float, float]:
        """Return a size in pixels (width, height)."""
        wide, high = pixel_size_m(self.distance_m, self.lens)
        return width_m / wide, height_m / high

    def episode(
        self,
        family: str,
        *,
        sources: tuple[Source, ...] = (),
        added: Callable[[float], tuple[float, float, float]] | None = None,
        humidity: Callable[[float], float] | None = None,
        fire: Fire | None = None,
        duration_s: float = 180.0,
    ) -> Episode:
        """Put sources, gas and fire into the room."""
        rng = self.rng
        scene = ThermalScene(
            room_background(rng, self.room_c), sources, rng, float(rng.uniform(0.18, 0.40))
        )
        air = RoomAir(added or (lambda _t: (0.0, 0.0, 0.0)), float(rng.uniform(0.3, 2.0)))
        board = GasBoard(
            air,
            rng,
            gain=float(rng.uniform(0.6, 1.4)),
            rise_s=float(rng.uniform(5.0, 30.0)),
            fall_s=float(rng.uniform(30.0, 180.0)),
            drift_per_h={film: float(rng.normal(*DRIFT_PER_H)) for film in FILMS},
        )
        if humidity is not None:
            board.humidity = humidity
        return Episode(
            family,
            duration_s,
            scene,
            board,
            self.room_c,
            fire,
            swing_c=float(rng.uniform(-SWING_MAX_C, SWING_MAX_C)),
            swing_period_s=float(rng.uniform(300.0, 1200.0)),
        )

    def heater(
        self, temp_c: Callable[[float], float], width_m: float, height_m: float, share: float = 0.95
    ) -> Source:
        """Return a still warm object of a size and emissivity at a random place."""
        row, col = self.place()
        width, height = self.pixels(width_m, height_m)
        return Source(
            constant(row),
            constant(col),
            constant(height),
            constant(width),
            temp_c,
            constant(share),
        )

    def person(self) -> Source:
        """Return somebody who walks about, stands and sits."""
        rng = self.rng
        width, height = self.pixels(0.45, 1.2)
        row, col = self.place()
        speed, pause = rng.uniform(0.02, 0.12), rng.uniform(0.0, 2.0 * math.pi)
        span, warm = rng.uniform(2.0, 12.0), rng.uniform(5.0, PERSON_MAX_RISE_C)
        return Source(
            row=lambda t: row + math.sin(0.07 * t + pause),
            col=lambda t: col + span * math.sin(speed * t + pause),
            height=constant(height),
            width=constant(width),
            temp_c=lambda t: self.room_c + warm + 0.2 * math.sin(t),
            emissivity=constant(0.95),
        )

"""A room with its detector, drawn at random; families put into it what happens."""

import math
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from firedetect.features.gas import FULL_SCALE, log_resistance
from firedetect.simulation.air import AirBuilder, Emission, Ventilation, people_breathe
from firedetect.simulation.array import (
    DRIFT,
    LAYER_C,
    LAYER_M,
    ZONE_COLUMNS,
    ArrayUnit,
    Scene,
)
from firedetect.simulation.camera import Camera, Point
from firedetect.simulation.episodes import Episode, Happening, Readings, Truth
from firedetect.simulation.films import VAPOUR_SPREAD, FilmBoard
from firedetect.simulation.hazard import hazard
from firedetect.simulation.layout import draw_aim, draw_mount, draw_size, textured
from firedetect.simulation.patches import Patch
from firedetect.simulation.probes import OUTDOOR_CO2_PPM, Probes

LEADS_S: Final = (75.0, 300.0, 660.0)
LEAD_SHARES: Final = (0.45, 0.3, 0.25)
"""How long the detector has watched before something happens: its baselines are short or full."""
CO2_SHARE: Final = 0.35
FILMS_WITHOUT_CO2: Final = 1.0
FILMS_WITH_CO2: Final = 0.6
AIR_SHARE: Final = 0.4
COMMISSIONED_SHARE: Final = 0.5
BASELINE_AGE_LOG: Final = (0.10, 0.14, 0.14, 0.06)
"""Spread (of the logarithm, per film) between a stored clean-air baseline and today's air."""
AMBIENT_C: Final = (14.0, 30.0)
NEAREST_M: Final = 0.6
SITED_M: Final = 1.5
"""Recommended: nothing that is meant to be hot stands nearer to the detector."""
DOOR_SHARE: Final = (0.15, 0.6)
DOOR_LAG_S: Final = (60.0, 300.0)
"""What of the next room's air reaches the detector through a door, and how late."""
SWING_K: Final = 0.7
STILL_SHARE: Final = 0.75
STILL_SWING_K: Final = 0.1
"""Most rooms of a home hardly swing."""
SWING_PERIOD_S: Final = (300.0, 1200.0)


@dataclass(frozen=True, slots=True)
class Choice:
    """What is not left to chance: None draws it."""

    lens: str | None = None
    mount: str | None = None
    lead_s: float | None = None
    co2: bool | None = None
    films: bool | None = None
    air: bool | None = None
    commissioned: bool | None = None
    ambient_c: float | None = None
    people: bool | None = None
    in_view: bool | None = None
    sited: bool = False
    """Nuisances keep the distance from the detector that is recommended."""
    beyond: bool = False
    """What is given off comes from the next room, through a door."""


@dataclass(slots=True)
class Stage:
    """A room of `size` (m), its detector, and what was put into it so far."""

    rng: np.random.Generator
    size: Point
    camera: Camera
    lead_s: float
    seconds: int
    ambient_c: float
    rh_pct: float
    choice: Choice
    air: AirBuilder
    room: int = 0
    board: int = 0
    patches: list[Patch] = field(default_factory=list)
    zones: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, ZONE_COLUMNS)))
    clear: NDArray[np.float64] = field(default_factory=lambda: np.ones(0))

    @classmethod
    def draw(
        cls,
        rng: np.random.Generator,
        lasts_s: float,
        *,
        choice: Choice,
        size: Point | None = None,
        at: Point | None = None,
        aim: Point | None = None,
        air_changes_per_h: float | None = None,
    ) -> "Stage":
        """Draw a room (or take `size`) for a happening that lasts so long.

        `aim` is shown somewhere in the image; without it the array looks into the room.
        """
        size = size or draw_size(rng)
        lens = choice.lens or ("wide" if rng.random() < 0.5 else "narrow")
        lead_s = choice.lead_s
        if lead_s is None:
            lead_s = float(rng.choice(LEADS_S, p=LEAD_SHARES)) + float(rng.uniform(0.0, 20.0))
        aim_at = aim or draw_aim(rng, size)
        at = at or draw_mount(rng, size, aim_at, choice.mount)
        row, col = rng.uniform(0.3, 0.8), rng.uniform(0.15, 0.85)
        seconds = int(lead_s + lasts_s) + 2
        volume = size[0] * size[1] * size[2]
        changes = air_changes_per_h or float(np.exp(rng.uniform(math.log(0.2), math.log(4.0))))
        ambient_c = choice.ambient_c or float(rng.uniform(*AMBIENT_C))
        stage = cls(
            rng=rng,
            size=size,
            camera=Camera.showing(at, aim_at, lens, row=row, col=col),
            lead_s=lead_s,
            seconds=seconds,
            ambient_c=ambient_c,
            rh_pct=float(rng.uniform(25.0, 70.0)),
            choice=choice,
            air=AirBuilder(
                Ventilation(volume, changes, float(rng.uniform(10.0, 60.0))),
                seconds,
                vapour=tuple(np.exp(rng.normal(0.0, VAPOUR_SPREAD, 4)).tolist()),
            ),
            room=int(rng.integers(1 << 30)),
            board=int(rng.integers(1 << 30)),
        )
        stage.zones = np.zeros((seconds, ZONE_COLUMNS))
        stage.zones[:, LAYER_M] = size[2]
        stage.zones[:, LAYER_C] = ambient_c
        stage.clear = np.ones(seconds)
        stage._swing()
        return stage

    @property
    def t_s(self) -> NDArray[np.float64]:
        """Every second of the episode."""
        return np.arange(self.seconds, dtype=np.float64)

    @property
    def high_up(self) -> bool:
        """Whether the detector hangs right below the ceiling."""
        return self.size[2] - self.camera.at[2] < 0.4

    @property
    def nearest_m(self) -> float:
        """How near to the detector something may be put down."""
        return SITED_M if self.choice.sited else NEAREST_M

    def spot(
        self, height_m: tuple[float, float], *, in_view: bool = True, nearest_m: float = NEAREST_M
    ) -> Point:
        """Return a place of this height (m), in the image (if there is one) or out of it."""
        found = (0.0, 0.0, 0.0)
        for _ in range(60):
            found = (
                float(self.rng.uniform(0.2, self.size[0] - 0.2)),
                float(self.rng.uniform(0.2, self.size[1] - 0.2)),
                float(self.rng.uniform(*height_m)),
            )
            far = math.dist(found, self.camera.at) >= nearest_m
            if far and self.camera.sees(found, margin=-2.0 if not in_view else 1.0) == in_view:
                return found
        # A wide lens may see the whole of a small room: what is hidden is behind the detector.
        return found if in_view else self._behind()

    def _behind(self) -> Point:
        ahead = self.camera.axes()[2]
        x, y, z = (float(at - 0.8 * along) for at, along in zip(self.camera.at, ahead, strict=True))
        return x, y, z

    def put(self, *patches: Patch) -> None:
        """Put things into the picture."""
        self.patches.extend(patches)

    def drift(self, rise_k: NDArray[np.float64]) -> None:
        """Let the whole room and its air change by so much (n,)."""
        self.zones[:, DRIFT] += rise_k
        self.air.add("temp", rise_k)

    def crowd(self, count: int) -> None:
        """Let some people breathe."""
        self.air.emit(people_breathe(count))

    def emit(self, emission: Emission) -> None:
        """Let something be given off."""
        self.air.emit(emission)

    def episode(
        self,
        family: str,
        *,
        cause: str,
        windows: tuple[tuple[float, float], ...],
        fire: bool = False,
        heat_kw: NDArray[np.float64] | None = None,
        ignition_s: float | None = None,
        end_of_test_s: float | None = None,
        in_view: bool = True,
    ) -> Episode:
        """Return the finished episode."""
        heat = np.zeros(self.seconds) if heat_kw is None else heat_kw
        if self.choice.beyond:
            self.air.through_door(
                float(self.rng.uniform(*DOOR_SHARE)), float(self.rng.uniform(*DOOR_LAG_S))
            )
        gas = self.air.gas()
        co_ppm = np.maximum(gas.co_ppm, 0.0)
        readings, baseline = self._read()
        return Episode(
            happening=Happening(
                family=family,
                fire=fire,
                cause=cause,
                room=self.room,
                board=self.board,
                windows=windows,
            ),
            duration_s=float(self.seconds - 1),
            volume_m3=self.size[0] * self.size[1] * self.size[2],
            unit=ArrayUnit.of(self.rng, self.camera.lens),
            scene=self._scene(),
            readings=readings,
            truth=Truth(
                heat_kw=heat,
                co_ppm=co_ppm,
                hazard=hazard(heat, co_ppm),
                ignition_s=ignition_s,
                end_of_test_s=end_of_test_s,
                in_view=in_view,
            ),
            baseline_counts=baseline,
        )

    def _scene(self) -> Scene:
        hits = self.camera.hits(self.size)
        base = textured(self.rng, hits, self.ambient_c, self.size[2])
        air = np.stack((self.clear, self.ambient_c + self.zones[:, DRIFT]), axis=1)
        return Scene(self.camera, hits, base, tuple(self.patches), self.zones, air)

    def _swing(self) -> None:
        """Let heating and ventilation swing the room."""
        period, phase = self.rng.uniform(*SWING_PERIOD_S), self.rng.uniform(0.0, 2.0 * math.pi)
        most = STILL_SWING_K if self.rng.random() < STILL_SHARE else SWING_K
        swing = self.rng.uniform(0.0, most) * np.sin(2.0 * math.pi * self.t_s / period + phase)
        self.drift(swing - swing[0])

    def _read(self) -> tuple[Readings, NDArray[np.float64] | None]:
        rng, choice, gas = self.rng, self.choice, self.air.gas()
        co2 = bool(rng.random() < CO2_SHARE) if choice.co2 is None else choice.co2
        share = FILMS_WITH_CO2 if co2 else FILMS_WITHOUT_CO2
        films = bool(rng.random() < share) if choice.films is None else choice.films
        with_air = bool(rng.random() < AIR_SHARE) if choice.air is None else choice.air
        stored = choice.commissioned
        stored = bool(rng.random() < COMMISSIONED_SHARE) if stored is None else stored
        probes, board = Probes.of(rng), FilmBoard.of(rng)
        counts = board.counts(gas, rng)
        true_c = self.ambient_c + gas.temp_k
        rh = self.rh_pct + gas.rh_pct
        start_co2 = OUTDOOR_CO2_PPM + float(rng.gamma(1.5, 150.0))
        readings = Readings(
            array_c=probes.array_c(true_c),
            counts=counts if films else None,
            co2_ppm=probes.co2_ppm(start_co2 + gas.co2_ppm, rng) if co2 else None,
            air_c=probes.air_c(true_c, rng) if with_air else None,
            rh_pct=probes.rh_pct(rh, rng) if with_air else None,
        )
        return readings, _aged(board.start_counts, rng) if stored and films else None


def _aged(start_counts: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Return the counts of a clean-air baseline that was stored some time ago."""
    logs = np.array([log_resistance(float(count)) for count in start_counts])
    aged = logs + rng.normal(0.0, BASELINE_AGE_LOG)
    return FULL_SCALE / (1.0 + np.exp(aged))

"""Nuisances of rooms where people live and work: they themselves, their things, their heaters."""

import numpy as np
from numpy.typing import NDArray

from firedetect.simulation.episodes import Episode
from firedetect.simulation.nuisance import REFERENCE_L, begin, flicker
from firedetect.simulation.patches import (
    ELLIPSE,
    Times,
)
from firedetect.simulation.people import carried, crowd, person, pet, wander
from firedetect.simulation.stage import Choice, Stage

_Rng = np.random.Generator


def quiet_room(rng: _Rng, choice: Choice) -> Episode:
    """Nobody there; the room lives a little."""
    scenery = begin(rng, choice, 120.0)
    return scenery.done("quiet-room", "nothing happens")


def people(rng: _Rng, choice: Choice) -> Episode:
    """One to six people."""
    scenery = begin(rng, choice, 150.0)
    count = int(rng.integers(1, 7))
    crowd(scenery.stage, count)
    return scenery.done("people", f"{count} people")


def pets(rng: _Rng, choice: Choice) -> Episode:
    """A cat or a dog."""
    scenery = begin(rng, choice, 90.0)
    scenery.put(*(pet(scenery.stage) for _ in range(int(rng.integers(1, 3)))))
    return scenery.done("pets", "a pet runs about")


def gathering(rng: _Rng, choice: Choice) -> Episode:
    """A party or a meeting: many people, CO2 to 3,500 ppm; a small room holds few."""
    scenery = begin(rng, choice, 900.0)
    crowd(scenery.stage, int(rng.integers(2, 5)))
    volume = scenery.stage.air.ventilation.volume_m3
    count = max(int(volume / rng.uniform(4.0, 12.0)), 4)
    scenery.gives(
        co2_ppm=scenery.uniform(300.0, 2500.0) * volume / (REFERENCE_L / 1000.0),
        voc_ppm=scenery.log_uniform(0.2, 5.0),
        rh_pct=8.0,
    )
    return scenery.done("gathering", f"{count} people in one room")


def hot_food(rng: _Rng, choice: Choice) -> Episode:
    """A hot drink or dish is carried in and put down."""
    scenery = begin(rng, choice, 150.0)
    rise = scenery.uniform(20.0, 60.0)
    size = scenery.uniform(0.07, 0.3)
    path = carried(scenery.stage, scenery.start_s, scenery.uniform(3.0, 10.0))
    cools = scenery.heats(rise, 0.5)
    scenery.put(
        scenery.stands(
            path,
            size,
            size / 2.0,
            lambda t_s: (
                scenery.stage.ambient_c
                + (cools(t_s) - scenery.stage.ambient_c)
                * np.exp(-np.maximum(t_s - scenery.start_s, 0.0) / 900.0)
            ),
            lambda t_s: 0.95 * scenery.on(t_s),
            ELLIPSE,
        ),
        *person(scenery.stage),
    )
    scenery.gives(voc_ppm=scenery.log_uniform(0.02, 1.0))
    return scenery.done("hot-food", f"a dish {rise:.0f} K above the room")


def hot_tool(rng: _Rng, choice: Choice) -> Episode:
    """A hair-dryer, an iron, a hot-air gun in somebody's hand."""
    scenery = begin(rng, choice, float(rng.uniform(120.0, 300.0)))
    kind = str(rng.choice(("hair-dryer", "iron", "hot-air gun"), p=(0.55, 0.43, 0.02)))
    rise, width, height, voc = {
        "hair-dryer": (scenery.uniform(40.0, 110.0), 0.05, 0.05, scenery.log_uniform(0.1, 8.0)),
        "iron": (scenery.uniform(80.0, 180.0), 0.11, 0.03, scenery.log_uniform(0.05, 0.6)),
        "hot-air gun": (scenery.uniform(250.0, 580.0), 0.035, 0.035, scenery.log_uniform(0.1, 3.0)),
    }[kind]
    path = wander(
        scenery.stage, 1.0, pace_m=scenery.uniform(0.1, 0.5), hz=scenery.uniform(0.1, 0.6)
    )
    scenery.put(
        scenery.stands(path, width, height, scenery.heats(rise, 25.0, 200.0), 0.9, ELLIPSE),
        *person(scenery.stage),
    )
    scenery.gives(voc_ppm=voc, rh_pct=4.0 if kind == "iron" else 0.0)
    return scenery.done("hot-tool", f"{kind}, {rise:.0f} K")


def radiator(rng: _Rng, choice: Choice) -> Episode:
    """A radiator or convector warms up and stays where it is."""
    scenery = begin(rng, choice, 600.0)
    rise = scenery.uniform(25.0, 100.0)
    up = scenery.uniform(120.0, 900.0)
    scenery.put(
        scenery.stands(
            scenery.place(0.0, 0.4),
            scenery.uniform(0.2, 1.4),
            scenery.uniform(0.15, 0.6),
            scenery.heats(rise, up),
            0.9,
        )
    )
    if rng.random() < 0.5:
        crowd(scenery.stage, 1)
    scenery.gives(voc_ppm=scenery.log_uniform(0.02, 1.0))
    scenery.stage.drift(scenery.uniform(0.2, 3.0) * (1.0 - np.exp(-_since(scenery.stage, up))))
    return scenery.done("radiator", f"a heater {rise:.0f} K above the room")


def radiant_heater(rng: _Rng, choice: Choice) -> Episode:
    """A quartz heater glows: clipped within a minute, and fixed."""
    scenery = begin(rng, choice, 300.0)
    scenery.put(
        scenery.shows(
            scenery.place(0.2, 0.6),
            scenery.uniform(0.2, 0.4),
            scenery.uniform(0.015, 0.05),
            scenery.heats(scenery.uniform(550.0, 850.0), scenery.uniform(8.0, 30.0), 60.0),
            0.8,
        )
    )
    scenery.gives(voc_ppm=scenery.log_uniform(0.05, 1.0))
    return scenery.done("radiant-heater", "a quartz heater")


def turning_heater(rng: _Rng, choice: Choice) -> Episode:
    """A space heater that turns."""
    scenery = begin(rng, choice, 240.0)
    at = scenery.place(0.1, 0.6)
    turn = 2.0 * np.pi / scenery.uniform(8.0, 25.0)

    def path(t_s: Times) -> np.ndarray:
        swing = 0.12 * np.sin(turn * t_s)
        return np.array(at) + np.stack((swing, swing, np.zeros_like(t_s)), axis=1)

    rise = scenery.uniform(60.0, 100.0)
    scenery.put(scenery.shows(path, 0.18, 0.22, scenery.heats(rise, 20.0, 120.0), 0.9))
    scenery.gives(voc_ppm=scenery.log_uniform(0.02, 0.5))
    return scenery.done("turning-heater", f"a turning heater, {rise:.0f} K")


def fireplace(rng: _Rng, choice: Choice) -> Episode:
    """A wood stove: a window of 200 to 700 °C that flickers; puffs of CO when it is fed."""
    scenery = begin(rng, choice, 600.0)
    shaky = flicker(rng, 3.0, 0.15)
    hot = scenery.heats(scenery.uniform(180.0, 650.0), scenery.uniform(60.0, 300.0))
    scenery.put(
        scenery.shows(
            scenery.place(0.3, 0.8),
            scenery.uniform(0.3, 0.6),
            scenery.uniform(0.25, 0.5),
            hot,
            lambda t_s: np.clip(0.7 * shaky(t_s), 0.0, 1.0),
        )
    )
    scenery.gives(
        co_ppm=scenery.uniform(1.0, 9.0), voc_ppm=scenery.log_uniform(0.1, 2.0), over_s=40.0
    )
    scenery.gives(co2_ppm=scenery.uniform(0.0, 200.0))
    scenery.stage.drift(scenery.uniform(0.3, 3.0) * (1.0 - np.exp(-_since(scenery.stage, 400.0))))
    return scenery.done("fireplace", "a wood stove is lit and fed")


def machine(rng: _Rng, choice: Choice) -> Episode:
    """A printer, a laser engraver, a 3D printer."""
    scenery = begin(rng, choice, 400.0)
    rise = scenery.uniform(30.0, 230.0)
    size = scenery.uniform(0.03, 0.25)
    scenery.put(
        scenery.stands(scenery.place(0.7, 1.1), size, size * 0.6, scenery.heats(rise, 60.0), 0.9)
    )
    scenery.gives(voc_ppm=scenery.log_uniform(0.1, 6.0), co_ppm=scenery.uniform(0.0, 1.5))
    return scenery.done("machine", f"a machine {rise:.0f} K above the room")


def _since(stage: Stage, time_s: float) -> NDArray[np.float64]:
    return np.maximum(stage.t_s - stage.lead_s, 0.0) / time_s

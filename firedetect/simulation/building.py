"""Nuisances of the building and of work in it: sun, doors, air, cars, welding, a knock."""

import math

import numpy as np

from firedetect.simulation.episodes import Episode
from firedetect.simulation.nuisance import begin, flicker
from firedetect.simulation.patches import (
    ELLIPSE,
    Patch,
    Times,
    between,
    ramp,
    steady,
    wobble,
)
from firedetect.simulation.people import crowd, person
from firedetect.simulation.stage import Choice

_Rng = np.random.Generator


def sun_patch(rng: _Rng, choice: Choice) -> Episode:
    """The sun on floor or wall, behind clouds that come and go within seconds."""
    scenery = begin(rng, choice, 600.0)
    rise = scenery.uniform(5.0, 30.0)
    cloud, edge = wobble(rng, 1.0 / scenery.uniform(30.0, 240.0), 0.4), scenery.uniform(1.0, 6.0)
    at = scenery.place(0.0, 0.8)
    speed = math.radians(0.25) / 60.0 * 3.0

    def path(t_s: Times) -> np.ndarray:
        return np.array(at) + np.stack((speed * t_s, 0.3 * speed * t_s, 0.0 * t_s), axis=1)

    def temp_c(t_s: Times) -> np.ndarray:
        lit = 0.5 + 0.5 * np.tanh(edge * cloud(t_s))
        return scenery.stage.ambient_c + rise * lit * ramp(t_s, scenery.start_s, 20.0)

    wide, deep = scenery.uniform(0.3, 1.5), scenery.uniform(0.3, 1.5)
    if rng.random() < 0.5:
        scenery.put(scenery.lies(path, wide, deep, temp_c, 0.93))
    else:
        scenery.put(scenery.shows(path, wide, deep, temp_c, 0.93))
    if rng.random() < 0.3:
        crowd(scenery.stage, 1)
    return scenery.done("sun-patch", f"the sun warms by up to {rise:.0f} K")


def reflection(rng: _Rng, choice: Choice) -> Episode:
    """A pane or a steel door mirrors somebody, a heater or the sun; it jumps when it moves."""
    scenery = begin(rng, choice, 90.0)
    rise = scenery.log_uniform(2.0, 25.0)
    at = scenery.place(0.5, 1.8)
    jumps = wobble(rng, 0.2, 0.5)

    def path(t_s: Times) -> np.ndarray:
        side = 0.6 * np.sign(jumps(t_s))
        return np.array(at) + np.stack((side, 0.5 * side, 0.0 * t_s), axis=1)

    size = scenery.uniform(0.1, 0.8)
    shaky = flicker(rng, 0.5, 0.3)
    scenery.put(
        scenery.shows(
            path,
            size,
            size * 1.3,
            lambda t_s: scenery.stage.ambient_c + rise * shaky(t_s),
            lambda t_s: 0.9 * scenery.on(t_s, 0.5),
            ELLIPSE,
        ),
        *person(scenery.stage),
    )
    return scenery.done("reflection", f"a reflection {rise:.0f} K above the wall")


def ventilation(rng: _Rng, choice: Choice) -> Episode:
    """Heating or cooling goes on: the room and a grille change by some degrees."""
    scenery = begin(rng, choice, 400.0)
    step = scenery.uniform(-3.0, 3.0)
    scenery.stage.drift(
        step * ramp(scenery.stage.t_s, scenery.start_s, scenery.uniform(30.0, 300.0))
    )
    grille = scenery.uniform(-8.0, 12.0)
    scenery.put(scenery.shows(scenery.place(1.5, 2.2), 0.4, 0.2, scenery.heats(grille, 20.0), 0.9))
    scenery.gives(voc_ppm=scenery.log_uniform(0.02, 0.6))
    return scenery.done("ventilation", f"the air changes by {step:.1f} K")


def cold_door(rng: _Rng, choice: Choice) -> Episode:
    """A door to the cold is opened; the air at the detector follows."""
    scenery = begin(rng, choice, float(rng.uniform(8.0, 200.0)), stays_s=120.0)
    fall = scenery.uniform(5.0, 20.0)
    scenery.put(
        scenery.shows(
            scenery.place(0.9, 1.1),
            0.9,
            2.0,
            steady(scenery.stage.ambient_c - fall),
            lambda t_s: 0.95 * scenery.on(t_s, 2.0),
        ),
        *person(scenery.stage),
    )
    back = 1.0 - ramp(scenery.stage.t_s, scenery.start_s + scenery.lasts_s, 90.0)
    dip = ramp(scenery.stage.t_s, scenery.start_s, 60.0) * back
    scenery.stage.drift(-scenery.uniform(0.3, 4.0) * dip)
    scenery.gives(rh_pct=-scenery.uniform(0.0, 20.0))
    return scenery.done("cold-door", f"a door to air {fall:.0f} K colder")


def draught(rng: _Rng, choice: Choice) -> Episode:
    """A fan or a vacuum cleaner; the picture moves a little, its motor is warm."""
    scenery = begin(rng, choice, 120.0)
    scenery.put(
        scenery.stands(
            scenery.place(0.0, 0.5), 0.3, 0.25, scenery.heats(scenery.uniform(5.0, 30.0), 90.0)
        ),
        *person(scenery.stage),
    )
    shaky = wobble(rng, 0.1, 0.5)
    scenery.stage.drift(
        0.15 * shaky(scenery.stage.t_s) * ramp(scenery.stage.t_s, scenery.start_s, 2.0)
    )
    scenery.gives(voc_ppm=scenery.log_uniform(0.02, 0.6))
    return scenery.done("draught", "a fan or a vacuum cleaner")


def haze(rng: _Rng, choice: Choice) -> Episode:
    """Theatre fog, dust, construction: the picture fades by 5 to 30 %."""
    scenery = begin(rng, choice, 500.0)
    dims = scenery.uniform(0.05, 0.3)
    thick = ramp(scenery.stage.t_s, scenery.start_s, 60.0)
    scenery.stage.clear *= 1.0 - dims * thick
    scenery.gives(voc_ppm=scenery.log_uniform(0.5, 15.0))
    crowd(scenery.stage, int(rng.integers(0, 4)))
    return scenery.done("haze", f"haze takes {100 * dims:.0f} % of the picture")


def knock(rng: _Rng, choice: Choice) -> Episode:
    """The detector is knocked: everything in the picture jumps."""
    scenery = begin(rng, choice, 60.0)
    rows, cols = scenery.stage.camera.shape
    shift_r, shift_c = scenery.uniform(-8.0, 8.0), scenery.uniform(-8.0, 8.0)
    at = scenery.place(0.2, 1.5)
    thing = scenery.stands(
        at, scenery.uniform(0.3, 1.2), scenery.uniform(0.2, 0.8),
        steady(scenery.stage.ambient_c + scenery.uniform(1.0, 40.0)),
    )  # fmt: skip

    def jumped(t_s: Times) -> np.ndarray:
        states = thing.states(t_s).copy()
        after = between(t_s, scenery.start_s, math.inf)
        states[:, 0] += shift_r * after
        states[:, 1] += shift_c * after
        return states

    scenery.put(Patch(jumped, thing.distance_m))
    for _ in range(6):
        edge, rise = scenery.uniform(0.0, cols), scenery.uniform(-1.5, 1.5)
        scenery.put(
            _moved_shade(scenery.stage.ambient_c + rise, edge, rows, scenery.start_s, shift_c)
        )
    return scenery.done("knock", "the detector is moved")


def car(rng: _Rng, choice: Choice) -> Episode:
    """A car in a garage: a warm bonnet, exhaust with CO and NO2."""
    size = (
        float(rng.uniform(5.0, 9.0)),
        float(rng.uniform(3.0, 7.0)),
        float(rng.uniform(2.3, 3.2)),
    )
    scenery = begin(rng, choice, 600.0, size=size, air_changes_per_h=float(rng.uniform(1.0, 15.0)))
    runs = float(np.exp(rng.uniform(math.log(20.0), math.log(400.0))))
    scenery.put(
        scenery.stands(
            scenery.place(0.5, 0.9),
            1.5,
            0.6,
            scenery.heats(scenery.uniform(20.0, 70.0), 900.0, 3000.0),
        ),
        scenery.stands(
            scenery.place(0.2, 0.4), 0.08, 0.08, scenery.heats(scenery.uniform(60.0, 220.0), 60.0)
        ),
        *person(scenery.stage),
    )
    scenery.gives(
        co_ppm=scenery.log_uniform(3.0, 250.0),
        no2_ppm=scenery.log_uniform(0.2, 4.0),
        voc_ppm=scenery.log_uniform(1.0, 30.0),
        co2_ppm=scenery.log_uniform(100.0, 3000.0),
        over_s=runs,
    )
    return scenery.done("car", f"a car runs for {runs:.0f} s")


def welding(rng: _Rng, choice: Choice) -> Episode:
    """Welding or grinding: an arc that clips, sparks that fly, fumes."""
    scenery = begin(rng, choice, 300.0)
    at = scenery.place(0.6, 1.2)
    bursts = wobble(rng, 0.15, 0.5)
    arc = scenery.uniform(0.02, 0.08)
    fly = wobble(rng, 2.0, 0.5)

    def lit(t_s: Times) -> np.ndarray:
        arcs: np.ndarray = (bursts(t_s) > 0.0) * scenery.on(t_s)
        return arcs

    def sparks(t_s: Times) -> np.ndarray:
        return np.array(at) + np.stack((0.4 * fly(t_s), 0.2 * fly(t_s), 0.0 * t_s), axis=1)

    scenery.put(
        scenery.stands(at, arc, arc, steady(1400.0), lambda t_s: 0.7 * lit(t_s)),
        scenery.stands(sparks, 0.3, 0.3, steady(900.0), lambda t_s: 0.006 * lit(t_s)),
        scenery.stands(at, 0.15, 0.08, scenery.heats(scenery.uniform(80.0, 400.0), 60.0), 0.6),
        *person(scenery.stage),
    )
    scenery.gives(
        co_ppm=scenery.uniform(2.0, 18.0),
        no2_ppm=scenery.log_uniform(0.2, 4.0),
        voc_ppm=scenery.log_uniform(0.1, 3.0),
    )
    return scenery.done("welding", "welding or grinding")


def soldering(rng: _Rng, choice: Choice) -> Episode:
    """A soldering iron: one pixel, and flux."""
    scenery = begin(rng, choice, 400.0)
    sway = wobble(rng, 0.3, 0.5)
    at = scenery.place(0.75, 1.0)

    def path(t_s: Times) -> np.ndarray:
        return np.array(at) + np.stack((0.05 * sway(t_s), 0.05 * sway(t_s), 0.0 * t_s), axis=1)

    hot = scenery.heats(scenery.uniform(250.0, 380.0), 15.0)
    scenery.put(scenery.stands(path, 0.012, 0.03, hot, 0.5), *person(scenery.stage))
    scenery.gives(voc_ppm=scenery.log_uniform(0.1, 4.0))
    return scenery.done("soldering", "a soldering iron")


def _moved_shade(temp_c: float, edge: float, rows: int, at_s: float, shift: float) -> Patch:
    """Return a stripe of wall that stands elsewhere from a time on."""

    def states(t_s: Times) -> np.ndarray:
        after = between(t_s, at_s, math.inf)
        n = len(t_s)
        return np.stack(
            (
                np.full(n, rows / 2.0),
                edge + shift * after,
                np.full(n, float(rows)),
                np.full(n, 4.0),
                np.full(n, temp_c),
                np.full(n, 0.9),
            ),
            axis=1,
        )

    return Patch(states, 50.0)

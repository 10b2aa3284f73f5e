"""Nuisances of kitchens and wet rooms: steam, pans, flames of a hob, toast, an oven's door."""

import math

import numpy as np

from firedetect.simulation.episodes import Episode
from firedetect.simulation.nuisance import Scenery, begin, flicker
from firedetect.simulation.patches import (
    ELLIPSE,
    RECTANGLE,
    Patch,
    Times,
    between,
    ramp,
    steady,
    upright,
    wobble,
)
from firedetect.simulation.people import person
from firedetect.simulation.stage import Choice

_Rng = np.random.Generator
HOB_CO2_PPM_PER_MIN = 92.0


def steam(scenery: Scenery, at: tuple[float, float, float], from_s: float, wide_m: float) -> Patch:
    """Return a plume of steam over a place: warm, turbulent, half transparent."""
    rng = scenery.rng
    thick = scenery.uniform(0.15, 0.6)
    shaky, sway = wobble(rng, 1.2, 0.5), wobble(rng, 0.4, 0.5)
    warm = scenery.uniform(12.0, 35.0)

    def base(t_s: Times) -> np.ndarray:
        return np.array(at) + np.stack((0.05 * sway(t_s), 0.05 * sway(t_s), 0.0 * t_s), axis=1)

    return upright(
        scenery.stage.camera,
        base,
        width_m=lambda t_s: wide_m * (1.0 + 0.2 * shaky(t_s)).clip(0.3, 2.0),
        height_m=lambda t_s: 0.4 * (1.0 + 0.3 * shaky(t_s)).clip(0.2, 2.0),
        temp_c=steady(scenery.stage.ambient_c + warm),
        emissivity=lambda t_s: (
            (thick * (1.0 + 0.3 * shaky(t_s))).clip(0.0, 1.0)
            * ramp(t_s, from_s, 15.0)
            * (t_s < scenery.start_s + scenery.lasts_s + 20.0)
        ),
        shape=ELLIPSE,
    )


def _cook(rng: _Rng, choice: Choice, lasts_s: float, stays_s: float = 30.0) -> Scenery:
    """Return a kitchen: not the smallest room, with a hood or a window."""
    area, ratio = float(rng.uniform(9.0, 40.0)), float(rng.uniform(1.0, 1.8))
    size = (math.sqrt(area * ratio), math.sqrt(area / ratio), float(rng.uniform(2.3, 2.9)))
    changes = float(np.exp(rng.uniform(math.log(1.0), math.log(12.0))))
    return begin(rng, choice, lasts_s, stays_s=stays_s, size=size, air_changes_per_h=changes)


def kettle(rng: _Rng, choice: Choice) -> Episode:
    """A kettle boils."""
    scenery = _cook(rng, choice, float(rng.uniform(120.0, 240.0)))
    at = scenery.place(0.8, 1.0)
    boils = scenery.start_s + scenery.lasts_s * 0.6
    skin = scenery.uniform(35.0, 70.0)
    scenery.put(
        scenery.stands(at, 0.16, 0.22, scenery.heats(skin, scenery.lasts_s / 3.0, 900.0), 0.85)
    )
    scenery.put(steam(scenery, (at[0], at[1], at[2] + 0.25), boils, 0.2), *person(scenery.stage))
    scenery.gives(
        rh_pct=scenery.uniform(5.0, 40.0),
        over_s=scenery.lasts_s * 0.4,
        shape=lambda t_s: between(t_s, boils, scenery.start_s + scenery.lasts_s),
    )
    return scenery.done("kettle", "a kettle boils")


def shower(rng: _Rng, choice: Choice) -> Episode:
    """Steam from a shower fills the view."""
    scenery = begin(rng, choice, 500.0)
    at = scenery.place(0.5, 1.5)
    wide = scenery.uniform(0.5, 1.5)
    scenery.put(steam(scenery, (at[0], at[1], at[2]), scenery.start_s + 30.0, wide))
    scenery.gives(rh_pct=scenery.uniform(20.0, 90.0), voc_ppm=scenery.log_uniform(0.05, 1.5))
    scenery.stage.drift(scenery.uniform(0.5, 4.0) * ramp(scenery.stage.t_s, scenery.start_s, 300.0))
    return scenery.done("shower", "steam of a shower")


def hot_plate(rng: _Rng, choice: Choice) -> Episode:
    """Cooking on an electric plate: a fixed disc of 150 to 500 °C, a pan on it, fumes."""
    scenery = _cook(rng, choice, 600.0)
    at = scenery.place(0.85, 0.95)
    plate = scenery.uniform(130.0, 480.0)
    seen = scenery.uniform(0.1, 0.9)
    scenery.put(
        scenery.lies(at, 0.18, 0.18, scenery.heats(plate, scenery.uniform(60.0, 200.0)), seen)
    )
    pan = scenery.uniform(60.0, 200.0)
    over = (at[0], at[1], at[2] + 0.02)
    if rng.random() < 0.8:
        scenery.put(
            scenery.stands(over, 0.22, 0.1, scenery.heats(pan, 150.0), scenery.uniform(0.3, 0.9))
        )
    scenery.put(steam(scenery, (at[0], at[1], at[2] + 0.15), scenery.start_s + 120.0, 0.25))
    scenery.put(*person(scenery.stage))
    scenery.gives(
        voc_ppm=scenery.log_uniform(1.0, 30.0),
        co_ppm=scenery.uniform(0.0, 8.0),
        rh_pct=scenery.uniform(5.0, 30.0),
    )
    return scenery.done("hot-plate", f"a plate at {plate:.0f} K above the room")


def gas_hob(rng: _Rng, choice: Choice) -> Episode:
    """Cooking on gas: a ring of small flames, CO2, a little CO and NO2."""
    scenery = _cook(rng, choice, 600.0)
    at = scenery.place(0.85, 0.95)
    shaky = flicker(rng, 9.0, 0.2)
    share = scenery.uniform(0.02, 0.10)
    scenery.put(
        scenery.stands(
            at,
            0.16,
            0.03,
            steady(1000.0),
            lambda t_s: (share * shaky(t_s)).clip(0.0, 1.0) * scenery.on(t_s, 1.0),
        ),
        scenery.stands(
            (at[0], at[1], at[2] + 0.03),
            0.22,
            0.1,
            scenery.heats(scenery.uniform(60.0, 180.0), 150.0),
            scenery.uniform(0.3, 0.9),
        ),
    )
    scenery.put(steam(scenery, (at[0], at[1], at[2] + 0.18), scenery.start_s + 150.0, 0.25))
    scenery.put(*person(scenery.stage))
    scenery.gives(
        co2_ppm=HOB_CO2_PPM_PER_MIN * scenery.uniform(0.4, 1.2) * scenery.lasts_s / 60.0,
        co_ppm=scenery.log_uniform(0.5, 12.0),
        no2_ppm=scenery.log_uniform(0.1, 1.0),
        voc_ppm=scenery.log_uniform(0.3, 15.0),
        rh_pct=scenery.uniform(5.0, 25.0),
    )
    return scenery.done("gas-hob", "cooking on gas")


def frying(rng: _Rng, choice: Choice) -> Episode:
    """Searing in a very hot pan, with bursts of flame of a second to five."""
    scenery = _cook(rng, choice, 400.0)
    at = scenery.place(0.88, 0.95)
    scenery.put(scenery.lies(at, 0.28, 0.28, scenery.heats(scenery.uniform(170.0, 260.0), 90.0)))
    if rng.random() < 0.3:
        flares = np.sort(rng.uniform(scenery.start_s + 60.0, scenery.start_s + 380.0, 3))
        long_s = rng.uniform(1.0, 5.0, 3)
        share = scenery.uniform(0.05, 0.15)
        shaky = flicker(rng, 4.0, 0.3)

        def burns(t_s: Times) -> np.ndarray:
            lit = sum(between(t_s, a, a + d) for a, d in zip(flares, long_s, strict=True))
            return (share * shaky(t_s)).clip(0.0, 1.0) * np.minimum(lit, 1.0)

        scenery.put(scenery.stands(at, 0.25, scenery.uniform(0.15, 0.5), steady(850.0), burns))
    scenery.put(steam(scenery, (at[0], at[1], at[2] + 0.1), scenery.start_s + 60.0, 0.35))
    scenery.put(*person(scenery.stage))
    scenery.gives(
        voc_ppm=scenery.log_uniform(5.0, 60.0),
        co_ppm=scenery.log_uniform(1.0, 16.0),
        rh_pct=scenery.uniform(3.0, 15.0),
    )
    return scenery.done("frying", "searing in a hot pan")


def toast(rng: _Rng, choice: Choice) -> Episode:
    """A toaster: slots at 600 °C seen from above; now and then the toast burns."""
    scenery = _cook(rng, choice, float(rng.uniform(100.0, 220.0)), stays_s=90.0)
    at = scenery.place(0.9, 1.2)
    burnt = rng.random() < 0.2
    hot = scenery.heats(scenery.uniform(350.0, 580.0), 15.0, 30.0)
    scenery.put(
        scenery.lies(at, 0.13, 0.06, hot, scenery.uniform(0.2, 0.9), RECTANGLE),
        scenery.stands(at, 0.3, 0.18, scenery.heats(scenery.uniform(15.0, 45.0), 120.0)),
        *person(scenery.stage),
    )
    scenery.gives(
        voc_ppm=scenery.log_uniform(0.5, 6.0) * (4.0 if burnt else 1.0),
        co_ppm=scenery.log_uniform(5.0, 30.0) if burnt else scenery.uniform(0.0, 2.0),
    )
    return scenery.done("toast", "burnt toast" if burnt else "toast")


def oven_door(rng: _Rng, choice: Choice) -> Episode:
    """A hot oven is opened: a step of 60 to 180 K, fading."""
    scenery = _cook(rng, choice, float(rng.uniform(8.0, 120.0)), stays_s=100.0)
    rise = scenery.uniform(60.0, 180.0)
    at = scenery.place(0.4, 0.8)
    fades = scenery.uniform(20.0, 120.0)
    scenery.put(
        scenery.shows(
            at,
            scenery.uniform(0.3, 0.5),
            scenery.uniform(0.2, 0.4),
            lambda t_s: (
                scenery.stage.ambient_c
                + rise * np.exp(-np.maximum(t_s - scenery.start_s, 0.0) / fades)
            ),
            lambda t_s: 0.9 * scenery.on(t_s, 1.0),
        )
    )
    scenery.put(steam(scenery, (at[0], at[1], at[2] + 0.3), scenery.start_s, 0.4))
    scenery.put(*person(scenery.stage))
    scenery.gives(voc_ppm=scenery.log_uniform(0.2, 8.0), rh_pct=scenery.uniform(2.0, 15.0))
    return scenery.done("oven-door", f"an oven {rise:.0f} K above the room is opened")

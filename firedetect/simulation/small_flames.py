"""Small flames that are legal: candles, a cake full of them, what is smoked, a lighter."""

from typing import Final

import numpy as np

from firedetect.simulation.camera import Point
from firedetect.simulation.episodes import Episode
from firedetect.simulation.nuisance import begin, flicker
from firedetect.simulation.patches import (
    ELLIPSE,
    Patch,
    between,
    steady,
    still,
    upright,
)
from firedetect.simulation.people import carried, crowd, person, wander
from firedetect.simulation.stage import Choice, Stage

CANDLE_FLAME_M: Final = (0.015, 0.04)
CANDLE_C: Final = 1100.0
CANDLE_CO2_PPM_PER_S: Final = 1.6 / 60.0
_Rng = np.random.Generator


def candle_patch(stage: Stage, at: Point, lit_s: float) -> Patch:
    """Return one candle that is lit at a time; it flickers or stands still."""
    rng = stage.rng
    share = float(rng.uniform(0.03, 0.10))
    deep = float(rng.choice((0.03, 0.25)))
    shaky = flicker(rng, float(rng.uniform(6.0, 12.0)), deep)
    return upright(
        stage.camera,
        still(at),
        width_m=steady(CANDLE_FLAME_M[0]),
        height_m=steady(CANDLE_FLAME_M[1] * float(rng.uniform(0.6, 1.3))),
        temp_c=steady(CANDLE_C),
        emissivity=lambda t_s: share * shaky(t_s) * (t_s >= lit_s),
        shape=ELLIPSE,
    )


def candles(rng: _Rng, choice: Choice) -> Episode:
    """One to ten candles are lit, burn and are blown out."""
    scenery = begin(rng, choice, 240.0)
    count = int(rng.integers(1, 11)) if rng.random() < 0.5 else 1
    centre = scenery.place(0.4, 1.1)
    for i in range(count):
        at = _beside(rng, centre, 0.5 if rng.random() < 0.7 else 2.0)
        scenery.put(candle_patch(scenery.stage, at, scenery.start_s + 3.0 * i))
    scenery.put(*person(scenery.stage))
    scenery.gives(
        co2_ppm=CANDLE_CO2_PPM_PER_S * count * scenery.lasts_s,
        voc_ppm=0.004 * count,
        co_ppm=0.05 * count,
    )
    out_s = scenery.start_s + scenery.lasts_s
    scenery.gives(
        voc_ppm=scenery.log_uniform(0.05, 1.0),
        over_s=20.0,
        shape=lambda t_s: between(t_s, out_s, out_s + 20.0),
    )
    return scenery.done("candles", f"{count} candles")


def birthday_cake(rng: _Rng, choice: Choice) -> Episode:
    """Twenty to sixty candles on a cake: up to 4 kW, for a minute or two."""
    scenery = begin(rng, choice, scenery_s := float(rng.uniform(45.0, 120.0)))
    count = int(rng.integers(20, 61))
    at = scenery.place(0.8, 1.1)
    carry = carried(scenery.stage, scenery.start_s, scenery.uniform(4.0, 12.0))
    shaky = flicker(rng, 8.0, 0.2)
    share = 0.05 * count * CANDLE_FLAME_M[0] / 0.3
    flames = scenery.stands(
        carry if rng.random() < 0.5 else at,
        0.28,
        0.05,
        steady(CANDLE_C),
        lambda t_s: min(share, 0.4) * shaky(t_s) * scenery.on(t_s, 12.0),
    )
    scenery.put(flames)
    crowd(scenery.stage, int(rng.integers(2, 6)))
    scenery.gives(co2_ppm=2.4 * count * scenery_s / 60.0, co_ppm=0.5, voc_ppm=0.5)
    scenery.gives(voc_ppm=scenery.log_uniform(1.0, 8.0), over_s=15.0)
    return scenery.done("birthday-cake", f"{count} candles on a cake")


def smoking(rng: _Rng, choice: Choice) -> Episode:
    """A cigarette, a vape or incense."""
    scenery = begin(rng, choice, 300.0)
    kind = str(rng.choice(("cigarette", "vape", "incense")))
    still_there = scenery.place(0.6, 1.3)
    base = still_there if kind == "incense" else wander(scenery.stage, 1.2, pace_m=0.3, hz=0.08)
    glow = flicker(rng, 0.05, 0.4)
    if kind != "vape":
        scenery.put(
            scenery.stands(
                base,
                0.008 if kind == "cigarette" else 0.003,
                0.008,
                steady(scenery.uniform(500.0, 650.0)),
                lambda t_s: np.clip(0.9 * glow(t_s), 0.0, 1.0) * scenery.on(t_s),
            )
        )
    scenery.put(*person(scenery.stage))
    scenery.gives(
        co_ppm=0.2 if kind == "vape" else scenery.uniform(1.0, 6.0),
        voc_ppm=scenery.log_uniform(0.3, 4.0),
    )
    return scenery.done("smoking", kind)


def lighter(rng: _Rng, choice: Choice) -> Episode:
    """A lighter or a match, 2 to 10 s."""
    lasts = float(rng.uniform(2.0, 10.0))
    scenery = begin(rng, choice, lasts, stays_s=60.0)
    shaky = flicker(rng, 9.0, 0.2)
    at = scenery.place(0.7, 1.4)
    scenery.put(
        scenery.stands(
            at,
            0.012,
            scenery.uniform(0.02, 0.05),
            steady(1150.0),
            lambda t_s: 0.06 * shaky(t_s) * scenery.on(t_s, 0.3),
        ),
        *person(scenery.stage),
    )
    scenery.gives(voc_ppm=scenery.log_uniform(0.02, 0.3), over_s=10.0)
    return scenery.done("lighter", f"a flame of {lasts:.0f} s")


def _beside(rng: _Rng, centre: Point, spread_m: float) -> Point:
    return (
        centre[0] + float(rng.normal(0.0, spread_m / 2.0)),
        centre[1] + float(rng.normal(0.0, spread_m / 2.0)),
        centre[2],
    )

"""Nuisances that only the films notice: solvents, perfume, cleaning, odours, damp."""

import math
from typing import Final

import numpy as np

from firedetect.simulation.episodes import Episode
from firedetect.simulation.films import ALCOHOL
from firedetect.simulation.nuisance import begin
from firedetect.simulation.patches import ramp
from firedetect.simulation.people import person
from firedetect.simulation.stage import Choice

_Rng = np.random.Generator
ODOUR_PPM: Final = 0.14
ODOUR_SIGMA_LN: Final = 2.7
ODOUR_MOST_PPM: Final = 600.0
"""How strong odours are: half of 50 foods hardly moved the board, a few moved it as a solvent."""
EARLIER_SHARE: Final = 0.25
LATER_SHARE: Final = 0.3
LEAVING_SHARE: Final = 0.06


def solvent(rng: _Rng, choice: Choice) -> Episode:
    """Alcohol wipes, perfume, an aerosol, paint: up to 800 ppm within half a minute."""
    scenery = begin(rng, choice, 300.0)
    voc = scenery.log_uniform(2.0, 800.0)
    air = scenery.stage.air
    air.vapour = tuple(a * b for a, b in zip(air.vapour, ALCOHOL, strict=True))
    scenery.put(*person(scenery.stage))
    scenery.gives(voc_ppm=voc, over_s=scenery.log_uniform(5.0, 120.0))
    return scenery.done("solvent", f"{voc:.0f} ppm of a solvent")


def cleaning(rng: _Rng, choice: Choice) -> Episode:
    """Bleach or ammonia: the NO2 film goes up or down."""
    scenery = begin(rng, choice, 400.0)
    scenery.put(*person(scenery.stage))
    bleach = rng.random() < 0.5
    scenery.gives(
        no2_ppm=scenery.log_uniform(0.3, 4.0) if bleach else 0.0,
        voc_ppm=scenery.log_uniform(0.1, 3.0 if bleach else 15.0),
        rh_pct=scenery.uniform(0.0, 10.0),
    )
    return scenery.done("cleaning", "bleach" if bleach else "ammonia")


def odour(rng: _Rng, choice: Choice) -> Episode:
    """Food, spices, flowers close to the board: vapour that builds up over minutes and stays.

    Some of it was there before anybody looked, some comes late, some is going away.
    """
    scenery = begin(rng, choice, 600.0)
    stage = scenery.stage
    voc = min(ODOUR_PPM * math.exp(rng.normal(0.0, ODOUR_SIGMA_LN)), ODOUR_MOST_PPM)
    slow_s = scenery.log_uniform(40.0, 400.0)
    comes = rng.random()
    from_s = scenery.start_s
    if comes < EARLIER_SHARE:
        from_s -= scenery.uniform(0.0, from_s)
    elif comes < EARLIER_SHARE + LATER_SHARE:
        from_s += scenery.uniform(30.0, 300.0)
    scenery.put(*person(stage))
    if rng.random() < LEAVING_SHARE:
        stage.air.add("voc", voc * np.exp(-stage.t_s / scenery.uniform(200.0, 1500.0)))
        return scenery.done("odour", f"an odour of {voc:.1f} ppm that goes away")
    scenery.gives(
        voc_ppm=voc,
        over_s=slow_s,
        rh_pct=3.0,
        shape=lambda t_s: np.exp(-np.maximum(t_s - from_s, 0.0) / slow_s) * (t_s >= from_s),
    )
    return scenery.done("odour", f"an odour of {voc:.1f} ppm")


def breath(rng: _Rng, choice: Choice) -> Episode:
    """Somebody talks or breathes right at the board: moist, warm, a little alcohol and acetone."""
    scenery = begin(rng, choice, float(rng.uniform(5.0, 60.0)), stays_s=120.0)
    scenery.put(*person(scenery.stage))
    air, t_s = scenery.stage.air, scenery.stage.t_s
    near = scenery.on(t_s, 2.0) * scenery.uniform(0.1, 1.0)
    air.add("voc", near * scenery.log_uniform(2.0, 200.0))
    air.add("co", near * scenery.log_uniform(0.5, 5.0))
    air.add("co2", near * scenery.log_uniform(500.0, 8000.0))
    air.add("rh", near * scenery.uniform(10.0, 45.0))
    air.add("temp", near * scenery.uniform(0.5, 4.0))
    return scenery.done("breath", "somebody breathes at the board")


def damp(rng: _Rng, choice: Choice) -> Episode:
    """The air turns damp or dry, warm or cold: every film drifts together."""
    scenery = begin(rng, choice, 600.0)
    rh = scenery.uniform(-25.0, 45.0)
    t_s = scenery.stage.t_s
    scenery.stage.air.add("rh", rh * ramp(t_s, scenery.start_s, scenery.uniform(60.0, 600.0)))
    scenery.stage.drift(scenery.uniform(-3.0, 3.0) * ramp(t_s, scenery.start_s, 600.0))
    return scenery.done("damp", f"humidity changes by {rh:.0f} %")

"""Nuisances that only the films notice: solvents, perfume, cleaning, odours, damp."""

import numpy as np

from firedetect.simulation.episodes import Episode
from firedetect.simulation.films import ALCOHOL
from firedetect.simulation.nuisance import begin
from firedetect.simulation.patches import ramp
from firedetect.simulation.people import person
from firedetect.simulation.stage import Choice

_Rng = np.random.Generator


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
    """Food, spices, flowers close to the board: vapour that builds up over minutes and stays."""
    scenery = begin(rng, choice, 600.0)
    voc = scenery.log_uniform(0.3, 600.0)
    scenery.put(*person(scenery.stage))
    scenery.gives(voc_ppm=voc, over_s=scenery.log_uniform(60.0, 600.0), rh_pct=3.0)
    return scenery.done("odour", f"an odour of {voc:.1f} ppm")


def damp(rng: _Rng, choice: Choice) -> Episode:
    """The air turns damp or dry, warm or cold: every film drifts together."""
    scenery = begin(rng, choice, 600.0)
    rh = scenery.uniform(-25.0, 45.0)
    t_s = scenery.stage.t_s
    scenery.stage.air.add("rh", rh * ramp(t_s, scenery.start_s, scenery.uniform(60.0, 600.0)))
    scenery.stage.drift(scenery.uniform(-3.0, 3.0) * ramp(t_s, scenery.start_s, 600.0))
    return scenery.done("damp", f"humidity changes by {rh:.0f} %")

"""The hottest pixel's rise above 22 °C: how things of known size are painted, against a table."""

import math
from typing import Final

import numpy as np

from firedetect.lab.realism.check import Check
from firedetect.simulation.array import (
    LAYER_C,
    LAYER_M,
    ZONE_COLUMNS,
    ArrayUnit,
    Scene,
    take_images,
)
from firedetect.simulation.camera import SHAPE, Camera
from firedetect.simulation.patches import ELLIPSE, RECTANGLE, Patch, facing, steady, still

GROUP: Final = "Heat at the array"
SOURCE: Final = "domain 1.4, Planck radiance mixed by area, before the optics' blur"
AWAY_M: Final = (1.0, 2.0, 3.0, 4.0, 6.0, 8.0)
AMBIENT_C: Final = 22.0
CLIP_K: Final = 278.0
FACTOR: Final = 1.35
SMALL_K: Final = 2.0
_ROOM: Final = (20.0, 6.0, 6.0)
_AT: Final = (0.1, 3.0, 3.0)

Thing = tuple[float, float, float, float, int]
"""Width and height (m), temperature (°C), emissivity, shape."""
THINGS: Final[dict[str, Thing]] = {
    "candle": (0.015, 0.04, 1127.0, 0.03, RECTANGLE),
    "hot plate": (0.18, 0.18, 500.0, 0.9, ELLIPSE),
    "hot drink": (0.08, 0.08, 75.0, 0.95, RECTANGLE),
    "person": (0.45, 1.6, 33.0, 1.0, RECTANGLE),
    "smoulder spot": (0.10, 0.10, 450.0, 0.9, ELLIPSE),
    "flame 30 x 60 cm": (0.3, 0.6, 827.0, 0.2, RECTANGLE),
}
RISE_K: Final[dict[tuple[str, str], tuple[float, ...]]] = {
    ("candle", "narrow"): (111, 39, 20, 12, 5, 3),
    ("candle", "wide"): (37, 11, 5, 3, 1, 0.7),
    ("hot plate", "narrow"): (449, 449, 449, 449, 429, 307),
    ("hot plate", "wide"): (449, 449, 412, 295, 182, 126),
    ("hot drink", "narrow"): (51, 51, 39, 24, 12, 7),
    ("hot drink", "wide"): (51, 23, 11, 6, 3, 2),
    ("person", "narrow"): (11, 11, 11, 11, 11, 11),
    ("person", "wide"): (11, 11, 11, 11, 11, 11),
    ("smoulder spot", "narrow"): (402, 402, 402, 312, 193, 134),
    ("smoulder spot", "wide"): (402, 300, 185, 128, 73, 47),
    ("flame 30 x 60 cm", "narrow"): (308, 308, 308, 308, 308, 308),
    ("flame 30 x 60 cm", "wide"): (308, 308, 308, 308, 308, 282),
}
"""At each distance; what is above 278 K is clipped at 300 °C."""


def peak_rise_k(thing: Thing, lens: str, away_m: float) -> float:
    """Return the rise of the hottest pixel for a thing that faces the array, without noise."""
    rows, cols = SHAPE[lens]
    target = (_AT[0] + away_m, _AT[1], _AT[2])
    # In the middle of one pixel, as the table has it.
    middle = {"row": (rows // 2 + 0.5) / rows, "col": (cols // 2 + 0.5) / cols}
    camera = Camera.showing(_AT, target, lens, **middle)
    zones = np.zeros((2, ZONE_COLUMNS))
    zones[:, LAYER_M], zones[:, LAYER_C] = _ROOM[2], AMBIENT_C
    scene = Scene(
        camera=camera,
        hits=camera.hits(_ROOM),
        base_c=np.full((rows, cols), AMBIENT_C),
        patches=(_patch(camera, thing, target),),
        zones=zones,
        air=np.array([[1.0, AMBIENT_C]] * 2),
    )
    silent = ArrayUnit(np.zeros((rows, cols)), np.zeros((rows, cols)), 0.0, 1)
    image = take_images(silent, scene, np.zeros(1), interleaved=False)
    return float(image.max()) - AMBIENT_C


def worst_factor(got: list[float], real: list[float]) -> float:
    """Return the factor that is farthest from 1; differences of 2 K at most are none."""
    worst = 1.0
    for ours, told in zip(got, real, strict=True):
        if abs(ours - told) <= SMALL_K:
            continue
        factor = max(ours, 1e-3) / told
        if abs(math.log(factor)) > abs(math.log(worst)):
            worst = factor
    return worst


def sight_checks() -> list[Check]:
    """Return one check per thing and lens, over all distances."""
    made = []
    for (name, lens), told in RISE_K.items():
        got = [peak_rise_k(THINGS[name], lens, away_m) for away_m in AWAY_M]
        real = [min(rise, CLIP_K) for rise in told]
        shown = "/".join(f"{rise:.0f}" for rise in got)
        made.append(
            Check(
                name=f"{name}, {lens} lens",
                group=GROUP,
                source=SOURCE,
                compared=f"worst factor at 1/2/3/4/6/8 m; generator {shown} K",
                unit="x",
                low=1.0 / FACTOR,
                high=FACTOR,
                got=worst_factor(got, real),
                count=len(got),
            )
        )
    return made


def _patch(camera: Camera, thing: Thing, target: tuple[float, float, float]) -> Patch:
    width, height, temp_c, emissivity, shape = thing
    return facing(
        camera,
        still(target),
        width_m=steady(width),
        height_m=steady(height),
        temp_c=steady(temp_c),
        emissivity=steady(emissivity),
        shape=shape,
    )

"""An empty room, drawn at random: its size, where the detector hangs, how warm its walls are."""

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from firedetect.simulation.camera import CEILING, FLOOR, Hits, Point

WALL_TEXTURE_K: Final = 0.9


def draw_size(rng: np.random.Generator) -> Point:
    """Return length, width and height (m) of a room of 15 to 200 m³; one in eight is a corridor."""
    height = float(rng.uniform(2.2, 3.2))
    if rng.random() < 0.12:
        return float(rng.uniform(5.0, 14.0)), float(rng.uniform(1.2, 2.2)), height
    area = float(np.exp(rng.uniform(math.log(7.0), math.log(60.0))))
    ratio = float(rng.uniform(1.0, 1.8))
    return math.sqrt(area * ratio), math.sqrt(area / ratio), height


def draw_aim(rng: np.random.Generator, size: Point) -> Point:
    """Return what a detector looks at if nothing in the room asks for it."""
    return (
        float(rng.uniform(0.2, 0.8) * size[0]),
        float(rng.uniform(0.2, 0.8) * size[1]),
        float(rng.uniform(0.2, 1.2)),
    )


def draw_mount(
    rng: np.random.Generator, size: Point, aim: Point, mount: str | None = None
) -> Point:
    """Return a place for a detector that can look at `aim`: a corner, a wall or the ceiling."""
    kind = mount or str(rng.choice(("corner", "wall", "ceiling"), p=(0.45, 0.3, 0.25)))
    found: Point = (0.1, 0.1, size[2] - 0.2)
    for _ in range(40):
        x, y = float(rng.uniform(0.1, size[0] - 0.1)), float(rng.uniform(0.1, size[1] - 0.1))
        z = float(size[2] - rng.uniform(0.05, 0.3))
        if kind == "corner":
            x, y = float(rng.choice((0.1, size[0] - 0.1))), float(rng.choice((0.1, size[1] - 0.1)))
        elif kind == "wall":
            z = float(rng.uniform(1.3, min(2.3, size[2] - 0.1)))
            if rng.random() < 0.5:
                x = float(rng.choice((0.1, size[0] - 0.1)))
            else:
                y = float(rng.choice((0.1, size[1] - 0.1)))
        found = (x, y, z)
        if 0.9 <= math.dist(found, aim) <= 8.0:
            break
    return found


def textured(
    rng: np.random.Generator, hits: Hits, ambient_c: float, height_m: float
) -> NDArray[np.float64]:
    """Return the empty room's temperatures (°C): warmer above, with furniture and pictures."""
    lapse = rng.uniform(0.1, 1.0)
    base = ambient_c + lapse * (np.clip(hits.height_m, 0.0, height_m) - height_m / 2.0)
    base += np.where(hits.surface == FLOOR, rng.normal(0.0, 0.6), 0.0)
    base += np.where(hits.surface == CEILING, rng.normal(0.0, 0.4), 0.0)
    rows, cols = base.shape
    scale = rows // 24
    for _ in range(int(rng.integers(3, 12))):
        r, c = rng.integers(0, rows), rng.integers(0, cols)
        h, w = scale * rng.integers(2, 9), scale * rng.integers(2, 11)
        base[r : r + h, c : c + w] += rng.normal(0.0, WALL_TEXTURE_K)
    # Now and then a window, a cold or a warm pipe.
    if rng.random() < 0.3:
        r, c = rng.integers(0, rows // 2), rng.integers(0, cols)
        h, w = scale * rng.integers(3, 10), scale * rng.integers(2, 9)
        base[r : r + h, c : c + w] += rng.uniform(-8.0, 6.0)
    return base

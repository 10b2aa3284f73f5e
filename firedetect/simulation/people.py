"""People and pets in the picture."""

from typing import Final

import numpy as np

from firedetect.simulation.patches import ELLIPSE, Patch, Path, Times, steady, upright, wobble
from firedetect.simulation.stage import Stage

SKIN_C: Final = 33.0
CLOTHES_RISE_K: Final = (3.0, 8.0)
PET_C: Final = (28.0, 33.0)


def wander(stage: Stage, height_m: float, *, pace_m: float, hz: float) -> Path:
    """Return a walk about a place: away by some `pace_m`, back and forth at about `hz`."""
    rng = stage.rng
    at = stage.spot((height_m, height_m))
    along, across = wobble(rng, hz, 0.4), wobble(rng, 0.8 * hz, 0.4)
    # People stand and sit most of the time: the walk goes on and off.
    pause = wobble(rng, hz / 4.0, 0.3)
    width = np.array(stage.size[:2])

    def path(t_s: Times) -> np.ndarray:
        active = np.clip(0.5 + pause(t_s), 0.15, 1.0)
        x = at[0] + pace_m * active * along(t_s)
        y = at[1] + pace_m * active * across(t_s)
        inside = np.clip(np.stack((x, y), axis=1), 0.2, width - 0.2)
        return np.concatenate((inside, np.full((len(t_s), 1), at[2])), axis=1)

    return path


def person(stage: Stage) -> tuple[Patch, ...]:
    """Return somebody who walks, stands or sits: clothes and, warmer, head and hands."""
    rng = stage.rng
    sits = rng.random() < 0.4
    tall = float(rng.uniform(0.8, 1.1) if sits else rng.uniform(1.5, 1.85))
    path = wander(
        stage,
        0.0,
        pace_m=float(rng.uniform(0.02, 0.15) if sits else rng.uniform(0.3, 1.5)),
        hz=float(rng.uniform(0.02, 0.12)),
    )
    clothes_c = stage.ambient_c + float(rng.uniform(*CLOTHES_RISE_K))
    skin_c = max(SKIN_C + float(rng.normal(0.0, 1.0)), clothes_c)

    def head(t_s: Times) -> np.ndarray:
        raised: np.ndarray = path(t_s) + np.array([0.0, 0.0, tall - 0.25])
        return raised

    body = upright(
        stage.camera,
        path,
        width_m=steady(float(rng.uniform(0.38, 0.5))),
        height_m=steady(tall - 0.22),
        temp_c=steady(min(clothes_c, skin_c)),
        emissivity=steady(0.95),
        shape=ELLIPSE,
    )
    face = upright(
        stage.camera,
        head,
        width_m=steady(0.18),
        height_m=steady(0.25),
        temp_c=steady(skin_c),
        emissivity=steady(0.95),
        shape=ELLIPSE,
    )
    return body, face


def crowd(stage: Stage, count: int) -> None:
    """Put some people into the room, in the picture and in the air."""
    for _ in range(count):
        stage.put(*person(stage))
    stage.crowd(count)


def pet(stage: Stage) -> Patch:
    """Return a cat or a dog that runs about."""
    rng = stage.rng
    size = float(rng.uniform(0.2, 0.6))
    path = wander(stage, 0.0, pace_m=float(rng.uniform(0.3, 2.5)), hz=float(rng.uniform(0.03, 0.5)))
    return upright(
        stage.camera,
        path,
        width_m=steady(1.3 * size),
        height_m=steady(size),
        temp_c=steady(max(float(rng.uniform(*PET_C)), stage.ambient_c)),
        emissivity=steady(0.95),
        shape=ELLIPSE,
    )


def carried(stage: Stage, start_s: float, over_s: float, height_m: float = 1.1) -> Path:
    """Return the way of something that is carried through the room from door to table."""
    rng = stage.rng
    first = stage.spot((height_m, height_m), in_view=bool(rng.random() < 0.5))
    last = stage.spot((height_m, height_m), nearest_m=stage.nearest_m)
    shake = wobble(rng, 1.6, 0.3)

    def path(t_s: Times) -> np.ndarray:
        share = np.clip((t_s - start_s) / over_s, 0.0, 1.0)[:, None]
        line: np.ndarray = np.array(first) + share * (np.array(last) - np.array(first))
        moving = ((share > 0.0) & (share < 1.0))[:, 0]
        line[:, 2] += 0.02 * shake(t_s) * moving
        return line

    return path

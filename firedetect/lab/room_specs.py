"""Draws the rooms and fires that the zone model computes: the same ones for the same seed."""

import math
import zlib
from collections.abc import Callable
from dataclasses import replace
from typing import Final

import numpy as np

from firedetect.lab.curves import Curve, ended, growth, power, ramp, smothered, step, until
from firedetect.lab.fuels import FuelName, draw, flaming, long_wave_absorption, smouldering
from firedetect.lab.room_spec import Burn, Opening, RoomSpec, Wall
from firedetect.lab.standard_fires import STANDARD_FIRES, draw_standard

ROOMS: Final = 118
FIRST_ROOM: Final = 2
"""Rooms 0 and 1 are those of the standards."""

SHARES: Final = {
    "flaming": 175,
    "small": 60,
    "liquid": 60,
    "smoulder": 80,
    "smoulder-to-flame": 45,
    "next-room": 50,
}
"""Runs of each family that is not a standard fire, for a library of the usual size."""

Rng = np.random.Generator
Room = tuple[float, float, float, Wall]

ALPHA_MEDIAN: Final = 0.009
ALPHA_SIGMA_LN: Final = 1.9
ALPHA_SPAN: Final = (0.0005, 0.6)
"""kW/s2, from 40 burns of NIST and NRC."""

PEAK_KW: Final = (50.0, 2500.0)
PEAK_KW_PER_M2: Final = 60.0
"""More than this over the floor and the room is lost: no fire of one thing."""

AIR_KJ_PER_M3: Final = 600.0
"""Heat from the oxygen of 1 m3 of air between 21 and 17 %, the mean of a room in which flames die:
at the flame there is less."""

AIR_KW_PER_M52: Final = 500.0
"""Heat that an opening's air supports per A sqrt(H): a third of the 1500 of a fire at its fullest,
since part of what flows in flows out again unburnt."""

FLAMING_S: Final = 400.0
_FIRST_FLAME_KW: Final = (0.2, 1.0)
_SOLIDS: Final[tuple[FuelName, ...]] = ("wood", "cotton", "pu", "plastic")
_SMOULDERING: Final[tuple[FuelName, ...]] = ("wood", "cotton", "pu")
_LIQUIDS: Final[tuple[FuelName, ...]] = ("heptane", "ethanol", "gasoline")
_WALLS: Final[tuple[Wall, ...]] = ("gypsum", "brick", "concrete", "wood")
_WALL_SHARES: Final = (0.5, 0.2, 0.2, 0.1)


def draw_specs(seed: int = 1, count: int | None = None) -> list[RoomSpec]:
    """Return about `count` specs, by default some 620; one seed gives one list.

    A run depends on the seed, its family and its number alone: more runs leave the first ones as
    they are.
    """
    usual = sum(SHARES.values()) + sum(fire.count for fire in STANDARD_FIRES)
    share = 1.0 if count is None else count / usual

    def numbers(runs: int) -> range:
        return range(max(1, round(runs * share)))

    ours = [
        _draw_run(family, number, _rng(seed, family, number), seed)
        for family, runs in SHARES.items()
        for number in numbers(runs)
    ]
    standards = [
        draw_standard(fire, number, _rng(seed, fire.family, number))
        for fire in STANDARD_FIRES
        for number in numbers(fire.count)
    ]
    return ours + standards


def draw_alpha(rng: Rng) -> float:
    """Return a growth rate, kW/s2: log-normal within its span."""
    while True:
        alpha = ALPHA_MEDIAN * math.exp(float(rng.normal(0.0, ALPHA_SIGMA_LN)))
        if ALPHA_SPAN[0] <= alpha <= ALPHA_SPAN[1]:
            return alpha


def _rng(seed: int, what: str, number: int) -> Rng:
    return np.random.default_rng([seed, zlib.crc32(what.encode()), number])


def _draw_run(family: str, number: int, rng: Rng, seed: int) -> RoomSpec:
    # Every family goes through the rooms in another order, so that rooms see several families.
    first = zlib.crc32(family.encode())
    room = (first + number * 37) % ROOMS
    length_m, width_m, height_m, walls = _room(_rng(seed, "room", room))
    burns, duration_s = _FIRES[family](rng, length_m * width_m)
    x, y = _place(rng, length_m, width_m)
    # Not higher than a seat: the solver stands still where the layer comes down to the fire.
    z = draw(rng, (0.02, 0.6)) if rng.random() < 0.8 else draw(rng, (0.4, 0.6))
    openings = _openings(rng, height_m)
    fire_room = None
    if family == "next-room":
        fire_room = (draw(rng, (3.0, 6.0)), draw(rng, (2.5, 4.5)), height_m)
        x, y = _place(rng, *fire_room[:2])
        x += length_m
        doorway = Opening(0.8, min(2.0, height_m - 0.1), to_fire_room=True)
        openings = (doorway, *openings)
    volume_m3 = length_m * width_m * height_m + (math.prod(fire_room) if fire_room else 0.0)
    burns = tuple(_with_air(burn, volume_m3, openings) for burn in burns)
    main: FuelName = burns[-1].fuel  # type: ignore[assignment]  # only a plate is no fuel
    return RoomSpec(
        name=f"{family}-{number:03d}",
        family=family,
        room=FIRST_ROOM + room,
        length_m=length_m,
        width_m=width_m,
        height_m=height_m,
        walls=walls,
        leak_cm2_per_m2=draw(rng, (0.5, 2.0)),
        openings=openings,
        fire_xyz_m=(x, y, z),
        burns=burns,
        flame_absorption_per_m=long_wave_absorption(rng, main),
        duration_s=duration_s,
        fire_room_m=fire_room,
    )


def _room(rng: Rng) -> Room:
    """Return length, width, height (m) and walls of a room of 15 to 200 m3."""
    walls = _WALLS[int(rng.choice(len(_WALLS), p=_WALL_SHARES))]
    if rng.random() < 0.1:
        return draw(rng, (6.0, 15.0)), draw(rng, (1.2, 2.0)), draw(rng, (2.2, 2.8)), walls
    volume_m3 = _log_uniform(rng, 15.0, 200.0)
    high = rng.random() < 0.2 and volume_m3 > 40.0
    height_m = draw(rng, (2.7, 4.0) if high else (2.2, 2.7))
    width_m = math.sqrt(volume_m3 / height_m / draw(rng, (1.0, 2.0)))
    return volume_m3 / height_m / width_m, width_m, height_m, walls


def _openings(rng: Rng, height_m: float) -> tuple[Opening, ...]:
    """Return a door (shut over a gap, ajar or open) and now and then a window that is ajar."""
    kind = rng.random()
    door_m = min(2.0, height_m - 0.1)
    if kind < 0.45:
        # The gaps all around a shut door. As one gap at the floor the model would need minutes for
        # what it does in a fifth of a second: the layer comes down to it and the flow turns.
        openings = [Opening(draw(rng, (0.004, 0.02)), door_m)]
    elif kind < 0.6:
        openings = [Opening(draw(rng, (0.05, 0.2)), door_m)]
    else:
        openings = [Opening(draw(rng, (0.75, 0.95)), door_m)]
    if rng.random() < 0.3:
        openings.append(Opening(draw(rng, (0.4, 1.0)), draw(rng, (0.05, 0.6)), sill_m=0.9))
    return tuple(openings)


def _with_air(burn: Burn, volume_m3: float, openings: tuple[Opening, ...]) -> Burn:
    """Return a burn that gives off no more fuel than air lets burn.

    A zone model would let fuel boil off in a room without oxygen, which no flame heats any more.
    """
    supported_kw = sum(
        AIR_KW_PER_M52 * opening.width_m * opening.height_m**1.5
        for opening in openings
        if not opening.to_fire_room
    )
    return replace(burn, curve=smothered(burn.curve, AIR_KJ_PER_M3 * volume_m3, supported_kw))


def _place(rng: Rng, length_m: float, width_m: float) -> tuple[float, float]:
    """Return where a fire stands: in the room, along a wall or in a corner."""
    x, y = (draw(rng, (0.25 * size, 0.75 * size)) for size in (length_m, width_m))
    kind = rng.random()
    if kind < 0.35:
        y = draw(rng, (0.15, 0.4))
    elif kind < 0.5:
        x, y = draw(rng, (0.15, 0.3)), draw(rng, (0.15, 0.3))
    return x, y


def _log_uniform(rng: Rng, low: float, high: float) -> float:
    return math.exp(draw(rng, (math.log(low), math.log(high))))


def _pick(rng: Rng, names: tuple[FuelName, ...]) -> FuelName:
    return names[int(rng.integers(len(names)))]


def _grown(rng: Rng, floor_m2: float, start_s: float, end_s: float) -> Curve:
    peak_kw = _log_uniform(rng, PEAK_KW[0], min(PEAK_KW[1], PEAK_KW_PER_M2 * floor_m2))
    hold_s, decay_s = draw(rng, (60.0, 400.0)), draw(rng, (60.0, 300.0))
    return growth(start_s, draw_alpha(rng), peak_kw, hold_s, decay_s, end_s)


Fire = tuple[tuple[Burn, ...], float]


def _flaming(rng: Rng, floor_m2: float) -> Fire:
    start_s = draw(rng, (0.0, 30.0))
    curve = _grown(rng, floor_m2, start_s, FLAMING_S)
    # The first flame is small before the fire grows.
    small = draw(rng, _FIRST_FLAME_KW)
    curve = tuple((t_s, max(kw, small) if t_s <= start_s + 60 else kw) for t_s, kw in curve)
    return (flaming(rng, _pick(rng, _SOLIDS), curve),), FLAMING_S


def _small(rng: Rng, _floor_m2: float) -> Fire:
    alpha = min(draw_alpha(rng) * 3.0, ALPHA_SPAN[1])
    curve = growth(
        draw(rng, (0.0, 30.0)),
        alpha,
        draw(rng, (5.0, 50.0)),
        draw(rng, (60.0, 300.0)),
        draw(rng, (60.0, 200.0)),
        FLAMING_S,
    )
    return (flaming(rng, _pick(rng, ("paper", *_SOLIDS)), curve),), FLAMING_S


def _liquid(rng: Rng, floor_m2: float) -> Fire:
    duration_s = draw(rng, (300.0, 600.0))
    peak_kw = _log_uniform(rng, 10.0, min(300.0, PEAK_KW_PER_M2 * floor_m2))
    out_s = draw(rng, (120.0, duration_s))
    curve = step(draw(rng, (0.0, 20.0)) + 0.1, draw(rng, (5.0, 30.0)), peak_kw, out_s, duration_s)
    return (flaming(rng, _pick(rng, _LIQUIDS), curve),), duration_s


def _smoulder_rate(rng: Rng, end_s: float) -> Curve:
    """Return g/s: as the square of time (furniture), or a ramp (cotton, wood on something hot)."""
    if rng.random() < 0.5:
        return power(0.0, 3600.0, _log_uniform(rng, 0.05, 0.5), 2.0, end_s)
    full = _log_uniform(rng, 0.03, 0.15)
    return ramp(full * 0.1, full, draw(rng, (0.2, 0.7)) * end_s, end_s)


def _smoulder(rng: Rng, _floor_m2: float) -> Fire:
    duration_s = draw(rng, (1200.0, 3600.0))
    rate = _smoulder_rate(rng, duration_s)
    return (smouldering(rng, _pick(rng, _SMOULDERING), rate),), duration_s


def _smoulder_to_flame(rng: Rng, floor_m2: float) -> Fire:
    flames_s = draw(rng, (300.0, 1500.0))
    duration_s = flames_s + draw(rng, (300.0, 500.0))
    fuel = _pick(rng, _SMOULDERING)
    full = _log_uniform(rng, 0.03, 0.2)
    rate = ended(ramp(full * 0.05, full, flames_s, flames_s + 20.0), flames_s + 10.0)
    curve = _grown(rng, floor_m2, flames_s, duration_s)
    first = smouldering(rng, fuel, until((*rate, (duration_s + 1.0, 0.0)), duration_s))
    return (first, flaming(rng, fuel, curve)), duration_s


def _next_room(rng: Rng, floor_m2: float) -> Fire:
    fire = _flaming if rng.random() < 0.7 else _smoulder
    return fire(rng, min(floor_m2, 15.0))


_FIRES: Final[dict[str, Callable[[Rng, float], Fire]]] = {
    "flaming": _flaming,
    "small": _small,
    "liquid": _liquid,
    "smoulder": _smoulder,
    "smoulder-to-flame": _smoulder_to_flame,
    "next-room": _next_room,
}

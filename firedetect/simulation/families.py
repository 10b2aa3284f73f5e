"""Families of episodes, fires and nuisances alike: a draw gives one episode of known hazard."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from firedetect.simulation.episodes import Draw, Episode
from firedetect.simulation.fire import Fire
from firedetect.simulation.thermal import Source, constant


def _start_s(draw: Draw) -> float:
    return float(draw.rng.uniform(70.0, 90.0))


def _ramp(t_s: float, start_s: float, over_s: float) -> float:
    return min(max((t_s - start_s) / over_s, 0.0), 1.0)


def quiet_room(draw: Draw) -> Episode:
    """Nobody there; the room drifts a little."""
    return draw.episode("quiet-room")


def people(draw: Draw) -> Episode:
    """One to four people; their breath holds traces of alcohol and CO2."""
    crowd = tuple(draw.person() for _ in range(int(draw.rng.integers(1, 5))))
    voc = float(draw.rng.uniform(0.0, 0.01)) * len(crowd)
    return draw.episode("people", sources=crowd, added=lambda _t: (0.0, 0.1 * len(crowd), voc))


def kettle(draw: Draw) -> Episode:
    """A kettle boils: warm skin, a plume of steam, humid air."""
    start = _start_s(draw)
    rng = draw.rng
    boil = float(rng.uniform(40.0, 80.0))
    row, col = draw.place()
    width, height = draw.pixels(0.16, 0.22)
    steam_w, steam_h = draw.pixels(0.3, 0.5)

    def steam_share(t: float) -> float:
        return 0.35 * _ramp(t, start + boil, 10.0) * (0.6 + 0.4 * math.sin(4.1 * t) ** 2)

    body = Source(
        constant(row),
        constant(col),
        constant(height),
        constant(width),
        lambda t: draw.room_c + 45.0 * _ramp(t, start, boil),
        constant(0.9),
    )
    plume = Source(
        lambda t: row - height / 2 - steam_h / 2 - 0.3 * math.sin(2.3 * t),
        lambda t: col + 0.5 * math.sin(1.1 * t),
        constant(steam_h),
        constant(steam_w),
        constant(draw.room_c + 35.0),
        steam_share,
    )
    return draw.episode(
        "kettle",
        sources=(body, plume, draw.person()),
        humidity=lambda t: 35.0 * _ramp(t, start + boil, 60.0),
    )


def candles(draw: Draw) -> Episode:
    """One to ten candles or tea lights that burn, steady or flickering."""
    rng = draw.rng
    start = _start_s(draw)
    wide, high = draw.pixels(0.015, 0.04)
    lights = []
    for _ in range(int(rng.integers(1, 11)) if rng.random() < 0.4 else 1):
        row, col = draw.place()
        share = float(rng.uniform(0.03, 0.10))
        phase = float(rng.uniform(0.0, 6.0))
        lights.append(
            Source(
                constant(row),
                constant(col),
                constant(high),
                constant(wide),
                constant(1100.0),
                lambda t, s=share, p=phase: (  # type: ignore[misc]
                    s * (1.0 + 0.2 * math.sin(9.7 * t + p)) if t > start else 0.0
                ),
            )
        )
    count = len(lights)
    return draw.episode(
        "candle",
        sources=(*lights, draw.person()),
        added=lambda t: (0.0004 * count, 0.03 * count, 0.0005 * count) if t > start else (0, 0, 0),
    )


def heater(draw: Draw) -> Episode:
    """A radiator or convector warms up and stays where it is."""
    start = _start_s(draw)
    top = float(draw.rng.uniform(25.0, 90.0))
    size = float(draw.rng.uniform(0.2, 0.6))
    grille = draw.heater(lambda t: draw.room_c + top * _ramp(t, start, 60.0), size, 0.3)
    dust = float(draw.rng.uniform(0.0, 0.02))
    return draw.episode(
        "heater",
        sources=(grille, draw.person()),
        added=lambda t: (0.0, 0.0, dust * _ramp(t, start, 60.0)),
    )


def hot_object(draw: Draw) -> Episode:
    """A hot drink, an iron, a hair-dryer or an oven door: appears, moves, cools."""
    rng = draw.rng
    start = _start_s(draw)
    rise = float(rng.choice([40.0, 60.0, 90.0, 130.0]))
    width, height = draw.pixels(float(rng.uniform(0.06, 0.3)), float(rng.uniform(0.06, 0.25)))
    row, col = draw.place()
    span, speed = rng.uniform(0.0, 6.0), rng.uniform(0.1, 1.2)
    thing = Source(
        constant(row),
        lambda t: col + span * math.sin(speed * t),
        constant(height),
        constant(width),
        lambda t: draw.room_c + rise * math.exp(-max(t - start, 0.0) / 300.0),
        lambda t: 0.9 if t > start else 0.0,
    )
    return draw.episode("hot-object", sources=(thing, draw.person()))


def sun_patch(draw: Draw) -> Episode:
    """The sun comes and goes behind clouds."""
    rng = draw.rng
    rise = float(rng.uniform(5.0, 28.0))
    period = float(rng.uniform(15.0, 80.0))
    patch = draw.heater(
        lambda t: draw.room_c + rise * (0.5 + 0.5 * math.tanh(3.0 * math.sin(t * 6.28 / period))),
        float(rng.uniform(0.4, 1.2)),
        float(rng.uniform(0.4, 1.0)),
        0.9,
    )
    return draw.episode("sun-patch", sources=(patch,))


def odour(draw: Draw) -> Episode:
    """Alcohol wipes, perfume, aerosol: a puff of VOC, little or no CO."""
    rate = float(np.exp(draw.rng.uniform(math.log(0.05), math.log(8.0))))
    return _odour(draw, "odour", rate, float(draw.rng.uniform(10.0, 120.0)), 180.0)


def vapour(draw: Draw) -> Episode:
    """Food, paint, solvents: VOC that builds up over minutes, little or no CO."""
    rate = float(np.exp(draw.rng.uniform(math.log(0.005), math.log(1.0))))
    return _odour(draw, "vapour", rate, 600.0, 300.0)


def _odour(draw: Draw, family: str, rate: float, over_s: float, duration_s: float) -> Episode:
    # Odours also come while the baseline is still being learnt.
    start = float(draw.rng.uniform(5.0, 90.0))
    co = rate * float(draw.rng.uniform(0.0, 0.03))

    def added(t: float) -> tuple[float, float, float]:
        on = 1.0 if start < t < start + over_s else 0.0
        return co * on, 0.2 * rate * on, rate * on

    return draw.episode(
        family,
        sources=(draw.person(),),
        added=added,
        humidity=lambda t: 10.0 * _ramp(t, start, 60.0),
        duration_s=duration_s,
    )


def cooking(draw: Draw) -> Episode:
    """A pan on a hot plate: a still disc of up to 220 °C, VOC, some CO."""
    rng = draw.rng
    start = _start_s(draw)
    top = float(rng.uniform(80.0, 200.0))
    pan = draw.heater(lambda t: draw.room_c + top * _ramp(t, start, 80.0), 0.2, 0.1, 0.8)
    voc = float(np.exp(rng.uniform(math.log(0.01), math.log(1.0))))
    return draw.episode(
        "cooking",
        sources=(pan, draw.person()),
        added=lambda t: (0.02 * voc, 0.5 * voc, voc * _ramp(t, start + 30.0, 60.0)),
        humidity=lambda t: 20.0 * _ramp(t, start + 30.0, 60.0),
    )


def _draw_fire(draw: Draw) -> Fire:
    rng = draw.rng
    growth = float(np.clip(np.exp(rng.normal(math.log(0.009), 1.2)), 0.0008, 0.2))
    return Fire(
        ignition_s=_start_s(draw),
        growth_kw_per_s2=growth,
        peak_kw=float(np.exp(rng.uniform(math.log(8.0), math.log(400.0)))),
        per_area_kw=float(rng.uniform(250.0, 900.0)),
        co_yield=float(rng.uniform(0.004, 0.04)),
        voc_yield=float(rng.uniform(0.001, 0.02)),
        volume_m3=draw.volume_m3,
        height_m=float(rng.uniform(2.2, 3.0)),
        distance_m=draw.distance_m,
        radius_m=float(rng.uniform(0.5, 4.0)),
        soot_per_m=float(rng.uniform(0.1, 0.7)),
    )


def flaming(draw: Draw) -> Episode:
    """A fire in view: waste bin, cushion, pan; grows as t² or stays small."""
    fire = _draw_fire(draw)
    row, col = draw.place()
    sources = fire.sources(row, col, draw.lens, draw.rng)
    crowd = (draw.person(),) if draw.rng.random() < 0.4 else ()
    return draw.episode("flaming", sources=(*sources, *crowd), added=fire.gas_source(), fire=fire)


def occluded(draw: Draw) -> Episode:
    """A fire behind furniture: no flame in view, a warm plume above, gas and ceiling heat."""
    fire = _draw_fire(draw)
    row, col = draw.place()
    plume = Source(
        row=constant(row),
        col=lambda t: col + 0.5 * math.sin(2.1 * t),
        height=constant(10.0),
        width=constant(3.0),
        temp_c=lambda t: draw.room_c + min(8.0 * fire.ceiling_rise_k(t), 250.0),
        emissivity=lambda t: 0.05 * (1.0 + 0.4 * math.sin(7.3 * t)),
    )
    return draw.episode("occluded", sources=(plume,), added=fire.gas_source(), fire=fire)


def _draw_smoulder(draw: Draw) -> Fire:
    rng = draw.rng
    return Fire(
        ignition_s=_start_s(draw),
        smoulder_g_per_s=float(np.exp(rng.uniform(math.log(0.05), math.log(0.5)))),
        smoulder_ramp_s=float(rng.uniform(20.0, 150.0)),
        smoulder_co_yield=float(rng.uniform(0.08, 0.25)),
        smoulder_voc_yield=float(np.exp(rng.uniform(math.log(0.001), math.log(0.1)))),
        volume_m3=draw.volume_m3,
        distance_m=draw.distance_m,
    )


def smoulder(draw: Draw) -> Episode:
    """Wood, cotton or foam glows: CO and VOC first, hardly any heat; in view or hidden."""
    fire = _draw_smoulder(draw)
    row, col = draw.place()
    in_view = draw.rng.random() < 0.5
    sources = fire.sources(row, col, draw.lens, draw.rng) if in_view else ()
    crowd = (draw.person(),) if draw.rng.random() < 0.4 else ()
    return draw.episode(
        "smoulder",
        sources=(*sources, *crowd),
        added=fire.gas_source(),
        fire=fire,
        duration_s=420.0,
    )


def smoulder_to_flame(draw: Draw) -> Episode:
    """A smouldering fire that breaks into flame."""
    flame, glow = _draw_fire(draw), _draw_smoulder(draw)
    fire = replace(
        glow,
        flame_after_s=float(draw.rng.uniform(30.0, 100.0)),
        growth_kw_per_s2=flame.growth_kw_per_s2,
        peak_kw=flame.peak_kw,
        per_area_kw=flame.per_area_kw,
        soot_per_m=flame.soot_per_m,
        radius_m=flame.radius_m,
    )
    row, col = draw.place()
    return draw.episode(
        "smoulder-to-flame",
        sources=fire.sources(row, col, draw.lens, draw.rng),
        added=fire.gas_source(),
        fire=fire,
        duration_s=260.0,
    )


Family = Callable[[Draw], Episode]

FIRES: dict[str, Family] = {
    "flaming": flaming,
    "occluded": occluded,
    "smoulder": smoulder,
    "smoulder-to-flame": smoulder_to_flame,
}
NUISANCES: dict[str, Family] = {
    "quiet-room": quiet_room,
    "people": people,
    "kettle": kettle,
    "candle": candles,
    "heater": heater,
    "hot-object": hot_object,
    "sun-patch": sun_patch,
    "odour": odour,
    "vapour": vapour,
    "cooking": cooking,
}
FAMILIES: dict[str, Family] = FIRES | NUISANCES
"""Every family that data sets are drawn from."""


def draw_episode(family: str, seed: int) -> Episode:
    """Return the episode of a family that belongs to `seed`."""
    return FAMILIES[family](Draw.of(np.random.default_rng(seed)))

"""The named scenarios that the emulated sensors play: fixed rooms, fixed seeds, told in seconds."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from firedetect.simulation.episodes import Draw, Episode
from firedetect.simulation.fire import Fire
from firedetect.simulation.thermal import Source, constant


@dataclass(frozen=True, slots=True)
class Scenario:
    """A named episode: what happens, and for how long it is worth watching."""

    name: str
    summary: str
    duration_s: float
    build: Callable[[], Episode]


def _draw(seed: int) -> Draw:
    return Draw(np.random.default_rng(seed), 21.5, "narrow", 3.0, 40.0)


def _quiet_room() -> Episode:
    return _draw(11).episode("quiet-room")


def _people() -> Episode:
    draw = _draw(12)
    return draw.episode(
        "people", sources=(draw.person(), draw.person()), added=lambda _t: (0.0, 0.2, 0.002)
    )


def _kettle() -> Episode:
    draw = _draw(13)

    def warm(t_s: float) -> float:
        return min(max((t_s - 15.0) / 50.0, 0.0), 1.0)

    def steaming(t_s: float) -> float:
        return min(max((t_s - 65.0) / 10.0, 0.0), 1.0)

    width, height = draw.pixels(0.16, 0.22)
    body = Source(
        constant(16.0),
        constant(20.0),
        constant(height),
        constant(width),
        lambda t: 21.5 + 45.0 * warm(t),
        constant(0.9),
    )
    plume = Source(
        lambda t: 12.0 - 0.3 * math.sin(2.3 * t),
        lambda t: 20.0 + 0.5 * math.sin(1.1 * t),
        constant(5.0),
        constant(3.0),
        constant(55.0),
        lambda t: 0.3 * steaming(t) * (0.6 + 0.4 * math.sin(4.1 * t) ** 2),
    )
    return draw.episode(
        "kettle",
        sources=(body, plume, draw.person()),
        humidity=lambda t: 30.0 * min(max((t - 65.0) / 60.0, 0.0), 1.0),
    )


def _candle() -> Episode:
    draw = _draw(14)
    width, height = draw.pixels(0.015, 0.04)
    flame = Source(
        constant(15.5),
        constant(12.5),
        constant(height),
        constant(width),
        constant(1100.0),
        lambda t: 0.07 * (1.0 + 0.2 * math.sin(9.7 * t)) if t > 15.0 else 0.0,
    )
    return draw.episode(
        "candle", sources=(flame, draw.person()), added=lambda _t: (0.0004, 0.03, 0.0005)
    )


def _waste_bin() -> Episode:
    draw = _draw(15)
    fire = Fire(
        ignition_s=15.0,
        growth_kw_per_s2=0.0117,
        peak_kw=60.0,
        co_yield=0.02,
        volume_m3=40.0,
        radius_m=2.0,
    )
    sources = fire.sources(17.0, 18.0, draw.lens, draw.rng)
    return draw.episode("waste-bin", sources=sources, added=fire.gas_source(), fire=fire)


def _smoulder() -> Episode:
    draw = _draw(16)
    fire = Fire(
        ignition_s=70.0,
        smoulder_g_per_s=0.12,
        smoulder_ramp_s=90.0,
        smoulder_co_yield=0.18,
        smoulder_voc_yield=0.02,
        volume_m3=30.0,
    )
    return draw.episode("smoulder", added=fire.gas_source(), fire=fire)


SCENARIOS: dict[str, Scenario] = {
    scenario.name: scenario
    for scenario in (
        Scenario("quiet-room", "nobody there, nothing happens", 120.0, _quiet_room),
        Scenario("people", "two people walk about and sit down", 120.0, _people),
        Scenario("kettle", "a kettle boils at 65 s and steams", 150.0, _kettle),
        Scenario("candle", "a candle is lit at 15 s", 120.0, _candle),
        Scenario("waste-bin", "a bin catches fire at 15 s in view of the array", 90.0, _waste_bin),
        Scenario("smoulder", "wood glows out of view from 70 s on: gas, no heat", 420.0, _smoulder),
    )
}
"""What `firedetect simulate list` shows."""

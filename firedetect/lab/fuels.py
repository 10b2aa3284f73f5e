"""Fuels: chemistry and yields, as ranges to draw from (SFPE handbook and Tewarson)."""

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from firedetect.lab.room_spec import Burn

Range = tuple[float, float]
FuelName = Literal[
    "wood", "paper", "cotton", "pu", "plastic", "heptane", "ethanol", "gasoline", "decalin"
]

_CARBON: Final = 12.011
_WATER: Final = 18.015
_STARVED_VOC: Final = (0.02, 0.05)
_FLAMING_VOC: Final = (0.001, 0.005)
_SMOULDER_VOC: Final = (0.02, 0.10)
_SMOULDER_VOC_LEAD_S: Final = (60.0, 300.0)
_SMOULDER_HEAT: Final = (6.0, 10.0)
_SMOULDER_CO2: Final = (0.2, 0.6)
_SMOULDER_RADIATED: Final = (0.2, 0.35)
_SMOULDER_KW_PER_M2: Final = (10.0, 40.0)
_LONG_WAVE_SHARE: Final = (0.15, 0.5)


@dataclass(frozen=True, slots=True)
class Fuel:
    """Ranges of one fuel: kJ/g, kW/m2, g per g lost, 1/m for all wavelengths.

    `co2` gives the effective formula of fuels that leave char; liquids have their own.
    """

    name: FuelName
    heat: Range
    radiated: Range
    kw_per_m2: Range
    absorption: Range
    co: Range
    soot: Range
    starved_co: Range
    co2: Range = (0.0, 0.0)
    formula: tuple[float, float, float] | None = None
    smoulder_co: Range = (0.0, 0.0)
    smoulder_soot: Range = (0.0, 0.0)


_WOOD: Final = Fuel(
    "wood",
    heat=(12.0, 14.0),
    radiated=(0.3, 0.38),
    kw_per_m2=(250.0, 500.0),
    absorption=(0.7, 0.9),
    co=(0.004, 0.010),
    soot=(0.008, 0.020),
    starved_co=(0.1, 0.2),
    co2=(1.2, 1.4),
    smoulder_co=(0.10, 0.20),
    smoulder_soot=(0.02, 0.08),
)
FUELS: Final[dict[FuelName, Fuel]] = {
    fuel.name: fuel
    for fuel in (
        _WOOD,
        Fuel(
            "paper",
            heat=(12.0, 14.5),
            radiated=(0.28, 0.36),
            kw_per_m2=(250.0, 450.0),
            absorption=(0.6, 0.9),
            co=(0.004, 0.010),
            soot=(0.005, 0.015),
            starved_co=(0.1, 0.2),
            co2=(1.2, 1.4),
            smoulder_co=(0.10, 0.20),
            smoulder_soot=(0.02, 0.07),
        ),
        Fuel(
            "cotton",
            heat=(13.0, 16.0),
            radiated=(0.3, 0.36),
            kw_per_m2=(250.0, 500.0),
            absorption=(0.6, 1.0),
            co=(0.004, 0.010),
            soot=(0.005, 0.015),
            starved_co=(0.1, 0.2),
            co2=(1.2, 1.5),
            smoulder_co=(0.10, 0.25),
            smoulder_soot=(0.02, 0.08),
        ),
        Fuel(
            "pu",
            heat=(17.0, 24.0),
            radiated=(0.38, 0.48),
            kw_per_m2=(400.0, 750.0),
            absorption=(1.1, 1.5),
            co=(0.010, 0.042),
            soot=(0.08, 0.20),
            starved_co=(0.1, 0.3),
            co2=(1.4, 1.6),
            smoulder_co=(0.05, 0.15),
            smoulder_soot=(0.03, 0.10),
        ),
        Fuel(
            "plastic",
            heat=(28.0, 40.0),
            radiated=(0.35, 0.45),
            kw_per_m2=(300.0, 700.0),
            absorption=(1.2, 2.0),
            co=(0.02, 0.06),
            soot=(0.06, 0.15),
            starved_co=(0.1, 0.2),
            formula=(1.0, 2.0, 0.05),
        ),
        Fuel(
            "heptane",
            heat=(41.0, 44.6),
            radiated=(0.3, 0.38),
            kw_per_m2=(1000.0, 2000.0),
            absorption=(1.1, 1.5),
            co=(0.008, 0.012),
            soot=(0.03, 0.045),
            starved_co=(0.08, 0.12),
            formula=(7.0, 16.0, 0.0),
        ),
        Fuel(
            "ethanol",
            heat=(25.0, 27.0),
            radiated=(0.18, 0.24),
            kw_per_m2=(300.0, 500.0),
            absorption=(0.3, 0.5),
            co=(0.0008, 0.0012),
            soot=(0.0003, 0.001),
            starved_co=(0.05, 0.1),
            formula=(2.0, 6.0, 1.0),
        ),
        Fuel(
            "gasoline",
            heat=(42.0, 44.0),
            radiated=(0.35, 0.45),
            kw_per_m2=(1000.0, 2200.0),
            absorption=(2.0, 2.6),
            co=(0.01, 0.02),
            soot=(0.05, 0.10),
            starved_co=(0.08, 0.12),
            formula=(8.0, 15.0, 0.0),
        ),
        Fuel(
            "decalin",
            heat=(41.0, 43.0),
            radiated=(0.35, 0.45),
            kw_per_m2=(500.0, 900.0),
            absorption=(1.8, 2.4),
            co=(0.01, 0.03),
            soot=(0.07, 0.11),
            starved_co=(0.08, 0.12),
            formula=(10.0, 18.0, 0.0),
        ),
    )
}


def draw(rng: np.random.Generator, span: Range) -> float:
    """Return a value of a range, each as likely."""
    return float(rng.uniform(*span))


def flaming(
    rng: np.random.Generator,
    name: FuelName,
    curve: tuple[tuple[float, float], ...],
    *,
    soot: Range | None = None,
) -> Burn:
    """Return a flaming fire of a fuel with a heat release curve (s, kW)."""
    fuel = FUELS[name]
    co, soot_yield = draw(rng, fuel.co), draw(rng, soot or fuel.soot)
    formula = fuel.formula or _effective(draw(rng, fuel.co2), co, soot_yield)
    return Burn(
        fuel=name,
        formula=formula,
        heat_kj_per_g=draw(rng, fuel.heat),
        radiated_fraction=draw(rng, fuel.radiated),
        hrr_per_area_kw=draw(rng, fuel.kw_per_m2),
        curve=curve,
        co_yield=co,
        soot_yield=soot_yield,
        starved_co_yield=draw(rng, fuel.starved_co),
        voc_yield=draw(rng, _FLAMING_VOC),
        starved_voc_yield=draw(rng, _STARVED_VOC),
    )


def smouldering(
    rng: np.random.Generator,
    name: FuelName,
    rate: tuple[tuple[float, float], ...],
    *,
    co: Range | None = None,
    soot: Range | None = None,
) -> Burn:
    """Return a smouldering fire that loses fuel at a rate (s, g/s)."""
    fuel = FUELS[name]
    co_yield = draw(rng, co or fuel.smoulder_co)
    soot_yield = draw(rng, soot or fuel.smoulder_soot)
    heat = draw(rng, _SMOULDER_HEAT)
    voc = draw(rng, _SMOULDER_VOC)
    return Burn(
        fuel=name,
        formula=_effective(draw(rng, _SMOULDER_CO2), co_yield, soot_yield),
        heat_kj_per_g=heat,
        radiated_fraction=draw(rng, _SMOULDER_RADIATED),
        hrr_per_area_kw=draw(rng, _SMOULDER_KW_PER_M2),
        curve=tuple((t_s, g_per_s * heat) for t_s, g_per_s in rate),
        co_yield=co_yield,
        soot_yield=soot_yield,
        starved_co_yield=co_yield,
        voc_yield=voc,
        starved_voc_yield=voc,
        voc_lead_s=draw(rng, _SMOULDER_VOC_LEAD_S),
        smoulders=True,
    )


def hot_plate(curve: tuple[tuple[float, float], ...]) -> Burn:
    """Return heat without fuel (s, kW): a burn with little mass and no smoke.

    With less mass than this the zone model starts with a burst of ten times the heat.
    """
    return Burn("plate", (1.0, 2.0, 1.0), 100.0, 0.3, 40.0, curve, 0.0, 0.0, 0.0, 0.0, 0.0)


def long_wave_absorption(rng: np.random.Generator, name: FuelName) -> float:
    """Return what a flame absorbs of long waves, 1/m: a part of that for all wavelengths."""
    return draw(rng, FUELS[name].absorption) * draw(rng, _LONG_WAVE_SHARE)


def _effective(co2: float, co: float, soot: float) -> tuple[float, float, float]:
    """Return C, H, O of the share that burns, as carbon and water, from yields in g/g."""
    carbon = co2 * _CARBON / 44.01 + co * _CARBON / 28.01 + soot
    water = (_CARBON / carbon - _CARBON) / _WATER
    return 1.0, 2.0 * water, water

"""The smoke of a burning room, layer by layer: what it does to walls, image and air."""

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from firedetect.simulation.air import co_litres, diluted, voc_litres
from firedetect.simulation.array import (
    ABSORPTION,
    CEILING_RISE,
    FLOOR_RISE,
    LAYER_C,
    LAYER_M,
    WALL_RISE,
)
from firedetect.simulation.films import lagged
from firedetect.simulation.flame import Burning
from firedetect.simulation.rooms import JET_R_M, RoomRun
from firedetect.simulation.stage import Stage

TRANSPORT_S: Final = (6.0, 18.0)
LONG_WAVE_SOOT: Final = 0.25
"""Share of a layer's extinction at visible light that is left at 10 µm."""
HOT_GAS_PER_M: Final = 0.01
MIXED_FUELS: Final = frozenset(("flaming", "small", "next-room"))
RICH_LOG: Final = 2.2
"""Things are of many materials and burn badly at first: up to nine times the CO of the fuel alone
in free air. Bedroom fires passed 30 ppm after 32 to 53 s."""
HYDROGEN_PER_CO: Final = (0.1, 0.3)
NO2_G_PER_G: Final = (0.0005, 0.002)
MIXED_M: Final = 0.5
"""A layer thinner than this does not stand still: people and draughts mix it with what is below."""
_HEAT_KJ_PER_G: Final = 15.0
_NO2_G_PER_MOL: Final = 46.0


def spread_heat(stage: Stage, run: RoomRun, told: dict[str, NDArray[np.float64]]) -> None:
    """Warm walls, layer and the air at the detector; `told` are the run's channels by second."""
    zones = stage.zones
    zones[:, CEILING_RISE] += told["ceiling_rise_k"]
    zones[:, WALL_RISE] += told["wall_rise_k"]
    zones[:, FLOOR_RISE] += told["floor_rise_k"]
    zones[:, LAYER_M] = told["layer_m"]
    zones[:, LAYER_C] += told["upper_rise_k"]
    hot = np.minimum(told["upper_rise_k"] / 100.0, 1.0)
    extinction = told["soot_upper_per_m"] * math.log(10.0)
    zones[:, ABSORPTION] += LONG_WAVE_SOOT * extinction + HOT_GAS_PER_M * hot
    x, y, z = stage.camera.at
    upper = _share_above(z, told["layer_m"])
    rise = upper * told["upper_rise_k"] + (1.0 - upper) * told["lower_rise_k"]
    if stage.high_up:
        away = math.hypot(x - run.fire_xyz_m[0], y - run.fire_xyz_m[1])
        rise = np.maximum(rise, _jet(told, away))
    stage.air.add("temp", rise)


def spread_gases(
    stage: Stage,
    run: RoomRun,
    told: dict[str, NDArray[np.float64]],
    fire: Burning,
    rng: np.random.Generator,
) -> None:
    """Bring the fire's gases to the detector."""
    air, room = stage.air, stage.air.ventilation
    upper = _share_above(stage.camera.at[2], np.minimum(told["layer_m"], stage.size[2] - MIXED_M))
    thick = np.clip((stage.size[2] - told["layer_m"]) / MIXED_M, 0.0, 1.0)
    lag_s = float(rng.uniform(*TRANSPORT_S))
    rich = math.exp(rng.uniform(0.0, RICH_LOG)) if run.family in MIXED_FUELS else 1.0
    gases = {}
    for gas in ("co", "co2"):
        below = told[f"{gas}_lower_ppm"]
        above = thick * told[f"{gas}_upper_ppm"] + (1.0 - thick) * below
        ppm = upper * above + (1.0 - upper) * below
        ppm = np.maximum(ppm, 0.0) * (rich if gas == "co" else 1.0)
        gases[gas] = lagged(ppm, lag_s, lag_s)
        air.add(gas, gases[gas])
    glows = fire.smoulder_g_per_s > 0.01 * max(float(fire.smoulder_g_per_s.max()), 1e-9)
    air.add("h2", gases["co"] * glows * float(rng.uniform(*HYDROGEN_PER_CO)))
    per_l = 1e6 / (room.volume_m3 * 1000.0)
    voc = diluted(voc_litres(told["voc_g_per_s"]) * per_l, room.air_changes_per_h)
    # What rises gathers below the ceiling: vapour as CO does.
    gathers = np.clip(
        told["co_upper_ppm"] / np.maximum(told["co_upper_ppm"] * 0.5 + told["co_lower_ppm"], 1e-9),
        1.0,
        2.0,
    )
    air.add("voc", lagged(voc * np.where(upper > 0.5, gathers, 1.0), lag_s, lag_s))
    burnt_g = fire.flame_kw / _HEAT_KJ_PER_G * float(rng.uniform(*NO2_G_PER_G))
    litres = co_litres(burnt_g) * 28.0 / _NO2_G_PER_MOL
    air.add("no2", lagged(diluted(litres * per_l, room.air_changes_per_h), lag_s, lag_s))
    air.add("rh", -np.minimum(told["upper_rise_k"] * upper, 20.0) * 1.2)


def _share_above(height_m: float, layer_m: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how far a height is in the upper layer, 0 to 1; the interface is 20 cm thick."""
    share: NDArray[np.float64] = np.clip((height_m - layer_m) / 0.2 + 0.5, 0.0, 1.0)
    return share


def _jet(told: dict[str, NDArray[np.float64]], away_m: float) -> NDArray[np.float64]:
    """Return the ceiling jet's rise at a distance from the axis (K)."""
    rises = np.stack([told[f"jet_{radius:.0f}_k"] for radius in JET_R_M])
    if away_m >= JET_R_M[-1]:
        rise: NDArray[np.float64] = rises[-1] * (away_m / JET_R_M[-1]) ** (-2.0 / 3.0)
        return rise
    right = int(np.searchsorted(JET_R_M, away_m, side="right"))
    left = right - 1
    share = (away_m - JET_R_M[left]) / (JET_R_M[right] - JET_R_M[left])
    between: NDArray[np.float64] = rises[left] * (1.0 - share) + rises[right] * share
    return between

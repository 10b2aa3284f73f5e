"""Gas in rooms: what smoulders, a cigarette and a gas hob make of the air, against a table."""

from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from firedetect.lab.realism.check import Check, check
from firedetect.lab.realism.origin import mean_lag_s, unlagged
from firedetect.simulation.air import AirBuilder, Emission, Ventilation, co_litres
from firedetect.simulation.families import draw_episode
from firedetect.simulation.patches import Times
from firedetect.simulation.stage import Choice

GROUP: Final = "Gas in rooms"
SOURCE: Final = "domain 1.7 and 1.11, computed"
AT_S: Final = 600
AIR_CHANGES_PER_H: Final = 1.0
MIXING_S: Final = 35.0
WITHIN: Final = 1.2
VOLUMES_M3: Final = (30.0, 60.0, 150.0)
TOLD_PPM: Final = {"TF3-like": (123.0, 61.0, 25.0), "TF2-like": (132.0, 66.0, 26.0)}
CO_YIELD: Final = {"TF3-like": 0.15, "TF2-like": 0.12}
REFERENCE_M3: Final = 60.0
CIGARETTE_PPM: Final = (1.0, 6.0)
HOB_CO_PPM: Final = (1.0, 15.0)
HOB_CO2_PER_MIN: Final = (31.0, 110.0)
"""One burner of 1 to 3.6 kW, 3 kW being 92 ppm a minute in 60 m3."""
_COOKS_S: Final = 600.0

_check = partial(check, GROUP, SOURCE)


def rate_g_per_s(kind: str, t_s: Times) -> NDArray[np.float64]:
    """Return the fuel that is lost: cotton wicks, or wood on a plate that is hot after 200 s."""
    if kind == "TF3-like":
        return np.asarray(0.02 + 0.06 * np.clip(t_s / AT_S, 0.0, 1.0))
    return np.asarray(0.1 * (t_s >= 200.0))


def diluted_ppm(kind: str, volume_m3: float) -> float:
    """Return the CO that the generator's air makes of it after ten minutes."""
    air = AirBuilder(Ventilation(volume_m3, AIR_CHANGES_PER_H, MIXING_S), AT_S + 1)
    air.emit(Emission(co_l=lambda t_s: co_litres(rate_g_per_s(kind, t_s) * CO_YIELD[kind])))
    return float(air.gas().co_ppm[AT_S])


def dilution_checks(count: int = 60) -> list[Check]:
    """Return the checks of smoulders in three rooms, of cigarettes and of gas hobs."""
    made = [
        _check(f"{kind} CO in {volume:g} m3", "after 10 min at one air change an hour", "ppm",
               (told / WITHIN, told * WITHIN), diluted_ppm(kind, volume), None)
        for kind, row in TOLD_PPM.items()
        for volume, told in zip(VOLUMES_M3, row, strict=True)
    ]  # fmt: skip
    return [*made, _cigarettes(count), *_hobs(count)]


def _cigarettes(count: int) -> Check:
    peaks = []
    for number in range(4 * count):
        episode = draw_episode("smoking", (112, number), Choice(lead_s=75.0))
        if "cigarette" in episode.happening.cause:
            peaks.append(float(episode.truth.co_ppm.max()) * episode.volume_m3 / REFERENCE_M3)
    return _check("cigarette: CO", "median peak, brought to 60 m3", "ppm", CIGARETTE_PPM,
                  float(np.median(peaks)), peaks)  # fmt: skip


def _hobs(count: int) -> list[Check]:
    lag_s = mean_lag_s("co2_lag_s")
    co, co2 = [], []
    for number in range(count):
        episode = draw_episode("gas-hob", (113, number), Choice(lead_s=75.0, co2=True))
        scale = episode.volume_m3 / REFERENCE_M3
        co.append(float(episode.truth.co_ppm.max()) * scale)
        if episode.readings.co2_ppm is not None:
            held = unlagged(episode.readings.co2_ppm, lag_s)
            # While little is carried off yet.
            rise = float(np.mean(held[240:300]) - np.mean(held[120:180]))
            co2.append(rise / 2.0 * scale)
    return [
        _check("gas hob: CO", "median peak, brought to 60 m3", "ppm", HOB_CO_PPM,
               float(np.median(co)), co),
        _check("gas hob: CO2 rises", "median from minute 2 to 4, brought to 60 m3; a burner of "
               "1 to 3.6 kW", "ppm/min", HOB_CO2_PER_MIN, float(np.median(co2)), co2),
    ]  # fmt: skip

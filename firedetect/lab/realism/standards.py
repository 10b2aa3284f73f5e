"""G4: the standard fires TF1 to TF9: their end, their heat and the CO at the detector."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from firedetect.lab.realism.check import Check, spread
from firedetect.simulation.air import co_litres
from firedetect.simulation.families import draw_episode
from firedetect.simulation.stage import Choice

GROUP: Final = "G4 standard fires"
SOURCE: Final = "EN 54-7/-9, ISO 7240-9 as in domain 1.12"
ROOM_L: Final = 280_000.0
UPPER_HALF: Final = 2.0
"""CO lies between spread over the whole room and gathered in its upper half."""
Range = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Told:
    """What is told of one fire: window (s), peak heat (kW), fuel lost by the end (g), CO yield."""

    window_s: Range
    heat_kw: Range | None = None
    lost_g: Range | None = None
    co_yield: Range = (0.0, 0.0)
    co_ppm: Range | None = None


FIRES: Final = {
    "TF1": Told((270, 370), (100, 160), (750, 2450), (0.005, 0.005)),
    "TF2": Told((570, 840), None, (18, 32), (0.12, 0.12)),
    "TF3": Told((280, 750), None, (14, 37), (0.15, 0.15)),
    "TF4": Told((140, 180), (60, 120), (200, 300), (0.010, 0.042)),
    "TF5": Told((120, 240), (100, 150), (170, 650), (0.010, 0.010)),
    "TF5a": Told((0, 3600), (24, 36)),
    "TF5b": Told((0, 3600), (56, 84)),
    "TF6": Told((0, 450), (80, 100), (230, 2000), (0.001, 0.001)),
    "TF8": Told((550, 1000), (8, 15)),
    "TF9": Told((0, 3600), co_ppm=(45, 100)),
}
"""Fuel lost follows from the masses and courses of the table, at the window's two ends."""


def co_range_ppm(told: Told) -> Range | None:
    """Return what CO the fire's fuel makes in the standard's room."""
    if told.lost_g is None:
        return told.co_ppm
    litres = co_litres(np.array(told.lost_g) * np.array(told.co_yield))
    low, high = (litres / ROOM_L * 1e6).tolist()
    return low, high * UPPER_HALF


def standard_checks(draws: int = 52) -> list[Check]:
    """Return the checks of every standard fire, so many draws of each."""
    return [check for family in FIRES for check in _family_checks(family, draws)]


def _family_checks(family: str, draws: int) -> list[Check]:
    told = FIRES[family]
    ends, peaks, ppm = [], [], []
    for number in range(draws):
        truth = draw_episode(family, (104, number), Choice()).truth
        if truth.end_of_test_s is None or truth.ignition_s is None:
            continue
        ends.append(truth.end_of_test_s - truth.ignition_s)
        peaks.append(float(truth.heat_kw.max()))
        ppm.append(float(truth.co_ppm[min(int(truth.end_of_test_s), len(truth.co_ppm) - 1)]))
    first, last = told.window_s
    hits = sum(first <= end <= last for end in ends)
    made = [
        Check(
            name=f"{family}: ends in its window",
            group=GROUP,
            source=SOURCE,
            compared=f"share of draws that end within {first:g} to {last:g} s",
            unit="",
            low=1.0,
            high=1.0,
            got=hits / draws,
            count=draws,
        )
    ]
    for what, unit, real, values in (
        ("peak heat", "kW", told.heat_kw, peaks),
        ("CO at its end", "ppm", co_range_ppm(told), ppm),
    ):
        if real is not None:
            made.append(
                Check(
                    name=f"{family}: {what}",
                    group=GROUP,
                    source=SOURCE,
                    compared="median" if unit == "kW" else "median, against the fuel's own CO",
                    unit=unit,
                    low=real[0],
                    high=real[1],
                    got=float(np.median(values)) if values else float("nan"),
                    spread=spread(values),
                    count=len(values),
                )
            )
    return made

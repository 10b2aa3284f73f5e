"""Whether a raw MLX90640 frame may be turned into temperatures, judged by its auxiliary words."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from firedetect.sensors.mlx90640.calibration import COLUMNS
from firedetect.sensors.mlx90640.compute import (
    CP2_WORD,
    CP_WORD,
    GAIN_WORD,
    PTAT_WORD,
    SUBPAGE_WORD,
    VBE_WORD,
    VDD_WORD,
    Terms,
    row_without_value,
    supply_and_ambient,
)

USED_AUXILIARY = {
    "Vbe": VBE_WORD,
    "CP sub-page 0": CP_WORD,
    "gain": GAIN_WORD,
    "PTAT": PTAT_WORD,
    "CP sub-page 1": CP2_WORD,
    "Vdd": VDD_WORD,
}
NO_VALUE = (0x7FFF, 0x8000)
"""The two ends of the converter."""

TA_RANGE_C = (-40.0, 150.0)
TA_PIXELS_MAX_C = 85.0
"""The sensor is specified up to here: beyond it no pixel is believed, but a chip this hot is itself
the sign of a fire, and its own temperature must reach the hard rules."""
VDD_RANGE_V = (2.8, 3.8)
GAIN_RATIO_RANGE = (0.5, 2.0)


@dataclass(frozen=True, slots=True)
class Auxiliary:
    """What a frame says about the sensor itself."""

    vdd_v: float
    ta_c: float
    gain_ratio: float
    cp_counts: float


def auxiliary(words: NDArray[np.uint16], terms: Terms) -> Auxiliary:
    """Return supply, sensor temperature, gain and compensation of a frame without `problem`."""
    vdd, ta = supply_and_ambient(words.view(np.int16), terms.scalars)
    raw_gain = float(words[GAIN_WORD : GAIN_WORD + 1].view(np.int16)[0])
    cp_word = CP2_WORD if words[SUBPAGE_WORD] & 1 else CP_WORD
    cp = float(words[cp_word : cp_word + 1].view(np.int16)[0])
    return Auxiliary(vdd, ta, raw_gain / float(terms.gain), cp)


def problem(words: NDArray[np.uint16], terms: Terms) -> str | None:
    """Say why nothing may be computed from a frame, or return None.

    Of a frame without a problem the pixels are of use only if Ta is at most `TA_PIXELS_MAX_C`.
    """
    for name, place in USED_AUXILIARY.items():
        if int(words[place]) in NO_VALUE:
            return f"auxiliary word {name} is 0x{int(words[place]):04X}"
    row = row_without_value(words.view(np.int16))
    if row >= 0:
        return f"all words of row {row} are 0x{int(words[row * COLUMNS]):04X}"
    aux = auxiliary(words, terms)
    for name, value, (low, high), unit in (
        ("gain", aux.gain_ratio, GAIN_RATIO_RANGE, ""),
        ("Vdd", aux.vdd_v, VDD_RANGE_V, " V"),
        ("Ta", aux.ta_c, TA_RANGE_C, " °C"),
    ):
        if not low <= value <= high:
            return f"{name} is {value:.2f}{unit}, expected {low:g} to {high:g}"
    return None

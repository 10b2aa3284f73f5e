"""Whether a raw MLX90640 frame may be turned into temperatures, judged by its auxiliary words."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from firedetect.features.jit import kernel
from firedetect.sensors.mlx90640.calibration import COLUMNS, ROWS
from firedetect.sensors.mlx90640.compute import (
    CP2_WORD,
    CP_WORD,
    GAIN_WORD,
    PTAT_WORD,
    SUBPAGE_WORD,
    VBE_WORD,
    VDD_WORD,
    Terms,
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
HOT_COUNTS = 0x1000
"""An eighth of the converter's range, 220 to 300 °C from array to array: no room gives so much."""

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
    row = _row_without_value(words.view(np.int16))
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


@kernel
def _row_without_value(raw: NDArray[np.int16]) -> int:
    """Return the first row that was not measured; -1 if there is none.

    All its words are 0x8000, or 0x7FFF with nothing hot beside it. A fire that fills a row is seen
    in the next one, too: saturation is evidence of fire and no fault.
    """
    for row in range(ROWS):
        first = raw[row * COLUMNS]
        if first in (32767, -32768):
            same = True
            for column in range(1, COLUMNS):
                same = same and raw[row * COLUMNS + column] == first
            if same and not (first > 0 and _hot_beside(raw, row)):
                return row
    return -1


@kernel
def _hot_beside(raw: NDArray[np.int16], row: int) -> bool:
    """Whether any word of the rows next to `row` is `HOT_COUNTS`."""
    for beside in (row - 1, row + 1):
        if 0 <= beside < ROWS:
            for column in range(COLUMNS):
                if raw[beside * COLUMNS + column] >= HOT_COUNTS:
                    return True
    return False

"""Which terms the images of an array are made with, and why they may not be those of its EEPROM."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from firedetect.errors import CalibrationError
from firedetect.readings import SensorOpened
from firedetect.sensors.mlx90640 import compute
from firedetect.sensors.mlx90640.calibration import (
    COLUMNS,
    ROWS,
    Calibration,
    extract,
    is_other_chip,
)

TROUBLE = "thermal-calibration"
"""The name of the trouble while images are made with other terms than they should be."""
FOREIGN = "the EEPROM differs from the one read at start; a replaced sensor needs a restart"
DAMAGED = "the EEPROM differs from its commissioned copy, which is used"
REPLACED = (
    "this is another array than the commissioned one, its own EEPROM is used: type  firedetect "
    "calibrate thermal"
)


@dataclass(frozen=True, slots=True, eq=False)
class Setup:
    """An opened array: prepared terms, settings, and for each bad pixel its good neighbours."""

    terms: compute.Terms
    emissivity: float
    ta_shift_c: float
    offset_c: np.float32
    repairs: tuple[tuple[int, NDArray[np.int64]], ...]


class ChosenTerms:
    """Folds the openings of one array.

    The copy made at its commissioning, else the first good EEPROM, is used for good: a damaged
    memory may still pass for a good one. Only another sensor brings its own.
    """

    def __init__(self) -> None:
        self._known: tuple[NDArray[np.uint16], Calibration] | None = None
        self._replaced = False

    def setup(self, event: SensorOpened) -> tuple[Setup, str]:
        """Return what images are made with, and the trouble with it in words, or none.

        Raises CalibrationError without any terms that can be trusted.
        """
        calibration, trouble = self._terms(event.eeprom, event.commissioned)
        # What was measured of one array says nothing of another.
        measured = event.bad_pixels if not self._replaced else ()
        offset_c = event.offset_c if not self._replaced else 0.0
        bad = {int(pixel) for pixel in calibration.bad_pixels} | set(measured)
        setup = Setup(
            compute.prepare(calibration),
            event.emissivity,
            event.ta_shift_c,
            np.float32(offset_c),
            tuple((pixel, _neighbours(pixel, bad)) for pixel in sorted(bad)),
        )
        return setup, trouble or event.problem

    def _terms(
        self, eeprom: NDArray[np.uint16] | None, copy: NDArray[np.uint16] | None
    ) -> tuple[Calibration, str]:
        if self._known is None:
            self._replaced = _is_replaced(eeprom, copy)
            words = eeprom if copy is None or self._replaced else copy
            if words is None:
                raise CalibrationError("the sensor was opened without its EEPROM")
            self._known = (words, extract(words))
        known, calibration = self._known
        if self._replaced:
            return calibration, REPLACED
        if eeprom is not None and np.array_equal(known, eeprom):
            return calibration, ""
        return calibration, FOREIGN if copy is None else DAMAGED


def _is_replaced(eeprom: NDArray[np.uint16] | None, copy: NDArray[np.uint16] | None) -> bool:
    """Whether the dump is a good one of another sensor than the copy."""
    if eeprom is None or copy is None or not is_other_chip(eeprom, copy):
        return False
    try:
        extract(eeprom)
    except CalibrationError:
        return False
    return True


def _neighbours(pixel: int, bad: set[int]) -> NDArray[np.int64]:
    row, column = divmod(pixel, COLUMNS)
    around = [
        r * COLUMNS + c
        for r in range(max(row - 1, 0), min(row + 2, ROWS))
        for c in range(max(column - 1, 0), min(column + 2, COLUMNS))
    ]
    return np.array([p for p in around if p != pixel and p not in bad], dtype=np.int64)

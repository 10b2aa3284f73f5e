"""Band radiance: sub-pixel hot sources mix as Planck radiance over 5.5 to 14 µm.

Mixing temperatures would hide small flames, mixing T⁴ would overstate a 1400 K flame three times.
"""

from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from firedetect.features.jit import kernel

KELVIN: Final = 273.15
COLDEST_C: Final = -70.0
STEP_C: Final = 0.5
_HOTTEST_C: Final = 1500.0
_BAND_M: Final = (5.5e-6, 14.0e-6)
_C1: Final = 3.741771852e-16
_C2: Final = 1.438776877e-2
_BACK_POINTS: Final = 8192


@dataclass(frozen=True, slots=True, eq=False)
class RadianceTables:
    """Radiance (W/m²) of a black surface every STEP_C from COLDEST_C on, and the way back.

    `back` holds temperatures (°C), evenly spaced over the fourth root of the radiance from
    `first_root` on in steps of `root_step`; there temperature is nearly a straight line.
    """

    radiance: NDArray[np.float64]
    back: NDArray[np.float64]
    first_root: float
    root_step: float


@cache
def radiance_tables() -> RadianceTables:
    """Return the tables that every rendered image uses."""
    temp_c = np.arange(COLDEST_C, _HOTTEST_C + STEP_C, STEP_C)
    wavelength = np.linspace(*_BAND_M, 400)
    exponent = _C2 / (wavelength[None, :] * (temp_c + KELVIN)[:, None])
    spectral = _C1 / (wavelength[None, :] ** 5 * np.expm1(exponent))
    radiance = np.asarray(np.trapezoid(spectral, wavelength, axis=1))
    roots = np.linspace(radiance[0] ** 0.25, radiance[-1] ** 0.25, _BACK_POINTS)
    back = np.interp(roots**4, radiance, temp_c)
    return RadianceTables(radiance, back, float(roots[0]), float(roots[1] - roots[0]))


@kernel
def radiance_at(temp_c: float, radiance: NDArray[np.float64]) -> float:
    """Return the band radiance at a temperature; beyond the table the table's end."""
    place = (temp_c - COLDEST_C) / STEP_C
    if place <= 0.0:
        return float(radiance[0])
    i = int(place)
    if i >= radiance.shape[0] - 1:
        return float(radiance[radiance.shape[0] - 1])
    return float(radiance[i] + (place - i) * (radiance[i + 1] - radiance[i]))


@kernel
def apparent_at(
    value: float, back: NDArray[np.float64], first_root: float, root_step: float
) -> float:
    """Return the temperature (°C) of a black surface with this band radiance."""
    place = (np.sqrt(np.sqrt(value)) - first_root) / root_step
    if place <= 0.0:
        return float(back[0])
    i = int(place)
    if i >= back.shape[0] - 1:
        return float(back[back.shape[0] - 1])
    return float(back[i] + (place - i) * (back[i + 1] - back[i]))


def band_radiance(temp_c: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the radiance in the band (W/m²) of black surfaces (°C)."""
    tables = radiance_tables()
    place = np.arange(len(tables.radiance)) * STEP_C + COLDEST_C
    return np.interp(temp_c, place, tables.radiance)

"""Band radiance: sub-pixel hot sources mix as Planck radiance over 5.5 to 14 µm.

Mixing temperatures would hide small flames, mixing T⁴ would overstate a 1400 K flame three times.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

KELVIN = 273.15
_BAND_M = (5.5e-6, 14.0e-6)
_C1 = 3.741771852e-16
_C2 = 1.438776877e-2
_TABLE_K = np.linspace(200.0, 1600.0, 2801)


@cache
def _table() -> NDArray[np.float64]:
    wavelength = np.linspace(*_BAND_M, 400)
    exponent = _C2 / (wavelength[None, :] * _TABLE_K[:, None])
    spectral = _C1 / (wavelength[None, :] ** 5 * np.expm1(exponent))
    return np.asarray(np.trapezoid(spectral, wavelength, axis=1))


def band_radiance(temp_c: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the radiance in the band (W/m², arbitrary solid angle) of a black surface (°C)."""
    return np.interp(temp_c + KELVIN, _TABLE_K, _table())


def apparent_c(radiance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the temperature (°C) of a black surface with this band radiance."""
    return np.interp(radiance, _table(), _TABLE_K) - KELVIN

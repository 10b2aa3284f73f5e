"""How dangerous a moment is: the hazard that a score should express."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

_HAZARD: Final = (0.0, 0.2, 0.4, 0.6, 0.8, 0.95)
_HEAT_KW: Final = (0.0, 0.5, 1.0, 3.0, 10.0, 40.0)
_CO_PPM: Final = (0.0, 10.0, 30.0, 60.0, 100.0, 250.0)


def hazard(heat_kw: NDArray[np.float64], co_ppm: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the hazard (0 to 1): the higher of the fire's heat and of CO at the sensor.

    Legal heat is no heat of a fire; CO is a hazard wherever it comes from.
    """
    by_heat = np.interp(heat_kw, _HEAT_KW, _HAZARD)
    by_co = np.interp(co_ppm, _CO_PPM, _HAZARD)
    return np.maximum(by_heat, by_co)

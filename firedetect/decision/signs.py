"""Two signs: heat and gas that come together make an alert of what the score only warns of.

A score near a half may be a smoulder or a saucepan. Heat alone and gas alone have many harmless
causes; both within a minute, with a score that warns, have few (Milke: dT and CO).
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from firedetect.features.vector import INDEX

NS_PER_S: Final = 1_000_000_000
TOGETHER_S: Final = 60.0
SPOT_RISE_C: Final = 5.0
AIR_RISE_C: Final = 5.0
CO_LOG_RATIO: Final = 0.3
"""Three times what a stored baseline is off by: the CO film conducts a third better."""
CO2_PPM_PER_MIN: Final = 100.0
"""More than a gas hob in 60 m³, far more than people."""

_SPOT, _AIR = INDEX["tproxy_delta"], INDEX["air_delta_c"]
_CO, _CO2 = INDEX["g_co_lr"], INDEX["co2_rate_ppm_per_min"]


def heat_sign(rows: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Return whether each of rows (n, 27) shows heat; what is unknown shows nothing."""
    sign: NDArray[np.bool_] = (rows[:, _SPOT] >= SPOT_RISE_C) | (rows[:, _AIR] >= AIR_RISE_C)
    return sign


def gas_sign(rows: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Return whether each of rows (n, 27) shows fire gas; what is unknown shows nothing."""
    sign: NDArray[np.bool_] = (rows[:, _CO] >= CO_LOG_RATIO) | (rows[:, _CO2] >= CO2_PPM_PER_MIN)
    return sign


@dataclass(slots=True)
class TwoSigns:
    """Folds rows; `together` tells whether both signs were there within the last minute."""

    _heat_ns: int | None = None
    _gas_ns: int | None = None

    def fold(self, t_ns: int, row: NDArray[np.floating]) -> None:
        """Fold one row (27,)."""
        if row[_SPOT] >= SPOT_RISE_C or row[_AIR] >= AIR_RISE_C:
            self._heat_ns = t_ns
        if row[_CO] >= CO_LOG_RATIO or row[_CO2] >= CO2_PPM_PER_MIN:
            self._gas_ns = t_ns

    def together(self, t_ns: int) -> bool:
        """Whether heat and gas were both seen within the last minute."""
        oldest_ns = t_ns - TOGETHER_S * NS_PER_S
        seen = (self._heat_ns, self._gas_ns)
        return all(when is not None and when >= oldest_ns for when in seen)

"""The air of a room over time: what is given off, dilutes, and reaches the sensors with a lag."""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from firedetect.features.jit import kernel
from firedetect.simulation.films import RoomGas, lagged
from firedetect.simulation.patches import Series, Times, steady

MOLAR_L: Final = 24.45
CO_G_PER_MOL: Final = 28.0
ETHANOL_G_PER_MOL: Final = 46.0
PERSON_CO2_L_PER_S: Final = 0.0052
PERSON_VOC_PPM_L_PER_S: Final = 2e-6
"""What one person adds: CO2, and traces of alcohol and acetone as ethanol (litres per second)."""
_NOTHING: Final = steady(0.0)


@dataclass(frozen=True, slots=True)
class Emission:
    """What legal sources give off in a room, litres of gas per second over time, and moisture."""

    co_l: Series = _NOTHING
    co2_l: Series = _NOTHING
    voc_l: Series = _NOTHING
    no2_l: Series = _NOTHING
    rh_pct_per_s: Series = _NOTHING
    heat_k: Series = _NOTHING
    """Rise of the air at the sensor (K)."""


@dataclass(frozen=True, slots=True)
class Ventilation:
    """How a room changes its air and how long it takes to mix to the sensor."""

    volume_m3: float
    air_changes_per_h: float
    mixing_s: float


@dataclass(slots=True)
class AirBuilder:
    """Adds up what several sources do to the air of one episode, one value a second."""

    ventilation: Ventilation
    seconds: int
    vapour: tuple[float, ...] = (1.0, 1.0, 1.0, 1.0)
    _parts: dict[str, NDArray[np.float64]] = field(default_factory=dict)

    @property
    def t_s(self) -> Times:
        """The times of all series."""
        return np.arange(self.seconds, dtype=np.float64)

    def emit(self, emission: Emission) -> None:
        """Add sources that mix with the whole room."""
        room = self.ventilation
        t_s = self.t_s
        per_l = 1e6 / (room.volume_m3 * 1000.0)
        gases = (
            ("co", emission.co_l),
            ("co2", emission.co2_l),
            ("voc", emission.voc_l),
            ("no2", emission.no2_l),
        )
        for name, series in gases:
            added = diluted(series(t_s) * per_l, room.air_changes_per_h)
            self.add(name, lagged(added, room.mixing_s, room.mixing_s))
        # Moisture settles on walls and goes with the air: about four times as fast as gas.
        moist = diluted(emission.rh_pct_per_s(t_s), 4.0 + 4.0 * room.air_changes_per_h)
        self.add("rh", lagged(moist, room.mixing_s, room.mixing_s))
        self.add("temp", emission.heat_k(t_s))

    def add(self, name: str, series: NDArray[np.float64]) -> None:
        """Add a finished series (n,) of co, co2, voc, no2, h2 (ppm), rh (%), temp (K)."""
        held = self._parts.get(name)
        self._parts[name] = series.copy() if held is None else held + series

    def through_door(self, share: float, lag_s: float) -> None:
        """Let everything but warmth come from the next room: a share of it, later."""
        for name, series in self._parts.items():
            if name != "temp":
                self._parts[name] = share * lagged(series, lag_s, lag_s)

    def gas(self) -> RoomGas:
        """Return what the sensors stand in."""
        parts: defaultdict[str, NDArray[np.float64]] = defaultdict(lambda: np.zeros(self.seconds))
        parts.update(self._parts)
        return RoomGas(
            co_ppm=parts["co"],
            co2_ppm=parts["co2"],
            voc_ppm=parts["voc"],
            no2_ppm=parts["no2"],
            h2_ppm=parts["h2"],
            rh_pct=np.clip(parts["rh"], -40.0, 60.0),
            temp_k=parts["temp"],
            vapour=self.vapour,
        )


@kernel
def diluted(added_per_s: NDArray[np.float64], air_changes_per_h: float) -> NDArray[np.float64]:
    """Return concentrations of what is added each second and carried off with the air."""
    keep = np.exp(-air_changes_per_h / 3600.0)
    out = np.empty_like(added_per_s)
    held = 0.0
    for i in range(len(added_per_s)):
        held = held * keep + added_per_s[i]
        out[i] = held
    return out


def voc_litres(grams: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return litres of vapour of a mass of VOC (g), as ethanol."""
    return grams / ETHANOL_G_PER_MOL * MOLAR_L


def co_litres(grams: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return litres of CO of a mass (g)."""
    return grams / CO_G_PER_MOL * MOLAR_L


def people_breathe(count: int) -> Emission:
    """Return the breath of some people."""
    return Emission(
        co2_l=steady(PERSON_CO2_L_PER_S * count), voc_l=steady(PERSON_VOC_PPM_L_PER_S * count)
    )

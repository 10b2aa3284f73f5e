"""What the slow sensors make of the air: SCD41, BME280, and the array's own temperature."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from firedetect.simulation.films import lagged

TA_SHIFT_C: Final = 8.0
"""The array is so much warmer than the air around it."""
CO2_EVERY_S: Final = 5
CO2_NOISE_PPM: Final = 8.0
OUTDOOR_CO2_PPM: Final = 422.0


@dataclass(frozen=True, slots=True)
class Probes:
    """Errors and lags of one set of slow sensors."""

    co2_bias_ppm: float
    co2_gain: float
    co2_lag_s: float
    air_lag_s: float
    air_bias_c: float
    rh_lag_s: float
    array_lag_s: float
    array_bias_c: float

    @classmethod
    def of(cls, rng: np.random.Generator) -> "Probes":
        """Draw a set: datasheet accuracies as two deviations, lags with and without a case."""
        return cls(
            co2_bias_ppm=float(rng.normal(0.0, 25.0)),
            co2_gain=float(rng.normal(1.0, 0.015)),
            co2_lag_s=float(rng.uniform(45.0, 90.0)),
            air_lag_s=float(rng.uniform(12.0, 45.0)),
            air_bias_c=float(rng.normal(0.5, 0.7)),
            rh_lag_s=float(rng.uniform(5.0, 20.0)),
            array_lag_s=float(rng.uniform(60.0, 120.0)),
            array_bias_c=float(rng.normal(0.0, 1.0)),
        )

    def co2_ppm(
        self, true_ppm: NDArray[np.float64], rng: np.random.Generator
    ) -> NDArray[np.float64]:
        """Return what an SCD41 gives (n,), one value a second; it is read every CO2_EVERY_S."""
        held = lagged(true_ppm, self.co2_lag_s, self.co2_lag_s)
        noise = rng.normal(0.0, CO2_NOISE_PPM, len(held))
        return np.maximum(np.rint(held * self.co2_gain + self.co2_bias_ppm + noise), 1.0)

    def air_c(self, true_c: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
        """Return what a BME280 gives for the air temperature (°C)."""
        held = lagged(true_c, self.air_lag_s, self.air_lag_s)
        return held + self.air_bias_c + rng.normal(0.0, 0.01, len(held))

    def rh_pct(
        self, true_pct: NDArray[np.float64], rng: np.random.Generator
    ) -> NDArray[np.float64]:
        """Return what a BME280 gives for the relative humidity (%)."""
        held = lagged(true_pct, self.rh_lag_s, self.rh_lag_s)
        return np.clip(held + rng.normal(0.0, 0.05, len(held)), 0.0, 100.0)

    def array_c(self, true_c: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the array's own temperature: the air behind its lag, and its own heat."""
        held = lagged(true_c, self.array_lag_s, self.array_lag_s)
        return held + TA_SHIFT_C + self.array_bias_c

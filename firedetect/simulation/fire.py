"""A small fire: growth, flame and fuel bed in view, ceiling heat, and what it gives off.

Growth is t² (NFPA 204), flame height after Heskestad, ceiling jet after Alpert, gas well mixed in
the room; numbers from `docs/architecture.md`, Fire model.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from firedetect.simulation.thermal import Source, pixel_size_m

MOLAR_L = 24.45
HEAT_KJ_PER_G = 15.0
FLAME_C = 830.0
BED_C = 600.0
SMOULDER_C = 450.0
_HAZARD = (0.0, 0.2, 0.4, 0.6, 0.8, 0.95)
_HAZARD_KW = (0.0, 0.5, 1.0, 3.0, 10.0, 40.0)
_HAZARD_CO_PPM = (0.0, 10.0, 30.0, 60.0, 100.0, 250.0)


def hazard(heat_kw: float, co_ppm: float) -> float:
    """Return the hazard (0 to 1) that a score should express: the higher of heat and CO."""
    return float(
        max(np.interp(heat_kw, _HAZARD_KW, _HAZARD), np.interp(co_ppm, _HAZARD_CO_PPM, _HAZARD))
    )


@dataclass(frozen=True, slots=True)
class Fire:
    """One fire in one room: smoulders from `ignition_s` on, flames `flame_after_s` later."""

    ignition_s: float
    growth_kw_per_s2: float = 0.0
    peak_kw: float = 0.0
    flame_after_s: float = 0.0
    per_area_kw: float = 400.0
    smoulder_g_per_s: float = 0.0
    smoulder_ramp_s: float = 120.0
    co_yield: float = 0.006
    smoulder_co_yield: float = 0.15
    voc_yield: float = 0.003
    smoulder_voc_yield: float = 0.04
    volume_m3: float = 40.0
    height_m: float = 2.4
    distance_m: float = 3.0
    radius_m: float = 2.0
    air_changes_per_h: float = 0.6
    soot_per_m: float = 0.35

    def heat_kw(self, t_s: float) -> float:
        """Return the heat release rate (kW)."""
        since = t_s - self.ignition_s - self.flame_after_s
        if since <= 0.0 or self.growth_kw_per_s2 == 0.0:
            return 0.0
        return min(self.growth_kw_per_s2 * since * since, self.peak_kw)

    def smoulder_rate(self, t_s: float) -> float:
        """Return the mass loss rate of smouldering (g/s)."""
        since = t_s - self.ignition_s
        if since <= 0.0:
            return 0.0
        return self.smoulder_g_per_s * min(1.0, since / self.smoulder_ramp_s)

    def ceiling_rise_k(self, t_s: float) -> float:
        """Return the steady ceiling jet's temperature rise over the sensor (Alpert)."""
        convective = 0.7 * self.heat_kw(t_s)
        if convective <= 0.0:
            return 0.0
        if self.radius_m / self.height_m <= 0.18:
            return float(16.9 * convective ** (2 / 3) / self.height_m ** (5 / 3))
        return float(5.38 * (convective / self.radius_m) ** (2 / 3) / self.height_m)

    def sources(
        self, row: float, col: float, lens: str, rng: np.random.Generator
    ) -> tuple[Source, ...]:
        """Return flame, fuel bed and smouldering spot, standing on pixel (row, col)."""
        wide_m, high_m = pixel_size_m(self.distance_m, lens)
        phase = rng.uniform(0.0, 2.0 * math.pi, 3)
        lean = rng.uniform(-0.3, 0.3)

        def diameter_m(t_s: float) -> float:
            return math.sqrt(4.0 * self.heat_kw(t_s) / (math.pi * self.per_area_kw))

        def flame_px(t_s: float) -> float:
            heat, size = self.heat_kw(t_s), diameter_m(t_s)
            mean = max(0.235 * math.pow(heat, 0.4) - 1.02 * size, 0.3 * size)
            puff = 1.5 / math.sqrt(max(size, 0.03))
            wave = math.sin(2.0 * math.pi * puff * t_s + phase[0])
            slow = math.sin(2.0 * math.pi * 0.31 * puff * t_s + phase[1])
            return mean * (1.0 + 0.3 * wave + 0.15 * slow) / high_m

        flame = Source(
            row=lambda t: row - flame_px(t) / 2.0,
            col=lambda t: col + lean * flame_px(t) * math.sin(1.7 * t + phase[2]),
            height=flame_px,
            width=lambda t: diameter_m(t) / wide_m,
            temp_c=lambda _t: FLAME_C,
            emissivity=lambda t: 1.0 - math.exp(-self.soot_per_m * max(diameter_m(t), 0.02)),
        )
        bed = Source(
            row=lambda t: row + 0.2 * diameter_m(t) / high_m,
            col=lambda _t: col,
            height=lambda t: 0.4 * diameter_m(t) / high_m,
            width=lambda t: diameter_m(t) / wide_m,
            temp_c=lambda _t: BED_C,
            emissivity=lambda t: 0.9 if self.heat_kw(t) > 0.0 else 0.0,
        )
        spot = Source(
            row=lambda _t: row,
            col=lambda _t: col,
            height=lambda _t: 0.05 / high_m,
            width=lambda _t: 0.05 / wide_m,
            temp_c=lambda t: 60.0 + (SMOULDER_C - 60.0) * min(1.0, self._smoulder_share(t)),
            emissivity=lambda t: 0.9 if self.smoulder_rate(t) > 0.0 else 0.0,
        )
        return flame, bed, spot

    def _smoulder_share(self, t_s: float) -> float:
        return (t_s - self.ignition_s) / max(self.smoulder_ramp_s, 1.0)

    def gas_source(self) -> Callable[[float], tuple[float, float, float]]:
        """Return CO, CO2 and VOC (as ethanol) added to the room's air, in ppm/s."""
        per_g = MOLAR_L * 1000.0 / self.volume_m3

        def added(t_s: float) -> tuple[float, float, float]:
            flaming = self.heat_kw(t_s) / HEAT_KJ_PER_G
            glowing = self.smoulder_rate(t_s)
            co = flaming * self.co_yield + glowing * self.smoulder_co_yield
            co2 = flaming * 1.4 + glowing * 0.4
            voc = flaming * self.voc_yield + glowing * self.smoulder_voc_yield
            return co / 28.0 * per_g, co2 / 44.0 * per_g, voc / 46.0 * per_g

        return added

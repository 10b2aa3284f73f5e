"""Temperatures to raw MLX90640 words: the inverse of the temperature calculation.

Symbols as in `firedetect.sensors.mlx90640.compute`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from firedetect.sensors.mlx90640.calibration import PIXELS, Calibration
from firedetect.sensors.mlx90640.compute import (
    CHESS_BIT,
    CP2_WORD,
    CP_WORD,
    GAIN_WORD,
    KELVIN,
    PTAT_WORD,
    RESOLUTION_SHIFT,
    VBE_WORD,
    VDD_WORD,
    pixels_of,
)
from firedetect.sensors.mlx90640.plausible import USED_AUXILIARY

RAM_WORDS = 832
GAIN_PER_K = 2e-4
"""The amplifier drifts a little with temperature, as a real one does."""
VBE_COUNTS = 20_000
"""Near what real chips show at room temperature; PTAT follows from it."""

_CLIPPED = 0x7FFF
_INVERSE_STEPS = 8
_CORRECTED_TO_C = 500.0
_UNUSED = np.array([w for w in range(PIXELS, RAM_WORDS) if w not in USED_AUXILIARY.values()])


@dataclass(frozen=True, slots=True)
class Ambient:
    """The sensor's own state as whole words give it back: what a decoder will find."""

    vdd_v: float
    ta_c: float
    gain: float
    background: float


def encode_subpage(
    calibration: Calibration,
    temp_c: NDArray[np.float64] | NDArray[np.float32],
    sub_page: int,
    *,
    ta_c: float = 25.0,
    vdd_v: float = 3.3,
    emissivity: float = 0.95,
    ta_shift_c: float = 8.0,
    control: int = 0x1A01,
    rng: np.random.Generator | None = None,
) -> NDArray[np.uint16]:
    """Return the 832 RAM words of one sub-page that shows `temp_c`, shape (24, 32).

    Decoding gives every pixel back within half a raw step. Too hot for the converter becomes
    0x7FFF, too cold (or NaN) 0x8000. Pixels of the other sub-page are 0. With `rng` the unused
    auxiliary words are noise, as on a chip.
    """
    words = np.zeros(RAM_WORDS, dtype=np.int64)
    if rng is not None:
        words[_UNUSED] = rng.integers(0, 64, _UNUSED.size)
    chess = 1 if control & CHESS_BIT else 0
    ambient = _encode_auxiliary(
        words, calibration, sub_page, ta_c=ta_c, vdd_v=vdd_v, control=control
    )
    pixels = pixels_of(chess, sub_page)
    target_c = np.asarray(temp_c, dtype=np.float64).reshape(PIXELS)[pixels]
    signal = _signal(
        calibration, ambient, target_c, pixels, emissivity=emissivity, ta_shift_c=ta_shift_c
    )
    offset = (
        calibration.offset[pixels]
        * (1 + calibration.kta[pixels] * (ambient.ta_c - 25))
        * (1 + calibration.kv[pixels] * (ambient.vdd_v - 3.3))
    )
    counts = signal * emissivity + ambient.background + offset
    if bool(chess) != calibration.chess_calibrated:
        counts -= _pattern_difference(calibration, pixels)
    raw = np.rint(np.nan_to_num(counts / ambient.gain, nan=-1e9))
    # 0x7FFF and 0x8000 mean "no value", so the clip ends are exactly these.
    words[pixels] = np.clip(raw, -32768, _CLIPPED)
    return (words & 0xFFFF).astype(np.uint16)


def _encode_auxiliary(
    words: NDArray[np.int64],
    calibration: Calibration,
    sub_page: int,
    *,
    ta_c: float,
    vdd_v: float,
    control: int,
) -> Ambient:
    """Write the used auxiliary words; return what they say after rounding."""
    resolution = 2.0 ** (calibration.resolution - ((control >> RESOLUTION_SHIFT) & 3))
    vdd_word = round(((vdd_v - 3.3) * calibration.k_vdd + calibration.vdd_25) / resolution)
    vdd = (resolution * vdd_word - calibration.vdd_25) / calibration.k_vdd + 3.3
    supply = 1 + calibration.kv_ptat * (vdd - 3.3)
    ratio = ((ta_c - 25) * calibration.kt_ptat + calibration.v_ptat_25) * supply / 2**18
    ptat = round(VBE_COUNTS / (1 / ratio - calibration.alpha_ptat))
    vbe = round(ptat / ratio - ptat * calibration.alpha_ptat)
    found = ptat / (ptat * calibration.alpha_ptat + vbe) * 2**18
    ta = (found / supply - calibration.v_ptat_25) / calibration.kt_ptat + 25
    gain_word = round(calibration.gain * (1 + GAIN_PER_K * (ta - 25)))
    gain = calibration.gain / gain_word

    first, second = calibration.cp_offset
    if bool(control & CHESS_BIT) != calibration.chess_calibrated:
        second += calibration.il_chess[0]
    drift = (1 + calibration.cp_kta * (ta - 25)) * (1 + calibration.cp_kv * (vdd - 3.3))
    # The compensation pixels see the package, which is as warm as the sensor: no signal.
    cp_words = (round(first * drift / gain), round(second * drift / gain))
    cp_offset = (first, second)[sub_page] * drift
    words[VDD_WORD], words[PTAT_WORD], words[VBE_WORD] = vdd_word, ptat, vbe
    words[GAIN_WORD], words[CP_WORD], words[CP2_WORD] = gain_word, *cp_words
    return Ambient(vdd, ta, gain, calibration.tgc * (cp_words[sub_page] * gain - cp_offset))


def _signal(
    calibration: Calibration,
    ambient: Ambient,
    target_c: NDArray[np.float64],
    pixels: NDArray[np.int64],
    *,
    emissivity: float,
    ta_shift_c: float,
) -> NDArray[np.float64]:
    """Return the compensated counts that the calculation turns into `target_c`.

    The calculation corrects the sensitivity with a first estimate of the temperature. Its inverse
    is a fixed point: each step takes off more than four fifths of the error.
    """
    ks, ct = np.array(calibration.ks_to), np.array(calibration.ct_c)
    third = 1 + ks[1] * ct[2]
    corr = np.array([1 / (1 + ks[0] * 40), 1.0, third, third * (1 + ks[2] * (ct[3] - ct[2]))])
    alpha = calibration.alpha[pixels] * (1 + calibration.ks_ta * (ambient.ta_c - 25))
    ta4 = (ambient.ta_c + KELVIN) ** 4
    tr4 = (ambient.ta_c - ta_shift_c + KELVIN) ** 4
    ta_tr = tr4 - (tr4 - ta4) / emissivity
    excess = alpha * ((target_c + KELVIN) ** 4 - ta_tr)
    first_corr = alpha * (1 - ks[1] * KELVIN)
    estimate = target_c
    signal = excess
    with np.errstate(invalid="ignore"):
        for _ in range(_INVERSE_STEPS):
            part = (estimate >= ct[1]) * 1 + (estimate >= ct[2]) + (estimate >= ct[3])
            signal = excess * corr[part] * (1 + ks[part] * (estimate - ct[part]))
            bend = np.sqrt(np.sqrt(alpha**3 * (signal + alpha * ta_tr))) * ks[1]
            estimate = np.sqrt(np.sqrt(signal / (first_corr + bend) + ta_tr)) - KELVIN
            # Far above the range the corrections mean nothing any more: hotter is more counts.
            estimate = np.fmin(estimate, _CORRECTED_TO_C)
    return signal


def _pattern_difference(calibration: Calibration, pixels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return what the calculation adds in the pattern that was not calibrated."""
    odd_row = pixels // 32 % 2
    conversion = (pixels + 2) // 4 - (pixels + 3) // 4 + (pixels + 1) // 4 - pixels // 4
    _, second, third = calibration.il_chess
    difference: NDArray[np.float64] = third * (2.0 * odd_row - 1) - second * (
        conversion * (1.0 - 2 * odd_row)
    )
    return difference

"""Raw sub-pages of an MLX90640 to °C: numba kernels and what they are prepared from.

Datasheet symbols as in `calibration`: Ta the sensor's own temperature, Tr the reflected one, To
the object's; CP compensation pixel, TGC its weight, IL interleaved pattern. Frames are 834 words:
768 pixels, 64 auxiliary words, the control register, the sub-page number.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from firedetect.features.jit import kernel
from firedetect.sensors.mlx90640.calibration import COLUMNS, PIXELS, ROWS, Calibration

HALF = PIXELS // 2
KELVIN = 273.15
LIMIT_C = 300.0
"""The end of the range: whatever is hotter, or clipped in the converter, counts as this."""
_LIMIT_K4 = (LIMIT_C + KELVIN) ** 4
INVALID_BELOW_C = -60.0
"""Below the -40 °C of the datasheet, less 20 K for noise, a result is no temperature: NaN."""

CONTROL_WORD = 832
SUBPAGE_WORD = 833
VBE_WORD, CP_WORD, GAIN_WORD, PTAT_WORD, CP2_WORD, VDD_WORD = 768, 776, 778, 800, 808, 810
CHESS_BIT = 0x1000
RESOLUTION_SHIFT = 10
# Rows of `Terms.pixels`.
_OFFSET, _KTA, _KV, _ALPHA, _IL = range(5)
# Places in `Terms.scalars`; CP offsets are four: interleaved 0, 1, chess 0, 1.
_KVDD, _VDD25, _RES, _KVPTAT, _KTPTAT, _VPTAT25, _APTAT, _GAIN, _TGC, _KSTA = range(10)
_CPKTA, _CPKV, _CPOFF, _KS, _CT, _CORR = 10, 11, 12, 16, 20, 24
_SCALARS = 28
# What all pixels of a sub-page share: nine numbers, then Ks, CT and corrections of four ranges.
_COMMON = 9 + _SCALARS - _KS
# The long loop is written in these: a number of eight bytes would widen all that it meets.
_ZERO, _ONE, _NAN = np.float32(0.0), np.float32(1.0), np.float32(math.nan)
_KELVIN, _LIMIT = np.float32(KELVIN), np.float32(LIMIT_C)


@dataclass(frozen=True, slots=True, eq=False)
class Terms:
    """A calibration in the order in which the kernels read it.

    `index` is (pattern, sub-page, 384): which pixels a sub-page measures; `pixels` is (pattern,
    sub-page, 5, 384): their offset, Kta, Kv, alpha, IL correction; pattern 0 is interleaved,
    1 is chess.
    """

    scalars: NDArray[np.float64]
    index: NDArray[np.int64]
    pixels: NDArray[np.float32]

    @property
    def gain(self) -> float:
        """The gain word at which the sensor was calibrated."""
        return float(self.scalars[_GAIN])


def prepare(calibration: Calibration) -> Terms:
    """Return `calibration` as arrays for the kernels."""
    scalars = np.zeros(_SCALARS)
    scalars[: _CPKV + 1] = (
        calibration.k_vdd, calibration.vdd_25, calibration.resolution, calibration.kv_ptat,
        calibration.kt_ptat, calibration.v_ptat_25, calibration.alpha_ptat, calibration.gain,
        calibration.tgc, calibration.ks_ta, calibration.cp_kta, calibration.cp_kv,
    )  # fmt: skip
    ks, ct = calibration.ks_to, calibration.ct_c
    scalars[_KS : _KS + 4] = ks
    scalars[_CT : _CT + 4] = ct
    third = 1 + ks[1] * ct[2]
    scalars[_CORR : _CORR + 4] = (
        1 / (1 + ks[0] * 40), 1.0, third, third * (1 + ks[2] * (ct[3] - ct[2])),
    )  # fmt: skip
    index = np.stack([[pixels_of(chess, page) for page in (0, 1)] for chess in (0, 1)])
    pixels = np.zeros((2, 2, 5, HALF), np.float32)
    il_correction = _il_correction(calibration)
    for chess in (0, 1):
        foreign = bool(chess) != calibration.chess_calibrated
        first, second = calibration.cp_offset
        if foreign:
            second += calibration.il_chess[0]
        scalars[_CPOFF + 2 * chess : _CPOFF + 2 * chess + 2] = (first, second)
        for page in (0, 1):
            chosen = index[chess, page]
            rows = pixels[chess, page]
            rows[_OFFSET] = calibration.offset[chosen]
            rows[_KTA] = calibration.kta[chosen]
            rows[_KV] = calibration.kv[chosen]
            rows[_ALPHA] = calibration.alpha[chosen]
            rows[_IL] = il_correction[chosen] if foreign else 0.0
    return Terms(scalars, index, pixels)


def pixels_of(chess: int, sub_page: int) -> NDArray[np.int64]:
    """Return the 384 pixel indices that a sub-page measures in a pattern (0 or 1 each)."""
    pixel = np.arange(PIXELS)
    row_parity = pixel // COLUMNS % 2
    return np.flatnonzero((row_parity ^ (pixel % 2 * chess)) == sub_page)


def _il_correction(calibration: Calibration) -> NDArray[np.float64]:
    """Return what a pixel gets in the pattern that the sensor was not calibrated in."""
    pixel = np.arange(PIXELS)
    row_parity = pixel // COLUMNS % 2
    conversion = (pixel + 2) // 4 - (pixel + 3) // 4 + (pixel + 1) // 4 - pixel // 4
    conversion = conversion * (1 - 2 * row_parity)
    _, second, third = calibration.il_chess
    correction: NDArray[np.float64] = third * (2.0 * row_parity - 1) - second * conversion
    return correction


def celsius(
    words: NDArray[np.uint16],
    terms: Terms,
    emissivity: float,
    reflected_c: float,
    out: NDArray[np.float32],
) -> None:
    """Write the 384 temperatures of one sub-page into `out`, float32 of shape (24, 32).

    The other sub-page's pixels stay as they are. Clipped pixels and those above 300 °C become 300,
    pixels without a temperature NaN. The frame must have passed `plausible.problem`
    with a Ta of at most `plausible.TA_PIXELS_MAX_C`.
    """
    _celsius(
        words.view(np.int16),
        terms.scalars,
        terms.index,
        terms.pixels,
        emissivity,
        reflected_c,
        out.reshape(PIXELS),
    )


def warm_up() -> None:
    """Compile every kernel of this module, or load it from the cache; takes seconds at first."""
    index = np.stack([[pixels_of(chess, page) for page in (0, 1)] for chess in (0, 1)])
    # About as sensitive as a real pixel: one of 1 would leave the numbers of four bytes.
    terms = Terms(np.ones(_SCALARS), index, np.full((2, 2, 5, HALF), 1e-7, np.float32))
    words = np.ones(SUBPAGE_WORD + 1, dtype=np.uint16)
    image = np.zeros((ROWS, COLUMNS), dtype=np.float32)
    supply_and_ambient(words.view(np.int16), terms.scalars)
    celsius(words, terms, 1.0, 20.0, image)
    isolated_change(image, image, 1.0, 1.0)


@kernel
def supply_and_ambient(raw: NDArray[np.int16], s: NDArray[np.float64]) -> tuple[float, float]:
    """Datasheet 11.2.2.2 and 11.2.2.3; `raw` signed words. Without a value NaN."""
    resolution = (int(raw[CONTROL_WORD]) >> RESOLUTION_SHIFT) & 3
    correction = 2.0 ** (s[_RES] - resolution)
    vdd = (correction * float(raw[VDD_WORD]) - s[_VDD25]) / s[_KVDD] + 3.3
    ptat = float(raw[PTAT_WORD])
    weighted = ptat * s[_APTAT] + float(raw[VBE_WORD])
    supply = 1.0 + s[_KVPTAT] * (vdd - 3.3)
    if weighted == 0.0 or supply == 0.0:
        return vdd, math.nan
    ta = (ptat / weighted * 262144.0 / supply - s[_VPTAT25]) / s[_KTPTAT] + 25.0
    return vdd, ta


@kernel
def _celsius(
    raw: NDArray[np.int16],
    s: NDArray[np.float64],
    index: NDArray[np.int64],
    pixels: NDArray[np.float32],
    emissivity: float,
    reflected_c: float,
    out: NDArray[np.float32],
) -> None:
    """Datasheet 11.2.2.5 to 11.2.2.9 for one sub-page; see `celsius`."""
    page = int(raw[SUBPAGE_WORD]) & 1
    chess = (int(raw[CONTROL_WORD]) >> 12) & 1
    chosen = index[chess, page]
    vdd, ta = supply_and_ambient(raw, s)
    warm = ta - 25.0
    over = vdd - 3.3
    gain = s[_GAIN] / float(raw[GAIN_WORD])
    cp_raw = float(raw[CP2_WORD]) if page == 1 else float(raw[CP_WORD])
    cp = cp_raw * gain - s[_CPOFF + 2 * chess + page] * (1.0 + s[_CPKTA] * warm) * (
        1.0 + s[_CPKV] * over
    )
    ta4 = (ta + KELVIN) ** 4
    tr4 = (reflected_c + KELVIN) ** 4
    ta_tr = tr4 - (tr4 - ta4) / emissivity
    common = np.empty(_COMMON, np.float32)
    common[:6] = warm, over, gain, s[_TGC] * cp, emissivity, ta_tr
    common[6] = 1.0 + s[_KSTA] * warm
    common[7] = _LIMIT_K4 - ta_tr
    common[8] = 1.0 - s[_KS + 1] * KELVIN
    common[9:] = s[_KS:]

    # Gather, calculate, scatter: only so does the long middle loop become vector code.
    signal = np.empty(HALF, np.float32)
    for k in range(HALF):
        signal[k] = raw[chosen[k]]
    _temperatures(signal, pixels[chess, page], common)
    for k in range(HALF):
        word = raw[chosen[k]]
        to = signal[k]
        if word == 32767 or to > LIMIT_C:
            to = np.float32(LIMIT_C)
        elif word == -32768 or not to >= INVALID_BELOW_C:
            to = _NAN
        out[chosen[k]] = to


@kernel
def _temperatures(
    signal: NDArray[np.float32], pixels: NDArray[np.float32], common: NDArray[np.float32]
) -> None:
    """Turn counts into °C, in place: four bytes a number, so that twice as many go at once.

    `common` is what all pixels share, see `_celsius`. Against numbers of eight bytes the result
    moves by less than 0.0001 K.
    """
    offset, kta, kv = pixels[_OFFSET], pixels[_KTA], pixels[_KV]
    alpha, il = pixels[_ALPHA], pixels[_IL]
    # Plain numbers, chosen by conditions: a lookup in the loop would keep it from vector code.
    warm, over, gain, background, emissivity = common[0], common[1], common[2], common[3], common[4]
    ta_tr, sensitivity, limit_k4, first_corr = common[5], common[6], common[7], common[8]
    ks0, ks1, ks2, ks3 = common[9], common[10], common[11], common[12]
    ct0, ct1, ct2, ct3 = common[13], common[14], common[15], common[16]
    corr0, corr1, corr2, corr3 = common[17], common[18], common[19], common[20]
    for k in range(HALF):
        ir = signal[k] * gain - offset[k] * (_ONE + kta[k] * warm) * (_ONE + kv[k] * over)
        ir = (ir + il[k] - background) / emissivity
        a = alpha[k] * sensitivity
        bend = a * a * a * (ir + a * ta_tr)
        bend = bend if bend >= _ZERO else _NAN
        x = ir / (a * first_corr + math.sqrt(math.sqrt(bend)) * ks1) + ta_tr
        x = x if x >= _ZERO else _NAN
        to = math.sqrt(math.sqrt(x)) - _KELVIN
        ks = ks3 if to >= ct3 else (ks2 if to >= ct2 else (ks1 if to >= ct1 else ks0))
        ct = ct3 if to >= ct3 else (ct2 if to >= ct2 else (ct1 if to >= ct1 else ct0))
        corr = corr3 if to >= ct3 else (corr2 if to >= ct2 else (corr1 if to >= ct1 else corr0))
        x = ir / (a * corr * (_ONE + ks * (to - ct))) + ta_tr
        x = x if x >= _ZERO else _NAN
        to = math.sqrt(math.sqrt(x)) - _KELVIN
        # Far above the range the corrections leave the real numbers: that is hot, not invalid.
        beyond = _LIMIT if ir > a * limit_k4 else _NAN
        signal[k] = to if to >= -_KELVIN else beyond


@kernel
def isolated_change(
    temp_c: NDArray[np.float32],
    before_c: NDArray[np.float32],
    limit_k: float,
    warm_k: float,
) -> int:
    """Return the flat index of the one pixel that stands alone and is new, or -1.

    Both images are (rows, columns). Alone: more than `limit_k` above or below all its valid
    neighbours. New: nothing in the 3 x 3 around it was `warm_k` beyond them in the image before.
    Two or more such pixels are no flipped bit: -1.
    """
    rows, columns = temp_c.shape
    found = -1
    for row in range(rows):
        for column in range(columns):
            value = temp_c[row, column]
            # Nearly every pixel is settled by one neighbour.
            side = temp_c[row, column - 1 if column > 0 else column + 1]
            if math.isnan(value) or abs(value - side) <= limit_k:
                continue
            top = -math.inf
            bottom = math.inf
            hot_before = -math.inf
            cold_before = math.inf
            for r in range(max(row - 1, 0), min(row + 2, rows)):
                for c in range(max(column - 1, 0), min(column + 2, columns)):
                    earlier = before_c[r, c]
                    if earlier > hot_before:
                        hot_before = earlier
                    if earlier < cold_before:
                        cold_before = earlier
                    other = temp_c[r, c]
                    if r == row and c == column:
                        continue
                    if other > top:
                        top = other
                    if other < bottom:
                        bottom = other
            if top == -math.inf:
                continue
            new_hot = value > top + limit_k and not hot_before > top + warm_k
            new_cold = value < bottom - limit_k and not cold_before < bottom - warm_k
            if new_hot or new_cold:
                if found >= 0:
                    return -1
                found = row * columns + column
    return found

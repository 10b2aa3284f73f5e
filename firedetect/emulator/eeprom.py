"""EEPROM contents for an emulated MLX90640: the exact inverse of the maker's extraction.

Terms are the integers of the datasheet's memory map, not physical values. Symbols as in
`firedetect.sensors.mlx90640.calibration`; `occ` and `acc` are its row and column parts of offset
and sensitivity.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

ROWS, COLUMNS = 24, 32
_PARITIES = 4


@dataclass(frozen=True, slots=True, eq=False)
class EepromTerms:
    """Every term of the calibration memory, as the integer that is stored.

    `*_row` are (24,) and `*_column` (32,) in -8..7; pixel parts are (24, 32): `offset_rest` and
    `alpha_rest` in -32..31, `kta_rest` in -4..3, `outlier` and `broken` bool. `kta` (-128..127)
    and `kv` (-8..7) are for even row and column, odd row, odd column, both odd. Scales are
    exponents of two.
    """

    offset_rest: NDArray[np.int64]
    alpha_rest: NDArray[np.int64]
    kta_rest: NDArray[np.int64]
    outlier: NDArray[np.bool_]
    broken: NDArray[np.bool_]
    occ_row: NDArray[np.int64]
    occ_column: NDArray[np.int64]
    acc_row: NDArray[np.int64]
    acc_column: NDArray[np.int64]
    occ_row_scale: int = 0
    occ_column_scale: int = 0
    occ_rest_scale: int = 0
    offset_reference: int = -70
    acc_row_scale: int = 7
    acc_column_scale: int = 7
    acc_rest_scale: int = 5
    alpha_scale: int = 8
    alpha_reference: int = 24_000
    kta: tuple[int, int, int, int] = (84, 84, 80, 80)
    kta_scale_1: int = 6
    kta_scale_2: int = 1
    kv: tuple[int, int, int, int] = (4, 4, 4, 4)
    kv_scale: int = 3
    gain: int = 6383
    v_ptat_25: int = 12_273
    kv_ptat: int = 22
    kt_ptat: int = 338
    alpha_ptat: int = 4
    k_vdd: int = -99
    vdd_25: int = 104
    resolution: int = 2
    tgc: int = 0
    ks_ta: int = -16
    ks_to: tuple[int, int, int, int] = (-26, -26, -26, -26)
    ks_to_scale: int = 9
    ct_step: int = 2
    ct_2: int = 8
    ct_3: int = 8
    cp_alpha: int = 150
    cp_alpha_ratio: int = 2
    cp_offset: int = -75
    cp_offset_delta: int = 4
    cp_kta: int = 70
    cp_kv: int = 3
    il_chess: tuple[int, int, int] = (2, 2, 0)
    chess_calibrated: bool = True
    device_id: tuple[int, int, int] = field(default=(0x10AB, 0x5F32, 0x0185))


def typical_terms(seed: int = 0) -> EepromTerms:
    """Return the terms of a plausible good chip; pixels differ a little, by `seed`."""
    rng = np.random.default_rng(seed)
    return EepromTerms(
        offset_rest=rng.integers(-6, 7, (ROWS, COLUMNS)),
        alpha_rest=rng.integers(-12, 13, (ROWS, COLUMNS)),
        kta_rest=rng.integers(-2, 3, (ROWS, COLUMNS)),
        outlier=np.zeros((ROWS, COLUMNS), dtype=np.bool_),
        broken=np.zeros((ROWS, COLUMNS), dtype=np.bool_),
        occ_row=rng.integers(-3, 4, ROWS),
        occ_column=rng.integers(-3, 4, COLUMNS),
        acc_row=_vignette(ROWS),
        acc_column=_vignette(COLUMNS),
        device_id=(0x10AB, 0x5F32, seed & 0x7FFF),
    )


def encode_eeprom(terms: EepromTerms) -> NDArray[np.uint16]:
    """Return the 832 words that hold `terms`."""
    words = np.zeros(832, dtype=np.int64)
    words[:7] = (0x00AE, 0x499A, 0x0000, 0x2061, 0x0005, 0x0320, 0x03E0)
    words[7:10] = terms.device_id
    words[10] = 0x0499 if terms.chess_calibrated else 0x0499 | 0x0800
    words[12], words[15] = 0x1901, 0xBE33
    words[16] = _pack(
        (terms.alpha_ptat, 12), (terms.occ_row_scale, 8), (terms.occ_column_scale, 4),
        (terms.occ_rest_scale, 0),
    )  # fmt: skip
    words[17] = terms.offset_reference & 0xFFFF
    words[18:24] = _nibble_words(terms.occ_row)
    words[24:32] = _nibble_words(terms.occ_column)
    words[32] = _pack(
        (terms.alpha_scale, 12), (terms.acc_row_scale, 8), (terms.acc_column_scale, 4),
        (terms.acc_rest_scale, 0),
    )  # fmt: skip
    words[33] = terms.alpha_reference
    words[34:40] = _nibble_words(terms.acc_row)
    words[40:48] = _nibble_words(terms.acc_column)
    _encode_sensor_terms(words, terms)
    words[64:] = _pixel_words(terms).reshape(-1)
    return words.astype(np.uint16)


def random_terms(rng: np.random.Generator, *, bad_pixels: bool = True) -> EepromTerms:
    """Return legal terms with everything drawn at random: scales, patterns, ranges, both modes.

    Sensitivities stay where -40 to 300 °C fits the converter. With `bad_pixels` up to four pixels,
    no two of them neighbours, are broken or outlying.
    """
    alpha_scale = int(rng.integers(3, 10))
    reference = int(rng.uniform(5e-8, 1.1e-7) * 2 ** (alpha_scale + 30))
    steps = [int(np.log2(max(reference * part, 1))) for part in (0.01, 0.01, 0.002)]
    ks_to_scale = int(rng.integers(0, 16))
    ks_most = min(127, int(0.0012 * 2 ** (ks_to_scale + 8)))
    ks_to = rng.integers(-ks_most, ks_most + 1, 4)
    kta_scale_1, kta_scale_2 = int(rng.integers(4, 9)), int(rng.integers(0, 4))
    kta_most = min(120, int(0.01 * 2 ** (kta_scale_1 + 8)))
    kv_scale = int(rng.integers(2, 6))
    outlier, broken = _random_bad(rng, bad_pixels=bad_pixels)
    return EepromTerms(
        offset_rest=rng.integers(-32, 32, (ROWS, COLUMNS)),
        alpha_rest=rng.integers(-32, 32, (ROWS, COLUMNS)),
        kta_rest=rng.integers(-4, 4, (ROWS, COLUMNS)),
        outlier=outlier,
        broken=broken,
        occ_row=rng.integers(-8, 8, ROWS),
        occ_column=rng.integers(-8, 8, COLUMNS),
        acc_row=rng.integers(-8, 8, ROWS),
        acc_column=rng.integers(-8, 8, COLUMNS),
        occ_row_scale=int(rng.integers(0, 5)),
        occ_column_scale=int(rng.integers(0, 5)),
        occ_rest_scale=int(rng.integers(0, 4)),
        offset_reference=int(rng.integers(-900, 900)),
        acc_row_scale=steps[0],
        acc_column_scale=steps[1],
        acc_rest_scale=steps[2],
        alpha_scale=alpha_scale,
        alpha_reference=reference,
        kta=_four(rng.integers(-kta_most, kta_most + 1, 4)),
        kta_scale_1=kta_scale_1,
        kta_scale_2=kta_scale_2,
        kv=_four(rng.choice([-8, -5, -3, -1, 1, 2, 4, 7], 4)),
        kv_scale=kv_scale,
        gain=int(rng.integers(4500, 8500)),
        v_ptat_25=int(rng.integers(11_500, 13_000)),
        kv_ptat=int(rng.integers(-32, 32)),
        kt_ptat=int(rng.integers(320, 360)),
        alpha_ptat=int(rng.integers(0, 16)),
        k_vdd=int(rng.integers(-110, -85)),
        vdd_25=int(rng.integers(60, 140)),
        resolution=int(rng.integers(0, 4)),
        tgc=int(rng.integers(-128, 128)),
        ks_ta=int(rng.integers(-40, 41)),
        ks_to=_four(ks_to),
        ks_to_scale=ks_to_scale,
        ct_step=int(rng.integers(1, 4)),
        ct_2=int(rng.integers(1, 9)),
        ct_3=int(rng.integers(1, 9)),
        # The compensation pixels' share may take a tenth of the sensitivity, not all of it.
        cp_alpha=int(rng.integers(-1, 2) * min(511, max(1, reference // 400))),
        cp_alpha_ratio=int(rng.integers(-32, 32)),
        cp_offset=int(rng.integers(-512, 512)),
        cp_offset_delta=int(rng.integers(-32, 32)),
        cp_kta=int(rng.integers(-kta_most, kta_most + 1)),
        cp_kv=int(rng.integers(-8, 9)),
        il_chess=(
            int(rng.integers(-32, 32)),
            int(rng.integers(-16, 16)),
            int(rng.integers(-16, 16)),
        ),
        chess_calibrated=bool(rng.integers(0, 2)),
        device_id=_three(rng.integers(1, 0xFFFF, 3)),
    )


def _encode_sensor_terms(words: NDArray[np.int64], terms: EepromTerms) -> None:
    """Fill words 48 to 63: supply, ambient, gain, patterns, compensation, object ranges."""
    words[48] = terms.gain & 0xFFFF
    words[49] = terms.v_ptat_25
    words[50] = _pack((terms.kv_ptat & 0x3F, 10), (terms.kt_ptat & 0x3FF, 0))
    words[51] = _pack((terms.k_vdd & 0xFF, 8), (terms.vdd_25 & 0xFF, 0))
    even, odd_row, odd_column, odd_both = (value & 0xF for value in terms.kv)
    words[52] = _pack((even, 12), (odd_column, 4), (odd_row, 8), (odd_both, 0))
    il_first, il_second, il_third = terms.il_chess
    words[53] = _pack((il_third & 0x1F, 11), (il_second & 0x1F, 6), (il_first & 0x3F, 0))
    even, odd_row, odd_column, odd_both = (value & 0xFF for value in terms.kta)
    words[54] = _pack((even, 8), (odd_row, 0))
    words[55] = _pack((odd_column, 8), (odd_both, 0))
    words[56] = _pack(
        (terms.resolution, 12), (terms.kv_scale, 8), (terms.kta_scale_1, 4), (terms.kta_scale_2, 0)
    )
    words[57] = _pack((terms.cp_alpha_ratio & 0x3F, 10), (terms.cp_alpha & 0x3FF, 0))
    words[58] = _pack((terms.cp_offset_delta & 0x3F, 10), (terms.cp_offset & 0x3FF, 0))
    words[59] = _pack((terms.cp_kv & 0xFF, 8), (terms.cp_kta & 0xFF, 0))
    words[60] = _pack((terms.ks_ta & 0xFF, 8), (terms.tgc & 0xFF, 0))
    first, second, third, fourth = (value & 0xFF for value in terms.ks_to)
    words[61] = _pack((second, 8), (first, 0))
    words[62] = _pack((fourth, 8), (third, 0))
    words[63] = _pack((terms.ct_step, 12), (terms.ct_3, 8), (terms.ct_2, 4), (terms.ks_to_scale, 0))


def _pixel_words(terms: EepromTerms) -> NDArray[np.int64]:
    words = (
        (terms.offset_rest & 0x3F) << 10
        | (terms.alpha_rest & 0x3F) << 4
        | (terms.kta_rest & 0x7) << 1
        | terms.outlier
    )
    # A word of 0 means broken, so a good pixel must not have one.
    words = np.where(words == 0, 1 << 4, words)
    result: NDArray[np.int64] = np.where(terms.broken, 0, words)
    return result


def _pack(*fields: tuple[int, int]) -> int:
    """Return the fields (value, lowest bit) in one word."""
    word = 0
    for value, bit in fields:
        word |= value << bit
    return word


def _nibble_words(values: NDArray[np.int64]) -> NDArray[np.int64]:
    fours = (values & 0xF).reshape(-1, 4)
    result: NDArray[np.int64] = (fours << np.array([0, 4, 8, 12])).sum(axis=1)
    return result


def _vignette(length: int) -> NDArray[np.int64]:
    """Return the usual loss of sensitivity from the centre to the edge."""
    place = np.linspace(-1, 1, length)
    return np.round(4 - 9 * place**2).astype(np.int64)


def _random_bad(
    rng: np.random.Generator, *, bad_pixels: bool
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    kinds = np.zeros((2, ROWS, COLUMNS), dtype=np.bool_)
    taken: list[tuple[int, int]] = []
    for _ in range(int(rng.integers(0, 5)) if bad_pixels else 0):
        row, column = int(rng.integers(0, ROWS)), int(rng.integers(0, COLUMNS))
        # The maker judges by index, over the ends of rows: keep two rows apart.
        if all(abs(row - other) > 2 for other, _ in taken):
            taken.append((row, column))
            kinds[rng.integers(0, 2), row, column] = True
    return kinds[0], kinds[1]


def _four(values: NDArray[np.int64]) -> tuple[int, int, int, int]:
    first, second, third, fourth = (int(value) for value in values)
    return first, second, third, fourth


def _three(values: NDArray[np.int64]) -> tuple[int, int, int]:
    first, second, third = (int(value) for value in values)
    return first, second, third

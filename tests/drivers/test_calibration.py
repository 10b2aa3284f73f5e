"""The calibration memory: what is refused, and extraction against an independent encoder."""

import adafruit_mlx90640
import numpy as np
import pytest

from firedetect.emulator.eeprom import encode_eeprom, random_terms, typical_terms
from firedetect.errors import CalibrationError
from firedetect.sensors.mlx90640.calibration import check_eeprom, extract, fingerprint
from tests.drivers.rig import EEPROM


def changed(**words):
    eeprom = EEPROM.copy()
    for name, value in words.items():
        eeprom[int(name.removeprefix("w"))] = value
    return eeprom


def marked(*pixels, broken=False):
    eeprom = EEPROM.copy()
    for pixel in pixels:
        eeprom[64 + pixel] = 0 if broken else eeprom[64 + pixel] | 1
    return eeprom


@pytest.mark.parametrize("seed", range(20))
def test_extraction_finds_the_terms_that_were_encoded(seed):
    t = random_terms(np.random.default_rng(seed))
    c = extract(encode_eeprom(t))
    assert (c.gain, c.v_ptat_25, c.kt_ptat) == (t.gain, t.v_ptat_25, t.kt_ptat / 8)
    assert (c.k_vdd, c.vdd_25) == (32 * t.k_vdd, (t.vdd_25 - 256) * 32 - 8192)
    assert (c.kv_ptat, c.alpha_ptat) == (t.kv_ptat / 4096, t.alpha_ptat / 4 + 8)
    assert (c.tgc, c.ks_ta, c.resolution) == (t.tgc / 32, t.ks_ta / 8192, t.resolution)
    assert c.ks_to == tuple(k / 2 ** (t.ks_to_scale + 8) for k in t.ks_to)
    step = 10 * t.ct_step
    assert c.ct_c == (-40, 0, t.ct_2 * step, (t.ct_2 + t.ct_3) * step)
    assert c.cp_offset == (t.cp_offset, t.cp_offset + t.cp_offset_delta)
    kta_unit = 2 ** (t.kta_scale_1 + 8)
    assert (c.cp_kta, c.cp_kv) == (t.cp_kta / kta_unit, t.cp_kv / 2**t.kv_scale)
    assert c.il_chess == (t.il_chess[0] / 16, t.il_chess[1] / 2, t.il_chess[2] / 8)
    assert c.chess_calibrated == t.chess_calibrated

    good = ~(t.broken | t.outlier).reshape(-1)
    assert set(c.bad_pixels) == set(np.flatnonzero(~good))
    offset = (
        t.offset_reference
        + (t.occ_row[:, None] << t.occ_row_scale)
        + (t.occ_column[None, :] << t.occ_column_scale)
        + (t.offset_rest << t.occ_rest_scale)
    )
    assert np.array_equal(c.offset[good], offset.reshape(-1)[good])
    alpha = (
        t.alpha_reference
        + (t.acc_row[:, None] << t.acc_row_scale)
        + (t.acc_column[None, :] << t.acc_column_scale)
        + (t.alpha_rest << t.acc_rest_scale)
    ) / 2 ** (t.alpha_scale + 30)
    cp_alpha = t.cp_alpha / 2 ** (t.alpha_scale + 27)
    alpha = alpha - t.tgc / 32 * cp_alpha * (2 + t.cp_alpha_ratio / 128) / 2
    assert c.alpha[good] == pytest.approx(alpha.reshape(-1)[good], rel=2e-5)
    parity = 2 * (np.arange(24)[:, None] % 2) + np.arange(32)[None, :] % 2
    # The order of the terms is even, odd row, odd column, both.
    kta_part = np.array([t.kta[0], t.kta[2], t.kta[1], t.kta[3]])[parity]
    kta = (kta_part + (t.kta_rest << t.kta_scale_2)) / kta_unit
    coarse = np.abs(kta).max() / 64
    assert c.kta[good] == pytest.approx(kta.reshape(-1)[good], abs=coarse / 2 + 1e-12)
    kv = np.array([t.kv[0], t.kv[2], t.kv[1], t.kv[3]])[parity] / 2**t.kv_scale
    assert c.kv == pytest.approx(kv.reshape(-1), abs=np.abs(kv).max() / 128 + 1e-12)


def test_second_extraction_is_not_poisoned_by_the_first():
    # Defect 1: bad pixels add up in the package's class, and sensors share their lists.
    one, two = extract(marked(100)), extract(marked(101))
    assert (list(one.bad_pixels), list(two.bad_pixels)) == ([100], [101])
    first_alpha = one.alpha.copy()
    other = extract(encode_eeprom(typical_terms(seed=5)))
    assert np.array_equal(one.alpha, first_alpha)
    assert not np.array_equal(one.alpha, other.alpha)
    assert adafruit_mlx90640.MLX90640.brokenPixels == []
    assert adafruit_mlx90640.MLX90640.alpha == [0] * 768


def test_failed_extraction_leaves_the_next_one_alone():
    with pytest.raises(CalibrationError):
        extract(marked(1, 2))
    assert extract(EEPROM).bad_pixels.size == 0


@pytest.mark.parametrize(
    ("eeprom", "evidence"),
    [
        # Defect 3: on these the package would loop for ever or divide by zero.
        (np.full(832, 0xFFFF, np.uint16), "all 832 words are 0xFFFF"),
        (np.zeros(832, np.uint16), "all 832 words are 0x0000"),
        (EEPROM[:831], "expected 832 words"),
        (changed(w7=0, w8=0, w9=0), "device id"),
        (changed(w7=0xFFFF, w8=0xFFFF, w9=0xFFFF), "device id"),
        (changed(w51=0), "kVdd is 0"),
        (changed(w50=0), "KtPTAT is 0"),
        (changed(w49=0xFFFF), "VPTAT25 is 65535"),
        (changed(w48=0), "gain is 0"),
        (changed(w33=0), "sensitivity of [0-9]+ pixels"),
        (changed(w32=0), "sensitivity"),
        (changed(w52=0), "Kv is 0"),
        (marked(10, 11), "Adjacent outlier"),
        (marked(10, 43, broken=True), "Adjacent broken"),
        (marked(10, 100, 200, 300, 400), "More than 4 outlier"),
        (marked(10, 100, 200, 300, 400, broken=True), "More than 4 broken"),
    ],
)
def test_untrustworthy_memory_is_refused_with_evidence(eeprom, evidence):
    with pytest.raises(CalibrationError, match=evidence):
        extract(eeprom)


def test_kta_of_zero_is_refused():
    eeprom = changed(w54=0, w55=0)
    eeprom[64:] &= 0xFFF1
    with pytest.raises(CalibrationError, match="Kta is 0"):
        check_eeprom(eeprom)


def test_four_scattered_bad_pixels_are_accepted():
    assert list(extract(marked(10, 100, 200, 767)).bad_pixels) == [10, 100, 200, 767]


def test_fingerprint_changes_with_one_bit():
    assert fingerprint(EEPROM) != fingerprint(changed(w400=int(EEPROM[400]) ^ 1))
    assert len(fingerprint(EEPROM)) == 64

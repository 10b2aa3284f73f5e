"""Raw words to temperatures, against the Adafruit package and the emulator's inverse."""

import math

import adafruit_mlx90640
import numpy as np
import pytest

from firedetect.emulator.eeprom import encode_eeprom, random_terms
from firedetect.emulator.frames import encode_subpage
from firedetect.sensors.mlx90640.calibration import extract
from firedetect.sensors.mlx90640.compute import (
    celsius,
    isolated_change,
    pixels_of,
    prepare,
    warm_up,
)
from firedetect.sensors.mlx90640.plausible import auxiliary, problem
from tests.drivers.rig import EEPROM

EEPROMS = 200
CHESS = 0x1A01
INTERLEAVED = 0x0A01
CALIBRATION = extract(EEPROM)
TERMS = prepare(CALIBRATION)


class AdafruitPort:
    """Serves an EEPROM through the interface that the package wants."""

    def __init__(self, eeprom):
        self.memory = eeprom.astype(">u2").tobytes()

    def try_lock(self):
        return True

    def unlock(self):
        pass

    def writeto(self, address, buffer, *, start=0, end=None):
        pass

    def writeto_then_readfrom(self, _address, out, buffer, *, in_start, in_end, **_):
        at = 2 * (int.from_bytes(out[:2], "big") - 0x2400)
        buffer[in_start:in_end] = self.memory[at : at + in_end - in_start]


def adafruit(eeprom):
    """The package itself, with lists of its own as every use of it needs."""

    class Fresh(adafruit_mlx90640.MLX90640):
        def __init__(self):
            for name in ("brokenPixels", "outlierPixels"):
                setattr(self, name, [])
            for name, length in (("ksTo", 5), ("ct", 5), ("cpAlpha", 2), ("cpOffset", 2)):
                setattr(self, name, [0] * length)
            for name in ("alpha", "offset", "kta", "kv"):
                setattr(self, name, [0] * 768)
            super().__init__(AdafruitPort(eeprom))

    return Fresh()


def subpage(page=0, temp_c=22.0, control=CHESS, calibration=CALIBRATION, **options):
    scene = np.broadcast_to(np.asarray(temp_c, dtype=np.float64), (24, 32))
    words = np.empty(834, np.uint16)
    words[:832] = encode_subpage(calibration, scene, page, control=control, **options)
    words[832:] = control, page
    return words


def decode(*pages, terms=TERMS, emissivity=0.95, shift_c=8.0):
    out = np.full((24, 32), np.nan, np.float32)
    for words in pages:
        reflected_c = auxiliary(words, terms).ta_c - shift_c
        celsius(words, terms, emissivity, reflected_c, out)
    return out


@pytest.mark.parametrize("chess", [0, 1])
def test_random_sensors_agree_with_the_package(chess):
    rng = np.random.default_rng(90640 + chess)
    worst_k, worst_steps = 0.0, 0.0
    for _ in range(EEPROMS // 2):
        eeprom = encode_eeprom(random_terms(rng))
        calibration = extract(eeprom)
        terms, peer = prepare(calibration), adafruit(eeprom)
        resolution = int(rng.integers(0, calibration.resolution + 1))
        control = 0x0201 | resolution << 10 | chess << 12
        scene = rng.uniform(-40.0, 300.0, (24, 32))
        emissivity, shift_c = rng.uniform(0.5, 1.0), rng.uniform(0.0, 15.0)
        ours = np.full((24, 32), np.nan, np.float32)
        theirs = [math.nan] * 768
        for page in (0, 1):
            words = subpage(
                page, scene, control, calibration,
                ta_c=rng.uniform(-20.0, 60.0), vdd_v=rng.uniform(3.1, 3.5),
                emissivity=emissivity, ta_shift_c=shift_c,
            )  # fmt: skip
            assert problem(words, terms) is None
            reflected_c = auxiliary(words, terms).ta_c - shift_c
            celsius(words, terms, emissivity, reflected_c, ours)
            peer._CalculateTo([int(word) for word in words], emissivity, reflected_c, theirs)
        good = np.ones(768, bool)
        good[calibration.bad_pixels] = False
        good &= np.array(theirs) <= 300.0
        assert good.sum() > 740
        worst_k = max(worst_k, np.abs(ours.reshape(-1) - theirs)[good].max())
        # One raw count, at the emissivity of this draw, in kelvin at each pixel's temperature.
        step_k = 1 / (4 * emissivity * calibration.alpha * (scene.reshape(-1) + 273.15) ** 3)
        steps = np.abs(ours.reshape(-1) - scene.reshape(-1)) / step_k
        worst_steps = max(worst_steps, steps[good].max())
    assert worst_k < 0.001
    assert worst_steps < 1.5


@pytest.mark.parametrize("control", [CHESS, INTERLEAVED])
def test_scene_survives_encoding_and_decoding(control):
    scene = 20.0 + np.linspace(0, 250, 768).reshape(24, 32)
    image = decode(subpage(0, scene, control), subpage(1, scene, control))
    assert np.abs(image - scene).max() < 0.3
    assert np.abs(image - scene).mean() < 0.05


def test_one_subpage_leaves_the_other_pixels_alone():
    image = decode(subpage(0))
    measured = np.zeros(768, bool)
    measured[pixels_of(1, 0)] = True
    assert np.array_equal(~np.isnan(image.reshape(-1)), measured)


@pytest.mark.parametrize(("ta_c", "vdd_v"), [(-35.0, 3.0), (25.0, 3.3), (80.0, 3.6)])
def test_supply_and_ambient_come_back(ta_c, vdd_v):
    words = subpage(ta_c=ta_c, vdd_v=vdd_v)
    found = auxiliary(words, TERMS)
    assert found.ta_c == pytest.approx(ta_c, abs=0.02)
    assert found.vdd_v == pytest.approx(vdd_v, abs=0.001)


@pytest.mark.fault("F10", "F14")
def test_clipped_and_very_hot_pixels_are_at_the_limit():
    scene = np.full((24, 32), 22.0)
    scene[3, 5], scene[7, 7] = 3000.0, 350.0
    pages = subpage(0, scene), subpage(1, scene)
    assert any(int(words[3 * 32 + 5]) == 0x7FFF for words in pages)
    image = decode(*pages)
    assert (image[3, 5], image[7, 7]) == (300.0, 300.0)
    assert np.nanmax(np.delete(image.reshape(-1), [3 * 32 + 5, 7 * 32 + 7])) < 23


@pytest.mark.fault("F14")
def test_every_hot_raw_value_is_hot():
    # With falling sensitivity the corrections leave the real numbers far above the range.
    terms = random_terms(np.random.default_rng(3), bad_pixels=False)
    falling = encode_eeprom(
        type(terms)(**{n: getattr(terms, n) for n in terms.__slots__}
                    | {"ks_to": (-127,) * 4, "ks_to_scale": 8, "chess_calibrated": True})
    )  # fmt: skip
    calibration = extract(falling)
    words = subpage(0, 250.0, calibration=calibration)
    image = decode(words, terms=prepare(calibration)).reshape(-1)[pixels_of(1, 0)]
    assert np.nanmin(image) > 240
    words[pixels_of(1, 0)] = 32766
    image = decode(words, terms=prepare(calibration)).reshape(-1)[pixels_of(1, 0)]
    assert np.all(image == 300.0)


@pytest.mark.fault("F10")
@pytest.mark.parametrize("raw", [0x8000, 0x8001, 0xC000])
def test_pixel_without_a_temperature_is_nan(raw):
    # Defect 4: the package raises and leaves the image half written.
    words = subpage(0)
    words[0] = raw
    image = decode(words)
    assert np.isnan(image[0, 0])
    assert np.count_nonzero(~np.isnan(image)) == 383


@pytest.mark.fault("F10")
@pytest.mark.parametrize("name", ["768", "776", "778", "800", "808", "810"])
@pytest.mark.parametrize("value", [0x7FFF, 0x8000])
def test_used_auxiliary_word_without_value_rejects(name, value):
    words = subpage(0)
    words[int(name)] = value
    assert "auxiliary word" in problem(words, TERMS)


def test_unused_auxiliary_words_do_not_matter():
    words = subpage(0)
    words[769:776] = 0x7FFF
    words[811:832] = 0x8000
    assert problem(words, TERMS) is None


@pytest.mark.fault("F10")
@pytest.mark.parametrize("value", [0x7FFF, 0x8000])
def test_row_without_value_rejects(value):
    words = subpage(0)
    words[32 * 4 : 32 * 5] = value
    assert problem(words, TERMS) == f"all words of row 4 are 0x{value:04X}"
    words[32 * 4] = 1
    assert problem(words, TERMS) is None


def filled(rows, word, *, beside=0):
    """A sub-page of a room in which whole rows show one word, the rows beside them another."""
    words = subpage(0)
    first, last = rows[0], rows[-1]
    words[32 * max(first - 1, 0) : 32 * min(last + 2, 24)] = beside
    words[32 * first : 32 * (last + 1)] = word
    return words


@pytest.mark.fault("F14")
@pytest.mark.parametrize("rows", [[0], [4], [23], [7, 8], [0, 1, 2], range(24)])
def test_rows_that_a_fire_saturates_are_evidence_and_no_fault(rows):
    assert problem(filled(rows, 0x7FFF, beside=0x1000), TERMS) is None
    assert "0x8000" in problem(filled(rows, 0x8000, beside=0x1000), TERMS)


@pytest.mark.parametrize("row", [0, 4, 23])
def test_a_saturated_row_with_nothing_hot_beside_it_is_a_fault(row):
    assert f"row {row} " in problem(filled([row], 0x7FFF, beside=0x0FFF), TERMS)


@pytest.mark.fault("F13")
@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"vdd_v": 2.5}, "Vdd is 2.50 V"),
        ({"ta_c": 160.0}, "Ta is 1"),
        ({"ta_c": -50.0}, "Ta is -5"),
    ],
)
def test_implausible_sensor_state_rejects(options, reason):
    assert reason in problem(subpage(0, **options), TERMS)


def test_gain_of_zero_rejects():
    words = subpage(0)
    words[778] = 0
    assert "gain" in problem(words, TERMS)


def naive_isolated(image, before, limit_k, warm_k):
    """Twin of the kernel: by slices, pixel after pixel."""
    found = []
    for (r, c), value in np.ndenumerate(image):
        area = np.s_[max(r - 1, 0) : r + 2, max(c - 1, 0) : c + 2]
        around = image[area].copy().reshape(-1)
        if np.isnan(value):
            continue
        others = np.delete(around, int(np.flatnonzero(around == value)[0]))
        others = [v for v in others if not np.isnan(v)]
        if not others:
            continue
        earlier = [v for v in before[area].reshape(-1) if not np.isnan(v)]
        hot = value > max(others) + limit_k and not any(v > max(others) + warm_k for v in earlier)
        cold = value < min(others) - limit_k and not any(v < min(others) - warm_k for v in earlier)
        if hot or cold:
            found.append(r * image.shape[1] + c)
    return found[0] if len(found) == 1 else -1


@pytest.mark.parametrize("seed", range(12))
def test_isolated_change_equals_its_twin(seed):
    rng = np.random.default_rng(seed)
    image = rng.normal(22, 2, (24, 32)).astype(np.float32)
    before = rng.normal(22, 2, (24, 32)).astype(np.float32)
    for target, count in ((image, seed % 4), (before, seed % 3)):
        for _ in range(count):
            target[tuple(rng.integers((24, 32)))] += rng.choice([-90, 30, 60, 120])
        target[tuple(rng.integers((24, 32), size=(20, 2)).T)] = np.nan
    limits = (np.float32(40), np.float32(15))
    expected = naive_isolated(image, before, *limits)
    assert isolated_change(image, before, 40.0, 15.0) == expected


def test_warm_up_prepares_the_very_calls_that_follow():
    warm_up()
    compiled = len(getattr(isolated_change, "signatures", []))
    image = decode(subpage(0), subpage(1))
    isolated_change(image, image, 40.0, 15.0)
    assert len(getattr(isolated_change, "signatures", [])) == compiled

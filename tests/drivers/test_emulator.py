"""The emulated chip by its registers, and the inverse of the calculation."""

import time

import numpy as np
import pytest

from firedetect.clock import ManualClock
from firedetect.emulator.bus import EmulatedBus
from firedetect.emulator.frames import encode_subpage
from firedetect.emulator.mlx90640 import Mlx90640Chip, SceneSource
from firedetect.sensors.bus import exchange
from firedetect.sensors.mlx90640.calibration import extract
from tests.drivers.rig import EEPROM, room

ENCODE_MS = 2.0


class Chip:
    def __init__(self):
        self.clock = ManualClock()
        self.chip = Mlx90640Chip(self.clock, EEPROM, SceneSource(EEPROM, room))
        # So fast that the wire takes no time worth the name.
        self.wire = EmulatedBus(self.clock, {0x33: self.chip}, baud=10**12)

    def get(self, address, words=1):
        data = exchange(self.wire, 0x33, address.to_bytes(2, "big"), 2 * words)
        return np.frombuffer(data, ">u2").astype(int)

    def put(self, address, value):
        exchange(self.wire, 0x33, address.to_bytes(2, "big") + value.to_bytes(2, "big"))


def test_reads_advance_through_the_memory():
    chip = Chip()
    assert np.array_equal(chip.get(0x2400, 832), EEPROM)
    assert np.array_equal(chip.get(0x2410, 3), EEPROM[16:19])
    assert chip.get(0x800D) == 0x1901


def test_new_data_comes_at_the_rate_of_the_control_register():
    chip = Chip()
    for control, period_s in ((0x1901, 0.5), (0x1A01, 0.125), (0x1881, 1.0)):
        chip.put(0x800D, control)
        chip.put(0x8000, 0x0030)
        chip.clock.advance(period_s * 0.99)
        assert chip.get(0x8000) & 8 == 0
        chip.clock.advance(period_s * 0.02)
        assert chip.get(0x8000) & 8 == 8
        chip.put(0x8000, 0x0030)
        assert chip.get(0x8000) & 8 == 0


def test_subpages_alternate_and_update_their_pixels():
    chip = Chip()
    chip.put(0x8000, 0x0030)
    seen, rams = [], []
    for _ in range(4):
        chip.clock.advance(0.5)
        seen.append(int(chip.get(0x8000)[0]) & 1)
        rams.append(chip.get(0x0400, 832))
        chip.put(0x8000, 0x0030)
    assert seen == [0, 1, 0, 1]
    assert np.count_nonzero(rams[0][:768]) <= 384
    assert np.count_nonzero(rams[1][:768]) > 700
    # A static scene is not bit-identical: unused words move.
    assert not np.array_equal(rams[1], rams[3])


def test_without_overwrite_the_data_waits():
    chip = Chip()
    chip.put(0x8000, 0x0020)
    chip.clock.advance(0.5)
    held = chip.get(0x0400, 832)
    chip.clock.advance(5.0)
    assert np.array_equal(chip.get(0x0400, 832), held)
    assert chip.get(0x8000) & 8 == 8


def test_the_same_seed_gives_the_same_words():
    first, second = Chip(), Chip()
    for chip in (first, second):
        chip.clock.advance(3.0)
    assert np.array_equal(first.get(0x0400, 832), second.get(0x0400, 832))


def test_long_silence_is_caught_up_at_once():
    chip = Chip()
    chip.clock.advance(86_400.0 * 30)
    begin = time.perf_counter()
    chip.get(0x8000)
    assert time.perf_counter() - begin < 1.0


def test_encoding_is_fast_enough_to_play_live():
    calibration = extract(EEPROM)
    scene, rng = room(), np.random.default_rng(0)
    took = []
    for _ in range(20):
        begin = time.perf_counter()
        encode_subpage(calibration, scene, 0, rng=rng)
        took.append((time.perf_counter() - begin) * 1e3)
    assert np.median(took) < ENCODE_MS


@pytest.mark.parametrize(("temp_c", "word"), [(5000.0, 0x7FFF), (np.nan, 0x8000)])
def test_what_does_not_fit_the_converter_clips(temp_c, word):
    scene = room()
    scene[0, 0] = temp_c
    assert encode_subpage(extract(EEPROM), scene, 0)[0] == word


def test_bits_count_and_the_rate_may_change():
    chip = Chip()
    for baud in (400_000, 100_000):
        chip.wire.baud, chip.wire.bits = baud, 0
        begin_ns = chip.clock.monotonic_ns()
        chip.get(0x0400, 832)
        # Two addresses of ten bits, the register, the words, a stop.
        assert chip.wire.bits == 2 * 10 + 2 * 9 + 1664 * 9 + 1
        assert chip.clock.monotonic_ns() - begin_ns == pytest.approx(chip.wire.bits / baud * 1e9)


def test_faults_that_have_happened_are_not_pending():
    chip = Chip()
    faults = chip.wire.faults(0x33)
    faults.flip(0, 1, times=1)
    faults.all_ones()
    assert faults.pending == 2
    chip.get(0x8000)
    assert faults.pending == 1
    faults.clear()
    assert faults.pending == 0


def test_torn_read_has_words_of_two_subpages_and_a_new_status():
    chip = Chip()
    chip.put(0x8000, 0x0030)
    chip.clock.advance(0.51)
    before = chip.get(0x8000)[0]
    chip.put(0x8000, 0x0030)
    whole = chip.get(0x0400, 832)
    chip.chip.faults.torn = 1
    torn = chip.get(0x0400, 832)
    assert chip.chip.faults.torn == 0
    after = chip.get(0x8000)[0]
    assert after & 8
    assert (before ^ after) & 1
    assert np.array_equal(torn[:416], whole[:416])
    assert not np.array_equal(torn[448:768], whole[448:768])
    assert np.array_equal(torn[448:], chip.get(0x0400, 832)[448:])

"""Failures of the array beside images: half of it frozen, bits that flip; what is none of them."""

import numpy as np
import pytest

from firedetect.contract.level import Level
from firedetect.daemon.emulation import find_episode
from firedetect.emulator.mlx90640 import SceneSource
from firedetect.pipeline import Pipeline
from firedetect.readings import (
    FaultKind,
    Sensor,
    SensorFault,
    SensorOpened,
    Started,
    Stream,
    SubPage,
    SystemTrouble,
    ThermalImage,
)
from firedetect.sensors.mlx90640.compute import CHESS_BIT, pixels_of
from firedetect.sensors.mlx90640.images import ImageAssembler
from firedetect.sensors.mlx90640.lasting import FLIPPED_TROUBLE, FROZEN_TROUBLE, fill
from tests.drivers.rig import EEPROM, ROOM_C, noisy, room

CHESS, INTERLEAVED = 0x1A01, 0x0A01
HALVES = [(CHESS, 0), (CHESS, 1), (INTERLEAVED, 0), (INTERLEAVED, 1)]


class Array:
    """Sub-pages of a scene at the rate of the control register, to be spoilt before they are fed.

    `still` are the words that the own pixels of a sub-page hold, whatever is in view.
    """

    def __init__(self, scene=room, control=CHESS, *, noise=True):
        self.source = SceneSource(EEPROM, noisy(scene) if noise else scene)
        self.control = control
        self.rate_hz = 0.5 * 2 ** (control >> 7 & 7)
        self.images = ImageAssembler()
        self.opening = SensorOpened(0, Sensor.THERMAL, 1000.0, EEPROM)
        self.images.feed(self.opening)
        self.count = 0
        self.still = {}
        self.frozen = set()
        self.rng = np.random.default_rng(3)

    @property
    def t_s(self):
        return self.count / self.rate_hz

    def run(self, seconds, flips=0):
        """Return what is said within `seconds`, with so many bits flipped in each sub-page."""
        said = []
        for _ in range(round(seconds * self.rate_hz)):
            self.count += 1
            page, words = self.source(self.count, self.t_s, self.control)
            words = np.append(words, np.array([self.control, page], np.uint16))
            own = pixels_of(int(bool(self.control & CHESS_BIT)), page)
            if page in self.frozen:
                words[own] = self.still.setdefault(page, words[own].copy())
            else:
                self.still.pop(page, None)
            for place in self.rng.choice(own, flips, replace=False):
                words[place] ^= 1 << int(self.rng.integers(16))
            said.append(self.images.feed(SubPage(round(self.t_s * 1e9), words)))
        return [one for one in said if one is not None]


def images_of(said):
    return [one for one in said if isinstance(one, ThermalImage)]


def troubles_of(said):
    return [(one.name, one.active) for one in said if isinstance(one, SystemTrouble)]


def judged(array, said):
    """Return the outcomes of a pipeline with only this array and no model."""
    started = Started(0, "d", 1, 0, (Stream(Sensor.THERMAL, 3.0),))
    return list(Pipeline(None).run([started, array.opening, *said]))


@pytest.mark.fault("F05")
@pytest.mark.parametrize(("control", "page"), HALVES)
def test_a_frozen_half_is_told_in_time_and_the_other_half_is_looked_at(control, page):
    array = Array(control=control)
    array.run(2.0)
    array.frozen = {page}
    said = array.run(5.0)
    assert troubles_of(said) == [(FROZEN_TROUBLE, True)]
    assert not any(isinstance(one, SensorFault) for one in said)
    assert 19 <= len(images_of(said)) <= 20
    assert all(np.abs(one.temp_c - ROOM_C).max() < 0.3 for one in images_of(said))
    array.frozen = set()
    said = array.run(5.0)
    assert troubles_of(said) == [(FROZEN_TROUBLE, False)]
    assert 19 <= len(images_of(said)) <= 20


@pytest.mark.parametrize("rate", [1, 2, 3, 5])
def test_a_frozen_half_is_told_in_five_seconds_at_every_rate(rate):
    array = Array(control=CHESS & ~0x0380 | (rate + 1) << 7)
    array.run(4.0)
    array.frozen = {1}
    assert array.rate_hz == 2**rate
    assert troubles_of(array.run(5.0)) == [(FROZEN_TROUBLE, True)]


@pytest.mark.fault("F05")
@pytest.mark.parametrize(("control", "page"), HALVES)
def test_a_fire_beside_a_frozen_half_is_an_emergency(control, page):
    def scene(t_s):
        image = room()
        if t_s > 12.0:
            size = min(int(t_s - 8.0), 20)
            image[4 : 4 + size, 6 : 6 + size] = 500.0
        return image

    array = Array(scene, control)
    said = array.run(2.0)
    array.frozen = {page}
    outcomes = judged(array, said + array.run(30.0))
    told = next(one for one in outcomes if FROZEN_TROUBLE in one.troubles)
    assert told.t_s <= 7.0
    assert all(FROZEN_TROUBLE in one.troubles for one in outcomes if one.t_s >= told.t_s)
    emergency = next(one for one in outcomes if one.level is Level.EMERGENCY)
    assert 12.0 < emergency.t_s < 20.0


def test_pixels_that_are_all_still_are_a_fault_even_if_auxiliary_words_move():
    array = Array()
    array.run(2.0)
    array.frozen = {0, 1}
    said = array.run(5.0)
    assert {one.kind for one in said if isinstance(one, SensorFault)} == {FaultKind.FROZEN}
    assert len(images_of(said)) <= 3
    assert troubles_of(said) == []
    # The halves do not begin to live in the same sub-page: that is no frozen half.
    array.frozen = set()
    said = array.run(5.0)
    assert troubles_of(said) == []
    assert len(images_of(said)) >= 18


def test_the_other_half_freezing_too_is_a_fault_and_ends_with_both():
    array = Array()
    array.run(2.0)
    array.frozen = {0}
    array.run(3.0)
    array.frozen = {0, 1}
    said = array.run(6.0)
    assert {one.kind for one in said if isinstance(one, SensorFault)} == {FaultKind.FROZEN}
    assert images_of(said[len(said) // 2 :]) == []
    array.frozen = set()
    array.run(5.0)
    assert len(images_of(array.run(2.0))) == 8


@pytest.mark.parametrize("hot_c", [300.0, 900.0, 5000.0])
def test_a_fire_that_fills_the_view_is_as_still_as_nothing_else_and_not_frozen(hot_c):
    def scene(t_s):
        return np.full((24, 32), hot_c) if t_s > 5.0 else room()

    still, array = Array(scene, noise=False), Array(scene)
    # The room before it moves, the fire is the same in every bit.
    said = array.run(5.0)
    array.source = still.source
    said += array.run(10.0)
    assert not any(isinstance(one, SensorFault) for one in said)
    assert troubles_of(said) == []
    outcomes = judged(array, said)
    emergency = next(one for one in outcomes if one.level is Level.EMERGENCY)
    assert 5.0 < emergency.t_s < 7.0
    assert outcomes[-1].level is Level.EMERGENCY


def test_few_pixels_beside_a_still_fire_are_not_judged():
    def scene(_t_s):
        image = np.full((24, 32), 900.0)
        # 47 of a sub-page's own.
        image.reshape(-1)[pixels_of(1, 0)[:47]] = ROOM_C
        image.reshape(-1)[pixels_of(1, 1)[:47]] = ROOM_C
        return image

    said = Array(scene, noise=False).run(8.0)
    assert len(images_of(said)) == 32
    assert not any(isinstance(one, SensorFault) for one in said)


def test_a_sub_page_missing_beside_a_living_one_is_no_frozen_half():
    array = Array()
    array.run(2.0)
    said = []
    for _ in range(24):
        said += array.run(0.125)
        array.count += 1
    assert {one.kind for one in said if isinstance(one, SensorFault)} == {FaultKind.STUCK_SUBPAGE}
    assert troubles_of(said) == []


# Bits that flip


@pytest.mark.fault("F08")
@pytest.mark.parametrize("flips", [3, 10, 40])
def test_bits_that_flip_all_the_time_are_told_beside_the_images_and_do_not_flap(flips):
    array = Array()
    array.run(2.0)
    said = array.run(10.0, flips)
    assert troubles_of(said) == [(FLIPPED_TROUBLE, True)]
    assert len(images_of(said)) >= 38
    assert troubles_of(array.run(120.0, flips)) == []
    assert troubles_of(array.run(18.0)) == []
    assert troubles_of(array.run(13.0)) == [(FLIPPED_TROUBLE, False)]


def test_a_flip_now_and_then_is_no_trouble():
    array = Array()
    said = []
    for _ in range(10):
        said += array.run(5.0) + array.run(0.125, 1)
    assert troubles_of(said) == []


def test_a_fire_among_flipping_bits_is_an_emergency():
    def scene(t_s):
        image = room()
        if t_s > 12.0:
            size = min(int(t_s - 8.0), 20)
            image[4 : 4 + size, 6 : 6 + size] = 500.0
        return image

    array = Array(scene)
    outcomes = judged(array, array.run(30.0, 10))
    assert any(FLIPPED_TROUBLE in one.troubles for one in outcomes)
    emergency = next(one for one in outcomes if one.level is Level.EMERGENCY)
    assert emergency.t_s < 20.0


def test_dead_pixels_are_no_flipping_bits():
    def dead(_t_s):
        image = room()
        image[5, 5] = image[9, 20] = np.nan
        return image

    assert troubles_of(Array(dead).run(20.0)) == []


def test_a_sky_at_the_end_of_the_range_is_no_flipping_bit():
    sky = np.random.default_rng(4)

    def scene(_t_s):
        image = room()
        image[:8] = -40.0 + sky.normal(0.0, 1.0, (8, 32))
        return image

    assert troubles_of(Array(scene).run(20.0)) == []


@pytest.mark.parametrize(
    "name", ["waste-bin", "candle", "people", "welding:1", "lighter:2", "TF5:1"]
)
def test_flames_sparks_and_people_are_no_failure_of_the_array(name):
    episode = find_episode(name)
    array = Array(episode.image_c, noise=False)
    said = array.run(min(60.0, episode.duration_s))
    assert len(images_of(said)) >= 200
    assert [one for one in said if not isinstance(one, ThermalImage)] == []


def test_pixels_without_a_value_take_the_second_hottest_beside_them():
    image = np.full((4, 5), np.nan, np.float32)
    image.reshape(-1)[[0, 2, 4, 6, 8, 10, 12, 14, 16, 18]] = [1, 2, 3, 4, 99, 6, 7, 98, 9, 10]
    fill(image)
    assert image.tolist() == [
        [1, 2, 2, 3, 3],
        [4, 4, 7, 99, 98],
        [6, 7, 7, 98, 98],
        [6, 9, 9, 10, 10],
    ]
    alone = np.full((1, 3), np.nan, np.float32)
    alone[0, 0] = 5.0
    fill(alone)
    assert np.array_equal(alone, [[5.0, 5.0, np.nan]], equal_nan=True)

"""What a steady image tells of an array, and the scenes that tell nothing."""

import dataclasses

import numpy as np
import pytest

from firedetect.commissioning.thermal import ThermalReference, ThermalSession, noise_of
from firedetect.readings import (
    AirReading,
    FaultKind,
    Sensor,
    SensorFault,
    SensorOpened,
    ThermalImage,
)
from firedetect.sensors.mlx90640.calibration import commissioned_words, fingerprint
from tests.drivers.rig import EEPROM

NS = 1_000_000_000
OPENED = SensorOpened(0, Sensor.THERMAL, 1000.0, EEPROM, 0.95, 8.0)
TA_MINUS_SHIFT_C = 23.0


class Wall:
    """An even wall with the array's noise; `change(k)` is added to image k."""

    def __init__(self, wall_c=22.0, noise_c=0.28, **reference):
        self.rng = np.random.default_rng(7)
        self.wall_c, self.noise_c = wall_c, noise_c
        self.session = ThermalSession(1000.0, 20.0, 8, ThermalReference(**reference))
        self.change = lambda _k: 0.0
        self.noise = np.full((24, 32), noise_c)

    def sit(self, images=72, *, powered_s=1000.0):
        self.session.powered_s = powered_s
        self.session.feed(OPENED)
        for k in range(images):
            scene = self.wall_c + self.change(k) + self.noise * self.rng.normal(size=(24, 32))
            image = scene.astype(np.float32)
            self.session.feed(ThermalImage(k * NS // 4, image, TA_MINUS_SHIFT_C))
        return self.session.proposal()


def test_noise_spread_and_the_memory_are_found_without_any_reference():
    found = Wall().sit()
    calibration = found.calibration
    assert calibration.noise_c == pytest.approx(0.28, rel=0.1)
    assert calibration.spread_c < 0.05
    assert (calibration.offset_c, calibration.emissivity) == (0.0, 0.95)
    assert calibration.ta_shift_c == 8.0
    assert calibration.bad_pixels == ()
    assert calibration.eeprom_sha256 == fingerprint(EEPROM)
    assert np.array_equal(commissioned_words(calibration), EEPROM)
    assert found.taken == {"images": 72.0}


def test_an_array_that_runs_slower_than_set_is_judged_by_its_own_rate():
    wall = Wall()
    wall.sit(30)
    wall.session.feed(dataclasses.replace(OPENED, refresh_hz=4.0))
    assert (wall.session.refresh_hz, wall.session.share) == (4.0, 0.0)
    slow = Wall(noise_c=0.2)
    slow.session.feed(dataclasses.replace(OPENED, refresh_hz=4.0))
    found = slow.sit(36)
    assert found.expected_noise_c == pytest.approx(0.2)
    assert found.taken == {"images": 36.0}


def test_a_reference_gives_the_offset_and_true_air_the_own_warmth():
    found = Wall(surface_c=23.2, air_c=21.5).sit()
    assert found.calibration.offset_c == pytest.approx(1.2, abs=0.05)
    # The array is 8 °C warmer than what it took for the air, which is 1.5 °C too warm.
    assert found.calibration.ta_shift_c == pytest.approx(9.5)


def test_a_bme280_stands_in_for_the_operators_thermometer():
    wall = Wall()
    wall.session.feed(AirReading(0, 22.0))
    assert wall.sit().calibration.ta_shift_c == pytest.approx(9.0)


def test_a_hot_plate_gives_the_emissivity():
    wall = Wall(hot_c=80.0, noise_c=0.05)
    plate = np.zeros((24, 32))
    plate[10:13, 10:13] = 53.0
    wall.noise[:] = 0.28
    wall.change = lambda _k: plate
    # It shows 75 °C: less is emitted than with 0.95.
    assert wall.sit().calibration.emissivity == pytest.approx(0.95 * 0.890, abs=0.01)


@pytest.mark.parametrize("factor", [0.0, 6.0], ids=["deaf", "noisy"])
def test_bad_pixels_are_found_by_their_noise(factor):
    wall = Wall()
    wall.noise[5, 7] *= factor
    assert wall.sit().calibration.bad_pixels == (5 * 32 + 7,)


def test_a_pixel_that_is_off_shows_before_an_even_surface_only():
    spot = np.zeros((24, 32))
    spot[5, 7] = 9.0
    with_reference, without = Wall(surface_c=22.0), Wall()
    with_reference.change = without.change = lambda _k: spot
    assert with_reference.sit().calibration.bad_pixels == (5 * 32 + 7,)
    assert without.sit().calibration.bad_pixels == ()


def drifting(k):
    return 0.02 * k


def passing(k):
    body = np.zeros((24, 32))
    body[4:20, 4:12] = 8.0 if k > 40 else 0.0
    return body


def striped(_k):
    stripes = np.zeros((24, 32))
    stripes[:, ::2] = 4.0
    return stripes


@pytest.mark.parametrize(
    ("change", "reference", "told"),
    [
        (drifting, {}, "the image still drifts"),
        (passing, {}, "something moves in view"),
        (striped, {"surface_c": 24.0}, "the reference is not even"),
        (lambda _k: 0.0, {"surface_c": 30.0}, "the array is -8.0 °C off"),
        (lambda _k: 0.0, {"hot_c": 30.0}, "the hot reference must be 20 °C above the room"),
        (lambda _k: 0.0, {"hot_c": 90.0}, "an emissivity of -0.0"),
        (lambda _k: 0.0, {"air_c": 60.0}, "the array is -29.0 °C warmer than the air"),
    ],
)
def test_scenes_that_tell_nothing_are_refused_with_the_reason(change, reference, told):
    wall = Wall(**reference)
    wall.change = change
    assert told in wall.sit()


@pytest.mark.fault("F09")
@pytest.mark.parametrize("places", [[(1, 1), (1, 2)], [(r, r) for r in range(2, 22, 4)]])
def test_more_bad_pixels_than_can_be_repaired_need_another_array(places):
    wall = Wall()
    for place in places:
        wall.noise[place] = 3.0
    assert "replace the array" in wall.sit()


def test_a_cold_array_and_a_silent_one_are_waited_for_with_an_end():
    cold = Wall()
    assert cold.sit(20, powered_s=100.0) == "the array is warming up, 135 s left"
    assert not cold.session.over
    lost = Wall().session
    for second in (0, 5, 11):
        lost.feed(SensorFault(second * NS, Sensor.THERMAL, FaultKind.NO_ANSWER, "ENXIO"))
    assert lost.over
    assert lost.proposal() == "the array does not answer: ENXIO"
    unsteady = Wall()
    unsteady.change = drifting
    unsteady.sit(250)
    assert unsteady.session.over


def test_noise_is_that_of_differences():
    rng = np.random.default_rng(1)
    images = rng.normal(0.0, 0.5, (2000, 2, 2)) + np.linspace(0, 50, 2000)[:, None, None]
    assert noise_of(images.astype(np.float32)) == pytest.approx(0.5, rel=0.05)

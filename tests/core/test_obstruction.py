"""A covered lens is told within the hour, a flat wall never is (fault F12)."""

import numpy as np
import pytest

from firedetect.features.obstruction import Obstruction
from firedetect.pipeline import Pipeline
from firedetect.readings import Restored, Sensor, SensorOpened, Started, Stream, ThermalImage

NS = 1_000_000_000
TROUBLE = "thermal:obstructed"
STRUCTURE = np.linspace(-1.7, 1.7, 768).reshape(24, 32)


class Lens:
    """Images once a second, each with the noise of the array."""

    def __init__(self, commissioned_c):
        self.obstruction = Obstruction()
        self.obstruction.commission(commissioned_c)
        self.rng = np.random.default_rng(3)
        self.t_ns = 0

    def see(self, minutes, spread_c):
        """Return after how many seconds it is first told as covered and first as free."""
        there = gone = None
        for second in range(round(minutes * 60)):
            self.t_ns += NS
            image = 22.0 + STRUCTURE * spread_c + self.rng.normal(0.0, 0.3, (24, 32))
            self.obstruction.image(self.t_ns, image)
            told = self.obstruction.seen
            there = second if told and there is None else there
            gone = second if not told and gone is None else gone
        return there, gone


@pytest.mark.fault("F12")
def test_a_lens_that_is_covered_is_told_within_the_hour_and_free_again_at_once():
    lens = Lens(commissioned_c=0.85)
    assert lens.see(5, 0.85) == (None, 0)
    there, _ = lens.see(40, 0.0)
    assert 29 * 60 <= there <= 33 * 60
    _, gone = lens.see(3, 0.85)
    assert gone <= 45


@pytest.mark.parametrize("commissioned_c", [0.1, np.nan], ids=["flat", "unknown"])
def test_a_place_that_was_always_flat_is_no_trouble(commissioned_c):
    assert Lens(commissioned_c).see(40, 0.0) == (None, 0)


def test_a_quiet_but_structured_night_is_no_trouble():
    assert Lens(0.85).see(40, 0.3) == (None, 0)


@pytest.mark.fault("F12")
def test_the_detector_tells_it():
    pipeline = Pipeline(None)
    streams = (Stream(Sensor.THERMAL, 1e6),)
    list(pipeline.run([Started(0, "dev", 1, 0, streams), Restored(0)]))
    list(pipeline.run([SensorOpened(0, Sensor.THERMAL, 1e4, spread_c=0.85)]))
    flat = np.full((24, 32), 22.0, np.float32)
    told = []
    # Two images a minute: a mean of one is as flat.
    for number in range(70):
        seen = pipeline.run([ThermalImage((number * 31 + 1) * NS, flat, 22.0)])
        told += [TROUBLE in outcome.troubles for outcome in seen]
    assert not told[40]
    assert told[-1]

"""A covered lens is told within the hour, a flat wall never is (fault F12)."""

import numpy as np
import pytest

from firedetect.pipeline import Pipeline
from firedetect.readings import Restored, Sensor, SensorOpened, Started, Stream, ThermalImage

NS = 1_000_000_000
TROUBLE = "thermal:obstructed"


class Site:
    """Images once a second, each with the noise of the array."""

    def __init__(self, spread_c):
        self.pipeline = Pipeline(None)
        self.rng = np.random.default_rng(3)
        self.t_ns = 0
        self.feed(Started(0, "dev", 1, 0, (Stream(Sensor.THERMAL, 3.0),)), Restored(0))
        self.feed(SensorOpened(0, Sensor.THERMAL, 1e4, spread_c=spread_c))

    def feed(self, *events):
        return list(self.pipeline.run(events))

    def see(self, minutes, spread_c):
        """Return after how many seconds the trouble is first there and first gone."""
        structure = np.linspace(-1.7, 1.7, 768).reshape(24, 32) * spread_c
        there = gone = None
        for second in range(round(minutes * 60)):
            self.t_ns += NS
            noise = self.rng.normal(0.0, 0.3, (24, 32))
            image = (22.0 + structure + noise).astype(np.float32)
            told = TROUBLE in self.feed(ThermalImage(self.t_ns, image, 22.0))[-1].troubles
            there = second if told and there is None else there
            gone = second if not told and gone is None else gone
        return there, gone


def test_a_lens_that_is_covered_is_told_within_the_hour_and_free_again_at_once():
    site = Site(spread_c=0.85)
    assert site.see(5, 0.85) == (None, 0)
    there, _ = site.see(40, 0.0)
    assert 29 * 60 <= there <= 33 * 60
    _, gone = site.see(3, 0.85)
    assert gone <= 45


@pytest.mark.parametrize("commissioned_c", [0.1, np.nan], ids=["flat", "unknown"])
def test_a_place_that_was_always_flat_is_no_trouble(commissioned_c):
    assert Site(commissioned_c).see(40, 0.0) == (None, 0)


def test_a_quiet_but_structured_night_is_no_trouble():
    assert Site(0.85).see(40, 0.3) == (None, 0)

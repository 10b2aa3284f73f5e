"""Places that may be hot: learnt over days, approved, hidden up to a limit, never for ever."""

import json

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firedetect.commissioning.mask import HotPlaces, MaskProposal, limits_of
from firedetect.config import HotMask
from firedetect.contract.level import Level
from firedetect.features.mask import EXPIRES_DAYS
from firedetect.pipeline import Pipeline
from firedetect.readings import (
    ClockSet,
    MaskApproved,
    Restored,
    Sensor,
    Started,
    Stream,
    ThermalImage,
    Tick,
)

NS = 1_000_000_000
DAY_NS = 86_400 * NS
WALL_NS = 1_767_225_600 * NS
STOVE = (slice(10, 14), slice(20, 24))
APPROVED = "2026-01-01T00:00:00Z"


def room(stove_c=22.0, place=STOVE):
    image = np.full((24, 32), 22.0, np.float32)
    image[place] = stove_c
    return image


def watched(days=7, hot_days=7, place=STOVE, stove_c=180.0):
    places = HotPlaces()
    for day in range(days):
        at = WALL_NS + day * DAY_NS
        for second in range(3):
            scene = room(stove_c if day < hot_days else 22.0, place)
            places.image(scene, at + second * NS)
    return places


def mask_of(proposal):
    return HotMask.model_validate(
        {"approved": APPROVED, "rows": proposal.rows, "limits_c": proposal.limits_c}
    )


def test_a_week_gives_a_picture_with_a_limit_for_each_place():
    places = watched()
    lamp = (slice(2, 3), slice(3, 5))
    for day in (1, 2):
        for second in range(2):
            places.image(room(95.0, lamp), WALL_NS + day * DAY_NS + (10 + second) * NS)
    found = places.proposal()
    assert isinstance(found, MaskProposal)
    assert found.rows[10] == "." * 20 + "AAAA" + "." * 8
    assert found.rows[2] == "...BB" + "." * 27
    assert found.limits_c == {"A": 200.0, "B": 115.0}
    assert (found.places["A"].days, found.places["B"].days) == (7, 2)
    limits = limits_of(mask_of(found))
    assert np.nanmax(limits) == 200.0
    assert np.count_nonzero(~np.isnan(limits)) == 18


@pytest.mark.parametrize(
    ("places", "told"),
    [
        (watched(days=6), "were watched on 6 of 7 days"),
        (watched(hot_days=1), "no mask is needed"),
        (watched(stove_c=55.0), "no mask is needed"),
        (watched(place=(slice(0, 24), slice(0, 5))), "a mask hides 15% at most"),
    ],
)
def test_what_gives_no_mask_says_why(places, told):
    assert told in places.proposal()


def test_one_hot_image_and_an_unset_clock_teach_nothing():
    places = watched(hot_days=0)
    for day in range(7):
        places.image(room(180.0), WALL_NS + day * DAY_NS + 100 * NS)
        places.image(room(), WALL_NS + day * DAY_NS + 101 * NS)
    assert "no mask is needed" in places.proposal()
    unset = HotPlaces()
    unset.image(room(180.0), 1000 * NS)
    assert unset.watched_days == 0


def test_a_renewed_mask_may_grow_a_little():
    before = mask_of(watched().proposal())
    wider = watched(place=(slice(9, 14), slice(20, 24))).proposal(before)
    assert wider.share == pytest.approx(20 / 768)
    assert "20 pixels more" in watched(place=(slice(0, 5), slice(0, 4))).proposal(before)


def test_what_is_known_survives_a_restart():
    places = watched(days=5)
    again = HotPlaces.from_record(json.loads(json.dumps(places.as_record())))
    for day in (5, 6):
        again.image(room(), WALL_NS + day * DAY_NS)
    assert again.proposal() == watched(days=7, hot_days=5).proposal()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"rows": ["." * 31] * 24}, "32 signs"),
        ({"rows": ["Z" + "." * 31] * 24}, "no place Z"),
        ({"rows": ["A" * 5 + "." * 27] * 24}, "more than 15%"),
        ({"limits_c": {"A": 500.0}}, "limits_c.A"),
        ({"approved": "2026-01-01T00:00:00"}, "approved"),
    ],
)
def test_a_mask_that_hides_too_much_or_is_drawn_wrongly_is_refused(change, told):
    good = {"approved": APPROVED, "rows": ["A" * 4 + "." * 28] * 24, "limits_c": {"A": 200.0}}
    HotMask.model_validate(good)
    with pytest.raises(ValueError, match=told):
        HotMask.model_validate(good | change)


class Site:
    """A pipeline without a model, before a stove that is masked up to 200 °C."""

    def __init__(self, approved_ns=WALL_NS, limit_c=200.0, place=STOVE):
        limits = np.full((24, 32), np.nan, np.float32)
        limits[place] = limit_c
        self.pipeline = Pipeline(None)
        self.t_ns = 0
        self.last = None
        streams = (Stream(Sensor.THERMAL, 3.0),)
        self.feed(Started(0, "dev", 1, WALL_NS, streams), Restored(0))
        self.feed(MaskApproved(0, limits, approved_ns))

    def feed(self, *events):
        for outcome in self.pipeline.run(events):
            self.last = outcome

    def see(self, seconds, image, rate=4):
        for _ in range(rate * seconds):
            self.t_ns += NS // rate
            self.feed(ThermalImage(self.t_ns, image, 22.0))
        return self.last


def test_a_stove_that_is_lit_is_legal_up_to_its_limit():
    site = Site()
    site.see(5, room())
    assert site.see(30, room(190.0)).level is Level.NORMAL
    assert site.see(30, room(230.0)).level >= Level.ALERT


def test_without_a_mask_the_same_stove_alarms():
    site = Site(limit_c=np.nan)
    site.see(5, room())
    assert site.see(30, room(190.0)).level >= Level.ALERT


def test_a_fire_beside_the_stove_alarms():
    site = Site()
    site.see(5, room(190.0))
    fire = room(190.0)
    fire[16:19, 5:9] = 220.0
    assert site.see(15, fire).level >= Level.ALERT


def test_no_mask_hides_six_percent_of_the_image():
    large = (slice(10, 18), slice(20, 26))
    site = Site(place=large, limit_c=300.0)
    site.see(5, room())
    assert site.see(2, room(250.0, large)).level is Level.EMERGENCY


def test_what_is_clipped_is_never_hidden():
    site = Site(limit_c=400.0)
    site.see(5, room())
    assert "H4" in site.see(15, room(300.0)).reasons


def test_the_features_do_not_see_what_is_hidden():
    site = Site()
    hidden = site.see(2, room(190.0)).features["t_max"]
    assert hidden == 22.0
    assert site.see(2, room(210.0)).features["t_max"] == 210.0


@pytest.mark.parametrize(
    ("approved_ns", "told"),
    [
        (WALL_NS - EXPIRES_DAYS * DAY_NS, "mask:expired"),
        (WALL_NS + 3600 * NS, "mask:approved-in-the-future"),
    ],
)
def test_a_mask_out_of_its_time_hides_nothing_and_is_told(approved_ns, told):
    site = Site(approved_ns=approved_ns)
    site.see(5, room())
    outcome = site.see(30, room(190.0))
    assert told in outcome.troubles
    assert outcome.level >= Level.ALERT


def test_a_mask_ends_while_the_detector_runs():
    site = Site(approved_ns=WALL_NS - EXPIRES_DAYS * DAY_NS + 10 * NS)
    assert site.see(5, room(190.0)).troubles == ("model:none",)
    site.feed(Tick(11 * NS))
    assert "mask:expired" in site.last.troubles


def test_a_mask_counts_again_once_the_clock_was_set():
    site = Site(approved_ns=WALL_NS + 3600 * NS)
    assert site.see(5, room()).troubles == ("model:none", "mask:approved-in-the-future")[::-1]
    site.feed(ClockSet(6 * NS, WALL_NS + 7200 * NS))
    site.feed(Tick(7 * NS))
    assert site.see(5, room(190.0)).troubles == ("model:none",)
    assert site.last.level is Level.NORMAL


def test_an_image_of_a_finer_array_is_masked_in_the_same_places():
    site = Site()
    fine = np.kron(room(190.0), np.ones((5, 5), np.float32))
    assert site.see(2, fine).features["t_max"] == 22.0


@settings(max_examples=5 if numba.config.DISABLE_JIT else 60, deadline=None)
@given(
    st.sampled_from([150.0, 199.0, 200.0, 201.0, 250.0, 299.0, 300.0]),
    st.floats(40.0, 400.0),
    st.integers(0, 20),
    st.integers(0, 20),
)
def test_hotter_is_never_judged_lower_under_a_mask(stove_c, limit_c, row, column):
    place = (slice(row, row + 4), slice(column, column + 12))

    def level(temp_c):
        site = Site(place=place, limit_c=limit_c)
        site.see(3, room(), rate=1)
        return site.see(15, room(temp_c, place), rate=1).level

    assert level(stove_c) <= level(stove_c + 40.0)

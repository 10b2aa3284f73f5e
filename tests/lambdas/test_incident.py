"""What becomes of an incident, whatever the order of its messages and of what people do."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firedetect.lambdas import latch
from firedetect.lambdas.escalation import step_of
from firedetect.lambdas.incident import (
    Acknowledgement,
    Incident,
    acknowledged,
    changed,
    closed,
    noted,
    reset,
)
from firedetect.lambdas.policy import understood
from firedetect.lambdas.standing_down import is_due
from tests.lambdas.helpers import message

TS = "2026-01-01T00:00:{:02}.000+00:00"


def read(event):
    return understood(event).message


ALERT = message(1)
BY_BUTTON = message(2, kind="event", alarm="acknowledged")
SILENCED_TOO = message(3, kind="event", alarm="acknowledged-silenced")
EMERGENCY = message(4, level="emergency", current="emergency")
CALM = message(5, kind="event", level="emergency", current="normal", alarm="sounding")
BY_LINK = Acknowledgement(level="alert", source="link", at=TS.format(6))
LINK_AGAIN = Acknowledgement(level="alert", source="link", at=TS.format(8))
HIGHER_LINK = Acknowledgement(level="emergency", source="link", at=TS.format(7))
MESSAGES = [ALERT, BY_BUTTON, SILENCED_TOO, EMERGENCY, CALM]
CLICKS = [BY_LINK, LINK_AGAIN, HIGHER_LINK]


def fold(things):
    """Bring things into an incident; a click waits for the row, as people do."""
    incident, early = None, []
    for thing in things:
        if isinstance(thing, dict):
            incident = changed(incident, read(thing))
        elif incident is None:
            early.append(thing)
        else:
            incident = acknowledged(incident, thing)
    for thing in early:
        incident = acknowledged(incident, thing)
    return incident


def same(incident):
    return incident.model_copy(update={"event_ids": (), "revision": 0})


@given(st.permutations(MESSAGES + CLICKS), st.lists(st.sampled_from(MESSAGES + CLICKS), max_size=6))
def test_device_and_cloud_agree_after_a_partition_whatever_came_first_or_twice(order, twice):
    found, plain = fold(order + twice), fold(MESSAGES + CLICKS)
    assert same(found) == same(plain)
    assert found.acknowledged
    assert found.taken_over == HIGHER_LINK
    sources = [(one.level, one.source, one.at) for one in found.acknowledgements]
    assert sources == [
        ("alert", "device", TS.format(2)),
        ("alert", "link", TS.format(6)),
        ("emergency", "link", TS.format(7)),
    ]


@given(st.permutations(MESSAGES + CLICKS), st.lists(st.sampled_from(MESSAGES + CLICKS), max_size=6))
def test_whatever_came_first_or_twice_people_hear_once_of_each_level_that_it_is_taken_over(
    order, twice
):
    incident, heard = None, []
    clicks = [thing for thing in order + twice if not isinstance(thing, dict)]
    for thing in [*order, *twice, *clicks]:
        if isinstance(thing, dict):
            incident = changed(incident, read(thing))
            if thing["kind"] == "alarm":
                incident = noted(incident, step_of(thing["level"]), thing["ts"])
        elif incident is not None:
            incident = acknowledged(incident, thing)
        if incident is not None and is_due(incident):
            heard.append((incident.level, incident.taken_over.level))
            incident = noted(incident, f"{incident.level}, taken over", "2026")
    # Never of a level that is not taken over, and at last of the highest one.
    assert set(heard) <= {("alert", "alert"), ("alert", "emergency"), ("emergency", "emergency")}
    levels = [level for level, _ in heard]
    assert levels in (["emergency"], ["alert", "emergency"])


@given(st.permutations(MESSAGES))
def test_a_higher_level_waits_for_its_own_acknowledgement(order):
    found = fold(order)
    assert (found.level, found.acknowledged, found.taken_over) == ("emergency", False, None)
    assert (found.covered("alert"), found.covered("emergency")) == (True, False)


def test_who_was_first_counts_and_the_others_are_history():
    one = fold([ALERT, BY_BUTTON, BY_LINK])
    assert one.taken_over.source == "device"
    assert [other.source for other in one.acknowledgements] == ["device", "link"]
    # The word of the detector was on its way for long: it was still the first.
    assert same(fold([ALERT, BY_LINK, BY_BUTTON])) == same(one)


def test_the_same_acknowledgement_again_is_no_change():
    one = fold([ALERT, BY_LINK])
    assert acknowledged(one, BY_LINK) is one or acknowledged(one, BY_LINK) == one
    assert acknowledged(one, LINK_AGAIN) == one


@pytest.mark.parametrize("alarm", ["acknowledged", "acknowledged-silenced"])
def test_silencing_too_is_no_less_an_acknowledgement(alarm):
    assert fold([ALERT, message(2, kind="event", alarm=alarm)]).acknowledged


def test_a_row_of_an_earlier_version_still_loads():
    row = {
        "incident_id": "thing-1-1-1", "thing": "thing-1", "site": "cellar", "level": "alert",
        "current": "alert", "reasons": ["H3"], "drill": False, "opened_at": TS.format(1),
        "changed_at": TS.format(1), "acknowledged": True, "acknowledged_level": "alert",
        "event_ids": ["thing-1-1-1"], "revision": 3,
    }  # fmt: skip
    old = Incident.model_validate(row)
    assert (old.acknowledged, old.taken_over, old.closed_at) == (True, None, "")
    assert changed(old, read(CALM)).revision == 4


def test_a_reset_ends_it_and_counts_as_an_acknowledgement():
    one = reset(fold([ALERT]), TS.format(9))
    assert (one.reset_at, one.acknowledged, one.taken_over.source) == (TS.format(9), True, "reset")
    assert reset(one, TS.format(9)) is one
    assert reset(one, TS.format(8)).reset_at == TS.format(8)


def test_a_closed_incident_has_its_log_in_order_of_time():
    one = fold([EMERGENCY, ALERT, BY_BUTTON, CALM, HIGHER_LINK])
    told = one.model_copy(update={"told": {"emergency, tier 1, round 0": TS.format(5)}})
    over = closed(told.model_copy(update={"unacknowledged_at": TS.format(6)}), TS.format(10))
    assert [(line.at[17:19], line.what) for line in over.log] == [
        ("01", "level alert"),
        ("02", "alert acknowledged: device"),
        ("04", "level emergency"),
        ("05", "people told: emergency, tier 1, round 0"),
        ("05", "last word: now normal"),
        ("06", "nobody has acknowledged"),
        ("07", "emergency acknowledged: link"),
        ("10", "closed"),
    ]
    assert closed(over, TS.format(11)) is over


def test_a_fire_that_comes_back_opens_it_again():
    over = closed(fold([ALERT, BY_BUTTON]), TS.format(10))
    late = changed(over, read(message(3, kind="event", current="normal", alarm="acknowledged")))
    assert late.closed_at
    back = changed(late, read(message(20, kind="event", alarm="acknowledged")))
    assert (back.closed_at, back.log) == ("", ())


ALL_CLEAR = message(
    6, kind="event", incident_id=None, level="normal", current="normal", alarm="clear"
)


@given(st.permutations([ALERT, EMERGENCY, ALL_CLEAR]), st.booleans())
def test_a_reset_is_known_whichever_arrives_first(order, newer):
    row = {}
    later = [message(7, incident_id="thing-1-1-7")] if newer else []
    for event in order + later:
        row = latch.after(row, read(event))
        assert latch.after(row, read(event)) == row
    found = latch.over(row)
    if newer:
        assert found is None
    else:
        assert (found.incident_id, found.event_id) == ("thing-1-1-1", "thing-1-1-6")


def test_a_detector_that_lost_its_memory_has_reset_nothing():
    again = ALL_CLEAR | {"event_id": "thing-1-2-1", "ts": TS.format(30)}
    found = latch.over(latch.after(latch.after({}, read(ALERT)), read(again)))
    assert not latch.known_to(["thing-1-1-1"], found)
    assert latch.known_to(["thing-1-1-1", "thing-1-2-0"], found)


@pytest.mark.parametrize(
    "event", [BY_BUTTON, message(1, kind="trouble"), message(1, incident_id=None, kind="event")]
)
def test_other_messages_say_nothing_of_it(event):
    assert not latch.speaks_of_it(read(event))

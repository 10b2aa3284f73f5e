"""What becomes of an incident, whatever the order of its messages and of what people do."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firedetect.lambdas import latch
from firedetect.lambdas.escalation import step_of
from firedetect.lambdas.facts import Acknowledgement
from firedetect.lambdas.incident import (
    Incident,
    acknowledged,
    changed,
    closed,
    ending,
    noted,
    reset,
)
from firedetect.lambdas.policy import understood
from firedetect.lambdas.response import is_to_be_called_again
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
    assert (back.closed_at, back.again, back.acknowledged) == ("", 1, False)
    # What was before is history.
    assert back.acknowledgements == over.acknowledgements
    assert (back.taken_over, back.acknowledged_level) == (None, "normal")
    assert [line.what for line in back.log][-2:] == ["closed", "measured again: alert"]
    again = closed(acknowledged(back, BACK_LINK), TS.format(40))
    assert [line.what for line in again.log][-5:] == [
        "closed", "measured again: alert", "last word: now alert", "alert acknowledged: link",
        "closed",
    ]  # fmt: skip


BACK_LINK = Acknowledgement(level="alert", source="link", at=TS.format(30), again=1)


def returned(*more, by=BY_BUTTON):
    """An alert that was taken over, was over, and is back with message 20."""
    state = by["alarm"] if isinstance(by, dict) else "sounding"
    first = [ALERT, by, message(5, kind="event", current="normal", alarm=state)]
    one = closed(fold(first), TS.format(10))
    one = changed(one, read(message(20, kind="event", alarm=state)))
    for thing in more:
        add = changed if isinstance(thing, dict) else acknowledged
        one = add(one, read(thing) if isinstance(thing, dict) else thing)
    return one


@pytest.mark.parametrize("alarm", ["acknowledged", "acknowledged-silenced"])
def test_a_detector_that_says_acknowledged_as_before_has_not_taken_over_what_is_back(alarm):
    assert not returned(message(21, kind="event", alarm=alarm)).acknowledged
    # Nor do words of before that were on their way for long.
    assert not returned(BY_BUTTON, SILENCED_TOO, message(9, kind="event", alarm=alarm)).acknowledged
    assert not returned(BY_LINK).acknowledged


def test_what_is_acknowledged_after_it_is_back_counts():
    assert returned(BACK_LINK).taken_over == BACK_LINK
    assert reset(returned(), TS.format(30)).taken_over.source == "reset"
    # The detector had not said so yet: somebody pressed its button now.
    one = returned(message(21, kind="event", alarm="acknowledged"), by=BY_LINK)
    assert (one.taken_over.source, one.taken_over.at) == ("device", TS.format(21))
    # A higher level was nobody's yet.
    rose = returned(message(22, level="emergency", current="emergency"))
    assert not rose.acknowledged
    pressed = message(23, kind="event", level="emergency", alarm="acknowledged")
    assert changed(rose, read(pressed)).taken_over.level == "emergency"


def test_what_is_older_than_its_end_opens_nothing():
    over = closed(fold([ALERT, BY_BUTTON, CALM]), TS.format(50))
    for late in (message(3, kind="event"), message(4, level="emergency"), ALERT):
        after = changed(over, read(late))
        assert (after.closed_at, after.again) == (over.closed_at, 0)
    # What the cloud had not heard when it closed is news, whatever the clocks say.
    after = changed(over, read(message(6, kind="event")))
    assert (after.closed_at, after.again) == ("", 1)
    wrong = message(7, kind="event", ts="1970-01-01T00:00:09.000+00:00")
    assert changed(over, read(wrong)).again == 1


def test_neither_a_reset_nor_a_suspicion_nor_what_is_open_comes_back():
    over = closed(reset(fold([ALERT]), TS.format(9)), TS.format(10))
    assert changed(over, read(message(20, kind="event"))).closed_at
    calm = {"kind": "event", "level": "warning", "current": "normal"}
    suspicion = closed(fold([message(1, **calm)]), TS.format(10))
    for drill in (False, True):
        unsure = {"kind": "event", "level": "warning", "current": "warning", "drill": drill}
        assert changed(suspicion, read(message(20, **unsure))).closed_at
    alarm = changed(suspicion, read(message(20)))
    assert (alarm.closed_at, alarm.again) == ("", 0)
    flaps = [message(number, kind="event", current=level) for number, level in
             enumerate(["normal", "alert"] * 5, start=21)]  # fmt: skip
    assert fold([ALERT, BY_BUTTON, *flaps]).again == 0
    assert returned(*flaps).again == 1


def test_an_old_row_that_is_closed_comes_back_too():
    row = closed(fold([ALERT, BY_BUTTON]), TS.format(10)).model_dump(mode="json")
    for name in ("over", "back", "acknowledgements"):
        row.pop(name)
    old = Incident.model_validate(row)
    assert old.acknowledged
    back = changed(old, read(message(20, kind="event", alarm="acknowledged")))
    assert (back.again, back.acknowledged) == (1, False)
    assert acknowledged(back, BACK_LINK).acknowledged


def phases():
    """What a detector says before, between and after two ends; in each it flaps."""
    words = [(1, ["alert", "normal"]), (10, ["normal", "alert", "normal", "alert", "normal"]),
             (30, ["alert", "normal", "alert"])]  # fmt: skip
    return [
        [
            message(number, kind="event", current=level, alarm="acknowledged")
            for number, level in enumerate(levels, start=first)
        ]
        for first, levels in words
    ]


@given(st.data(), st.booleans())
def test_whatever_comes_twice_or_late_people_are_called_once_for_each_return(data, told_twice):
    incident, calls, known = changed(None, read(ALERT)), [], []
    for number, words in enumerate(phases()):
        late = data.draw(st.lists(st.sampled_from(known), max_size=4)) if known else []
        twice = data.draw(st.lists(st.sampled_from(words), max_size=4))
        for event in data.draw(st.permutations(words + late + twice)):
            incident = changed(incident, read(event))
            if is_to_be_called_again(incident):
                calls.append(incident.again)
                step = step_of(incident.level, again=incident.again)
                incident = noted(incident, step, "2026")
        # All of it has come at last; somebody with the link takes over, and it is over.
        assert (incident.again, incident.acknowledged) == (number, number == 0)
        mine = Acknowledgement(level="alert", source="link", at=TS.format(5), again=number)
        incident = acknowledged(incident, mine)
        assert incident.acknowledged
        incident = ending(incident)
        if told_twice:
            incident = ending(incident)
        incident = closed(incident, TS.format(59))
        known += words
    assert calls == [1, 2]
    assert incident.back.first.event_id == "thing-1-1-30"


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

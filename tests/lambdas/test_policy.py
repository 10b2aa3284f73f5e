"""What a message means, without AWS."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firedetect.decision import health
from firedetect.errors import ConfigError, MessageRefusedError
from firedetect.lambdas import notices
from firedetect.lambdas.incident import changed
from firedetect.lambdas.notices import REASONS, fit, notice_of
from firedetect.lambdas.policy import older, receipt_needed, understood
from firedetect.lambdas.settings import EscalateSettings, SupervisorSettings
from tests.lambdas.helpers import environment, lost, message


def read(event):
    return understood(event).message


def test_an_alarm_says_what_where_how_severe_why_and_since_when():
    notice = notice_of(read(message(level="emergency", current="emergency")))
    assert notice.subject == "FIRE EMERGENCY: thing-1 at cellar"
    for words in ("cellar", "thing-1", "emergency", "hot_spot; gas_rise", "2026-01-01T00:00:01"):
        assert words in notice.text
    assert (notice.level, notice.site, notice.thing, notice.kind) == (
        "emergency", "cellar", "thing-1", "alarm",
    )  # fmt: skip


@pytest.mark.parametrize("reason", ["score", *(f"H{number}" for number in range(1, 7))])
def test_every_reason_of_the_detector_is_told_in_words(reason):
    notice = notice_of(read(message(level="alert", reasons=[reason, "new"])))
    assert f"Why: {REASONS[reason]}; new." in notice.text
    assert f"({reason})" in REASONS[reason]


PARTS = {"t_hot_area_pct": 2.061, "t_max": -1.5, "tproxy_vel": 1.3, "gas_delta": 0.2, "t_std": 0.1}


@pytest.mark.parametrize("level", ["warning", "alert"])
def test_people_are_told_what_has_raised_the_score_most(level):
    event = message(kind="alarm" if level == "alert" else "event", level=level)
    notice = notice_of(read(event | {"reasons": ["score", "H3"], "contributions": PARTS}))
    parts = "hot area (+2.1), rise of the hot spot (+1.3), gas above clean air (+0.2)"
    why = f"Why: {REASONS['score']}, mostly because of: {parts}; {REASONS['H3']}."
    assert why in notice.text
    assert "t_max" not in notice.text


@pytest.mark.parametrize(
    ("reasons", "parts"),
    [(["H3"], PARTS), (["score"], {"t_max": -1.5}), (["score"], {}), (["score"], "nonsense")],
)
def test_without_a_score_or_what_raised_it_nothing_is_told_of_it(reasons, parts):
    notice = notice_of(read(message(reasons=reasons, contributions=parts)))
    assert f"Why: {REASONS[reasons[0]]}.\n" in notice.text
    assert notice_of(read(message(reasons=reasons))) == notice


@pytest.mark.parametrize("level", ["normal", "informational", "warning"])
def test_a_drill_is_told_as_a_drill(level):
    notice = notice_of(read(message(kind="event", level=level, current=level, drill=True)))
    assert notice.subject.startswith("[DRILL] ")
    assert "THIS IS A DRILL" in notice.text
    assert "call the fire service" not in notice.text


@pytest.mark.parametrize("level", ["alert", "emergency"])
def test_a_fire_during_a_drill_is_a_fire(level):
    notice = notice_of(read(message(level=level, current=level, drill=True)))
    assert notice.subject == f"FIRE {level.upper()}: thing-1 at cellar"
    assert "drill" not in notice.text.lower()
    assert "call the fire service" in notice.text
    for kind in ("alarm", "event"):
        assert not changed(None, read(message(kind=kind, level=level, drill=True))).drill


def test_a_trouble_during_a_drill_is_a_trouble():
    trouble = message(kind="trouble", level="normal", troubles=["gas:stale"], drill=True)
    assert notice_of(read(trouble)).subject == "Trouble: thing-1 at cellar: gas:stale"


@pytest.mark.parametrize(
    ("event", "level", "words"),
    [
        (lost(), "trouble", "not connected"),
        (message(kind="trouble", troubles=["sensor:gas"], health="degraded"), "trouble",
         "sensor:gas"),
        (message(kind="event", level="informational"), "informational", "Informational"),
        (message(kind="event", level="warning"), "warning", "Warning"),
    ],
)  # fmt: skip
def test_who_is_told_of_what(event, level, words):
    notice = notice_of(read(event))
    assert notice.level == level
    assert words in notice.subject


GAS = ("sensor:gas",)


@pytest.mark.parametrize(
    ("troubles", "told", "words"),
    [
        ([], (), None),
        (["gas:starting", "thermal:starting"], (), None),
        (["gas:warm-up"], (), None),
        (["gas:learning"], (), None),
        (["gas:warm-up", "thermal:stale"], (), "Trouble: thing-1 at cellar: thermal:stale"),
        (["starting:lost"], (), "Trouble: thing-1 at cellar: starting:lost"),
        (["sensor:gas"], GAS, None),
        (["sensor:gas", "thermal:starting"], GAS, None),
        (["sensor:another reason"], GAS, None),
        (["link:refused: starting"], GAS, "Trouble: thing-1 at cellar: link:refused: starting"),
        (["gas:stale"], ("gas:warm-up",), "Trouble: thing-1 at cellar: gas:stale"),
        ([], GAS, "Trouble ended: thing-1 at cellar"),
        (["gas:warm-up"], GAS, "Trouble ended: thing-1 at cellar"),
        (["link"], GAS, "Trouble: thing-1 at cellar: link"),
    ],
)
def test_people_hear_of_lasting_troubles_only_and_of_each_change_once(troubles, told, words):
    notice = notice_of(read(message(kind="trouble", troubles=troubles)), told)
    assert (notice and notice.subject) == words


def test_what_passes_is_what_the_detector_calls_so():
    assert {kind.value for kind in health.PASSING} == notices.PASSING


@pytest.mark.parametrize("level", ["normal", "alert", "emergency"])
def test_of_other_events_nobody_is_told(level):
    assert notice_of(read(message(kind="event", level=level))) is None


def test_only_alarms_need_a_receipt():
    assert receipt_needed(read(message()))
    assert not receipt_needed(read(message(kind="event")))
    assert not receipt_needed(read(lost()))


@pytest.mark.parametrize(
    ("event", "words"),
    [
        ("text", "no object"),
        ({}, "did not add"),
        (message() | {"thing": None}, "did not add"),
        (message(received_ms="now"), "did not add"),
        (message() | {"thing": "thing-2"}, "thing-2: speaks in the name of thing-1"),
        (lost(thing="thing-2"), "speaks in the name"),
        (message(surprise=1), "surprise"),
        (message(kind="beat"), "kind"),
        (message(level="hot"), "level"),
        (message(v=2), "v"),
        (message(score=float("nan")), "score"),
        (message(device=None), "device"),
        (message(incident_id="victim-1-7"), "incident victim-1-7 is not its own"),
        (message(incident_id="thing-1-1-7-1"), "incident"),
        (message(incident_id="thing-1-7"), "incident"),
        (message(incident_id="thing-1-1-7\n"), "incident"),
        (message(incident_id="thing-1-1-\u0667"), "incident"),
        (message(incident_id=""), "incident"),
        (message(event_id="victim-1-7"), "event victim-1-7 is not its own"),
        (message(event_id=f"thing-1-1-{'9' * 16}"), "event"),
        (message(event_id="thing-1-1-lost"), "event"),
        (lost(event_id="victim-1-lost"), "event victim-1-lost is not its own"),
        (lost(event_id="thing-1-2-lost"), "event"),
    ],
)
def test_what_breaks_the_contract_is_refused_with_its_place(event, words):
    with pytest.raises(MessageRefusedError, match=words):
        understood(event)


def fold(events):
    incident = None
    for event in events:
        incident = changed(incident, read(event))
    return incident


STORY = [
    message(1, kind="event", level="warning", current="warning", alarm="none"),
    message(2),
    message(3, kind="event", alarm="acknowledged"),
    message(4, level="emergency", current="emergency"),
    message(5, kind="event", level="emergency", current="normal", alarm="acknowledged"),
]


@pytest.mark.fault("F53")
def test_an_incident_is_the_same_whatever_the_order_of_its_messages():
    whole = fold(STORY)
    assert (whole.level, whole.current) == ("emergency", "normal")
    assert whole.acknowledged
    for order in itertools.permutations(STORY):
        found = fold(order)
        assert set(found.event_ids) == set(whole.event_ids)
        same = {"event_ids": (), "revision": 0}
        assert found.model_copy(update=same) == whole.model_copy(update=same)


def test_what_came_after_a_clock_was_set_back_is_the_present():
    at = ["13:00", "13:02", "12:10"]
    story = [
        message(number, current=current, ts=f"2026-01-01T{time}:00.000+00:00")
        for number, (current, time) in enumerate(zip(["alert", "normal", "alert"], at, strict=True))
    ]
    for order in itertools.permutations(story):
        assert fold(order).current == "alert"


def test_a_higher_level_must_be_acknowledged_again():
    assert fold(STORY[:3]).acknowledged
    assert not fold(STORY[:4]).acknowledged


def test_an_acknowledgement_may_come_before_its_alarm():
    incident = fold([STORY[2], STORY[1]])
    assert (incident.level, incident.acknowledged) == ("alert", True)


@pytest.mark.fault("F53")
@given(st.lists(st.sampled_from(STORY), max_size=12))
def test_the_level_only_rises_and_repetition_changes_nothing(events):
    levels = ["normal", "informational", "warning", "alert", "emergency"]
    incident = None
    for event in events:
        after = changed(incident, read(event))
        if incident is not None:
            assert levels.index(after.level) >= levels.index(incident.level)
        assert changed(after, read(event)) == after
        incident = after


def test_an_incident_of_another_device_is_not_touched():
    incident = fold(STORY[:2])
    foreign = read(message(2, thing="thing-2"))
    with pytest.raises(MessageRefusedError, match="belongs to thing-1"):
        changed(incident, foreign.model_copy(update={"incident_id": "thing-1-1-1"}))


def test_a_row_stays_small_however_long_an_incident_lasts():
    incident = None
    for number in range(1, 301):
        event = read(message(1, event_id=f"thing-1-1-{number}"))
        incident = changed(incident, event)
    assert len(incident.event_ids) == 200
    assert incident.event_ids[-1] == "thing-1-1-300"


@pytest.mark.parametrize(
    ("kept", "ts", "wanted"),
    [
        (None, None, False),
        ("old format", "2026", False),
        ("thing-1-1-4", "2027", False),
        ("thing-1-1-5", "2025", True),
        ("thing-1-1-6", "2025", True),
        ("thing-1-0-9", "2027", False),
        ("thing-1-2-1", "2027", True),
        # Its memory was replaced: boots count from one again.
        ("thing-1-2-1", "2025", False),
    ],
)
def test_the_detectors_own_sequence_is_the_order(kept, ts, wanted):
    assert older(read(message(5)), kept, ts) == wanted


@given(st.text(max_size=200))
def test_every_subject_is_one_that_sns_takes(site):
    subject = fit(f"FIRE ALERT: thing-1 at {site}")
    assert 0 < len(subject) <= 100
    assert subject.isascii()
    assert subject.isprintable()


@pytest.mark.parametrize("missing", ["INCIDENTS_TABLE", "IDEMPOTENCY_TABLE", "PEOPLE_TOPIC_ARN"])
def test_an_incomplete_environment_is_refused_by_name(missing):
    given_ = environment()
    del given_[missing]
    with pytest.raises(ConfigError, match=missing):
        EscalateSettings.read(given_)


def test_an_address_that_is_none_is_refused():
    with pytest.raises(ConfigError, match="PEOPLE_TOPIC_ARN"):
        SupervisorSettings.read(environment() | {"PEOPLE_TOPIC_ARN": "people"})

"""Messages to the cloud: named fields only, the same event once, alarms first."""

import json
from dataclasses import replace

import pytest
from pydantic import ValidationError

from firedetect.contract.contributions import MOST_SENT
from firedetect.contract.level import Health, Level
from firedetect.contract.messages import PRIORITY, DetectorMessage
from firedetect.daemon.messages import message_of
from firedetect.decision.machine import AlarmState
from firedetect.decision.outcome import Outcome


def outcome(level=Level.NORMAL, *, event_id="d-1-1", health=Health.OK, troubles=(), parts=None):
    latched = level >= Level.ALERT
    return Outcome(
        t_ns=10**9,
        t_s=1.0,
        wall_ns=1_767_225_601 * 10**9,
        level=level,
        current=level,
        score=float("nan"),
        reasons=("H1",) if latched else (),
        incident_id="d-1-1" if latched else None,
        health=health,
        troubles=troubles,
        alarm=AlarmState.SOUNDING if latched else AlarmState.CLEAR,
        model=None,
        event_id=event_id,
        contributions=parts or {},
    )


def test_nothing_changed_is_no_message():
    assert message_of(outcome(event_id=None), None, "d", "") is None


@pytest.mark.parametrize(
    ("now", "before", "kind"),
    [
        (outcome(Level.ALERT), outcome(), "alarm"),
        (outcome(Level.EMERGENCY), outcome(Level.ALERT), "alarm"),
        (outcome(Level.ALERT), outcome(Level.ALERT), "event"),
        (outcome(Level.ALERT, troubles=("disk",)), outcome(Level.ALERT), "trouble"),
        (outcome(health=Health.BLIND), outcome(), "trouble"),
        (outcome(), outcome(health=Health.BLIND), "trouble"),
        (outcome(Level.WARNING), outcome(), "event"),
        (outcome(), None, "trouble"),
        (outcome(Level.ALERT), None, "alarm"),
    ],
)
def test_the_kind_says_what_is_urgent(now, before, kind):
    message = message_of(now, before, "d", "loft")
    assert (message.kind, message.priority) == (kind, PRIORITY[kind])
    body = DetectorMessage.model_validate_json(message.payload)
    assert (body.device, body.site, body.event_id) == ("d", "loft", "d-1-1")
    assert body.level == now.level.label
    assert json.loads(message.payload)["score"] is None


def test_alarms_go_before_troubles_before_events():
    assert sorted(PRIORITY, key=PRIORITY.get) == ["alarm", "trouble", "event"]


def test_unknown_fields_and_versions_are_refused():
    body = json.loads(message_of(outcome(), None, "d", "").payload)
    for change in ({"v": 2}, {"surprise": 1}, {"level": "panic"}, {"health": "fine"}):
        with pytest.raises(ValidationError):
            DetectorMessage.model_validate(body | change)


PARTS = {"t_mean": 0.25, "t_max": 2.12345, "gas_val": -3.0, "t_std": 0.0004, "gas_vel": 0.5}
PARTS |= {"t_p95": -0.125, "tproxy_val": 1.0}


def test_a_message_carries_the_strongest_contributions_rounded():
    message = message_of(outcome(Level.ALERT, parts=PARTS), outcome(), "d", "")
    body = DetectorMessage.model_validate_json(message.payload)
    assert list(body.contributions.items()) == [
        ("gas_val", -3.0), ("t_max", 2.123), ("tproxy_val", 1.0), ("gas_vel", 0.5), ("t_mean", 0.25)
    ]  # fmt: skip
    assert json.loads(message.payload)["contributions"] == body.contributions


def test_without_contributions_a_message_is_what_it_always_was():
    message = message_of(outcome(Level.ALERT), outcome(), "d", "")
    assert "contributions" not in json.loads(message.payload)
    # As every message before there were any.
    body = DetectorMessage.model_validate_json(message.payload)
    assert body.contributions == {}
    assert "contributions" not in body.model_dump()
    vanishing = message_of(outcome(Level.ALERT, parts={"t_mean": 0.0004}), outcome(), "d", "")
    assert vanishing.payload == message.payload


@pytest.mark.parametrize(
    "bad",
    [
        None,
        "t_max",
        [1.0],
        {"t_max": "much"},
        {"t_max": float("nan")},
        {"t_max": float("inf")},
        {"Call 555-0100": 1.0},
        {"t_max\n": 1.0},
        {"": 1.0},
        {"x" * 41: 1.0},
        {f"t_{number}": 1.0 for number in range(MOST_SENT + 1)},
    ],
)
def test_an_alarm_is_never_refused_for_its_contributions(bad):
    body = json.loads(message_of(outcome(Level.ALERT), None, "d", "").payload)
    message = DetectorMessage.model_validate(body | {"contributions": bad})
    assert message == DetectorMessage.model_validate(body)


def test_contributions_that_are_no_numbers_keep_no_alarm_from_being_stored():
    parts = {"t_max": float("nan"), "t_std": float("inf"), "gas_val": 1.5}
    message = message_of(outcome(Level.ALERT, parts=parts), None, "d", "")
    assert json.loads(message.payload)["contributions"] == {"gas_val": 1.5}


def test_only_an_alarm_has_the_features_that_were_judged():
    features = {"t_max": 91.25, "gas_val": float("nan")}
    alert = replace(outcome(Level.ALERT), features=features)
    body = json.loads(message_of(alert, None, "d", "").payload)
    assert body["features"] == {"t_max": 91.25, "gas_val": None}
    for now, before in ((alert, alert), (replace(outcome(), features=features), None)):
        assert "features" not in json.loads(message_of(now, before, "d", "").payload)
    # What is not understood is left out: no alarm is refused for it.
    for wrong in ("no", {"T": 1.0}, {f"c{n}": 1.0 for n in range(65)}, {"t_max": "hot"}):
        assert DetectorMessage.model_validate(body | {"features": wrong}).features == {}

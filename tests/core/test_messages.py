"""Messages to the cloud: named fields only, the same event once, alarms first."""

import json

import pytest
from pydantic import ValidationError

from firedetect.contract.level import Health, Level
from firedetect.contract.messages import PRIORITY, DetectorMessage
from firedetect.daemon.messages import message_of
from firedetect.decision.machine import AlarmState
from firedetect.decision.outcome import Outcome


def outcome(level=Level.NORMAL, *, event_id="d-1-1", health=Health.OK, troubles=()):
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

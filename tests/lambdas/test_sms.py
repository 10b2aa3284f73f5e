"""What a phone gets: first what it is, then what to do, why, and where to take over."""

import datetime as dt
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firedetect.lambdas.calls import over, reminder, taken_over, unanswered
from firedetect.lambdas.devices import Devices
from firedetect.lambdas.facts import Acknowledgement
from firedetect.lambdas.incident import acknowledged, changed
from firedetect.lambdas.notices import ACT, REASONS, Notice, alarm_of, notice_of
from firedetect.lambdas.policy import understood
from firedetect.lambdas.rows import client
from firedetect.lambdas.settings import SupervisorSettings
from firedetect.lambdas.sms import BRIEF, LIMIT, TAKE_OVER, plain, sms_of
from firedetect.lambdas.supervisor import SILENT_AFTER_S, Supervisor
from tests.lambdas.helpers import (
    T0,
    Down,
    context,
    environment,
    escalation,
    executions,
    lost,
    message,
    pressed,
)
from tests.lambdas.phone import Phone

LINK = "https://<address>/?t=<token>"
LONGEST = 1600
"""SNS takes no longer text for an SMS."""
FIRE = {"reasons": ["score", "H3"], "site": "workshop"}


@pytest.fixture
def phone(people):  # noqa: ARG001 - the topic is on the AWS of this process
    return Phone()


def heard(phone):
    """The texts with the link as the documentation has it."""
    return [_known(text) for text in phone.heard()]


def _known(text):
    before, place, link = text.partition(f"{TAKE_OVER} ")
    assert not place or link.startswith("https://acknowledge.example/?t=")
    return before + place + (LINK if place else "")


def tell(*events):
    one = escalation(Down())
    for event in events:
        one.handle(event, context())


def test_an_alert_and_an_emergency(people, phone):
    tell(message(1, **FIRE), message(2, level="emergency", current="emergency", **FIRE))
    assert heard(phone) == [
        (
            "FIRE ALERT: thing-1 at workshop\n"
            "Leave the building, call the fire service, then check.\n"
            "Why: heat and gas, hot area grows.\n"
            f"Take over: {LINK}"
        ),
        (
            "FIRE EMERGENCY: thing-1 at workshop\n"
            "Leave the building at once, call the fire service, do not go back in.\n"
            "Why: heat and gas, hot area grows.\n"
            f"Take over: {LINK}"
        ),
    ]
    # Whoever reads e-mail or a queue has the whole text.
    text = people.told()[0][1]
    assert text.startswith(
        "Where: workshop, detector thing-1.\nHow severe: alert (now alert).\n"
        "Why: heat and gas together look like a fire (score); a hot area grows (H3).\n"
        "Since: 2026-01-01T00:00:01.000+00:00.\n"
        "Leave the building, call the fire service, then check.\n"
        "If you take care of it, say so here: https://acknowledge.example/?t="
    )


def test_an_alarm_that_nobody_answers(phone):
    tell(message(1, **FIRE))
    (asked,) = executions().values()
    phone.heard()
    escalation(Down(), now=lambda: T0 + dt.timedelta(minutes=1)).handle(asked, context())
    assert heard(phone) == [
        (
            "UNANSWERED 1 min: FIRE ALERT: thing-1 at workshop\n"
            "Leave the building, call the fire service, then check.\n"
            "Why: heat and gas, hot area grows.\n"
            f"Take over: {LINK}"
        )
    ]


def test_a_drill(phone):
    calm = {"kind": "event", "drill": True, "incident_id": None, "reasons": []}
    tell(message(1, level="normal", current="normal", **calm))
    tell(message(2, level="warning", current="warning", **calm | {"reasons": ["H3"]}))
    assert heard(phone) == [
        "[DRILL] Drill: thing-1 at cellar\nNothing burns.",
        "[DRILL] Warning: thing-1 at cellar\nNothing burns.\nWhy: hot area grows.",
    ]


def test_a_warning_says_what_to_do(phone):
    warning = {"kind": "event", "level": "warning", "current": "warning", "incident_id": None}
    tell(message(1, **warning, reasons=["H5", "H6"]))
    assert heard(phone) == [
        (
            "Warning: thing-1 at cellar\n"
            "Have a look soon: it may be the beginning of a fire.\n"
            "Why: carbon monoxide, CO2 rises fast."
        )
    ]


def test_troubles(phone):
    trouble = {"kind": "trouble", "incident_id": None, "level": "normal", "current": "normal"}
    tell(message(1, troubles=["gas:stale"], health="degraded", **trouble))
    tell(message(2, **trouble), lost())
    assert heard(phone) == [
        "Trouble: thing-1 at cellar: gas:stale\nIts ability to see a fire is degraded.",
        "Trouble ended: thing-1 at cellar\nIts ability to see a fire is ok.",
        "Trouble: thing-1 at cellar is not connected\nCheck its power and network.",
    ]


def test_a_detector_that_is_silent(phone):
    settings = SupervisorSettings.read(environment())
    beat_ms = round(T0.timestamp() * 1000)
    Devices(client("dynamodb"), settings.devices_table).put(
        {"thing": "thing-1", "kind": "beat", "site": "cellar", "received_ms": beat_ms}
    )
    late = T0 + dt.timedelta(seconds=SILENT_AFTER_S + 1)
    parts = client("dynamodb"), client("sns"), Down()
    Supervisor(settings, *parts, lambda: late, events=client("events")).look(lambda: 60_000)
    assert heard(phone) == ["Trouble: thing-1 at cellar is silent\nDo not rely on it. Go and look."]


def test_who_is_called_hears_that_somebody_has_taken_over(phone):
    client("iot").create_thing(thingName="thing-1")
    tell(message(1, level="emergency", current="emergency", **FIRE))
    (text,) = phone.heard()
    assert pressed(text.rpartition(" ")[2], "emergency")["statusCode"] == 200
    assert heard(phone) == [
        (
            "Taken over: FIRE EMERGENCY: thing-1 at workshop\n"
            "It is not over: stay out of the building, do not go back in. "
            "Call the fire service if nobody has."
        )
    ]


def test_every_reason_has_a_short_form_that_is_short():
    assert BRIEF.keys() == REASONS.keys()
    assert all(len(BRIEF[code]) < len(REASONS[code]) for code in BRIEF)


# Without AWS.


def read(level, **changes):
    return understood(message(1, level=level, current=level, **changes)).message


def taken(level, **changes):
    given_ = Acknowledgement(level=level, source="link", at="2026")
    return acknowledged(changed(None, read(level, **changes)), given_)


WAYS = {
    "alarm": lambda _, message: alarm_of(message),
    "unanswered": lambda incident, _: unanswered(incident, incident.level, 2, 7_000_000),
    "reminder": lambda incident, _: reminder(incident, 4 * 3600 * 1000),
    "taken-over": lambda incident, _: taken_over(incident, (0, 1)),
    "calm": lambda incident, _: over(incident),
    "reset": lambda incident, _: over(incident.model_copy(update={"reset_at": "2026"})),
}


@given(
    st.sampled_from(sorted(WAYS)),
    st.sampled_from(["alert", "emergency"]),
    st.text(max_size=300),
    st.lists(st.one_of(st.sampled_from(sorted(REASONS)), st.text(max_size=60)), max_size=20),
    st.text("abcXYZ019-_.", min_size=20, max_size=1100),
)
def test_whatever_a_detector_says_the_text_fits_and_what_matters_is_whole(
    way, level, site, reasons, token
):
    changes = {"site": site, "reasons": reasons}
    link = f"https://x.example/?t={token}"
    notice = WAYS[way](taken(level, **changes), read(level, **changes))
    notice = notice.with_link(link, pictured=True)
    text = sms_of(notice)
    assert len(text) <= LONGEST
    assert len(text) - len(link) - len(f"\n{TAKE_OVER} ") <= LIMIT
    lines = text.splitlines()
    assert lines[1] == notice.act
    assert lines[-1] == f"{TAKE_OVER} {link}"
    assert way == "reminder" or level.upper() in lines[0]
    assert way not in {"alarm", "unanswered"} or notice.act == ACT[level]
    # Letters of the first alphabet of an SMS only.
    assert text.isascii()
    assert "`" not in text
    assert json.loads(json.dumps({"default": notice.text, "sms": text}))["sms"] == text


@given(st.text(max_size=200), st.text(max_size=40))
def test_troubles_of_any_name_fit_too(trouble, site):
    said = message(1, kind="trouble", incident_id=None, site=site, troubles=[f"{trouble}:lost"])
    notice = notice_of(understood(said).message)
    assert notice is None or len(sms_of(notice)) <= LIMIT


def test_reasons_that_do_not_fit_are_cut_and_said_to_be():
    notice = Notice("alert", "s", "t", "alarm", "FIRE ALERT", "x", act="Go.", reasons=("r" * 400,))
    text = sms_of(notice)
    assert len(text) == LIMIT
    assert text.endswith("rrr...")
    # No room for a word of them: nothing is said of them.
    full = Notice("alert", "s", "t", "alarm", "F" * 100, "x", act="G" * 210, reasons=("H3",))
    assert sms_of(full).splitlines() == ["F" * 100, "G" * 210]


def test_letters_with_accents_stay_letters():
    assert plain("Café Küche `Łódź`") == "Cafe Kuche '?odz'"

"""docs/escalation.md says what people are really told, and when."""

import json
import re
from pathlib import Path

import pytest

from firedetect.lambdas import calls
from firedetect.lambdas.calls import back_again, over, reminder, taken_over, unanswered
from firedetect.lambdas.escalation import LASTS_S, TIERS
from firedetect.lambdas.facts import Acknowledgement
from firedetect.lambdas.incident import acknowledged, changed, closed
from firedetect.lambdas.notices import ACT, notice_of
from firedetect.lambdas.people import detail_of
from firedetect.lambdas.policy import understood
from firedetect.lambdas.sms import LIMIT, sms_of
from tests.lambdas.helpers import message

PAGE = (Path(__file__).parents[2] / "docs" / "escalation.md").read_text()
FLOWING = re.sub(r"\s+", " ", PAGE)
LINK = "https://<address>/?t=<token>"


def read(level):
    event = message(level=level, current=level, site="workshop", reasons=["score", "H3"])
    return understood(event).message


def taken():
    given = Acknowledgement(level="emergency", source="link", at="2026-01-01T00:02:30.000+00:00")
    return acknowledged(changed(None, read("emergency")), given)


def calm():
    changes = {"current": "normal", "changed_at": "2026-01-01T00:20:00.000+00:00"}
    return taken().model_copy(update=changes)


def back():
    over_ = closed(calm(), "2026-01-01T00:35:00.000+00:00")
    again = {"kind": "event", "current": "alert", "ts": "2026-01-01T00:40:00.000+00:00"}
    event = message(2, level="emergency", site="workshop", reasons=["score", "H3"], **again)
    return changed(over_, understood(event).message)


UNANSWERED = unanswered(changed(None, read("emergency")), "emergency", 1, 60_000).with_link(LINK)


@pytest.mark.parametrize(
    "notice",
    [
        notice_of(read("alert")).with_link(LINK),
        UNANSWERED,
        reminder(taken(), 4 * 3600 * 1000),
        taken_over(taken(), (0, 1)),
        over(calm()),
        back_again(back()).with_link(LINK),
    ],
    ids=lambda notice: notice.kind,
)
def test_the_words_are_real(notice):
    assert f"```\n{notice.subject}\n\n{notice.text}\n```" in PAGE


@pytest.mark.parametrize("level", ACT)
def test_what_to_do_at_each_level_is_there(level):
    assert ACT[level] in FLOWING


@pytest.mark.parametrize("words", [*calls.STAY.values(), calls.AFTER_RESET, calls.AFTER_CALM])
def test_what_to_do_when_somebody_else_acts_is_there(words):
    assert words in FLOWING


def test_the_sms_is_real():
    assert f"```\n{sms_of(UNANSWERED)}\n```" in PAGE
    assert f"at most {LIMIT} characters" in FLOWING


def test_every_kind_is_named():
    for kind in ("alarm", calls.UNANSWERED, calls.TAKEN_OVER, calls.REMINDER, calls.CLOSED):
        assert f"`{kind}`" in PAGE


def test_the_tiers_are_real():
    after_s = 0
    for number, tier in enumerate(TIERS):
        (line,) = re.findall(rf"^\| {number} \| {tier.who} \| (.*) \|$", PAGE, re.MULTILINE)
        assert line.startswith(f"{after_s} s" if after_s else "at once")
        if tier.times > 1:
            assert f"{tier.times - 1} times more, every {tier.wait_s} s" in line
        after_s += tier.wait_s
    assert f"At {LASTS_S} s the state machine" in PAGE


def test_the_event_is_real():
    (body,) = re.findall(r"```json\n(.*?)\n```", PAGE, re.DOTALL)
    said = detail_of(notice_of(read("alert")).with_link(LINK))
    assert json.loads(body) == said | {"text": "…"}

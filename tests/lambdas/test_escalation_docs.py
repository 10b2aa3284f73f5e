"""docs/escalation.md says what people are really told, and when."""

import json
import re
from pathlib import Path

import pytest

from firedetect.lambdas.calls import reminder, unanswered
from firedetect.lambdas.escalation import LASTS_S, TIERS
from firedetect.lambdas.incident import Acknowledgement, acknowledged, changed
from firedetect.lambdas.notices import ACT, notice_of
from firedetect.lambdas.people import detail_of
from firedetect.lambdas.policy import understood
from tests.lambdas.helpers import message

PAGE = (Path(__file__).parents[2] / "docs" / "escalation.md").read_text()
FLOWING = re.sub(r"\s+", " ", PAGE)
LINK = "https://<address>/?t=<token>"


def read(level):
    event = message(level=level, current=level, site="workshop", reasons=["score", "H3"])
    return understood(event).message


def taken():
    given = Acknowledgement(level="emergency", source="link", at="2026")
    return acknowledged(changed(None, read("emergency")), given)


@pytest.mark.parametrize(
    "notice",
    [
        notice_of(read("alert")).with_link(LINK),
        unanswered(changed(None, read("emergency")), "emergency", 1, 60_000).with_link(LINK),
        reminder(taken(), 4 * 3600 * 1000),
    ],
    ids=lambda notice: notice.kind,
)
def test_the_words_are_real(notice):
    assert f"```\n{notice.subject}\n\n{notice.text}\n```" in PAGE


@pytest.mark.parametrize("level", ACT)
def test_what_to_do_at_each_level_is_there(level):
    assert ACT[level] in FLOWING


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

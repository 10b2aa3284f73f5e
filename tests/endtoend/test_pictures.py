"""A detector whose site opted in raises an alarm: people get a link, and behind it the picture."""

import re
import urllib.request

import pytest

from tests.daemon.test_thermogram import decoded
from tests.endtoend.world import Detector, link_of, until

pytestmark = pytest.mark.slow
SHARE = {"FIREDETECT_PICTURES__SHARE": "true"}


def ways(box):
    """Return the settings that lead to the box's credentials provider and bucket."""
    return {
        "FIREDETECT_PICTURES__CREDENTIALS_ENDPOINT": box.said["credentials_endpoint"],
        "FIREDETECT_PICTURES__BUCKET_URL": box.said["bucket_url"],
        "FIREDETECT_PICTURES__REGION": box.said["region"],
    }


def alarms(box, thing):
    return [one for one in box.told(thing) if one["attributes"]["kind"] == "alarm"]


def behind(address):
    """Open a link as a browser does, over whatever it leads to."""
    with urllib.request.urlopen(address, timeout=20) as answer:  # noqa: S310 - the box's own
        return answer.read()


def test_the_link_in_the_message_leads_to_what_the_array_saw(box, tmp_path, say):
    thing = "pictured-1"
    with Detector(tmp_path, thing, link_of(box, thing), "waste-bin", **ways(box), **SHARE) as one:
        one.wait(lambda: len(alarms(box, thing)) == 2, "alert and emergency", 90.0)
        incident = one.outcome()["incident_id"]
        key = f"{thing}/pictures/{incident}.png"

        def newest():
            _, texts = decoded(box.running.fetch(key))
            return texts["Level"] == "emergency" and texts

        one.wait(lambda: "picture sent" in one.text(), "the picture", 20.0)
        texts = until(newest, one.text, 20.0)
        assert texts["Source"] == f"{thing} at cellar"
        assert texts["Title"] == incident
        assert float(texts["Maximum"].split()[0]) > 60.0
        for told in alarms(box, thing):
            address = re.search(r"^Picture: (\S+)$", told["text"], re.MULTILINE).group(1)
            assert behind(address) == box.running.fetch(key)
        assert one.trouble("pictures") is None
    say(f"{texts['Maximum']}, {len(box.running.fetch(key))} bytes")


def test_a_site_that_did_not_opt_in_sends_nothing(box, tmp_path):
    thing = "pictured-2"
    with Detector(tmp_path, thing, link_of(box, thing), "waste-bin", **ways(box)) as one:
        one.wait(lambda: len(alarms(box, thing)) == 2, "alert and emergency", 90.0)
        assert not any("Picture" in told["text"] for told in box.told(thing))
        assert "picture sent" not in one.text()


def test_the_alarm_goes_out_at_once_when_no_picture_can(box, tmp_path):
    """A port at which nobody listens: the trouble says so, people are called without delay."""
    thing = "pictured-3"
    nowhere = ways(box) | {"FIREDETECT_PICTURES__CREDENTIALS_ENDPOINT": "localhost:9"}
    with Detector(tmp_path, thing, link_of(box, thing), "waste-bin", **nowhere, **SHARE) as one:
        one.wait(lambda: alarms(box, thing), "the alarm", 90.0)
        first = alarms(box, thing)[0]
        assert sum(first["hops"].values()) < 5000.0
        one.wait(lambda: one.trouble("pictures"), "the trouble", 90.0)
        one.wait(lambda: one.now()["waiting_messages"] == 0, "an empty outbox", 30.0)

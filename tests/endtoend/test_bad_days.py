"""Links that do not work, against a real detector: said within 30 s, detection goes on."""

import datetime as dt
import re
import time

import pytest

from firedetect.cloudbox.authority import Authority, Validity
from firedetect.cloudbox.broker import free_port
from tests.endtoend.world import Detector, link_to
from tests.fakes.box import running_broker
from tests.fakes.box import until as seen

pytestmark = pytest.mark.slow
THING = "thing-1"
SAID_WITHIN_S = 30.0
TOLERANCE_S = 5.0
"""Log and control socket are read by a busy test machine."""


def wrong_ca(broker, folder):
    other = Authority(folder / "other-ca")
    return link_to(broker.host, broker.port, broker.authority.issue(THING)) | {
        "FIREDETECT_UPLINK__CA": str(other.ca)
    }


def expired(broker, _folder):
    now = dt.datetime.now(dt.UTC)
    validity = Validity(now - dt.timedelta(days=30), now - dt.timedelta(days=1))
    return link_to(broker.host, broker.port, broker.authority.issue(THING, validity=validity))


def no_such_name(broker, _folder):
    return link_to("nowhere.invalid", broker.port, broker.authority.issue(THING))


def no_certificate(broker, _folder):
    link = link_to(broker.host, broker.port, broker.authority.issue(THING))
    return {
        name: value for name, value in link.items() if not name.endswith(("CERTIFICATE", "KEY"))
    }


@pytest.mark.parametrize(
    ("bad_link", "words"),
    [
        pytest.param(wrong_ca, r"(?i)certificate|tls|trust", marks=pytest.mark.fault("F54")),
        pytest.param(
            expired, r"(?i)certificate|tls|expired", marks=pytest.mark.fault("F46", "F54")
        ),
        pytest.param(no_such_name, r"(?i)name|dns|host", marks=pytest.mark.fault("F52")),
        (no_certificate, r"firedetect provision"),
    ],
)
async def test_a_link_that_cannot_be_made_is_said_and_a_fire_is_still_seen(
    tmp_path, bad_link, words, say
):
    async with running_broker(tmp_path) as broker:
        link = bad_link(broker, tmp_path)
        with Detector(tmp_path / "home", THING, link, "waste-bin") as detector:
            began = time.monotonic()
            await seen(lambda: detector.now() is not None, detector.text, 60.0)
            began = time.monotonic()
            await seen(lambda: detector.trouble("link"), detector.text, 45.0)
            took_s = time.monotonic() - began
            said = detector.trouble("link")
            assert took_s <= SAID_WITHIN_S
            assert re.search(words, said), said
            # TLS itself names the reason late, on purpose.
            await seen(
                lambda: re.search(words, detector.trouble("link")) and "not connected yet" not in
                detector.trouble("link"), detector.text, 45.0,
            )  # fmt: skip
            say(f"{bad_link.__name__}: {took_s:.1f} s: {said}; then: {detector.trouble('link')}")
            await seen(lambda: detector.outcome()["level"] == "emergency", detector.text, 60.0)


@pytest.mark.fault("F48", "F50")
async def test_a_broker_that_comes_late_dies_and_comes_back(tmp_path, say):
    async with running_broker(tmp_path, port=free_port()) as broker:
        link = link_to(broker.host, broker.port, broker.authority.issue(THING))
        await broker.kill()
        with Detector(tmp_path / "home", THING, link) as detector:
            await seen(lambda: detector.now() is not None, detector.text, 60.0)
            took_s = await lost(detector)
            say(f"closed port: said after {took_s:.1f} s: {detector.now()['cloud']['why']}")
            assert took_s <= SAID_WITHIN_S
            assert "refused" in detector.now()["cloud"]["why"].lower()
            for round_ in range(2):
                await broker.start()
                began = time.monotonic()
                await seen(lambda: not detector.trouble("link"), detector.text, 40.0)
                say(f"the broker is back: trouble over after {time.monotonic() - began:.1f} s")
                assert detector.now()["cloud"]["up"]
                if round_ == 1:
                    break
                processed = detector.now()["processed"]
                await broker.kill()
                took_s = await lost(detector)
                say(f"broker killed: said after {took_s:.1f} s: {detector.now()['cloud']['why']}")
                assert took_s <= SAID_WITHIN_S
                assert detector.now()["processed"] > processed
            assert detector.outcome()["health"] == "ok"


async def lost(detector):
    """Return how long it took until the detector said that its link is lost."""
    began = time.monotonic()
    await seen(lambda: detector.trouble("link"), detector.text, SAID_WITHIN_S + TOLERANCE_S)
    return time.monotonic() - began

"""What operators change from afar, with the commands they type, at a real detector."""

import datetime as dt
import json
import threading
import time

import pytest

from firedetect.daemon import shadow_commands
from firedetect.uplink.provision import connected
from firedetect.uplink.sdk import Endpoint
from firedetect.uplink.shadow_client import ThingShadows
from tests.endtoend.world import Detector, link_of
from tests.fakes.box import until as seen

pytestmark = pytest.mark.slow
EFFECTIVE_WITHIN_S = 2.0


def operator(box):
    said = box.said
    certificate, key = said["operator"]["certificate"], said["operator"]["key"]
    return Endpoint(said["endpoint"], said["port"], "op-1", certificate, key, said["ca"])


def alert_threshold(detector):
    return detector.now()["settings"]["thresholds"]["alert"]


async def test_a_threshold_is_effective_in_two_seconds_and_reported_with_its_verdict(
    box, tmp_path, say
):
    thing = "shadow-1"
    with Detector(tmp_path, thing, link_of(box, thing)) as detector:
        await seen(detector.is_up, detector.text, 60.0)
        await seen(lambda: detector.troubles() == [], detector.text, 60.0)
        async with connected(operator(box)) as transport:
            shadows = ThingShadows(transport.client, thing)
            for alert in (0.55, 0.5, 0.58):
                written = await shadows.desire("config", {"thresholds": {"alert": alert}}, None)
                accepted = time.monotonic()
                await seen(
                    lambda wanted=alert: alert_threshold(detector) == wanted, detector.text, 20.0
                )
                took_s = time.monotonic() - accepted
                say(f"alert {alert}: effective {took_s:.2f} s after the service accepted it")
                assert took_s < EFFECTIVE_WITHIN_S
        reported = (await read(box, thing)).reported
        assert reported["version"] == written
        assert reported["verdict"]["library"]["missed"] == []
        assert reported["verdict"]["library"]["tried"] > 0
        assert reported["verdict"]["history"]["alarms"] == 0
        assert reported["thresholds"]["alert"] == 0.58


async def read(box, thing):
    async with connected(operator(box)) as transport:
        return await ThingShadows(transport.client, thing).get("config")


def test_the_commands_get_set_and_watch_and_a_change_that_misses_a_fire_is_refused(box, tmp_path):
    thing = "shadow-2"
    with Detector(tmp_path, thing, link_of(box, thing)) as detector:
        detector.wait(detector.is_up, "a link")
        detector.wait(lambda: detector.troubles() == [], "no trouble")
        done = detector.command("shadow", "set", "thresholds.alert=0.55")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["thresholds"]["alert"] == 0.55
        assert alert_threshold(detector) == 0.55
        # What changes nothing is answered as well.
        done = detector.command("shadow", "set", "hysteresis=null")
        assert done.returncode == 0, done.stderr
        done = detector.command("shadow", "set", "thresholds.alert=0.75")
        assert done.returncode == 1
        assert len(done.stderr.splitlines()) == 1, done.stderr
        assert "smoulder" in done.stderr
        assert alert_threshold(detector) == 0.55
        # What was refused stands in nobody's way: not the next setting's, not the next start's.
        for refused, why in (("thresholds.alert=0.99", "thresholds.alert"), ("thresold=1", "key")):
            done = detector.command("shadow", "set", refused)
            assert done.returncode == 1
            assert why in done.stderr
            assert "taken back" in done.stderr
            assert json.loads(detector.command("shadow", "get").stdout)["desired"] == {
                "thresholds": {"alert": 0.55}
            }
        assert alert_threshold(detector) == 0.55
        detector.wait(lambda: "refused" not in reported(detector), "nothing is refused", 20.0)
        settings_heard = watched(box, thing)
        detector.command("shadow", "set", "thresholds.alert=0.6")
        detector.wait(
            lambda: any(seen_["desired"]["thresholds"]["alert"] == 0.6 for seen_ in settings_heard),
            "what is watched changes",
            20.0,
        )


def reported(detector):
    return json.loads(detector.command("shadow", "get").stdout)["reported"]


def watched(box, thing):
    """Watch a shadow in a thread that ends with the tests; returns what it hears."""
    heard = []
    target = shadow_commands.Target(operator(box), thing, "config")
    threading.Thread(target=shadow_commands.watch, args=(target, heard.append), daemon=True).start()
    return heard


def test_an_alarm_is_acknowledged_and_silenced_by_its_shadow(box, tmp_path):
    thing = "shadow-3"
    # Not so high that it could not be silenced from afar.
    calm = {"FIREDETECT_DECISION__THRESHOLDS__EMERGENCY": "0.9"}
    calm |= {"FIREDETECT_DECISION__THRESHOLDS__ALERT": "0.2"}
    calm |= {"FIREDETECT_DECISION__THRESHOLDS__WARNING": "0.1"}
    calm |= {"FIREDETECT_DECISION__THRESHOLDS__INFORMATIONAL": "0.05"}
    with Detector(tmp_path, thing, link_of(box, thing), "smoulder", **calm) as detector:
        detector.wait(lambda: detector.outcome().get("level") == "alert", "an alarm", 300.0)
        incident = detector.outcome()["incident_id"]
        until_ = dt.datetime.now(dt.UTC) + dt.timedelta(minutes=5)
        done = detector.command(
            "shadow", "set", "--shadow", "alarm", "--thing", thing,
            f"silence.incident_id={incident}", f"silence.until={until_.isoformat()}",
            "silence.by=Ada",
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        detector.wait(lambda: "silenced" in detector.outcome()["alarm"], "silence", 20.0)
        done = detector.command(
            "shadow", "set", "--shadow", "alarm",
            f"acknowledge.incident_id={incident}", "acknowledge.by=Ada",
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        detector.wait(lambda: "acknowledged" in detector.outcome()["alarm"], "acknowledged", 20.0)

        def answers():
            shadow = json.loads(detector.command("shadow", "get", "--shadow", "alarm").stdout)
            return shadow["reported"].get("answers")

        detector.wait(lambda: answers() == {"silence": "done", "acknowledge": "done"}, "answers")

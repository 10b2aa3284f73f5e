"""Reports, redrive and labels on moto's server."""

import base64
import datetime as dt
import json
import os

import pytest
from moto.iotdata.models import iotdata_backends

from deploy import names
from deploy.labels import label
from deploy.operations import main
from deploy.redrive import Redrive
from deploy.reports import Reports, quantile, waiting
from deploy.session import DeployError
from firedetect.cloudbox.deployed import deploy
from firedetect.cloudbox.tier import Tier, load_tier
from firedetect.lambdas.incidents import Incidents
from firedetect.lambdas.learning import wanted
from firedetect.lambdas.rows import every_row, packed

NOW = dt.datetime(2026, 3, 2, 12, tzinfo=dt.UTC)
NOW_MS = round(NOW.timestamp() * 1000)


def ago(**span):
    return (NOW - dt.timedelta(**span)).isoformat(timespec="milliseconds")


def incident(number=1, **changes):
    return {
        "incident_id": f"thing-1-1-{number}",
        "thing": "thing-1",
        "site": "cellar",
        "level": "alert",
        "current": "normal",
        "reasons": ["hot_spot"],
        "drill": False,
        "opened_at": ago(hours=3),
        "changed_at": ago(hours=2),
        "acknowledged": False,
        "acknowledged_level": "normal",
        "event_ids": [f"thing-1-1-{number}"],
        "revision": 1,
        "levels": {"alert": ago(hours=3)},
    } | changes


class World:
    """The deployed tier."""

    def __init__(self, account):
        self.account = account
        self.client_of = account.client_of
        self.reports = Reports(self.client_of, lambda: NOW)
        self.said = []

    def put(self, table, row):
        self.client_of("dynamodb").put_item(TableName=table, Item=packed(row))

    def incidents(self):
        rows = every_row(self.client_of("dynamodb"), names.INCIDENTS)
        return {row["incident_id"]: row for row in rows}

    def send(self, queue, body):
        sqs = self.client_of("sqs")
        url = sqs.get_queue_url(QueueName=queue)["QueueUrl"]
        text = body if isinstance(body, str) else json.dumps(body)
        sqs.send_message(QueueUrl=url, MessageBody=text)

    def fail_function(self, name, payload):
        context = {"functionArn": f"arn:aws:lambda:eu-central-1:1:function:{name}:$LATEST"}
        self.send(names.FUNCTION_ERRORS, {"requestContext": context, "requestPayload": payload})

    def fail_rule(self, rule, topic, payload):
        original = base64.b64encode(payload).decode()
        report = {"ruleName": rule, "topic": topic, "base64OriginalPayload": original}
        self.send(names.RULE_ERRORS, report | {"clientId": "x", "failures": []})

    def waiting(self):
        sqs = self.client_of("sqs")
        return [waiting(sqs, queue) for queue in (names.RULE_ERRORS, names.FUNCTION_ERRORS)]

    def redrive(self, **options):
        return dict(Redrive(self.client_of, self.said.append, **options).run())

    def part(self, parts, title):
        (found,) = [one for one in parts if one.title == title]
        return found


def part_of_the_tier(*more):
    """Return the core stack with what operations touch: the rest takes seconds."""
    kinds = {
        "AWS::DynamoDB::Table",
        "AWS::IAM::Role",
        "AWS::KMS::Key",
        "AWS::Lambda::EventInvokeConfig",
        "AWS::Lambda::Function",
        "AWS::Lambda::Url",
        "AWS::Logs::LogGroup",
        "AWS::SQS::Queue",
        *more,
    }
    core = dict(load_tier().templates["FiredetectCore"], Outputs={})
    core["Resources"] = {k: v for k, v in core["Resources"].items() if v["Type"] in kinds}
    for resource in core["Resources"].values():
        resource.pop("DependsOn", None)
    return Tier({"FiredetectCore": core})


@pytest.fixture
def world(account):
    deploy(part_of_the_tier(), account.client_of)
    return World(account)


@pytest.fixture
def watched(account):
    deploy(part_of_the_tier("AWS::CloudWatch::Alarm", "AWS::SNS::Topic"), account.client_of)
    return World(account)


def published():
    """Return what was published through IoT's data plane: moto keeps it by process."""
    return [
        one
        for backend in iotdata_backends.values()
        for one in backend["eu-central-1"].published_payloads
    ]


def test_a_quiet_day_asks_for_a_backup_only(world):
    parts = list(world.reports.daily())
    assert [one.title for one in parts if one.look] == ["backups"]
    assert world.part(parts, "silent detectors").lines == ("none of 0",)


def test_a_bad_day_names_everything(watched):
    for thing, seconds in (("thing-1", 10), ("thing-2", 600)):
        beat = {"thing": thing, "kind": "beat", "received_ms": NOW_MS - seconds * 1000}
        watched.put(names.DEVICES, beat)
    watched.put(
        names.DEVICES,
        {"thing": "thing-3", "kind": "silence", "state": "silent", "received_ms": NOW_MS},
    )
    watched.put(names.INCIDENTS, incident())
    taken = {"level": "alert", "source": "link", "at": ago(hours=2), "by": ""}
    watched.put(names.INCIDENTS, incident(2, acknowledged=True, acknowledgements=[taken]))
    watched.put(names.INCIDENTS, incident(3, closed_at=ago(hours=1)))
    watched.fail_function("firedetect-escalate", {})
    watched.client_of("cloudwatch").set_alarm_state(
        AlarmName="firedetect-SilentDevices", StateValue="ALARM", StateReason="two"
    )
    parts = list(watched.reports.daily())
    assert all(one.look for one in parts)
    assert watched.part(parts, "silent detectors").lines == (
        "thing-2: for 10 min",
        "thing-3: never beat",
    )
    assert sorted(watched.part(parts, "open incidents").lines) == [
        "thing-1-1-1: alert (now normal) at cellar, for 3 h, NOT ACKNOWLEDGED",
        "thing-1-1-2: alert (now normal) at cellar, for 3 h, taken over by link",
    ]
    waits = watched.part(parts, "failures that wait").lines
    assert waits[:2] == ("firedetect-rule-errors: 0", "firedetect-function-errors: 1")
    assert watched.part(parts, "alarms of the tier").lines == (
        "firedetect-SilentDevices: detectors are silent",
    )


def test_a_week_shows_labels_drift_and_what_is_not_known(world):
    world.put(names.INCIDENTS, incident(closed_at=ago(hours=1)))
    world.put(names.INCIDENTS, incident(2, closed_at=ago(hours=1)))
    label(world.client_of("dynamodb"), "thing-1-1-1", "false-alarm", lambda: NOW)
    parts = list(world.reports.weekly())
    false_alarms = world.part(parts, "false alarms")
    assert false_alarms.lines == (
        "thing-1-1-1: false-alarm, cellar, hot_spot",
        "1 closed incidents without a label",
    )
    assert world.part(parts, "drift and findings").lines == ("none",)
    assert world.part(parts, "certificates").lines == ("none of 0 ends soon",)
    assert world.part(parts, "cost this month").lines[0].startswith("0.00 USD")


def test_a_month_shows_incidents_and_how_fast_people_were(world):
    for number, minutes in enumerate((1, 2, 3, 20), start=1):
        at = (NOW - dt.timedelta(hours=3) + dt.timedelta(minutes=minutes)).isoformat()
        taken = {"level": "alert", "source": "link", "at": at, "by": ""}
        world.put(names.INCIDENTS, incident(number, acknowledged=True, acknowledgements=[taken]))
    world.put(names.INCIDENTS, incident(5))
    world.put(names.INCIDENTS, incident(6, opened_at=ago(days=40)))
    parts = list(world.reports.monthly())
    assert world.part(parts, "incidents of 30 days").lines == ("cellar: 5 alert",)
    times = world.part(parts, "time to acknowledge")
    assert times.lines == ("p50 2 min, p90 15 min of 4", "never acknowledged: 1")
    assert times.look


def test_percentiles_of_few_values():
    assert quantile([7], 90) == 7
    assert quantile([0, 100], 50) == 50


def test_a_redrive_runs_functions_with_what_they_failed_on(world):
    events = [{"event_id": f"thing-1-1-{n}", "text": "ä"} for n in range(25)]
    for event in events:
        world.fail_function("firedetect-escalate", event)
    assert world.redrive() == {"handed_on": 25, "dropped": 0, "left": 0}
    got = [payload for name, payload in world.account.invoked if name == "firedetect-escalate"]
    assert sorted(got, key=str) == sorted(events, key=str)
    assert world.waiting() == [0, 0]


def test_what_fails_again_stays_and_nothing_is_lost(world):
    def picky(event):
        return ValueError("table is gone") if event["n"] % 2 else {}

    world.account.answers["firedetect-escalate"] = picky
    for n in range(6):
        world.fail_function("firedetect-escalate", {"n": n})
    world.fail_function("somebody-elses", {"n": 0})
    world.send(names.FUNCTION_ERRORS, "no JSON")
    world.send(names.RULE_ERRORS, {"ruleName": "firedetect_alert"})
    assert world.redrive() == {"handed_on": 3, "dropped": 0, "left": 6}
    assert world.waiting() == [1, 5]
    assert any("table is gone" in line for line in world.said)
    # Mended: the rest goes through, what is not ours stays.
    world.account.answers.clear()
    assert world.redrive() == {"handed_on": 3, "dropped": 0, "left": 3}
    got = [payload["n"] for name, payload in world.account.invoked if "n" in payload]
    assert set(got) == set(range(6))


def test_a_redrive_publishes_messages_again_where_they_came_from(world):
    alarm, batch = b'{"event_id": "a"}', b'{"batch_id": "b"}'
    world.fail_rule("firedetect_alert", "firedetect/thing-1/alert", alarm)
    world.fail_rule("firedetect_telemetry", "firedetect/thing-1/telemetry", batch)
    assert world.redrive() == {"handed_on": 2, "dropped": 0, "left": 0}
    assert sorted(published()) == [
        ("$aws/rules/firedetect_telemetry/firedetect/thing-1/telemetry", batch),
        ("firedetect/thing-1/alert", alarm),
    ]
    assert world.waiting() == [0, 0]


def test_an_old_beat_never_looks_like_a_new_one(world):
    world.fail_rule("firedetect_beat", "firedetect/thing-1/beat", b"{}")
    assert world.redrive() == {"handed_on": 0, "dropped": 1, "left": 0}
    assert published() == []
    assert world.waiting() == [0, 0]


def test_a_foreign_topic_is_not_published_to(world):
    world.fail_rule("firedetect_alert", "$aws/things/thing-1/shadow/update", b"{}")
    assert world.redrive()["left"] == 1
    assert published() == []


def test_a_dry_run_hands_nothing_on(world):
    world.fail_function("firedetect-escalate", {})
    world.fail_rule("firedetect_alert", "firedetect/thing-1/alert", b"{}")
    world.fail_rule("firedetect_beat", "firedetect/thing-1/beat", b"{}")
    world.redrive(dry=True)
    assert len(world.said) == 3
    assert world.waiting() == [2, 1]
    assert not world.account.invoked
    assert published() == []


def test_a_label_is_what_the_agents_read(world):
    dynamodb = world.client_of("dynamodb")
    for number in range(5):
        world.put(names.INCIDENTS, incident(number))
        assert not label(dynamodb, f"thing-1-1-{number}", "false-alarm", lambda: NOW)
    rows = world.incidents()
    assert {row["revision"] for row in rows.values()} == {2}
    asked = wanted([], rows.values(), None, NOW)
    assert asked is not None
    assert len(asked.false_alarms) == 5
    assert label(dynamodb, "thing-1-1-0", "fire", lambda: NOW) == "false-alarm"


def test_a_label_needs_its_incident_and_a_known_word(world):
    dynamodb = world.client_of("dynamodb")
    with pytest.raises(DeployError, match="no incident thing-9"):
        label(dynamodb, "thing-9", "fire")
    with pytest.raises(DeployError, match="no label"):
        label(dynamodb, "thing-9", "toast")
    assert world.incidents() == {}


def test_a_function_that_was_about_to_write_reads_the_row_again(world):
    dynamodb = world.client_of("dynamodb")
    world.put(names.INCIDENTS, incident())
    seen = []

    def fold(row):
        if not seen:
            label(dynamodb, row.incident_id, "drill", lambda: NOW)
        seen.append(row.revision)
        return row.model_copy(update={"reminded_ms": 1, "revision": row.revision + 1})

    Incidents(dynamodb, names.INCIDENTS).change("thing-1-1-1", fold)
    assert seen == [1, 2]


def test_the_commands(world, capsys):
    world.put(names.INCIDENTS, incident())
    assert main(["daily"]) == 0
    assert "! open incidents" in capsys.readouterr().out
    assert main(["monthly", "--json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["part"] for line in lines][-1] == "restore drill"
    assert main(["label", "thing-1-1-1", "fire"]) == 0
    assert capsys.readouterr().out == "thing-1-1-1: fire\n"
    assert main(["redrive"]) == 0
    assert capsys.readouterr().out == "0 handed on, 0 dropped, 0 left\n"
    assert main(["label", "thing-2", "fire"]) == 1
    assert capsys.readouterr().err == "there is no incident thing-2\n"


def test_a_box_is_reached_by_its_description(world, capsys, tmp_path, monkeypatch):
    said = {"pid": os.getpid(), "region": "eu-central-1", "aws_endpoint": world.account.endpoint}
    said["iot_data_endpoint"] = world.account.endpoint
    (tmp_path / "box.json").write_text(json.dumps(said))
    for name in ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_REGION"):
        monkeypatch.delenv(name)
    assert main(["--box", str(tmp_path), "daily"]) == 0
    assert "silent detectors" in capsys.readouterr().out
    assert main(["--box", str(tmp_path / "none"), "daily"]) == 1
    assert "no box runs there" in capsys.readouterr().err

"""The whole box: real broker, rules, functions, people; and the program that runs it."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import urllib.request

import boto3
import psutil
import pytest
from awscrt import mqtt5
from awsiot import mqtt5_client_builder
from botocore.exceptions import ClientError

from firedetect.cloudbox.operator import RunningBox
from firedetect.contract.messages import DetectorMessage, LinkLost
from firedetect.contract.names import (
    DEVICES_TABLE,
    INCIDENTS_TABLE,
    alert_topic,
    beat_topic,
    down_topic,
    event_topic,
    telemetry_topic,
)
from firedetect.errors import BoxError
from tests.fakes.box import need_mosquitto, running_box, thing_of, until

pytestmark = pytest.mark.slow
THING = "thing-1"


def alarm(seq=1, **changes):
    fields = {
        "kind": "alarm", "event_id": f"{THING}-1-{seq}", "incident_id": f"{THING}-1-1",
        "device": THING, "site": "cellar", "ts": "2026-01-01T00:00:00.000+00:00", "t_s": 1.0,
        "level": "alert", "current": "alert", "score": 0.9, "reasons": ("hot_spot",),
        "health": "ok", "troubles": (), "alarm": "sounding", "drill": False, "model": None,
    } | changes  # fmt: skip
    return DetectorMessage(**fields).model_dump_json().encode()


def scan(box, table):
    return box.aws.client("dynamodb").scan(TableName=table)["Items"]


def waiting(box, queue):
    answer = box.aws.client("sqs").receive_message(
        QueueUrl=box.aws.queue_url(queue), MaxNumberOfMessages=10, VisibilityTimeout=0
    )
    return [json.loads(message["Body"]) for message in answer.get("Messages", [])]


async def test_an_alarm_reaches_people_the_table_and_comes_back_as_a_receipt(tmp_path):
    async with running_box(tmp_path / "box") as box, thing_of(box, THING) as (thing, heard):
        await thing.subscribe([down_topic(THING)])
        for _ in range(2):
            assert await thing.publish(alert_topic(THING), alarm()) == 0
        await until(lambda: len(heard.on("down")) == 2, "two receipts")
        assert {body["event_id"] for body in heard.on("down")} == {f"{THING}-1-1"}
        await until(lambda: box.told, "people are told")
        (told,) = box.told
        assert told.subject == "FIRE ALERT: thing-1 at cellar"
        assert told.attributes["level"] == "alert"
        assert list(told.passed_ms) == ["detector", "rule", "function", "sns", "people"]
        assert 0 <= told.as_record()["sns"]["hops"]["sns_to_people_ms"] < 10_000
        (row,) = scan(box, INCIDENTS_TABLE)
        assert row["incident_id"] == {"S": f"{THING}-1-1"}


async def test_nothing_of_a_persons_own_aws_is_used_and_all_of_it_is_left_as_it_was(
    tmp_path, monkeypatch
):
    own = {
        "AWS_PROFILE": "nonsense",
        "AWS_ENDPOINT_URL_SNS": "http://127.0.0.1:9",
        "AWS_SESSION_TOKEN": "mine",
        "HTTP_PROXY": "http://127.0.0.1:9",
    }
    for name, value in own.items():
        monkeypatch.setenv(name, value)
    before = dict(os.environ)
    async with running_box(tmp_path / "box") as box, thing_of(box, THING) as (thing, _):
        await thing.publish(alert_topic(THING), alarm())
        await until(lambda: box.told, "people are told")
    assert dict(os.environ) == before


async def test_a_message_published_before_aws_is_up_is_not_lost(tmp_path):
    async with running_box(tmp_path / "box", wait=False) as box, thing_of(box, THING) as (thing, _):
        assert not box.engine.ready.is_set()
        assert await thing.publish(alert_topic(THING), alarm()) == 0
        await until(lambda: box.told, "people are told", 30)


async def test_beats_telemetry_and_bad_messages_go_where_the_tier_says(tmp_path):
    async with running_box(tmp_path / "box") as box, thing_of(box, THING) as (thing, heard):
        await thing.subscribe([down_topic(THING)])
        beat = {"v": 1, "kind": "forged", "device": THING, "site": "cellar", "score": 0.25,
                "sensors": {"gas": {"age_s": 0.5}, "old": {"age_s": None}}}  # fmt: skip
        await thing.publish(beat_topic(THING), json.dumps(beat).encode())
        batch = {"batch_id": "b-1", "columns": {"score": [1, None]}}
        for _ in range(2):
            await thing.publish(telemetry_topic(THING), json.dumps(batch).encode())
        await thing.publish(event_topic(THING), b"no JSON")
        await thing.publish(alert_topic(THING), alarm(device="thing-2"))
        await until(lambda: scan(box, DEVICES_TABLE), "the beat's row")
        row = next(row for row in scan(box, DEVICES_TABLE) if row["kind"]["S"] == "beat")
        assert (row["thing"], row["kind"]) == ({"S": THING}, {"S": "beat"})
        assert row["score"] == {"N": "0.25"}
        s3 = box.aws.client("s3")
        bucket = box.description()["bucket"]
        objects = s3.get_paginator("list_objects_v2")

        def lines():
            pages = objects.paginate(Bucket=bucket, Prefix="telemetry/date=")
            return [one["Key"] for page in pages for one in page.get("Contents", [])]

        # A stream delivers what comes again again; who reads it looks at the batch's id.
        await until(lambda: len(lines()) == 2, "two records")
        assert all(f"/thing={THING}/firedetect-telemetry-1-" in key for key in lines())
        body = s3.get_object(Bucket=bucket, Key=lines()[0])["Body"].read()
        assert body.endswith(b"\n")
        assert json.loads(body)["batch_id"] == "b-1"
        await until(lambda: len(waiting(box, "firedetect-rule-errors")) == 1, "a rule error")
        failed = await until(lambda: waiting(box, "firedetect-function-errors"), "a failed event")
        assert (
            "thing-1: speaks in the name of thing-2" in failed[0]["responsePayload"]["errorMessage"]
        )
        # The supervisor runs by its schedule and finds the beat.
        await until(lambda: heard.on("down"), "the lease")
        assert heard.on("down")[0]["kind"] == "lease"
        assert box.told == []


@pytest.mark.fault("F74")
async def test_a_foreign_thing_says_nothing_hears_nothing_and_reads_no_shadow(tmp_path):
    async with (
        running_box(tmp_path / "box") as box,
        thing_of(box, THING) as (thing, heard),
        thing_of(box, "thing-2") as (_, foreign),
        thing_of(box, "thing-2-x") as (stranger, _),
    ):
        await thing.subscribe([down_topic(THING), f"$aws/things/{THING}/shadow/#"])
        async with thing_of(box, "thing-3") as (other, other_heard):
            await other.subscribe([down_topic(THING), f"$aws/things/{THING}/#", "firedetect/#"])
            state = {"state": {"reported": {"secret": 1}}}
            await thing.publish(f"$aws/things/{THING}/shadow/update", json.dumps(state).encode())
            await thing.publish(alert_topic(THING), alarm())
            await until(lambda: heard.on("down") and heard.on("accepted"), "its own answers")
            assert other_heard == []
            with pytest.raises(BoxError, match="135"):
                await other.publish(f"$aws/things/{THING}/shadow/get", b"")
        with pytest.raises(BoxError, match="135"):
            await stranger.publish(alert_topic(THING), alarm(7))
        assert foreign == []
        assert len(scan(box, INCIDENTS_TABLE)) == 1


async def test_the_last_will_of_a_thing_is_told_as_trouble(tmp_path):
    async with running_box(tmp_path / "box") as box:
        files = box.authority.kept(THING)
        will = LinkLost(event_id=f"{THING}-1-lost", device=THING, site="cellar", boot=1)
        connected = asyncio.Event()
        loop = asyncio.get_running_loop()
        sdk = mqtt5_client_builder.mtls_from_path(
            cert_filepath=str(files.certificate),
            pri_key_filepath=str(files.key),
            ca_filepath=str(files.ca),
            endpoint=box.broker.host,
            port=box.broker.port,
            connect_options=mqtt5.ConnectPacket(
                client_id=THING,
                keep_alive_interval_sec=60,
                will=mqtt5.PublishPacket(
                    topic=event_topic(THING), payload=will.model_dump_json(), qos=1
                ),
            ),
            on_lifecycle_connection_success=lambda _: loop.call_soon_threadsafe(connected.set),
        )
        sdk.start()
        await asyncio.wait_for(connected.wait(), 10)
        sdk.stop(mqtt5.DisconnectPacket(mqtt5.DisconnectReasonCode.DISCONNECT_WITH_WILL_MESSAGE))
        await until(lambda: box.told, "people are told")
        assert "not connected" in box.told[0].subject
        assert box.told[0].attributes["level"] == "trouble"


async def test_a_killed_broker_comes_back_and_the_rules_go_on(tmp_path):
    async with running_box(tmp_path / "box") as box, thing_of(box, THING) as (thing, heard):
        await thing.subscribe([down_topic(THING)])
        port, pid = box.broker.port, box.broker.pid
        os.kill(pid, signal.SIGKILL)
        await until(lambda: box.broker.pid not in {0, pid}, "a new broker")
        assert box.broker.port == port

        async def receipt():
            # As the device does: again until the receipt is there.
            while not heard.on("down"):
                await thing.publish(alert_topic(THING), alarm())
                await asyncio.sleep(0.1)

        await asyncio.wait_for(receipt(), 20)
        await until(lambda: box.told, "people are told")


async def test_what_a_box_knows_survives_its_restart(tmp_path):
    state = {"state": {"desired": {"a": 1}}}
    async with running_box(tmp_path / "box", wait=False) as box:
        authority = box.authority.ca.read_bytes()
        box.shadows.carry_out(THING, "config", "update", json.dumps(state).encode())
        job = await box.create_job(THING, {"op": "drill"})
    assert not (tmp_path / "box" / "box.json").exists()
    async with running_box(tmp_path / "box", wait=False) as box:
        assert box.authority.ca.read_bytes() == authority
        said = box.shadows.carry_out(THING, "config", "get", b"")[0].body
        assert said["state"]["desired"] == {"a": 1}
        assert [one.job_id for one in box.jobs.pending(THING)] == [job]


async def test_one_folder_has_one_box(tmp_path):
    async with running_box(tmp_path / "box", wait=False):
        with pytest.raises(BoxError, match="another box runs there"):
            async with running_box(tmp_path / "box"):
                pass


async def test_boto3_reaches_shadows_topics_and_jobs(tmp_path):
    async with running_box(tmp_path / "box") as box, thing_of(box, THING) as (thing, heard):
        await thing.subscribe([down_topic(THING), f"$aws/things/{THING}/#"])
        iot = boto3.client("iot-data")

        def use():
            with pytest.raises(iot.exceptions.ResourceNotFoundException):
                iot.get_thing_shadow(thingName=THING, shadowName="config")
            payload = json.dumps({"state": {"desired": {"a": 1}}})
            iot.update_thing_shadow(thingName=THING, shadowName="config", payload=payload)
            payload = json.dumps({"state": {}, "version": 9})
            with pytest.raises(iot.exceptions.ConflictException):
                iot.update_thing_shadow(thingName=THING, shadowName="config", payload=payload)
            answer = iot.get_thing_shadow(thingName=THING, shadowName="config")
            assert json.load(answer["payload"])["state"]["delta"] == {"a": 1}
            iot.publish(topic=down_topic(THING), qos=1, payload=b'{"hello": 1}')
            iot.delete_thing_shadow(thingName=THING, shadowName="config")

        await asyncio.to_thread(use)
        await until(lambda: heard.on("down"), "the published message")
        await until(lambda: heard.on("config/update/delta"), "the delta")
        iot.close()
        running = RunningBox(tmp_path / "box")
        job = await asyncio.to_thread(running.create_job, THING, {"op": "drill"})
        await until(lambda: heard.on("jobs/notify-next"), "the job's notice")
        assert heard.on("jobs/notify-next")[0]["execution"]["jobId"] == job
        with pytest.raises(ClientError, match="already"):
            await asyncio.to_thread(running.create_job, THING, {"op": "drill"}, job)
        assert (await asyncio.to_thread(running.job, THING, job))["status"] == "QUEUED"


async def test_boto3_is_told_what_aws_tells_it_of_jobs(tmp_path):
    async with running_box(tmp_path / "box") as box:
        iot, device = boto3.client("iot"), boto3.client("iot-jobs-data")

        def things(*names):
            return [f"arn:aws:iot:eu-central-1:123456789012:thing/{name}" for name in names]

        def use():
            drill = {"document": "{}", "targets": things(THING, "thing-2")}
            iot.create_job(jobId="j1", **drill)
            with pytest.raises(iot.exceptions.ResourceAlreadyExistsException):
                iot.create_job(jobId="j1", **drill)
            group = "arn:aws:iot:eu-central-1:123456789012:thinggroup/all"
            for wrong in (
                {"targets": [group]},
                {"targets": [*things(THING), group]},
                {"targets": things("a b")},
                {"document": json.dumps({"a": "x" * 32_768})},
                {"document": "no JSON"},
            ):
                with pytest.raises(iot.exceptions.InvalidRequestException):
                    iot.create_job(jobId="j2", **(drill | wrong))
            with pytest.raises(iot.exceptions.ResourceNotFoundException):
                iot.describe_job_execution(thingName=THING, jobId="j2")
            iot.cancel_job_execution(thingName="thing-2", jobId="j1")
            with pytest.raises(iot.exceptions.InvalidStateTransitionException):
                iot.cancel_job_execution(thingName="thing-2", jobId="j1")
            with pytest.raises(iot.exceptions.ResourceNotFoundException):
                iot.cancel_job_execution(thingName=THING, jobId="j2")
            # An operator sees a job that is over, a device does not, as over MQTT.
            found = iot.describe_job_execution(thingName="thing-2", jobId="j1")["execution"]
            assert (found["status"], found["statusDetails"]) == ("CANCELED", {"detailsMap": {}})
            with pytest.raises(device.exceptions.TerminalStateException):
                device.describe_job_execution(thingName="thing-2", jobId="j1")
            found = device.describe_job_execution(thingName=THING, jobId="$next")["execution"]
            assert (found["jobId"], found["status"]) == ("j1", "QUEUED")

        await asyncio.to_thread(use)
        async with thing_of(box, THING) as (thing, heard):
            await thing.subscribe([f"$aws/things/{THING}/jobs/#"])
            begin = b'{"status": "IN_PROGRESS"}'
            await thing.publish(f"$aws/things/{THING}/jobs/j1/update", begin)
            await until(lambda: heard.on("j1/update/accepted"), "its beginning")

        def cancel():
            with pytest.raises(iot.exceptions.InvalidStateTransitionException):
                iot.cancel_job_execution(thingName=THING, jobId="j1")
            iot.cancel_job_execution(thingName=THING, jobId="j1", force=True)
            return RunningBox(tmp_path / "box").job(THING, "j1")["status"]

        assert await asyncio.to_thread(cancel) == "CANCELED"
        iot.close()
        device.close()


def http(method, address, body=None):
    request = urllib.request.Request(address, data=body, method=method)  # noqa: S310 - the box's
    # Without it urllib calls the body a form, and moto reads it as one.
    request.add_header("Content-Type", "application/octet-stream")
    with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310 - the box's
        return answer.read()


async def test_anybody_gets_and_puts_objects_by_their_addresses(tmp_path):
    async with running_box(tmp_path / "box"):
        running = RunningBox(tmp_path / "box")

        def use():
            address = running.upload("bundles/b.zip", b"bundle")
            assert http("GET", address) == b"bundle"
            target = running.upload_address("recordings/r.mcap")
            http("PUT", target, b"recording")
            assert running.fetch("recordings/r.mcap") == b"recording"

        await asyncio.to_thread(use)


def test_without_a_box_the_operator_is_told_what_to_type(tmp_path):
    with pytest.raises(BoxError, match="start it with `firedetect box`"):
        RunningBox(tmp_path)


def test_the_description_that_a_killed_box_leaves_is_of_no_box(tmp_path):
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        pass
    (tmp_path / "box.json").write_text(json.dumps({"pid": gone.pid}))
    with pytest.raises(BoxError, match="no box runs there"):
        RunningBox(tmp_path)
    (tmp_path / "box.json").write_text(json.dumps({"pid": os.getpid()}))
    assert RunningBox(tmp_path).said == {"pid": os.getpid()}


class Program:
    """`firedetect box` as a process of its own."""

    def __init__(self, folder, *arguments):
        need_mosquitto()
        self.folder = folder
        self.process = subprocess.Popen(
            [sys.executable, "-m", "firedetect.cli", "box", "--folder", folder, "--port", "0",
             *arguments],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

        # Whoever waits for a line does not wait for ever.
        self.guard = threading.Timer(60, self.process.kill)
        self.guard.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.guard.cancel()
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


@pytest.mark.parametrize(
    "end", ["SIGTERM", *(pytest.param(end, marks=pytest.mark.slow) for end in ("SIGINT", "stdin"))]
)
def test_the_program_says_that_it_is_ready_and_ends_when_told(tmp_path, end):
    with Program(tmp_path / "box", "--json", "--with-parent") as program:
        ready = json.loads(program.process.stdout.readline())["ready"]
        assert ready["aws_ready"]
        assert json.loads((tmp_path / "box" / "box.json").read_text()) == ready
        if end == "stdin":
            program.process.stdin.close()
            program.process.stdin = None
        else:
            program.process.send_signal(getattr(signal, end))
        out, err = program.process.communicate(timeout=20)
        assert (program.process.returncode, out, err) == (0, "", "")
        assert not (tmp_path / "box" / "box.json").exists()


def test_a_box_whose_broker_cannot_be_started_again_ends_with_one_line(tmp_path):
    with Program(tmp_path / "box", "--json") as program:
        assert json.loads(program.process.stdout.readline())["ready"]
        (broker,) = psutil.Process(program.process.pid).children()
        shutil.rmtree(tmp_path / "box" / "broker")
        broker.kill()
        _, err = program.process.communicate(timeout=30)
        assert program.process.returncode == 1
        assert "Traceback" not in err
        said = [line for line in err.splitlines() if line.startswith("firedetect: ")]
        assert len(said) == 1
        assert "watch over the broker has ended" in said[0]


async def test_whatever_part_of_a_box_ends_ends_the_box(tmp_path):
    async with running_box(tmp_path / "box") as box:
        shutil.rmtree(tmp_path / "box" / "ca" / "issued")
        (tmp_path / "box" / "broker" / "access.new").mkdir()
        with pytest.raises(BoxError, match="the box ends, its watch over the broker has ended"):
            await asyncio.wait_for(box.ended(), 20)


def test_the_program_says_in_plain_words_what_stops_it(tmp_path):
    (tmp_path / "box").write_text("no folder")
    with Program(tmp_path / "box") as program:
        out, err = program.process.communicate(timeout=20)
        assert (program.process.returncode, out) == (1, "")
        assert err.startswith("firedetect: ")
        assert len(err.splitlines()) == 1

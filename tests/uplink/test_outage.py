"""A day without a link, two kills and a dead broker: what was stored reaches people and tables."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from pathlib import Path

import pytest

from firedetect.cloudbox.broker import free_port
from firedetect.contract.names import INCIDENTS_TABLE
from tests.fakes.box import running_box, until
from tests.uplink.outage_worker import ALARM_EVERY

pytestmark = pytest.mark.slow
THING = "thing-1"
ROOT = Path(__file__).parents[2]
LOOK_S = 5.0
"""To list thousands of rows takes the one core that also fills them."""
SOME_ALARMS = 15
DAY_BATCHES = 1440
"""A batch a minute, and a message in four: a lively day, told faster than it passes."""


class Worker:
    """One life of the sending process."""

    def __init__(self, process):
        self.process = process
        self.lines = []

    def said(self, word):
        return {line.split()[1] for line in self.lines if line.startswith(f"{word} ")}

    async def read(self):
        async for line in self.process.stdout:
            self.lines.append(line.decode().strip())

    async def kill(self):
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        await self.process.wait()


@contextlib.asynccontextmanager
async def worker(folder, box, first, count, *, port=None):
    issued = box.authority.kept(THING)
    address = (box.broker.host, port or box.broker.port)
    arguments = (THING, folder, *address, issued.ca, issued.certificate, issued.key, first, count)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.uplink.outage_worker",
        *map(str, arguments),
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=asyncio.subprocess.PIPE,
    )
    life = Worker(process)
    reading = asyncio.create_task(life.read())
    try:
        yield life
    finally:
        await life.kill()
        await reading


class Cloud:
    """What has reached the far end of the tier."""

    def __init__(self, box):
        self._box = box
        self._batches = {}

    @property
    def alarms(self):
        told = [told.attributes for told in self._box.told]
        return [one["event_id"] for one in told if one["kind"] == "alarm"]

    def incidents(self):
        pages = self._box.aws.client("dynamodb").get_paginator("scan")
        found = pages.paginate(TableName=INCIDENTS_TABLE, ProjectionExpression="incident_id")
        return {item["incident_id"]["S"] for page in found for item in page["Items"]}

    def batches(self):
        s3, bucket = self._box.aws.client("s3"), self._box.description()["bucket"]
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix="telemetry/")
        for key in {one["Key"] for page in pages for one in page.get("Contents", [])}:
            if key not in self._batches:
                record = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
                self._batches[key] = json.loads(record)["batch_id"]
        return set(self._batches.values())


@pytest.mark.fault("F61")
async def test_a_day_offline_two_kills_and_a_dead_broker_lose_nothing(tmp_path, say):
    # `durable`: what the broker has acknowledged must survive its own kill. mosquitto acknowledges
    # just before it writes (one kill of three loses a message): it dies while the worker is held.
    # At the pace of the schedules: faster, agents that read thousands of rows take the one core.
    async with running_box(tmp_path / "box", durable=True, schedule_scale=1.0) as box:
        cloud = Cloud(box)
        box.authority.kept(THING)
        await box.broker.reload()
        async with worker(tmp_path, box, 0, 100_000, port=free_port()) as first:
            await until(lambda: len(first.said("batch")) > DAY_BATCHES * 0.8, "a day", 300.0)
            await first.kill()
        assert cloud.alarms == []
        async with worker(tmp_path, box, 200_000, 200) as second:
            await until(lambda: len(cloud.alarms) > SOME_ALARMS, "the drain", 120.0)
            pid = box.broker.pid
            second.process.send_signal(signal.SIGSTOP)
            await written_again(tmp_path / "box")
            os.kill(pid, signal.SIGKILL)
            second.process.send_signal(signal.SIGCONT)
            await until(lambda: box.broker.pid not in {0, pid}, "a new broker", 30.0)
            more = len(cloud.alarms) + SOME_ALARMS
            await until(lambda: len(cloud.alarms) > more, "more of the drain", 120.0)
            await second.kill()
        async with worker(tmp_path, box, 300_000, 10) as third:
            lives = (first, second, third)
            await until(lambda: "all delivered" in third.lines, third.lines, 600.0)
            stored = set().union(*(life.said("stored") for life in lives))
            batches = set().union(*(life.said("batch") for life in lives))
            await until_equal(cloud.incidents, stored, 300.0)
            await until_equal(cloud.batches, batches, 300.0)
        alarms = {one for one in stored if int(one.rsplit("-", 1)[1]) % ALARM_EVERY == 0}
        twice = len(cloud.alarms) - len(set(cloud.alarms))
        say(
            f"{len(stored)} messages stored, {len(stored - cloud.incidents())} missing in the table"
            f"; {len(alarms)} alarms, {len(alarms - set(cloud.alarms))} untold, {twice} told twice"
            f"; {len(batches)} batches, {len(batches - cloud.batches())} missing in the bucket"
        )
        assert len(alarms) > 3 * SOME_ALARMS
        assert alarms <= set(cloud.alarms)


async def written_again(folder, times=3):
    """Wait until the broker has begun and ended to write its sessions since now."""
    (sessions,) = folder.rglob("mosquitto.db")
    for _ in range(times):
        before = sessions.stat().st_mtime_ns
        await until(lambda seen=before: sessions.stat().st_mtime_ns != seen, "it is written", 60.0)


async def until_equal(found, wanted, patience_s):
    """Wait for all that is wanted; given up once nothing more has come for so long."""
    loop = asyncio.get_running_loop()
    fewest, deadline = len(wanted) + 1, 0.0
    while missing := wanted - await asyncio.to_thread(found):
        if len(missing) < fewest:
            fewest, deadline = len(missing), loop.time() + patience_s
        detail = f"{len(missing)} are missing: {sorted(missing)[:9]}"
        assert loop.time() < deadline, detail
        await asyncio.sleep(LOOK_S)

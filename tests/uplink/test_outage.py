"""A day without a link, and two kills in the middle: what was stored arrives, alarms first."""

import asyncio
import contextlib
import json
import os
import sys
from pathlib import Path

import pytest

from firedetect.contract.messages import Receipt
from firedetect.contract.names import alert_topic, down_topic, event_topic, telemetry_topic
from tests.fakes.box import running_broker, until
from tests.uplink.links import connected

pytestmark = pytest.mark.slow
THING = "thing-1"
ROOT = Path(__file__).parents[2]


class Worker:
    """One life of the sending process."""

    def __init__(self, process):
        self.process = process
        self.lines = []

    @property
    def stored(self):
        return {line.split()[1] for line in self.lines if line.startswith("stored")}

    @property
    def batches(self):
        return {int(line.split()[1]) for line in self.lines if line.startswith("batch")}

    async def read(self):
        async for line in self.process.stdout:
            self.lines.append(line.decode().strip())

    async def kill(self):
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        await self.process.wait()


@contextlib.asynccontextmanager
async def worker(folder, broker, first, count):
    issued = broker.authority.kept(THING)
    arguments = (folder, broker.host, broker.port, issued.ca, issued.certificate, issued.key)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.uplink.outage_worker",
        *map(str, (*arguments, first, count)),
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


async def test_a_day_offline_and_two_kills_lose_nothing(tmp_path, say):
    # A day of a lively detector: 1,440 batches stand for the minutes, thousands of messages.
    async with running_broker(tmp_path) as broker:
        await broker.kill()
        async with worker(tmp_path, broker, 0, 4000) as first:
            await until(lambda: len(first.stored) > 1500, "the first part", 120.0)
            await first.kill()
        await broker.start()
        async with connected(broker, "cloud") as (cloud, heard):
            for topic in (alert_topic(THING), event_topic(THING), telemetry_topic(THING)):
                await cloud.subscribe(topic)
            # Everything that comes is wanted here: the listener's own limit is for devices.
            cloud._deliver = lambda topic, payload: heard.messages.append((topic, payload))
            answering = asyncio.create_task(answer_alarms(cloud, heard))
            async with worker(tmp_path, broker, 4000, 10_000) as second:
                await until(lambda: len(second.stored) > 1000, "the second part", 120.0)
                await until(lambda: len(heard.messages) > 300, "the drain", 60.0)
                await second.kill()
            async with worker(tmp_path, broker, 20_000, 10) as third:
                await until(lambda: "all delivered" in third.lines, "the end", 200.0)
                stored = first.stored | second.stored | third.stored
                batches = first.batches | second.batches | third.batches
                await until(lambda: batches <= arrived_batches(heard), "the telemetry", 200.0)
            answering.cancel()
        arrived = [
            json.loads(payload) for topic, payload in heard.messages if "event_id" in str(payload)
        ]
        ids = [message["event_id"] for message in arrived]
        missing = stored - set(ids)
        twice = len(ids) - len(set(ids))
        say(
            f"{len(stored)} messages stored, {len(missing)} missing, {twice} came twice; "
            f"{len(batches)} batches"
        )
        assert not missing
        first_alarms = [message["kind"] for message in arrived[:50]]
        assert first_alarms.count("alarm") == 50


def arrived_batches(heard):
    return {
        json.loads(payload)["batch"]
        for topic, payload in heard.messages
        if topic == telemetry_topic(THING)
    }


async def answer_alarms(cloud, heard):
    """Give each alarm its receipt, as the tier does."""
    done = 0
    while True:
        while done < len(heard.messages):
            topic, payload = heard.messages[done]
            done += 1
            if topic == alert_topic(THING):
                event_id = json.loads(payload)["event_id"]
                receipt = Receipt(device=THING, event_id=event_id, incident_id=None, ts="")
                with contextlib.suppress(Exception):
                    await cloud.publish(down_topic(THING), receipt.model_dump_json().encode())
        await asyncio.sleep(0.01)

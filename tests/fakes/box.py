"""A real broker, and parts of the cloud in a box, for tests."""

import asyncio
import contextlib
import json
import os
from types import SimpleNamespace

import pytest

from firedetect.clock import SystemClock, cancel_and_wait
from firedetect.cloudbox.access import CLOUD
from firedetect.cloudbox.authority import Authority
from firedetect.cloudbox.box import Box, Options
from firedetect.cloudbox.broker import Broker
from firedetect.cloudbox.connection import Connection
from firedetect.cloudbox.database import open_database
from firedetect.cloudbox.defender import Defender
from firedetect.cloudbox.desk import Desk
from firedetect.cloudbox.hook import HolderOnly
from firedetect.cloudbox.jobs import Jobs
from firedetect.cloudbox.mosquitto import mosquitto_path
from firedetect.cloudbox.provisioning import Provisioning
from firedetect.cloudbox.shadows import Shadows
from firedetect.cloudbox.tier import load_tier


def need_mosquitto():
    """Skip the test where mosquitto is missing; in the continuous integration it fails."""
    if mosquitto_path() is not None:
        return
    if os.environ.get("CI", "").lower() in {"1", "true"}:
        pytest.fail("mosquitto is missing, and CI is set: scripts/system-packages installs it")
    pytest.skip("SKIPPED LOUDLY: needs mosquitto; type: sudo apt-get install mosquitto")


@contextlib.asynccontextmanager
async def running_broker(folder, *, durable=False, port=0):
    """Run a broker with a new authority in `folder`; `broker.authority.issue(name)`."""
    need_mosquitto()
    async with Broker(
        folder / "broker", Authority(folder / "ca"), port=port, durable=durable
    ) as broker:
        yield broker


async def until(condition, what, limit_s=10.0):
    """Wait until `condition()` gives something true, and return it; fails after `limit_s`."""
    deadline = asyncio.get_running_loop().time() + limit_s
    while not (found := condition()):
        if asyncio.get_running_loop().time() > deadline:
            pytest.fail(f"not within {limit_s} s: {what}")
        await asyncio.sleep(0.01)
    return found


class Heard(list):
    """Messages in the order of arrival; every one is acknowledged."""

    def __call__(self, received):
        self.append((received.topic, received.payload))
        received.acknowledge()

    def on(self, ending):
        """Return the JSON bodies that came on topics with this ending."""
        return [json.loads(body) for topic, body in self if topic.endswith(ending)]


@contextlib.asynccontextmanager
async def client(broker, name, *, client_id=None, certificate=None):
    """Connect as `name`; gives the connection and what it hears."""
    heard = Heard()
    credentials = certificate or broker.authority.issue(name)
    connection = Connection(client_id or name, broker.host, broker.port, credentials, heard)
    await connection.start()
    try:
        yield connection, heard
    finally:
        await connection.stop()


@contextlib.asynccontextmanager
async def running_services(broker, clock=None):
    """Run shadow, jobs, provisioning and Defender at a broker; `.jobs`, `.shadows` are given."""
    clock = clock or SystemClock()
    database = open_database(None)
    shadows, jobs = Shadows(database, clock), Jobs(database, clock)
    hook = HolderOnly(database, broker.authority)
    provisioning = Provisioning(database, broker.authority, clock, broker.grant, hook=hook)
    desk = Desk([shadows, jobs, provisioning, Defender(clock)])
    credentials = broker.authority.kept(CLOUD)
    connection = Connection("cloud", broker.host, broker.port, credentials, desk.hear)
    await connection.start()
    await connection.subscribe(desk.filters)
    task = asyncio.create_task(desk.run(connection))
    try:
        yield SimpleNamespace(
            shadows=shadows, jobs=jobs, connection=connection, provisioning=provisioning
        )
    finally:
        await cancel_and_wait(task)
        await connection.stop()
        database.close()


@contextlib.asynccontextmanager
async def running_box(folder, *, tier=None, wait=True, **options):
    """Run a whole box; gives it with `.told`, what people were told (Told) so far."""
    need_mosquitto()
    told = []
    settings = {"schedule_scale": 1 / 60, "retry_delays_s": (0.05, 0.05)} | options
    async with Box(folder, tier or load_tier(), told.append, Options(**settings)) as box:
        box.told = told
        if wait:
            await box.ready()
        yield box


@contextlib.asynccontextmanager
async def thing_of(box, name):
    """Connect a thing with its own certificate; gives the connection and what it hears."""
    async with client(box.broker, name, certificate=box.authority.kept(name)) as connected:
        yield connected

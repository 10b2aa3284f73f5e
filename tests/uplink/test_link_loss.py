"""A link that dies without a word, and a detector that hangs: said on both sides in time."""

import asyncio
import contextlib
import json

import pytest

from firedetect.contract.level import Health
from firedetect.contract.messages import Beat, LinkLost
from firedetect.contract.names import beat_topic, down_topic, event_topic
from firedetect.uplink.link import Link
from firedetect.uplink.sdk import Will
from firedetect.uplink.transport import MqttTransport
from tests.fakes.box import running_box, running_broker, until
from tests.uplink.links import connected, endpoint

pytestmark = pytest.mark.slow
THING = "thing-1"


class BlackHole:
    """A TCP proxy that can stop forwarding without closing anything."""

    def __init__(self, host, port):
        self._target = (host, port)
        self._open = asyncio.Event()
        self._open.set()
        self._writers = []
        self._server = None

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_):
        self._open.set()
        self._server.close()
        for writer in self._writers:
            writer.close()
        await asyncio.sleep(0)

    def swallow(self):
        self._open.clear()

    async def _serve(self, reader, writer):
        far_reader, far_writer = await asyncio.open_connection(*self._target)
        self._writers += [writer, far_writer]
        await asyncio.wait(
            [
                asyncio.create_task(self._forward(reader, far_writer)),
                asyncio.create_task(self._forward(far_reader, writer)),
            ]
        )

    async def _forward(self, reader, writer):
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                await self._open.wait()
                writer.write(data)
                await writer.drain()
        writer.close()


@pytest.mark.fault("F50")
async def test_a_black_hole_is_said_on_both_sides_in_time(tmp_path, say):
    said = []
    loop = asyncio.get_running_loop()
    async with running_broker(tmp_path) as broker, BlackHole(broker.host, broker.port) as hole:
        link = Link(
            down_topic(THING),
            lambda name, why: said.append((loop.time(), name, why)),
            lambda _: None,
        )
        lost = LinkLost(event_id=f"{THING}-1-lost", device=THING, site="", boot=1)
        will = Will(event_topic(THING), lost.model_dump_json().encode())
        device = MqttTransport(endpoint(broker, THING, port=hole.port), link, will)
        link.use(device)
        running = asyncio.create_task(link.run())
        async with connected(broker, "cloud") as (cloud, heard):
            await cloud.subscribe(event_topic(THING))
            device.start()
            await asyncio.wait_for(link.connected.wait(), 20.0)
            hole.swallow()
            began = loop.time()
            await until(
                lambda: [1 for _, name, why in said if name == "link" and why], "trouble", 40
            )
            device_s = loop.time() - began
            await until(lambda: heard.messages, "the last will", 60)
            cloud_s = loop.time() - began
        running.cancel()
        link.close()
        await device.stop()
    say(f"black hole: trouble on the device after {device_s:.1f} s, in the cloud {cloud_s:.1f} s")
    assert device_s <= 30.0
    assert cloud_s <= 60.0


@pytest.mark.fault("F33")
async def test_a_hung_but_connected_detector_is_said_within_150_s(tmp_path, say):
    async with running_box(tmp_path / "box", schedule_scale=1.0) as box:
        told = box.told
        async with connected(box.broker, THING) as (device, heard):
            beat = Beat(
                device=THING, site="", boot=1, seq=1, ts="", uptime_s=1.0, level="normal",
                health=Health.OK, score=None, troubles=(), sensors={}, known_answer=True,
                waiting=0, model=None, config_version=None,
            )  # fmt: skip
            await device.publish(beat_topic(THING), beat.model_dump_json().encode())
            began = asyncio.get_running_loop().time()
            # The connection lives on, its pings are answered, but nothing senses any more.
            await until(lambda: [t for t in told if "silent" in t.subject.lower()], "silence", 155)
            took_s = asyncio.get_running_loop().time() - began
            assert heard.up
    say(f"hung but connected: said in the cloud after {took_s:.0f} s")
    assert took_s <= 150.0
    assert json.dumps(told[-1].as_record())

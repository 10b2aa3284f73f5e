"""A small fleet: what a thing sends is acknowledged, and somebody gets it."""

import asyncio
import sys
from dataclasses import asdict

import pytest

from firedetect.cloudbox import fleet
from firedetect.cloudbox.fleet_thing import Thing
from firedetect.cloudbox.mqtt_bytes import PUBACK, Inbox, packet
from firedetect.errors import BoxError
from tests.fakes.box import running_broker


@pytest.mark.slow
async def test_every_message_of_two_hundred_things_is_acknowledged_and_delivered(tmp_path):
    async with running_broker(tmp_path) as broker:
        found = await fleet.run_fleet(broker, 200, 10.0)
    sys.stdout.write(f"{asdict(found)}\n")
    assert (found.connected, found.connections_lost) == (200, 0)
    assert found.sent == 2000
    assert found.acknowledged_pct == 100.0
    assert (found.delivered, found.delivered_pct) == (2000, 100.0)
    # Due is before written: a simulator that is late does not look like a fast broker.
    assert 0.0 <= found.acknowledge_p50_ms <= found.acknowledge_max_ms
    assert found.behind_ms <= found.acknowledge_max_ms + 1000.0 / fleet.SLOTS


def test_more_things_than_files_may_be_open_is_said():
    with pytest.raises(BoxError, match="ulimit"):
        fleet.raise_file_limit(10**9)


@pytest.mark.parametrize(("size", "header"), [(0, "1000"), (127, "107f"), (128, "108001")])
def test_lengths_are_written_as_mqtt_wants_them(size, header):
    made = packet(0x10, b"x" * size)
    assert made.hex().startswith(header)
    assert list(Inbox().packets(made + made)) == [(0x10, b"x" * size)] * 2


def test_packets_are_put_together_from_whatever_pieces_arrive():
    made, inbox = packet(0x40, b"ab") + packet(0x32, b"y" * 300) + packet(0xD0, b""), Inbox()
    found = [one for place in range(len(made)) for one in inbox.packets(made[place : place + 1])]
    assert found == [(0x40, b"ab"), (0x32, b"y" * 300), (0xD0, b"")]


async def test_a_message_is_late_from_the_moment_at_which_it_was_due():
    class Wire(asyncio.Transport):
        def __init__(self):
            self.written = []

        def write(self, data):
            self.written.append(data)

    loop, waited_s, wire = asyncio.get_running_loop(), [], Wire()
    thing = Thing("load-1", loop, loop.create_future(), waited_s)
    thing.connection_made(wire)
    thing.publish(loop.time() - 0.5)
    thing.data_received(packet(PUBACK, b"\x00\x01"))
    assert 0.5 <= waited_s[0] < 5.0
    assert b"load-1/1 " in wire.written[1]

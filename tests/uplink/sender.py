"""The sending half of a detector without its sensors: commit, outbox, publisher, receipts."""

import asyncio
import contextlib
import json
from datetime import UTC, datetime
from pathlib import Path

from firedetect.clock import SystemClock, cancel_and_wait
from firedetect.contract.messages import PRIORITY, DetectorMessage
from firedetect.contract.names import down_topic, event_topic
from firedetect.daemon.keep import Keeper
from firedetect.daemon.queue import EventQueue
from firedetect.daemon.remote.outbox import StoredOutbox
from firedetect.readings import Restored
from firedetect.storage.store import Message, Store
from firedetect.uplink.connection import Connection
from firedetect.uplink.lease import CloudLease, Receipts, take_down_message
from firedetect.uplink.link import Link
from firedetect.uplink.publisher import Publisher
from firedetect.uplink.sdk import Will


class Sender:
    """Commits messages and sends them; `acknowledged` gets each payload that the broker took."""

    def __init__(self, thing, folder, acknowledged=lambda _payload: None, on_down=lambda _: None):
        self.thing = thing
        self.clock = SystemClock()
        self.troubles = {}
        self.keeper = Keeper(Store(Path(folder) / "firedetect.db"), EventQueue(), self.clock)
        self.outbox = StoredOutbox(self.keeper, self.troubles.__setitem__)
        self.receipts = Receipts(self.troubles.__setitem__, None)
        self.receipts.on_receipt = self.outbox.changed.set
        self.lease = CloudLease(self.troubles.__setitem__)
        self.link = Link(down_topic(thing), self.troubles.__setitem__, self._down)
        self.connection = Connection(self.link, self.troubles.__setitem__)
        self._acknowledged, self._on_down = acknowledged, on_down
        self.publisher = Publisher(thing, self.outbox, self, self.link, self.receipts)

    async def publish(self, topic, payload):
        await self.connection.publish(topic, payload)
        self._acknowledged(payload)

    def _down(self, payload):
        take_down_message(payload, self.thing, self.receipts, self.lease)
        self._on_down(payload)

    async def keep(self, message):
        """Commit a message as the detector does; returns whether it is on the disk."""
        await self.keeper.keep(Restored(self.clock.monotonic_ns()), message)
        return all(known.event_id != message.event_id for known in self.keeper.in_memory())


@contextlib.asynccontextmanager
async def sending(sender, endpoint):
    """Connect and send until the end of the block; nothing is closed as after a stop."""
    will = Will(event_topic(sender.thing), b'{"lost":true}')
    tasks = [
        asyncio.create_task(sender.connection.run(lambda: endpoint, will)),
        asyncio.create_task(sender.publisher.run()),
    ]
    try:
        yield
        for task in tasks:
            assert not task.done(), task.exception()
    finally:
        for task in tasks:
            await cancel_and_wait(task)
        await sender.connection.close()
        sender.receipts.close()
        await sender.keeper.close(Restored(sender.clock.monotonic_ns()))


def message_of(thing, number, kind="alarm"):
    """Return a message of the contract as the detector stores it, each in its own incident."""
    event_id = f"{thing}-1-{number}"
    level = "alert" if kind == "alarm" else "normal"
    body = DetectorMessage(
        kind=kind, event_id=event_id, incident_id=event_id, device=thing, site="cellar",
        ts=datetime.now(UTC).isoformat(timespec="milliseconds"), t_s=1.0, level=level,
        current=level, score=0.9, reasons=("score",), health="ok", troubles=(),
        alarm="sounding" if kind == "alarm" else "clear", drill=False, model=None,
    )  # fmt: skip
    return Message(event_id, PRIORITY[kind], kind, body.model_dump_json())


def batch_of(thing, number):
    """Return a small telemetry batch."""
    return json.dumps({"v": 1, "kind": "telemetry", "device": thing, "batch_id": f"b{number}"})

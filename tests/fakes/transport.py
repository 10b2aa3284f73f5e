"""A transport that behaves like a broker whose faults are set: in memory, on the test's clock."""

import asyncio

from firedetect.errors import (
    AckTimeoutError,
    LinkDownError,
    NoReceiverError,
    PublishRefusedError,
)
from firedetect.uplink.transport import LinkState


class MemoryTransport:
    """`fault(topic, payload)` returns an error to raise, or None; `arrived` keeps what arrived."""

    def __init__(self, listener=None, latency_s=0.01):
        self.listener = listener
        self.latency_s = latency_s
        self.arrived = []
        self.attempts = []
        self.subscribed = []
        self.reconnects = 0
        self.in_flight = 0
        self.most_in_flight = 0
        self.fault = lambda _topic, _payload: None
        self._up = False

    @property
    def state(self):
        return LinkState(up=self._up)

    def go(self, up, detail=""):
        self._up = up
        self.listener.link_changed(LinkState(up=up, detail=detail))

    async def publish(self, topic, payload):
        self.attempts.append((topic, payload))
        if not self._up:
            raise LinkDownError("down")
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            error = self.fault(topic, payload)
            if isinstance(error, AckTimeoutError):
                await asyncio.sleep(10.0)
            else:
                await asyncio.sleep(self.latency_s)
            if not self._up:
                raise LinkDownError("lost under way")
            if error is not None:
                raise error
        finally:
            self.in_flight -= 1
        self.arrived.append((topic, payload))

    async def subscribe(self, topic):
        self.subscribed.append(topic)

    def reconnect(self):
        self.reconnects += 1


def nobody(topic="t"):
    return NoReceiverError(f"{topic}: acknowledged, but nobody is subscribed")


def silent(topic="t"):
    return AckTimeoutError(f"{topic}: no acknowledgement within 10 s")


def denied(topic="t"):
    return PublishRefusedError(f"{topic}: not authorized")


class MemoryOutbox:
    """An outbox without a disk."""

    def __init__(self):
        self.changed = asyncio.Event()
        self.messages = {}
        self.telemetry = []
        self.noted = 0

    def add(self, message):
        self.messages[message.event_id] = message
        self.changed.set()

    async def waiting(self, limit, skip):
        left = [m for m in self.messages.values() if m.event_id not in skip]
        return sorted(left, key=lambda message: message.priority)[:limit]

    async def delivered(self, event_ids):
        for event_id in event_ids:
            self.messages.pop(event_id, None)

    async def batches(self, after, limit):
        return [batch for batch in self.telemetry if batch.number > after][:limit]

    async def sent_until(self):
        return self.noted

    def note_sent(self, number):
        self.noted = number

"""Connections for tests: what the listener heard, and endpoints of a real broker."""

import asyncio
import contextlib

from firedetect.uplink.sdk import Endpoint
from firedetect.uplink.transport import LinkState, MqttTransport


class Heard:
    """A listener that keeps everything."""

    def __init__(self):
        self.states: list[LinkState] = []
        self.messages: list[tuple[str, bytes]] = []
        self.dropped = 0

    def link_changed(self, state):
        self.states.append(state)

    def message_arrived(self, topic, payload):
        self.messages.append((topic, payload))

    def messages_dropped(self, count):
        self.dropped += count

    @property
    def up(self):
        return bool(self.states) and self.states[-1].up


def endpoint(broker, name, client_id=None, **changed):
    credentials = broker.authority.issue(name)
    values = {
        "host": broker.host,
        "port": broker.port,
        "client_id": client_id or name,
        "certificate": credentials.certificate,
        "key": credentials.key,
        "ca": credentials.ca,
    }
    return Endpoint(**(values | changed))


@contextlib.asynccontextmanager
async def connected(broker, name, *, will=None, client_id=None, limit_s=20.0):
    """Yield a connected transport and what it heard."""
    heard = Heard()
    transport = MqttTransport(endpoint(broker, name, client_id), heard, will)
    transport.start()
    try:
        async with asyncio.timeout(limit_s):
            while not heard.up:
                await asyncio.sleep(0.01)
        yield transport, heard
    finally:
        await transport.stop()

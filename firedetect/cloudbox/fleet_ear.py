"""The one who hears a simulated fleet: a process that subscribes, acknowledges and counts.

Without it an acknowledgement says nothing: a broker acknowledges what nobody has subscribed to.
"""

import asyncio
import multiprocessing
import ssl
import struct
from dataclasses import dataclass
from multiprocessing.connection import Connection as Pipe
from typing import Final

from firedetect.cloudbox.authority import Credentials
from firedetect.cloudbox.mqtt_bytes import (
    CONNACK,
    DISCONNECT,
    PUBACK,
    PUBLISH,
    SUBACK,
    SUBSCRIBE,
    Inbox,
    connect,
    packet,
    text,
)
from firedetect.errors import BoxError

START_LIMIT_S: Final = 30.0
QUIET_S: Final = 1.0
"""Heard nothing for so long after the last message was sent: nothing is under way."""
END_LIMIT_S: Final = 30.0
NAME_BYTES: Final = 24
"""The first bytes of a payload, different in every message."""
_KEEP_ALIVE_S: Final = 0xFFFF


@dataclass(frozen=True, slots=True)
class Heard:
    """How many different messages arrived, and how many of them again."""

    messages: int
    again: int


class Ear:
    """A subscriber in a process of its own; `start` returns when it hears."""

    def __init__(self, host: str, port: int, credentials: Credentials, topic_filter: str) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, other = context.Pipe()
        self._process = context.Process(
            target=_run, args=(host, port, credentials, topic_filter, other), daemon=True
        )

    async def start(self) -> None:
        """Start to hear; raises BoxError if that takes too long."""
        self._process.start()
        await self._said(START_LIMIT_S)

    async def stop(self) -> Heard:
        """Wait until nothing more arrives and return what was heard; raises BoxError."""
        self._pipe.send("stop")
        heard = await self._said(END_LIMIT_S + QUIET_S)
        await asyncio.to_thread(self._process.join, END_LIMIT_S)
        if not isinstance(heard, Heard):
            raise BoxError(f"the subscriber says {heard!r}")
        return heard

    def kill(self) -> None:
        """End it, however far it is."""
        if self._process.is_alive():
            self._process.kill()

    async def _said(self, limit_s: float) -> object:
        if not await asyncio.to_thread(self._pipe.poll, limit_s):
            raise BoxError(f"the subscriber of the fleet says nothing for {limit_s:.0f} s")
        try:
            said: object = self._pipe.recv()
        except EOFError:
            raise BoxError("the subscriber of the fleet has ended") from None
        return said


class _Hearing(asyncio.Protocol):
    def __init__(self, topic_filter: str, loop: asyncio.AbstractEventLoop) -> None:
        self.subscribed: asyncio.Future[None] = loop.create_future()
        self.names: set[bytes] = set()
        self.again = 0
        self.heard_s = loop.time()
        self._loop = loop
        self._topic_filter = topic_filter
        self._inbox = Inbox()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - TCP is one
        self._transport = transport
        transport.write(connect("fleet-ear", _KEEP_ALIVE_S))

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.subscribed.done():
            self.subscribed.set_exception(BoxError(f"the fleet's subscriber: {exc or 'closed'}"))

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None  # noqa: S101 - made before
        answers = bytearray()
        for first, body in self._inbox.packets(data):
            kind = first & 0xF0
            if kind == CONNACK:
                wanted = b"\x00\x01" + text(self._topic_filter) + b"\x01"
                answers += packet(SUBSCRIBE, wanted)
            elif kind == SUBACK:
                self.subscribed.set_result(None)
            elif kind == PUBLISH:
                answers += self._acknowledged(body)
        if answers:
            self._transport.write(bytes(answers))

    def close(self) -> None:
        if self._transport is not None:
            self._transport.write(DISCONNECT)
            self._transport.close()

    def _acknowledged(self, body: bytes) -> bytes:
        start = 2 + struct.unpack("!H", body[:2])[0]
        name = body[start + 2 : start + 2 + NAME_BYTES]
        self.again += name in self.names
        self.names.add(name)
        self.heard_s = self._loop.time()
        return packet(PUBACK, body[start : start + 2])


def _run(host: str, port: int, credentials: Credentials, topic_filter: str, pipe: Pipe) -> None:
    asyncio.run(_hear(host, port, credentials, topic_filter, pipe))


async def _hear(
    host: str, port: int, credentials: Credentials, topic_filter: str, pipe: Pipe
) -> None:
    loop = asyncio.get_running_loop()
    context = ssl.create_default_context(cafile=str(credentials.ca))
    context.load_cert_chain(credentials.certificate, credentials.key)
    hearing = _Hearing(topic_filter, loop)
    async with asyncio.timeout(START_LIMIT_S):
        await loop.create_connection(lambda: hearing, host, port, ssl=context)
        await hearing.subscribed
    pipe.send("ready")
    # A closed pipe is ready as well: we end with whoever started us.
    await asyncio.to_thread(pipe.poll, None)
    for _ in range(round(END_LIMIT_S / QUIET_S)):
        await asyncio.sleep(max(0.0, hearing.heard_s + QUIET_S - loop.time()))
    hearing.close()
    pipe.send(Heard(len(hearing.names), hearing.again))

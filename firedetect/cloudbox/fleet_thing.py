"""One simulated thing of a fleet: a connection that publishes and times what is acknowledged."""

import asyncio
import struct
from dataclasses import dataclass, field
from typing import Final

from firedetect.cloudbox.fleet_ear import NAME_BYTES
from firedetect.cloudbox.mqtt_bytes import (
    CONNACK,
    DISCONNECT,
    PUBACK,
    Inbox,
    connect,
    publish,
    text,
)
from firedetect.errors import BoxError

PAYLOAD_BYTES: Final = 300
RULE: Final = "firedetect_load"
KEEP_ALIVE_S: Final = 300
"""A thing that waits for the others to connect says nothing for so long."""


@dataclass(slots=True, eq=False)
class Thing(asyncio.Protocol):
    """One connection."""

    name: str
    loop: asyncio.AbstractEventLoop
    connected: "asyncio.Future[float]"
    acknowledge_s: list[float]
    lost: bool = False
    _began_s: float = 0.0
    _transport: asyncio.Transport | None = None
    _open: dict[int, float] = field(default_factory=dict)
    _sent: int = 0
    _inbox: Inbox = field(default_factory=Inbox)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Introduce itself."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - TCP is one
        self._transport = transport
        transport.write(connect(self.name, KEEP_ALIVE_S))

    def data_received(self, data: bytes) -> None:
        """Take the broker's answers."""
        for first, body in self._inbox.packets(data):
            self._take(first & 0xF0, body)

    def connection_lost(self, exc: Exception | None) -> None:
        """Note that nothing can be sent any more."""
        self.lost = True
        if not self.connected.done():
            self.connected.set_exception(BoxError(f"{self.name}: {exc or 'closed'}"))

    def publish(self, due_s: float) -> None:
        """Send the message of a moment."""
        if self._transport is None or self.lost:
            return
        self._sent += 1
        number = (self._sent - 1) % 0xFFFF + 1
        topic = text(f"$aws/rules/{RULE}/firedetect/{self.name}/telemetry")
        name = f"{self.name}/{self._sent}".encode().ljust(NAME_BYTES)
        self._open[number] = due_s
        self._transport.write(publish(topic, number, name.ljust(PAYLOAD_BYTES, b"x")))

    def close(self) -> None:
        """Say goodbye."""
        if self._transport is not None:
            self._transport.write(DISCONNECT)
            self._transport.close()

    @property
    def waiting(self) -> bool:
        """Whether something was sent that is not acknowledged."""
        return bool(self._open) and not self.lost

    def _take(self, kind: int, body: bytes) -> None:
        if kind == CONNACK and not self.connected.done():
            if body[1] == 0:
                self.connected.set_result(self.loop.time())
            else:
                self.connected.set_exception(BoxError(f"{self.name}: refused with {body[1]}"))
        elif kind == PUBACK:
            due_s = self._open.pop(struct.unpack("!H", body[:2])[0], None)
            if due_s is not None:
                self.acknowledge_s.append(self.loop.time() - due_s)

"""Many simulated things at a broker: TLS, a certificate each, one message a second at QoS 1.

A thing is a socket and MQTT 3.1.1 by hand: the broker is measured, not a client library. Messages
go to a basic-ingest topic that no rule takes, so that nothing but the broker works on them.
"""

import argparse
import asyncio
import json
import multiprocessing
import resource
import ssl
import struct
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import psutil

from firedetect.cloudbox.authority import Authority, Credentials
from firedetect.cloudbox.broker import Broker
from firedetect.errors import BoxError

PAYLOAD: Final = b"x" * 300
CONNECTS_PER_S: Final = 100
"""Of each process: a handshake costs the broker and us some milliseconds of work."""
CONNECT_LIMIT_S: Final = 30.0
SLOTS: Final = 50
"""Into so many moments the messages of a second are spread."""
ACKNOWLEDGE_LIMIT_S: Final = 10.0
KEEP_ALIVE_S: Final = 300
"""A thing that waits for the others to connect says nothing for so long."""
PROCESSES: Final = 2
_FILES_BESIDE: Final = 200
_LOOK_S: Final = 0.1
_CONNACK: Final = 0x20
_PUBACK: Final = 0x40


@dataclass(frozen=True, slots=True)
class Share:
    """What one process saw; times in seconds."""

    connect_s: list[float]
    refused: int
    sent: int
    lost: int
    behind_s: float
    acknowledge_s: list[float]


@dataclass(frozen=True, slots=True)
class Report:
    """What a fleet saw. `behind_ms`: how late the simulator itself was at worst."""

    things: int
    connected: int
    connections_lost: int
    connect_p50_ms: float
    connect_p99_ms: float
    sent: int
    acknowledged: int
    acknowledged_pct: float
    acknowledge_p50_ms: float
    acknowledge_p99_ms: float
    acknowledge_max_ms: float
    behind_ms: float
    broker_cpu_pct: float
    broker_mb: float


@dataclass(slots=True, eq=False)
class _Thing(asyncio.Protocol):
    """One connection."""

    name: str
    loop: asyncio.AbstractEventLoop
    connected: "asyncio.Future[float]"
    acknowledge_s: list[float]
    lost: bool = False
    _began_s: float = 0.0
    _transport: asyncio.Transport | None = None
    _open: dict[int, float] = field(default_factory=dict)
    _number: int = 0
    _rest: bytes = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - TCP is one
        self._transport = transport
        header = b"\x00\x04MQTT\x04\x02" + struct.pack("!H", KEEP_ALIVE_S)
        transport.write(_packet(0x10, header + _text(self.name)))

    def data_received(self, data: bytes) -> None:
        rest = self._rest + data
        # Every answer that a thing gets is shorter than 128 bytes.
        while len(rest) >= 2 and len(rest) >= 2 + rest[1]:
            self._take(rest[0] & 0xF0, rest[2 : 2 + rest[1]])
            rest = rest[2 + rest[1] :]
        self._rest = rest

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        if not self.connected.done():
            self.connected.set_exception(BoxError(f"{self.name}: {exc or 'closed'}"))

    def publish(self) -> None:
        """Send one message."""
        if self._transport is None or self.lost:
            return
        self._number = self._number % 0xFFFF + 1
        topic = _text(f"$aws/rules/firedetect_load/firedetect/{self.name}/telemetry")
        body = topic + struct.pack("!H", self._number) + PAYLOAD
        self._open[self._number] = self.loop.time()
        self._transport.write(_packet(0x32, body))

    def close(self) -> None:
        """Say goodbye."""
        if self._transport is not None:
            self._transport.write(b"\xe0\x00")
            self._transport.close()

    @property
    def waiting(self) -> bool:
        """Whether something was sent that is not acknowledged."""
        return bool(self._open) and not self.lost

    def _take(self, kind: int, body: bytes) -> None:
        if kind == _CONNACK and not self.connected.done():
            if body[1] == 0:
                self.connected.set_result(self.loop.time())
            else:
                self.connected.set_exception(BoxError(f"{self.name}: refused with {body[1]}"))
        elif kind == _PUBACK:
            sent_s = self._open.pop(struct.unpack("!H", body[:2])[0], None)
            if sent_s is not None:
                self.acknowledge_s.append(self.loop.time() - sent_s)


async def run_fleet(
    broker: Broker, count: int, duration_s: float, processes: int = PROCESSES
) -> Report:
    """Let `count` things with certificates of their own send for `duration_s`."""
    names = [f"load-{number}" for number in range(count)]
    issued = await asyncio.to_thread(lambda: [broker.authority.kept(name) for name in names])
    things = list(zip(names, issued, strict=True))
    loop = asyncio.get_running_loop()
    watched = psutil.Process(broker.pid)
    with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool:
        watched.cpu_percent()
        sharing = [
            loop.run_in_executor(
                pool, _run_share, broker.host, broker.port, things[part::processes], duration_s
            )
            for part in range(processes)
        ]
        await asyncio.wait(sharing)
        cpu_pct, used = watched.cpu_percent(), watched.memory_info().rss
        return _report(count, [one.result() for one in sharing], cpu_pct, used / 1e6)


def _run_share(
    host: str, port: int, things: Sequence[tuple[str, Credentials]], duration_s: float
) -> Share:
    raise_file_limit(len(things))
    return asyncio.run(_share(host, port, things, duration_s))


def raise_file_limit(count: int) -> None:
    """Allow `count` connections; raises BoxError if this computer does not."""
    wanted = count + _FILES_BESIDE
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= wanted:
        return
    if hard < wanted:
        raise BoxError(f"{count} things need {wanted} open files, {hard} are allowed: ulimit -n")
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


async def _share(
    host: str, port: int, things: Sequence[tuple[str, Credentials]], duration_s: float
) -> Share:
    loop = asyncio.get_running_loop()
    acknowledge_s: list[float] = []
    connecting = []
    began_s = loop.time()
    for number, (name, credentials) in enumerate(things):
        await asyncio.sleep(began_s + number / CONNECTS_PER_S - loop.time())
        thing = _Thing(name, loop, loop.create_future(), acknowledge_s)
        connecting.append(asyncio.create_task(_connect(host, port, thing, credentials)))
    await asyncio.wait(connecting)
    fleet = [task.result()[0] for task in connecting if task.exception() is None]
    sent, behind_s = await _send(loop, fleet, duration_s)
    for _ in range(round(ACKNOWLEDGE_LIMIT_S / _LOOK_S)):
        if any(thing.waiting for thing in fleet):
            await asyncio.sleep(_LOOK_S)
    lost = sum(thing.lost for thing in fleet)
    for thing in fleet:
        thing.close()
    await asyncio.sleep(0)
    connect_s = [task.result()[1] for task in connecting if task.exception() is None]
    return Share(connect_s, len(things) - len(fleet), sent, lost, behind_s, acknowledge_s)


async def _connect(
    host: str, port: int, thing: _Thing, credentials: Credentials
) -> tuple[_Thing, float]:
    began_s = thing.loop.time()
    context = ssl.create_default_context(cafile=str(credentials.ca))
    context.load_cert_chain(credentials.certificate, credentials.key)
    async with asyncio.timeout(CONNECT_LIMIT_S):
        await thing.loop.create_connection(lambda: thing, host, port, ssl=context)
        done_s = await thing.connected
    return thing, done_s - began_s


async def _send(
    loop: asyncio.AbstractEventLoop, fleet: Sequence[_Thing], duration_s: float
) -> tuple[int, float]:
    """Let every thing send once a second; returns how much was sent, and the worst delay."""
    sent, behind_s, began_s = 0, 0.0, loop.time()
    for moment in range(round(duration_s * SLOTS)):
        due_s = began_s + moment / SLOTS
        await asyncio.sleep(max(0.0, due_s - loop.time()))
        behind_s = max(behind_s, loop.time() - due_s)
        for thing in fleet[moment % SLOTS :: SLOTS]:
            thing.publish()
            sent += 1
    return sent, behind_s


def _report(count: int, shares: Sequence[Share], cpu_pct: float, used_mb: float) -> Report:
    connect = sorted(value for share in shares for value in share.connect_s)
    acknowledge = sorted(value for share in shares for value in share.acknowledge_s)
    sent = sum(share.sent for share in shares)
    return Report(
        things=count,
        connected=len(connect),
        connections_lost=sum(share.lost for share in shares),
        connect_p50_ms=_quantile_ms(connect, 0.5),
        connect_p99_ms=_quantile_ms(connect, 0.99),
        sent=sent,
        acknowledged=len(acknowledge),
        acknowledged_pct=round(100.0 * len(acknowledge) / sent, 3) if sent else 0.0,
        acknowledge_p50_ms=_quantile_ms(acknowledge, 0.5),
        acknowledge_p99_ms=_quantile_ms(acknowledge, 0.99),
        acknowledge_max_ms=_quantile_ms(acknowledge, 1.0),
        behind_ms=round(1000.0 * max(share.behind_s for share in shares), 1),
        broker_cpu_pct=round(cpu_pct, 1),
        broker_mb=round(used_mb, 1),
    )


def _quantile_ms(ordered: Sequence[float], share: float) -> float:
    if not ordered:
        return float("nan")
    return round(1000.0 * ordered[min(len(ordered) - 1, int(share * len(ordered)))], 2)


def _packet(kind: int, body: bytes) -> bytes:
    length, rest = bytearray(), len(body)
    while True:
        rest, low = divmod(rest, 128)
        length.append(low | 0x80 if rest else low)
        if not rest:
            return bytes([kind]) + bytes(length) + body


def _text(text: str) -> bytes:
    return struct.pack("!H", len(text)) + text.encode()


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Run a broker and a fleet and say what was measured, as JSON."""
    parser = argparse.ArgumentParser(prog="scripts/fleet", description=__doc__)
    parser.add_argument("--things", type=int, default=5000)
    parser.add_argument("--duration", type=float, default=60.0, help="seconds")
    parser.add_argument("--processes", type=int, default=PROCESSES)
    asked = parser.parse_args(arguments)

    async def measured() -> Report:
        # Its limit is the broker's, too.
        raise_file_limit(asked.things)
        with tempfile.TemporaryDirectory(prefix="firedetect-fleet-") as folder:
            authority = Authority(Path(folder) / "ca")
            async with Broker(Path(folder) / "broker", authority) as broker:
                return await run_fleet(broker, asked.things, asked.duration, asked.processes)

    found = asdict(asyncio.run(measured()))
    sys.stdout.write(json.dumps(found, indent=1) + "\n")
    return found


if __name__ == "__main__":
    main()

"""Many simulated things at a broker: TLS, a certificate each, one message a second at QoS 1.

A thing is a socket and MQTT 3.1.1 by hand: the broker is measured, not a client library. Messages
go to a basic-ingest topic that no rule takes; one subscriber hears all of them and counts, so that
an acknowledgement stands for a message that somebody gets.
"""

import argparse
import asyncio
import json
import multiprocessing
import resource
import ssl
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import psutil

from firedetect.cloudbox.access import CLOUD
from firedetect.cloudbox.authority import Authority, Credentials
from firedetect.cloudbox.broker import Broker
from firedetect.cloudbox.fleet_ear import Ear, Heard
from firedetect.cloudbox.fleet_thing import RULE, Thing
from firedetect.errors import BoxError

CONNECTS_PER_S: Final = 100
"""Of each process: a handshake costs the broker and us some milliseconds of work."""
CONNECT_LIMIT_S: Final = 30.0
SLOTS: Final = 50
"""Into so many moments the messages of a second are spread."""
ACKNOWLEDGE_LIMIT_S: Final = 10.0
PROCESSES: Final = 2
_FILES_BESIDE: Final = 200
_LOOK_S: Final = 0.1


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
    """What a fleet saw, and what the one who heard it got.

    Acknowledgements are timed from the moment at which a message was due: what the simulator is
    late is in them, and `behind_ms` says how late it was at worst.
    """

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
    delivered: int
    delivered_pct: float
    delivered_again: int
    behind_ms: float
    broker_cpu_pct: float
    broker_mb: float


async def run_fleet(
    broker: Broker, count: int, duration_s: float, processes: int = PROCESSES
) -> Report:
    """Let `count` things with certificates of their own send for `duration_s`."""
    names = names_of(count)
    if not set(names) <= set(broker.authority.issued()):
        await asyncio.to_thread(broker.authority.kept_all, names)
        await broker.reload()
    issued = broker.authority.kept_all(names)
    things = list(zip(names, issued, strict=True))
    ear = Ear(broker.host, broker.port, broker.authority.kept(CLOUD), f"$aws/rules/{RULE}/#")
    try:
        await ear.start()
        shares, cpu_pct, used = await _shares(broker, things, duration_s, processes)
        heard = await ear.stop()
    finally:
        ear.kill()
    return _report(count, shares, heard, cpu_pct, used / 1e6)


def names_of(count: int) -> list[str]:
    """Return the names of the things of a fleet."""
    return [f"load-{number}" for number in range(count)]


async def _shares(
    broker: Broker,
    things: Sequence[tuple[str, Credentials]],
    duration_s: float,
    processes: int,
) -> tuple[list[Share], float, int]:
    """Return what each process saw, and the broker's work (percent of a core) and bytes."""
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
        used: int = watched.memory_info().rss
        return [one.result() for one in sharing], watched.cpu_percent(), used


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
        thing = Thing(name, loop, loop.create_future(), acknowledge_s)
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
    host: str, port: int, thing: Thing, credentials: Credentials
) -> tuple[Thing, float]:
    began_s = thing.loop.time()
    context = ssl.create_default_context(cafile=str(credentials.ca))
    context.load_cert_chain(credentials.certificate, credentials.key)
    async with asyncio.timeout(CONNECT_LIMIT_S):
        await thing.loop.create_connection(lambda: thing, host, port, ssl=context)
        done_s = await thing.connected
    return thing, done_s - began_s


async def _send(
    loop: asyncio.AbstractEventLoop, fleet: Sequence[Thing], duration_s: float
) -> tuple[int, float]:
    """Let every thing send once a second; returns how much was sent, and the worst delay."""
    sent, behind_s, began_s = 0, 0.0, loop.time()
    for moment in range(round(duration_s * SLOTS)):
        due_s = began_s + moment / SLOTS
        await asyncio.sleep(max(0.0, due_s - loop.time()))
        behind_s = max(behind_s, loop.time() - due_s)
        for thing in fleet[moment % SLOTS :: SLOTS]:
            thing.publish(due_s)
            sent += 1
    return sent, behind_s


def _report(
    count: int, shares: Sequence[Share], heard: Heard, cpu_pct: float, used_mb: float
) -> Report:
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
        delivered=heard.messages,
        delivered_pct=round(100.0 * heard.messages / sent, 3) if sent else 0.0,
        delivered_again=heard.again,
        behind_ms=round(1000.0 * max(share.behind_s for share in shares), 1),
        broker_cpu_pct=round(cpu_pct, 1),
        broker_mb=round(used_mb, 1),
    )


def _quantile_ms(ordered: Sequence[float], share: float) -> float:
    if not ordered:
        return float("nan")
    return round(1000.0 * ordered[min(len(ordered) - 1, int(share * len(ordered)))], 2)


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
            # Before the broker starts: it would read its rights again and again meanwhile.
            await asyncio.to_thread(authority.kept_all, names_of(asked.things))
            async with Broker(Path(folder) / "broker", authority) as broker:
                return await run_fleet(broker, asked.things, asked.duration, asked.processes)

    try:
        found = asdict(asyncio.run(measured()))
    except BoxError as error:
        sys.exit(f"scripts/fleet: {error}")
    sys.stdout.write(json.dumps(found, indent=1) + "\n")
    return found


if __name__ == "__main__":
    main()

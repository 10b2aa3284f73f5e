"""What a quiet day writes and sends: measured on twenty compressed minutes of the whole daemon.

Everything is sent and acknowledged on the way: beats, batches, messages, shadow reports, metrics.
"""

import asyncio
import json
from pathlib import Path

import pytest

from firedetect.clock import ManualClock, cancel_and_wait, run_virtual
from firedetect.contract.limits import BATCH_MAX_BYTES
from firedetect.contract.names import down_topic
from firedetect.daemon.remote.self_report import SelfReport
from firedetect.storage.store import read_batches
from firedetect.uplink.beat import send_beats
from firedetect.uplink.defender import send_metrics
from firedetect.uplink.lease import Receipts
from firedetect.uplink.link import Link
from firedetect.uplink.meter import MONTH_S, Meter
from firedetect.uplink.publisher import Publisher
from firedetect.uplink.shadow_sync import ShadowSync
from tests.fakes.cloud import MemoryShadows
from tests.fakes.detector import running
from tests.fakes.transport import MemoryTransport

SPAN_S = 1200.0
MB = 1_000_000


def written_bytes():
    """Bytes that this process has handed to the file system."""
    lines = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(lines["wchar"])


@pytest.mark.slow
def test_a_quiet_while_writes_and_sends_little(tmp_path, say):
    clock = ManualClock(wall_ns=1_800_000_000 * 1_000_000_000)
    a_day, month = run_virtual(quiet_while(tmp_path, clock), clock)
    batches = read_batches(tmp_path / "firedetect.db", None, 1000)
    sizes = [len(batch.payload) for batch in batches]
    seconds = sum(len(json.loads(batch.payload)["seconds"]) for batch in batches)
    a_minute = sum(sizes) / (seconds / 60.0)
    say(
        f"measured on twenty compressed minutes with a link: {a_day / MB:.1f} MB written a day, "
        f"{a_minute:.0f} telemetry bytes a minute in {len(sizes)} batches of at most "
        f"{max(sizes)}, ${month['usd']:.3f} of IoT Core a month "
        f"({month['messages']} messages, {month['bytes'] / MB:.0f} MB, {MONTH_S / 86400:.1f} days)"
    )
    assert a_day <= 50 * MB
    assert max(sizes) <= BATCH_MAX_BYTES
    assert seconds >= SPAN_S - 120


async def quiet_while(folder, clock):
    """Run a detector with its link; returns bytes written a day and its meter's month."""
    loop = asyncio.get_running_loop()
    meter = Meter(loop.time())
    before = written_bytes()
    async with running(folder, "people", clock=clock) as site:
        tasks = [asyncio.create_task(run) for run in linked(site, meter, clock)]
        await asyncio.sleep(SPAN_S)
        assert [task.exception() for task in tasks if task.done()] == []
        month = meter.per_month(loop.time())
        for task in tasks:
            await cancel_and_wait(task)
        # Everything was sent, and what has arrived is deleted.
        assert await site.parts.keeper.waiting() == 0
    assert meter.messages >= SPAN_S / 20
    return (written_bytes() - before) * 86_400.0 / SPAN_S, month


class MeteredTransport(MemoryTransport):
    """A link that takes everything, as the detector's own meter sees it."""

    def __init__(self, link, meter):
        super().__init__(link)
        self.meter = meter

    async def publish(self, topic, payload):
        self.meter.sent(topic, len(payload))
        await super().publish(topic, payload)


class MeteredShadows(MemoryShadows):
    """Shadows that count what they are asked."""

    def __init__(self, meter):
        super().__init__()
        self.meter = meter

    async def get(self, name):
        self.meter.shadow_operation()
        return await super().get(name)

    async def report(self, name, reported):
        self.meter.shadow_operation()
        await super().report(name, reported)


def linked(site, meter, clock):
    """Join a detector to a link in memory; returns what must run."""
    parts, thing = site.parts, site.settings.device.id
    link = Link(down_topic(thing), parts.troubles.report, lambda _payload: None)
    transport = MeteredTransport(link, meter)
    link.use(transport)
    transport.go(up=True)
    about = next(
        hearing
        for hear in parts.detector.listeners
        if isinstance(hearing := getattr(hear, "__self__", None), SelfReport)
    )
    state = ShadowSync("state", MeteredShadows(meter), link, about.reported)
    about.report_to(state.local_changed)
    outbox = parts.telemetry.store.__self__
    receipts = Receipts(parts.troubles.report, None)
    return [
        Publisher(thing, outbox, transport, link, receipts).run(),
        link.run(),
        state.run(),
        send_beats(thing, transport, link, about.beat),
        send_metrics(thing, transport, link, clock),
    ]

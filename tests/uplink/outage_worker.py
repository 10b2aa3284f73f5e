"""Stores messages like a detector and publishes them; is killed by its test at any moment.

Arguments: data folder, host, port, ca, certificate, key, first number, how many messages.
"""

import asyncio
import sys
from pathlib import Path

from firedetect.clock import SystemClock
from firedetect.daemon.keep import Keeper
from firedetect.daemon.queue import EventQueue
from firedetect.daemon.remote.outbox import StoredOutbox
from firedetect.readings import Restored
from firedetect.storage.store import Message, Store
from firedetect.uplink.connection import Connection
from firedetect.uplink.lease import CloudLease, Receipts, take_down_message
from firedetect.uplink.link import Link
from firedetect.uplink.publisher import Publisher
from firedetect.uplink.sdk import Endpoint, Will

THING = "thing-1"
KINDS = ("alarm", "trouble", "event", "event", "event")


async def main():
    folder, host, port, ca, certificate, key, first, count = sys.argv[1:]
    clock = SystemClock()
    keeper = Keeper(Store(Path(folder) / "firedetect.db"), EventQueue(), clock)

    def report(name, detail):
        print("trouble", name, detail, flush=True)

    outbox = StoredOutbox(keeper, report)
    receipts = Receipts(report, None)
    receipts.on_receipt = outbox.changed.set
    lease = CloudLease(report)
    link = Link(
        f"firedetect/{THING}/down",
        report,
        lambda payload: take_down_message(payload, THING, receipts, lease),
    )
    connection = Connection(link, report)
    publisher = Publisher(THING, outbox, connection, link, receipts)
    endpoint = Endpoint(host, int(port), THING, Path(certificate), Path(key), Path(ca))
    will = Will(f"firedetect/{THING}/event", b'{"lost":true}')
    tasks = [
        asyncio.create_task(connection.run(lambda: endpoint, will)),
        asyncio.create_task(publisher.run()),
    ]
    for number in range(int(first), int(first) + int(count)):
        kind = KINDS[number % len(KINDS)]
        event_id = f"{THING}-1-{number}"
        message = Message(
            event_id, KINDS.index(kind), kind, f'{{"event_id":"{event_id}","kind":"{kind}"}}'
        )
        await keeper.keep(Restored(clock.monotonic_ns()), message)
        if not any(known.event_id == event_id for known in keeper.in_memory()):
            print("stored", event_id, flush=True)
        if number % 10 == 0:
            await outbox.add_batch(f'{{"batch":{number}}}'.encode())
            print("batch", number, flush=True)
    print("all stored", flush=True)
    while await keeper.waiting():
        await asyncio.sleep(0.05)
    print("all delivered", flush=True)
    await asyncio.wait(tasks)


asyncio.run(main())

"""Stores messages like a detector and sends them; is killed by its test at any moment.

Arguments: thing, data folder, host, port, ca, certificate, key, first number, how many messages.
"""

import asyncio
import sys
from pathlib import Path

from firedetect.uplink.sdk import Endpoint
from tests.uplink.sender import Sender, batch_of, message_of, sending

KINDS = ("alarm", "trouble", "event", "event", "event")
BATCH_EVERY = 3


async def main():
    thing, folder, host, port, ca, certificate, key, first, count = sys.argv[1:]
    sender = Sender(thing, folder)
    endpoint = Endpoint(host, int(port), thing, Path(certificate), Path(key), Path(ca))
    async with sending(sender, endpoint):
        for number in range(int(first), int(first) + int(count)):
            message = message_of(thing, number, KINDS[number % len(KINDS)])
            if await sender.keep(message):
                print("stored", message.event_id, flush=True)
            if number % BATCH_EVERY == 0:
                await sender.outbox.add_batch(batch_of(thing, number).encode())
                print("batch", f"b{number}", flush=True)
        print("all stored", flush=True)
        while await sender.keeper.waiting():
            await asyncio.sleep(0.05)
        print("all delivered", flush=True)
        await asyncio.Event().wait()


asyncio.run(main())

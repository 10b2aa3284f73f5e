"""Stores messages like a detector and sends them; is killed by its test at any moment.

Arguments: thing, data folder, host, port, ca, certificate, key, first number, how many messages.
"""

import asyncio
import sys
from pathlib import Path

from firedetect.uplink.sdk import Endpoint
from tests.uplink.sender import Sender, batch_of, message_of, sending

MESSAGE_EVERY = 4
ALARM_EVERY = 20
"""Each alarm is an escalation that nobody answers: more than these keep the box itself busy."""
KINDS = ("alarm", "trouble", *["event"] * (ALARM_EVERY // MESSAGE_EVERY - 2))


async def main():
    thing, folder, host, port, ca, certificate, key, first, count = sys.argv[1:]
    sender = Sender(thing, folder)
    endpoint = Endpoint(host, int(port), thing, Path(certificate), Path(key), Path(ca))
    async with sending(sender, endpoint):
        for number in range(int(first), int(first) + int(count)):
            if number % MESSAGE_EVERY == 0:
                kind = KINDS[number // MESSAGE_EVERY % len(KINDS)]
                message = message_of(thing, number, kind)
                if await sender.keep(message):
                    print("stored", message.event_id, flush=True)
            await sender.outbox.add_batch(batch_of(thing, number).encode())
            print("batch", f"b{number}", flush=True)
        print("all stored", flush=True)
        while await sender.keeper.waiting():
            await asyncio.sleep(0.05)
        print("all delivered", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())

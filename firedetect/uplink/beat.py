"""Proof-of-sensing heartbeats: what they hold comes from readings just decoded, nothing cached."""

import asyncio
from collections.abc import Awaitable, Callable

from firedetect.contract.messages import Beat
from firedetect.contract.names import beat_topic
from firedetect.errors import AckTimeoutError, LinkDownError, UplinkError
from firedetect.uplink.link import Link
from firedetect.uplink.transport import Transport

BEAT_EVERY_S = 20.0


async def send_beats(
    thing: str, transport: Transport, link: Link, make: Callable[[], Awaitable[Beat]]
) -> None:
    """Send a beat every 20 s while there is a link; also proves that the broker answers."""
    topic = beat_topic(thing)
    while True:
        await link.connected.wait()
        beat = await make()
        await publish_once(transport, link, topic, beat.model_dump_json().encode())
        await asyncio.sleep(BEAT_EVERY_S)


async def publish_once(transport: Transport, link: Link, topic: str, payload: bytes) -> None:
    """Publish what is not worth a second try; the link hears what became of it."""
    try:
        await transport.publish(topic, payload)
    except LinkDownError:
        # The link says so itself.
        return
    except AckTimeoutError as error:
        link.unacknowledged(str(error))
    except UplinkError as error:
        link.refused(topic, str(error))
    else:
        link.acknowledged(topic)

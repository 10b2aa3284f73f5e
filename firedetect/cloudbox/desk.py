"""The services at the cloud's connection: requests in, answers out, one after the other."""

import asyncio
from collections.abc import Sequence

import structlog

from firedetect.cloudbox.connection import Connection, Received
from firedetect.cloudbox.wire import Reply, Service, topic_matches
from firedetect.errors import BoxError

QUEUE_LIMIT = 10_000
"""Requests beyond these are left with the broker, unacknowledged."""

_log = structlog.get_logger()


class Desk:
    """Hands each request to its service and publishes the answers in order."""

    def __init__(self, services: Sequence[Service]) -> None:
        self._services = services
        self._waiting: asyncio.Queue[Received] = asyncio.Queue(QUEUE_LIMIT)

    @property
    def filters(self) -> list[str]:
        """Return every topic filter of the services."""
        return [one for service in self._services for one in service.filters]

    def hear(self, received: Received) -> bool:
        """Take a message if it is for a service."""
        if self._service(received.topic) is None:
            return False
        if not self._waiting.full():
            self._waiting.put_nowait(received)
        return True

    async def run(self, connection: Connection) -> None:
        """Answer until cancelled."""
        while True:
            received = await self._waiting.get()
            service = self._service(received.topic)
            if service is None:
                continue
            try:
                replies = await service.answer(received.topic, received.payload)
                await publish_all(connection, replies)
            except BoxError as error:
                _log.warning("no answer", topic=received.topic, error=str(error))
            except Exception:  # noqa: BLE001 - said with its trace
                # One request must not end the service of all others.
                _log.exception("request failed", topic=received.topic)
            received.acknowledge()

    def _service(self, topic: str) -> Service | None:
        for service in self._services:
            if any(topic_matches(one, topic) for one in service.filters):
                return service
        return None


async def publish_all(connection: Connection, replies: Sequence[Reply]) -> None:
    """Publish messages in their order."""
    for reply in replies:
        await connection.publish(reply.topic, reply.payload)

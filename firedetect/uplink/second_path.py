"""The way to people beside the cloud: a message goes to a local address by HTTP POST."""

import asyncio

import aiohttp
import structlog

from firedetect.storage.store import Message
from firedetect.uplink.link import Report

TRIES = 3
TIMEOUT_S = 5.0
PAUSE_S = 2.0
_TROUBLE = "second-path"

_log = structlog.get_logger()


class SecondPath:
    """Hands messages to `url`; a trouble says so when that does not work."""

    def __init__(self, url: str, report: Report) -> None:
        self._url = url
        self._report = report

    async def take(self, message: Message) -> bool:
        """Post it, a few times if it must be; returns whether it was taken, never raises."""
        detail = ""
        for attempt in range(TRIES):
            if attempt:
                await asyncio.sleep(PAUSE_S)
            detail = await self._post(message)
            if not detail:
                _log.warning("second path taken", event_id=message.event_id)
                self._report(_TROUBLE, None)
                return True
        self._report(
            _TROUBLE, f"{message.kind} {message.event_id} could not be handed over: {detail}"
        )
        return False

    async def _post(self, message: Message) -> str:
        """Post once; returns what went wrong, or nothing."""
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
        headers = {"Content-Type": "application/json"}
        body = message.payload.encode()
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                session.post(self._url, data=body, headers=headers) as answer,
            ):
                return "" if answer.ok else f"{self._url}: answered {answer.status}"
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return f"{self._url}: {type(error).__name__}: {error}"

"""Keeps one named shadow in step: what is desired goes to the detector, what it says goes back."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

import structlog

from firedetect.errors import LinkDownError, ShadowRefusedError
from firedetect.uplink.link import Link
from firedetect.uplink.shadow_client import ShadowDocument, Shadows, replacing

CALM_S = 0.25
"""Changes that come faster are taken together: a flood costs four requests a second at most."""
RETRY_FIRST_S = 5.0
RETRY_MAX_S = 300.0
KEEP_FRESH_S = 3600.0

_log = structlog.get_logger()


class ShadowSync:
    """One shadow. `take` gets its document, `reported` returns what the detector says of itself.

    Deltas are only hints: the document is always asked for, with its version.
    """

    def __init__(
        self,
        name: str,
        shadows: Shadows,
        link: Link,
        reported: Callable[[], dict[str, Any] | None],
        take: Callable[[ShadowDocument], Awaitable[None]] | None = None,
    ) -> None:
        self._name = name
        self._shadows = shadows
        self._link = link
        self._reported = reported
        self._take = take
        self._known: dict[str, Any] | None = None
        self._remote = True
        self._trigger = asyncio.Event()
        self._retry_s = RETRY_FIRST_S
        self._rng = random.Random(name)  # noqa: S311 - spreads retries, guards no secret

    def remote_changed(self) -> None:
        """Ask for the document soon."""
        self._remote = True
        self._trigger.set()

    def local_changed(self) -> None:
        """Report soon."""
        self._trigger.set()

    async def run(self) -> None:
        """Follow both sides for ever."""
        if self._take is not None:
            self._shadows.watch(self._name, self.remote_changed)
        self._link.on_change.append(self.remote_changed)
        try:
            while True:
                await self._link.connected.wait()
                self._trigger.clear()
                await self._turn()
                if not self._remote:
                    await self._wait()
        finally:
            self._link.on_change.remove(self.remote_changed)

    async def _turn(self) -> None:
        try:
            if self._remote or self._known is None:
                self._remote = False
                document = await self._shadows.get(self._name)
                self._known = document.reported
                if self._take is not None:
                    await self._take(document)
            await self._report()
        except LinkDownError as error:
            self._link.unanswered(f"shadow {self._name}", str(error))
            await self._put_off()
        except ShadowRefusedError as error:
            self._link.refused(f"shadow {self._name}", str(error))
            await self._put_off()
        else:
            self._link.accepted(f"shadow {self._name}")
            self._retry_s = RETRY_FIRST_S
        await asyncio.sleep(CALM_S)

    async def _put_off(self) -> None:
        """Wait, longer each time; then everything is asked for again."""
        pause_s = self._retry_s * self._rng.uniform(0.8, 1.0)
        self._retry_s = min(2.0 * self._retry_s, RETRY_MAX_S)
        await asyncio.sleep(pause_s)
        self._remote = True

    async def _report(self) -> None:
        wanted = self._reported()
        if wanted is None or self._known is None:
            return
        changes = replacing(wanted, self._known)
        if changes:
            await self._shadows.report(self._name, changes)
            self._known = wanted

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(KEEP_FRESH_S):
                await self._trigger.wait()
        except TimeoutError:
            # At most one exchange an hour without a reason: it finds out whether we are in step.
            self._remote = True

"""Joins the detector to the cloud: the one place where the parts of the uplink meet."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from firedetect.clock import Clock
from firedetect.config import Settings
from firedetect.contract.messages import LinkLost
from firedetect.contract.names import (
    SHADOW_ALARM,
    SHADOW_CONFIG,
    SHADOW_STATE,
    down_topic,
    event_topic,
)
from firedetect.daemon.disk import DiskThread
from firedetect.daemon.remote.alarm import RemoteAlarm
from firedetect.daemon.remote.config import RemoteConfig
from firedetect.daemon.remote.jobs import Handler, JobRunner
from firedetect.daemon.remote.outbox import StoredOutbox
from firedetect.daemon.remote.self_report import SelfReport
from firedetect.uplink.beat import send_beats
from firedetect.uplink.certificate import keep_certificate
from firedetect.uplink.connection import Connection
from firedetect.uplink.defender import send_metrics
from firedetect.uplink.identity import endpoint_of
from firedetect.uplink.jobs_client import ThingJobs
from firedetect.uplink.lease import CloudLease, Receipts, take_down_message
from firedetect.uplink.link import Link, Report
from firedetect.uplink.publisher import Publisher
from firedetect.uplink.sdk import Endpoint, SdkClient, Will
from firedetect.uplink.second_path import SecondPath
from firedetect.uplink.shadow_client import ShadowDocument, ThingShadows
from firedetect.uplink.shadow_sync import ShadowSync


class Reporter(Protocol):
    """What the detector says in one shadow, and whom it calls when that changes."""

    def report_to(self, call: Callable[[], None]) -> None:
        """Call `call` whenever there is something new to report."""

    def reported(self) -> dict[str, Any] | None:
        """Return what to report, None for nothing yet."""


class Cloud:
    """The uplink of one daemon; `tasks` are supervised by the daemon, `close` ends it."""

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        report: Report,
        outbox: StoredOutbox,
        about: SelfReport,
        remote: RemoteConfig,
        alarm: RemoteAlarm,
        handler: Handler,
        folder: Path | None,
        disk: DiskThread,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._report = report
        self._thing = settings.device.id
        self._about = about
        self._remote = remote
        self._alarm = alarm
        self._handler = handler
        self._folder = folder
        self._disk = disk
        url = settings.uplink.second_path_url
        self.receipts = Receipts(report, SecondPath(url, report).take if url else None)
        self.receipts.on_receipt = outbox.changed.set
        self._lease = CloudLease(report)
        self._lease.begin()
        self.link = Link(down_topic(self._thing), report, self._from_the_cloud)
        self.connection = Connection(self.link, report)
        self._publisher = Publisher(self._thing, outbox, self.connection, self.link, self.receipts)

    def tasks(self) -> dict[str, Callable[[], Awaitable[None]]]:
        """Return what the daemon must run, by name."""
        identity = partial(endpoint_of, self._settings)
        return {
            "link": partial(self.connection.run, identity, self._will()),
            "publish": self._publisher.run,
            "beat": partial(send_beats, self._thing, self.connection, self.link, self._about.beat),
            "shadow:state": partial(self._follow, SHADOW_STATE, self._about),
            "shadow:config": partial(
                self._follow, SHADOW_CONFIG, self._remote, self._remote.consider
            ),
            "shadow:alarm": partial(self._follow, SHADOW_ALARM, self._alarm, self._alarm.consider),
            "ota": self._follow_jobs,
            "defender": partial(send_metrics, self._thing, self.connection, self.link, self._clock),
            "certificate": partial(
                keep_certificate,
                self._settings,
                self.link,
                self._clock,
                self._report,
                self._renew,
            ),
        }

    def status(self) -> dict[str, object]:
        """Return what `firedetect status` shows of the link."""
        state = self.connection.state
        return {
            "endpoint": self._settings.uplink.endpoint,
            "up": state.up,
            "why": state.detail,
            "per_month": self.connection.meter.per_month(asyncio.get_running_loop().time()),
        }

    async def close(self) -> None:
        """End the connection."""
        self.receipts.close()
        self._lease.close()
        await self.connection.close()

    async def _follow(
        self,
        name: str,
        side: Reporter,
        take: Callable[[ShadowDocument], Awaitable[None]] | None = None,
    ) -> None:
        async def use(client: SdkClient) -> None:
            shadows = ThingShadows(client, self._thing, self.connection.meter)
            sync = ShadowSync(name, shadows, self.link, side.reported, take)
            side.report_to(sync.local_changed)
            await sync.run()

        await self.connection.with_client(use)

    async def _follow_jobs(self) -> None:
        async def use(client: SdkClient) -> None:
            jobs = ThingJobs(client, self._thing)
            await JobRunner(jobs, self.link, self._folder, self._handler, self._disk).run()

        await self.connection.with_client(use)

    async def _renew(self, endpoint: Endpoint) -> None:
        await self.connection.renew(endpoint, self._will())

    def _from_the_cloud(self, payload: bytes) -> None:
        take_down_message(payload, self._thing, self.receipts, self._lease)

    def _will(self) -> Will:
        lost = LinkLost(
            event_id=f"{self._thing}-{self._about.boot}-lost",
            device=self._thing,
            site=self._settings.device.site,
            boot=self._about.boot,
        )
        return Will(event_topic(self._thing), lost.model_dump_json().encode())

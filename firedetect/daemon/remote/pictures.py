"""The picture of an alarm, where the site opted in: named at once, sent behind the message."""

import asyncio
import contextlib
import random
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import structlog

from firedetect.clock import NS_PER_S, Clock
from firedetect.config import Settings
from firedetect.contract.names import PICTURE_TAG, PICTURES_ROLE_ALIAS, picture_key
from firedetect.daemon.remote.thermogram import thermogram
from firedetect.decision.outcome import Outcome, iso_time
from firedetect.errors import TransferError, UplinkError
from firedetect.readings import Event, ThermalImage
from firedetect.uplink.bucket import put_object
from firedetect.uplink.identity import endpoint_of
from firedetect.uplink.link import Report
from firedetect.uplink.rights import LIMIT_S, Rights, ask_for_rights

FRESH_S: Final = 10.0
"""An older image shows no alarm: the array is blind, which is a trouble of its own."""
WAITING_MAX: Final = 16
RENEW_BEFORE_S: Final = 600.0
LOOK_AT_LEAST_S: Final = 60.0
LOOK_AT_MOST_S: Final = 3000.0
"""Rights lie ready: asked for again before they end, so that a way that is barred shows early."""
RETRY_S: Final = (2.0, 5.0, 10.0, 15.0, 30.0, 60.0)
"""The pauses after failures in a row, the last one for ever; a new picture is tried at once."""
TOLERATED_S: Final = 30.0
"""Failing for so long is no trouble yet, as with the link: a network that flaps calls nobody."""
TROUBLE: Final = "pictures"

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True, eq=False)
class _Shot:
    """What a picture is drawn from; `wall_ns` is when it was seen."""

    image: ThermalImage
    wall_ns: int
    level: str


class AlarmPictures:
    """Keeps the newest image; `take` names the picture of an alarm, `run` sends what was taken.

    Pictures wait in memory until they are sent: with the program they are lost, the alarm is not.
    """

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        report: Report,
        *,
        retry_s: tuple[float, ...] = RETRY_S,
        tolerated_s: float = TOLERATED_S,
        answer_s: float = LIMIT_S,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._report = report
        self._retry_s = retry_s
        self._answer_s = answer_s
        self._tolerated_ns = round(tolerated_s * NS_PER_S)
        self._image: ThermalImage | None = None
        self._waiting: dict[str, _Shot] = {}
        self._new = asyncio.Event()
        self._rights: Rights | None = None
        self._failures = 0
        self._failing_ns = 0

    def reading(self, event: Event) -> None:
        """Take a decoded reading; only images are pictures."""
        if isinstance(event, ThermalImage):
            self._image = event

    def take(self, outcome: Outcome) -> str | None:
        """Keep the newest image as the picture of an alarm; returns its key in the bucket.

        A higher level of the same incident takes the place of the picture before. Does not wait.
        """
        image = self._image
        if image is None or outcome.incident_id is None:
            return None
        age_ns = outcome.t_ns - image.t_ns
        if age_ns > FRESH_S * NS_PER_S:
            _log.warning(
                "no picture of the alarm: the newest image is old", age_s=age_ns / NS_PER_S
            )
            return None
        key = picture_key(self._settings.device.id, outcome.incident_id)
        self._waiting.pop(key, None)
        self._waiting[key] = _Shot(image, outcome.wall_ns - age_ns, outcome.level.label)
        while len(self._waiting) > WAITING_MAX:
            oldest = next(iter(self._waiting))
            del self._waiting[oldest]
            _log.warning("a picture is given up: too many wait", key=oldest)
        self._new.set()
        return key

    async def run(self) -> None:
        """Send what waits, for ever; what fails is tried again, and said when it goes on."""
        while True:
            self._new.clear()
            begun_ns = self._clock.monotonic_ns()
            try:
                rights = await self._fresh_rights()
                await self._send_waiting(rights)
            except UplinkError as error:
                pause_s = self._failed(str(error), begun_ns)
            else:
                self._failures = 0
                self._report(TROUBLE, None)
                left_s = self._left_s(rights) - RENEW_BEFORE_S
                pause_s = min(max(left_s, LOOK_AT_LEAST_S), LOOK_AT_MOST_S)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._new.wait()

    def _failed(self, why: str, begun_ns: int) -> float:
        """Note a failure and return how long to wait (s)."""
        if not self._failures:
            self._failing_ns = begun_ns
        self._failures += 1
        if self._clock.monotonic_ns() - self._failing_ns >= self._tolerated_ns:
            waiting = len(self._waiting)
            self._report(TROUBLE, f"{waiting} waiting: {why}" if waiting else why)
        else:
            _log.warning("pictures cannot be sent", error=why, waiting=len(self._waiting))
        pause_s = self._retry_s[min(self._failures, len(self._retry_s)) - 1]
        return pause_s * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, hides nothing

    async def _fresh_rights(self) -> Rights:
        if self._rights is None or self._left_s(self._rights) < RENEW_BEFORE_S:
            ways = self._settings.pictures
            own = await asyncio.to_thread(endpoint_of, self._settings)
            self._rights = await ask_for_rights(
                own,
                ways.credentials_endpoint,
                PICTURES_ROLE_ALIAS,
                self._settings.device.id,
                self._answer_s,
            )
        return self._rights

    async def _send_waiting(self, rights: Rights) -> None:
        while self._waiting:
            key, shot = next(iter(self._waiting.items()))
            png = await asyncio.to_thread(self._drawn, key, shot)
            try:
                await self._put(key, png, rights)
            except TransferError:
                # Perhaps the rights have changed: they are asked for anew.
                self._rights = None
                raise
            if self._waiting.get(key) is shot:
                del self._waiting[key]
            _log.info("picture sent", key=key, bytes=len(png))

    async def _put(self, key: str, png: bytes, rights: Rights) -> None:
        ways = self._settings.pictures
        await put_object(
            ways.bucket_url,
            key,
            png,
            {"Content-Type": "image/png", "x-amz-tagging": PICTURE_TAG},
            rights=rights,
            region=ways.region,
            now=self._now(),
        )

    def _drawn(self, key: str, shot: _Shot) -> bytes:
        device = self._settings.device
        about = {
            "Title": key.rpartition("/")[2].removesuffix(".png"),
            "Source": f"{device.id} at {device.site}" if device.site else device.id,
            "Creation Time": iso_time(shot.wall_ns),
            "Level": shot.level,
        }
        return thermogram(shot.image.temp_c, about)

    def _left_s(self, rights: Rights) -> float:
        return (rights.ends - self._now()).total_seconds()

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock.wall_ns() / NS_PER_S, UTC)

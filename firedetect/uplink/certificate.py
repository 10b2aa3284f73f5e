"""Replaces the device's certificate before it ends, and says so when that does not work."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import structlog

from firedetect.clock import NS_PER_S, Clock
from firedetect.config import Settings
from firedetect.errors import UplinkError
from firedetect.uplink.identity import endpoint_of, expires, identity_folder
from firedetect.uplink.link import Link, Report
from firedetect.uplink.provision import provision
from firedetect.uplink.sdk import Endpoint

ROTATE_BEFORE = timedelta(days=30)
LOOK_EVERY_S = 6 * 3600.0
_TROUBLE = "certificate"

_log = structlog.get_logger()

Renew = Callable[[Endpoint], Awaitable[None]]


async def keep_certificate(
    settings: Settings, link: Link, clock: Clock, report: Report, renew: Renew
) -> None:
    """Look at the certificate for ever; one that ends within 30 days is replaced.

    A certificate that the settings name is somebody else's to replace: it is only told of.
    """
    while True:
        await link.connected.wait()
        try:
            await _look(settings, clock, report, renew)
        except UplinkError as error:
            report(_TROUBLE, str(error))
        await asyncio.sleep(LOOK_EVERY_S)


async def _look(settings: Settings, clock: Clock, report: Report, renew: Renew) -> None:
    endpoint = endpoint_of(settings)
    if endpoint.certificate is None:
        return
    ends = expires(endpoint.certificate)
    left = ends - datetime.fromtimestamp(clock.wall_ns() / NS_PER_S, UTC)
    if left > ROTATE_BEFORE:
        report(_TROUBLE, None)
        return
    if settings.uplink.certificate is not None:
        report(_TROUBLE, f"{endpoint.certificate} ends on {ends:%Y-%m-%d}: replace it")
        return
    thing = settings.device.id
    claim = endpoint_of(settings, f"{thing}-rotate")
    await provision(claim, thing, settings.device.site, identity_folder(settings))
    await renew(endpoint_of(settings))
    _log.info("certificate replaced", old_ended=f"{ends:%Y-%m-%d}")
    report(_TROUBLE, None)

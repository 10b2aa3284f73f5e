"""Replaces the device's certificate before it ends, and says so when that does not work."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import structlog

from firedetect.clock import NS_PER_S, Clock
from firedetect.config import Settings
from firedetect.contract.clients import client_id
from firedetect.errors import UplinkError
from firedetect.uplink.identity import endpoint_of, expires, identity_folder, lifetime
from firedetect.uplink.link import Link, Report
from firedetect.uplink.provision import provision
from firedetect.uplink.sdk import Endpoint

ROTATE_BEFORE = timedelta(days=30)
ROTATE_SHARE = 1 / 3
"""Of a short life so much must be left: else each look would ask for another certificate."""
LOOK_EVERY_S = 6 * 3600.0
_TROUBLE = "certificate"

_log = structlog.get_logger()

Renew = Callable[[Endpoint], Awaitable[None]]


async def keep_certificate(
    settings: Settings, link: Link, clock: Clock, report: Report, renew: Renew
) -> None:
    """Look at the certificate for ever and replace it in time: 30 days, or a third of its life.

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
    if left > min(ROTATE_BEFORE, ROTATE_SHARE * lifetime(endpoint.certificate)):
        report(_TROUBLE, None)
        return
    if settings.uplink.certificate is not None:
        report(_TROUBLE, f"{endpoint.certificate} ends on {ends:%Y-%m-%d}: replace it")
        return
    thing = settings.device.id
    claim = endpoint_of(settings, client_id(thing, "rotate"))
    own = identity_folder(settings)
    await provision(claim, thing, settings.device.site, own)
    renewed = endpoint_of(settings)
    await renew(renewed)
    own.tidy()
    if renewed.certificate is not None and expires(renewed.certificate) <= ends:
        report(_TROUBLE, f"the new certificate ends no later than the old one, on {ends:%Y-%m-%d}")
        return
    _log.info("certificate replaced", old_ended=f"{ends:%Y-%m-%d}")
    report(_TROUBLE, None)

"""Checks of the way to the cloud: identity, connection, and what it sends and costs."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from firedetect.clock import NS_PER_S, SystemClock
from firedetect.config import Settings
from firedetect.contract.clients import client_id
from firedetect.contract.names import PICTURES_ROLE_ALIAS
from firedetect.doctor.finding import Finding
from firedetect.errors import FiredetectError, UplinkError
from firedetect.uplink.identity import endpoint_of, expires
from firedetect.uplink.meter import expected
from firedetect.uplink.provision import connected
from firedetect.uplink.rights import ask_for_rights
from firedetect.uplink.sdk import Endpoint

SOON = timedelta(days=30)
MIB = 1 << 20
OBSERVED_MIN_S = 600.0
"""The start of a detector says more than its quiet hours."""


def examine_cloud(settings: Settings, status: dict[str, Any] | None) -> Iterator[Finding]:
    """Yield the findings; `status` is what a running daemon says of its link."""
    if status is not None:
        yield _link(status)
        yield _seen(status["per_month"])
    elif not settings.uplink.endpoint:
        yield Finding(
            "cloud",
            "warn",
            "none is configured: nobody beyond earshot hears an alarm",
            "set uplink.endpoint and run `firedetect provision`",
        )
        return
    if not settings.uplink.endpoint:
        # The running detector was started with another cloud, such as a box.
        return
    try:
        endpoint = endpoint_of(settings)
    except UplinkError as error:
        yield Finding("identity", "fail", str(error), "run `firedetect provision`")
        return
    yield _identity(endpoint)
    if settings.pictures.share:
        yield asyncio.run(_rights(settings, endpoint))
    if status is None:
        yield asyncio.run(_connection(settings))
        yield _traffic(expected(), _COMPUTED)


_COMPUTED = "expected of a quiet detector, computed"
_PICTURES_ADVICE = "check pictures.credentials_endpoint, certificate and the stack firedetect-fleet"
_ADVICE = "check network, endpoint, certificate and the wall clock"


def _identity(endpoint: Endpoint) -> Finding:
    if endpoint.certificate is None:
        return Finding("identity", "fail", "there is no certificate", "run `firedetect provision`")
    try:
        ends = expires(endpoint.certificate)
    except UplinkError as error:
        return Finding("identity", "fail", str(error), "run `firedetect provision --rotate`")
    left = ends - datetime.fromtimestamp(SystemClock().wall_ns() / NS_PER_S, UTC)
    detail = f"{endpoint.certificate} is valid until {ends:%Y-%m-%d}"
    if left <= timedelta(0):
        return Finding("identity", "fail", f"{detail}: it has ended", "provision it again")
    if left < SOON:
        return Finding("identity", "warn", detail, "run `firedetect provision --rotate`")
    return Finding("identity", "ok", detail)


async def _connection(settings: Settings) -> Finding:
    try:
        async with connected(endpoint_of(settings, client_id(settings.device.id, "doctor"))):
            return Finding("cloud", "ok", f"connects to {settings.uplink.endpoint}")
    except FiredetectError as error:
        return Finding("cloud", "fail", str(error), _ADVICE)


async def _rights(settings: Settings, endpoint: Endpoint) -> Finding:
    """Ask for what pictures of alarms are sent with; nothing is sent."""
    provider, thing = settings.pictures.credentials_endpoint, settings.device.id
    try:
        rights = await ask_for_rights(endpoint, provider, PICTURES_ROLE_ALIAS, thing)
    except FiredetectError as error:
        return Finding("pictures", "fail", str(error), _PICTURES_ADVICE)
    return Finding("pictures", "ok", f"{provider} gives rights until {rights.ends:%H:%M:%S}")


def _link(status: dict[str, Any]) -> Finding:
    host = status.get("endpoint")
    if status.get("up"):
        return Finding("cloud", "ok", f"the running detector is connected to {host}")
    why = f"the running detector has no link to {host}: {status.get('why')}"
    return Finding("cloud", "fail", why, _ADVICE)


def _seen(month: dict[str, float]) -> Finding:
    """Return what was measured, once that says something of a month."""
    if month["observed_s"] < OBSERVED_MIN_S:
        return _traffic(expected(), f"{_COMPUTED}; too early to measure")
    return _traffic(month, f"measured over {month['observed_s'] / 60:.0f} min")


def _traffic(month: dict[str, float], how: str) -> Finding:
    return Finding(
        "cloud traffic",
        "ok",
        f"{month['messages']:.0f} messages, {month['bytes'] / MIB:.1f} MiB, "
        f"${month['usd']:.3f} of IoT Core a month ({how})",
    )

"""What operators do with the shadows of a thing: get, set, watch."""

import asyncio
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from firedetect.config import Settings
from firedetect.contract.clients import client_id
from firedetect.contract.names import SHADOW_ALARM, SHADOW_CONFIG
from firedetect.daemon.box_link import said_by_box
from firedetect.daemon.remote.alarm import DONE
from firedetect.errors import ShadowRefusedError, UplinkError
from firedetect.uplink.identity import endpoint_of
from firedetect.uplink.provision import connected
from firedetect.uplink.sdk import Endpoint
from firedetect.uplink.shadow_client import ShadowDocument, ThingShadows, replacing

ANSWER_LIMIT_S = 15.0
_LOOK_S = 0.1
ANSWER_STANDS_S = 1.0
_STANDS = "the shadow still desires it, KEY=null takes it back"

Cloud = Literal["device", "box", "aws"]
"""Whose rights are used: the thing's own certificate, the box's operator, IAM."""


@dataclass(frozen=True, slots=True)
class Target:
    """A shadow of a thing, and how to reach it."""

    endpoint: Endpoint
    thing: str
    shadow: str


def target_of(settings: Settings, cloud: Cloud, thing: str | None, shadow: str) -> Target:
    """Return how an operator reaches a shadow; raises UplinkError."""
    name = thing or settings.device.id
    operator = client_id(name, "operator")
    if cloud == "box":
        said = said_by_box(settings)
        endpoint = Endpoint(
            host=said["endpoint"],
            port=said["port"],
            client_id=operator,
            certificate=Path(said["operator"]["certificate"]),
            key=Path(said["operator"]["key"]),
            ca=Path(said["ca"]),
        )
    elif not settings.uplink.endpoint:
        raise UplinkError("no cloud is configured: set uplink.endpoint, or take --cloud box")
    elif cloud == "aws":
        uplink = settings.uplink
        endpoint = Endpoint(uplink.endpoint, 443, operator, certificate=None, key=None)
    else:
        endpoint = endpoint_of(settings, operator)
    return Target(endpoint, name, shadow)


def desired_of(assignments: Iterable[str]) -> dict[str, Any]:
    """Return KEY=VALUE pairs as a document: dots lead inwards, VALUE is JSON, null deletes.

    Raises UplinkError for what is no assignment.
    """
    document: dict[str, Any] = {}
    for assignment in assignments:
        key, sign, text = assignment.partition("=")
        path = key.split(".")
        if not sign or not all(path):
            raise UplinkError(f"{assignment!r}: is not KEY=VALUE, such as thresholds.alert=0.55")
        inner = document
        for part in path[:-1]:
            inner = inner.setdefault(part, {})
            if not isinstance(inner, dict):
                raise UplinkError(f"{assignment!r}: contradicts another assignment")
        inner[path[-1]] = _value(text)
    return document


def get(target: Target) -> dict[str, Any]:
    """Return the shadow as it is."""

    async def ask(shadows: ThingShadows) -> dict[str, Any]:
        return _record(await shadows.get(target.shadow))

    result: dict[str, Any] = asyncio.run(_with_shadows(target, ask))
    return result


def set_desired(target: Target, desired: dict[str, Any], version: int | None) -> dict[str, Any]:
    """Write what is desired; returns what the detector reports to it.

    For shadow `config` waits for the verdict; what is refused is desired no longer, else it would
    be judged anew at every start and stand in the way of every other setting. Raises UplinkError
    when the detector refuses it or does not answer in time, ShadowRefusedError when the service
    does.
    """
    if target.shadow not in {SHADOW_CONFIG, SHADOW_ALARM}:
        raise UplinkError(f"shadow {target.shadow} is written by the detector alone")

    async def ask(shadows: ThingShadows) -> dict[str, Any]:
        before = await shadows.get(target.shadow)
        written = await shadows.desire(target.shadow, desired, version)
        after = await shadows.get(target.shadow)
        if target.shadow == SHADOW_ALARM:
            return await _answers(shadows, target, desired)
        if _same_wish(before, after):
            # The detector has judged this wish already: it says nothing more to it.
            return _accepted(after.reported, _STANDS)
        reported = await _verdict(shadows, target, written)
        if _refusal(reported):
            return _accepted(reported, await _take_back(shadows, before, after))
        return reported

    result: dict[str, Any] = asyncio.run(_with_shadows(target, ask))
    return result


def watch(target: Target, hear: Callable[[dict[str, Any]], None]) -> None:
    """Call `hear` with the shadow now and after every change, until interrupted."""

    async def follow(shadows: ThingShadows) -> dict[str, Any]:
        changed = asyncio.Event()
        changed.set()
        shadows.watch(target.shadow, changed.set)
        before = None
        while True:
            await changed.wait()
            changed.clear()
            document = _record(await shadows.get(target.shadow))
            if document != before:
                before = document
                hear(document)

    asyncio.run(_with_shadows(target, follow))


async def _with_shadows(target: Target, call: Callable[[ThingShadows], Any]) -> Any:  # noqa: ANN401
    async with connected(target.endpoint) as transport:
        return await call(ThingShadows(transport.client, target.thing))


async def _verdict(shadows: ThingShadows, target: Target, written: int) -> dict[str, Any]:
    """Return what the detector reports of version `written`; raises UplinkError without answer."""
    try:
        async with asyncio.timeout(ANSWER_LIMIT_S):
            while True:
                reported = (await shadows.get(target.shadow)).reported
                refused = reported.get("refused") or {}
                if max(refused.get("version", 0), reported.get("version") or 0) >= written:
                    return reported
                await asyncio.sleep(_LOOK_S)
    except TimeoutError as error:
        raise UplinkError(
            f"{target.thing} has not answered within {ANSWER_LIMIT_S:.0f} s; the change waits for "
            "it in the shadow"
        ) from error


def _same_wish(before: ShadowDocument, after: ShadowDocument) -> bool:
    return (before.desired, before.desired_s) == (after.desired, after.desired_s)


async def _take_back(shadows: ThingShadows, before: ShadowDocument, after: ShadowDocument) -> str:
    """Desire again what was desired before, unless somebody wrote meanwhile; says which it is."""
    now = await shadows.get(SHADOW_CONFIG)
    if not _same_wish(after, now):
        return _STANDS
    undone = replacing(before.desired or {}, now.desired or {})
    try:
        await shadows.desire(SHADOW_CONFIG, undone, now.version)
    except ShadowRefusedError:
        return _STANDS
    return "it is taken back"


def _refusal(reported: dict[str, Any]) -> str:
    refused = reported.get("refused")
    if not isinstance(refused, dict):
        return ""
    path, reason = refused.get("path", ""), refused.get("reason", "")
    return f"refused: {path + ': ' if path else ''}{reason}"


def _accepted(reported: dict[str, Any], otherwise: str) -> dict[str, Any]:
    """Return what the detector reports; raises UplinkError if it refuses the newest wish."""
    if refusal := _refusal(reported):
        raise UplinkError(f"{refusal}; {otherwise}")
    return reported


async def _answers(
    shadows: ThingShadows, target: Target, desired: dict[str, Any]
) -> dict[str, Any]:
    """Return what the detector answered to requests; raises UplinkError if it refuses one."""
    asked = [what for what in desired if desired[what] is not None]
    before: dict[str, Any] = {}
    try:
        async with asyncio.timeout(ANSWER_LIMIT_S):
            while True:
                reported = (await shadows.get(target.shadow)).reported
                answers = reported.get("answers") or {}
                # The detector needs a moment: an answer that stands for a while is the one.
                if answers == before and all(what in answers for what in asked):
                    break
                before = answers
                await asyncio.sleep(ANSWER_STANDS_S)
    except TimeoutError as error:
        raise UplinkError(
            f"{target.thing} has not answered within {ANSWER_LIMIT_S:.0f} s; the request waits for "
            "it in the shadow"
        ) from error
    refused = [f"{what}: {answers[what]}" for what in asked if answers[what] != DONE]
    if refused:
        raise UplinkError("; ".join(refused))
    return reported


def _record(document: ShadowDocument) -> dict[str, Any]:
    return {
        "version": document.version,
        "desired": document.desired,
        "reported": document.reported,
    }


def _value(text: str) -> Any:  # noqa: ANN401 - any JSON value
    try:
        return json.loads(text, parse_constant=_no_number)
    except ValueError:
        return text


def _no_number(text: str) -> str:
    """Leave NaN and infinity as words: the detector refuses them with path and reason."""
    return text

"""Rights on AWS for a while, in exchange for the device's certificate: the credentials provider."""

import asyncio
import ssl
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import aiohttp
from pydantic import AwareDatetime, BaseModel, Field, ValidationError

from firedetect.contract.problems import problem_of
from firedetect.errors import LinkDownError, TransferError, UplinkError
from firedetect.uplink.sdk import Endpoint

LIMIT_S: Final = 15.0
"""For all of it: name, TLS, answer."""
_CONNECT_S: Final = 10.0
_TIMEOUT: Final = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_S)
_ANSWER_LIMIT: Final = 16 * 1024
_SHOWN: Final = 200


@dataclass(frozen=True, slots=True)
class Rights:
    """What requests to AWS are signed with, until `ends`."""

    key_id: str
    secret: str = field(repr=False)
    token: str = field(repr=False)
    ends: datetime


class _Given(BaseModel):
    key_id: str = Field(alias="accessKeyId")
    secret: str = Field(alias="secretAccessKey")
    token: str = Field(alias="sessionToken")
    ends: AwareDatetime = Field(alias="expiration")


class _Answer(BaseModel):
    credentials: _Given


async def ask_for_rights(
    own: Endpoint, provider: str, alias: str, thing: str, limit_s: float = LIMIT_S
) -> Rights:
    """Return the rights of a role alias; `provider` is host or host:port, `own` who we are.

    Raises LinkDownError if it cannot be reached, TransferError if it refuses, UplinkError if the
    identity cannot be used. The SDK has a client for this, but it knows port 443 alone.
    """
    url = f"https://{provider}/role-aliases/{alias}/credentials"
    try:
        async with asyncio.timeout(limit_s):
            # Reads files: not in the loop.
            tls = await asyncio.to_thread(_tls, own)
            async with (
                aiohttp.ClientSession(timeout=_TIMEOUT) as session,
                session.get(url, ssl=tls, headers={"x-amzn-iot-thingname": thing}) as answer,
            ):
                status, body = answer.status, await answer.content.read(_ANSWER_LIMIT)
    except TimeoutError as error:
        raise LinkDownError(f"{provider}: no answer within {limit_s:.0f} s") from error
    except (aiohttp.ClientError, OSError) as error:
        raise LinkDownError(f"{provider}: {type(error).__name__}: {error}") from error
    except ValueError as error:
        raise UplinkError(f"{provider}: cannot be used as an address: {error}") from error
    if status != 200:
        said = body.decode("utf-8", "replace")[:_SHOWN]
        kind = LinkDownError if status >= 500 else TransferError
        raise kind(f"{provider}: refused with status {status}: {said}")
    try:
        given = _Answer.model_validate_json(body).credentials
    except ValidationError as error:
        raise TransferError(
            f"{provider}: is no credentials provider: {problem_of(error)}"
        ) from error
    return Rights(given.key_id, given.secret, given.token, given.ends)


def _tls(own: Endpoint) -> ssl.SSLContext:
    """Return how to prove who we are; raises UplinkError for an unusable identity."""
    try:
        made = ssl.create_default_context(cafile=None if own.ca is None else str(own.ca))
        if own.certificate is not None:
            made.load_cert_chain(own.certificate, own.key)
    except (ssl.SSLError, OSError) as error:
        raise UplinkError(f"{own.certificate}, {own.key}: cannot be used: {error}") from error
    return made

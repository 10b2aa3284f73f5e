"""AWS IoT's credentials provider: a certificate of a thing in exchange for the rights of a role.

Its path, header and answers are those of AWS. Who asks is known by the certificate alone.
"""

import asyncio
import ssl
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import structlog
from aiohttp import web
from botocore.exceptions import BotoCoreError, ClientError

from firedetect.cloudbox.authority import Credentials
from firedetect.cloudbox.broker import HOST
from firedetect.errors import BoxError

_THING: Final = "x-amzn-iot-thingname"
_NAME: Final = "localhost"
"""What the certificate of the box is for."""

ThingOf = Callable[[str], str | None]
"""Returns the thing whose certificate has this common name, None if it is nobody's (any more)."""

_log = structlog.get_logger()


class CredentialsProvider:
    """The server; `client_of` gives the clients of the box's AWS, which knows aliases and roles.

    `ready` tells whether they are all there.
    """

    def __init__(
        self,
        thing_of: ThingOf,
        client_of: Callable[[str], Any],
        ready: Callable[[], bool] = lambda: True,
    ) -> None:
        self._thing_of = thing_of
        self._ready = ready
        self._client_of = client_of
        self._runner: web.AppRunner | None = None
        self.endpoint = ""

    async def start(self, server: Credentials) -> None:
        """Listen on a free port with a certificate of the box; its authority must know who asks."""
        tls = await asyncio.to_thread(_mutual, server.certificate, server.key, server.ca)
        app = web.Application()
        app.add_routes([web.get("/role-aliases/{alias}/credentials", self._give)])
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, HOST, 0, ssl_context=tls).start()
        self.endpoint = f"{_NAME}:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _give(self, request: web.Request) -> web.Response:
        said = request.headers.get(_THING, "")
        thing = self._thing_of(_common_name(request))
        if thing is None or (said and said != thing):
            return _refused(HTTPStatus.FORBIDDEN, "Access Denied")
        if not self._ready():
            return _refused(HTTPStatus.SERVICE_UNAVAILABLE, "Service Unavailable")
        try:
            given = await asyncio.to_thread(self._rights, request.match_info["alias"], thing)
        except ClientError as error:
            return _refused(HTTPStatus.NOT_FOUND, str(error))
        except (BoxError, BotoCoreError) as error:
            _log.warning("no credentials", thing=thing, error=str(error))
            return _refused(HTTPStatus.SERVICE_UNAVAILABLE, "Service Unavailable")
        return web.json_response({"credentials": given})

    def _rights(self, alias: str, thing: str) -> dict[str, str]:
        """Return the rights of an alias for a while; raises what the box's AWS says."""
        found = self._client_of("iot").describe_role_alias(roleAlias=alias)
        described = found["roleAliasDescription"]
        given = self._client_of("sts").assume_role(
            RoleArn=described["roleArn"],
            RoleSessionName=thing,
            DurationSeconds=described["credentialDurationSeconds"],
        )["Credentials"]
        return {
            "accessKeyId": given["AccessKeyId"],
            "secretAccessKey": given["SecretAccessKey"],
            "sessionToken": given["SessionToken"],
            "expiration": given["Expiration"].isoformat(),
        }


def _mutual(certificate: Path, key: Path, ca: Path) -> ssl.SSLContext:
    """Return a server's side of TLS that asks for a certificate of the authority."""
    made = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(ca))
    made.load_cert_chain(certificate, key)
    made.verify_mode = ssl.CERT_REQUIRED
    return made


def _common_name(request: web.Request) -> str:
    transport = request.transport
    found = None if transport is None else transport.get_extra_info("peercert")
    parts = [part for one in (found or {}).get("subject", ()) for part in one]
    return str(dict(parts).get("commonName", ""))


def _refused(status: HTTPStatus, message: str) -> web.Response:
    return web.json_response({"message": message}, status=status)

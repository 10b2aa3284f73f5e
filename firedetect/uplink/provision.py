"""Fleet provisioning by claim: the device makes its key itself and asks for a certificate."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

from awsiot import iotidentity

from firedetect.config import Settings
from firedetect.contract.clients import claim_client_id, client_id
from firedetect.contract.names import PROVISIONING_TEMPLATE
from firedetect.errors import UplinkError
from firedetect.uplink.identity import (
    CERTIFICATE,
    KEY,
    IdentityFolder,
    endpoint_of,
    expires,
    identity_folder,
)
from firedetect.uplink.requests import answered, client_options
from firedetect.uplink.sdk import TLS_FAILED, Endpoint
from firedetect.uplink.transport import LinkState, MqttTransport

CONNECT_LIMIT_S = 40.0
"""The SDK's TLS holds back its failure for up to 30 s: a wrong authority shall be named."""
TRIES = 3


class Connecting:
    """Waits for the first connection of a command."""

    def __init__(self) -> None:
        self._decided = asyncio.Event()
        self._up = False
        self._failures = 0
        self._detail = "no answer"

    def link_changed(self, state: LinkState) -> None:
        """Note the connection."""
        self._detail = state.detail
        self._up = state.up
        self._failures += not state.up
        # Another try changes nothing about a certificate.
        if state.up or self._failures >= TRIES or state.detail.startswith(TLS_FAILED):
            self._decided.set()

    def message_arrived(self, topic: str, payload: bytes) -> None:
        """A command subscribes to nothing itself."""

    def messages_dropped(self, count: int) -> None:
        """A command subscribes to nothing itself."""

    async def wait(self, where: str) -> None:
        """Return when connected; raises UplinkError if that does not happen."""
        try:
            async with asyncio.timeout(CONNECT_LIMIT_S):
                await self._decided.wait()
        except TimeoutError:
            self._up = False
        if not self._up:
            raise UplinkError(f"{where}: cannot connect: {self._detail}")


@contextlib.asynccontextmanager
async def connected(endpoint: Endpoint) -> AsyncIterator[MqttTransport]:
    """Connect for the duration of a command; yields the transport, raises UplinkError."""
    waiting = Connecting()
    transport = MqttTransport(endpoint, waiting)
    transport.start()
    try:
        await waiting.wait(f"{endpoint.host}:{endpoint.port}")
        yield transport
    finally:
        await transport.stop()


async def provision(
    claim: Endpoint, thing: str, site: str, folder: IdentityFolder, template: str | None = None
) -> None:
    """Get a certificate for a new local key and use it from now on.

    `claim` connects with the claim certificate, or with the present one to rotate it. The new
    identity is tried before it replaces the one in use. Raises UplinkError; then nothing changed.
    """
    # In threads: the running detector rotates its certificate, and a disk may hang.
    pair, request = await asyncio.to_thread(folder.new_pair)
    try:
        async with connected(claim) as transport:
            certificate = await _certificate(transport, request, thing, site, folder, template)
        await asyncio.to_thread(folder.complete, pair, certificate)
        own = replace(
            claim,
            client_id=client_id(thing, "new"),
            certificate=pair / CERTIFICATE,
            key=pair / KEY,
        )
        async with connected(own):
            pass
    except BaseException:
        await asyncio.to_thread(folder.drop, pair)
        raise
    # Outside: a pair that is being adopted must not be dropped, whoever ends this task.
    await asyncio.shield(asyncio.to_thread(folder.adopt, pair))


def provision_now(claim: Endpoint, thing: str, site: str, folder: IdentityFolder) -> None:
    """Provision from a command, outside of an event loop; raises UplinkError."""
    asyncio.run(provision(claim, thing, site, folder))


def provision_device(
    settings: Settings, claim_certificate: Path | None, claim_key: Path | None, *, rotate: bool
) -> str:
    """Provision or rotate as the command says; returns what was done, raises UplinkError."""
    if not settings.uplink.endpoint:
        raise UplinkError("no cloud is configured: set uplink.endpoint")
    if settings.uplink.certificate is not None:
        raise UplinkError("uplink.certificate names a file of yours: take it out to provision")
    own = identity_folder(settings)
    thing = settings.device.id
    if rotate:
        claim = endpoint_of(settings, client_id(thing, "rotate"))
    elif own.certificate.exists():
        raise UplinkError(f"{own.certificate}: is there already; take --rotate to replace it")
    elif claim_certificate is None or claim_key is None:
        raise UplinkError("name the claim: --claim-cert FILE --claim-key FILE")
    else:
        uplink = settings.uplink
        claim = Endpoint(
            uplink.endpoint,
            uplink.port,
            claim_client_id(thing),
            claim_certificate,
            claim_key,
            uplink.ca,
        )
    provision_now(claim, thing, settings.device.site, own)
    return f"{own.certificate}: valid until {expires(own.certificate):%Y-%m-%d}"


async def _certificate(
    transport: MqttTransport,
    request: bytes,
    thing: str,
    site: str,
    folder: IdentityFolder,
    template: str | None,
) -> str:
    service = iotidentity.IotIdentityClientV2(transport.client, client_options())
    signed = await answered(
        service.create_certificate_from_csr(
            iotidentity.CreateCertificateFromCsrRequest(
                certificate_signing_request=request.decode()
            )
        ),
        "certificate",
        UplinkError,
    )
    proof = await asyncio.to_thread(folder.proof, thing, str(signed.certificate_id))
    answer = await answered(
        service.register_thing(
            iotidentity.RegisterThingRequest(
                template_name=template or PROVISIONING_TEMPLATE,
                certificate_ownership_token=signed.certificate_ownership_token,
                parameters={"ThingName": thing, "Site": site, "Proof": proof},
            )
        ),
        "registration",
        UplinkError,
    )
    if answer.thing_name != thing:
        raise UplinkError(f"the cloud registered {answer.thing_name!r}; set device.id to that name")
    return str(signed.certificate_pem)

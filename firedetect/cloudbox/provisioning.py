"""Fleet provisioning by claim: a certificate first, then the rights of a thing.

Source: AWS IoT Core developer guide, pages fleet-provision-api and pre-provisioning-hook.
A certificate connects from the start, but has no right at all until RegisterThing; on AWS it is
PENDING_ACTIVATION until then and cannot connect. The guide has no list of error codes: all but
ACCESS_DENIED for what the hook refuses are our choice, its status 403 as well.
"""

import asyncio
import hashlib
import secrets
import sqlite3
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec

from firedetect.clock import NS_PER_S, Clock
from firedetect.cloudbox.access import reserved
from firedetect.cloudbox.authority import Authority, private_pem, signing_request, valid_name
from firedetect.cloudbox.wire import JsonObject, NotJsonError, Reply, decoded
from firedetect.contract.names import PROVISIONING_TEMPLATE
from firedetect.errors import BoxError

TOKEN_VALID_S: Final = 3600
HOOK_LIMIT_S: Final = 5.0
"""Published: "must finish running and return within 5 seconds"."""
_CREATE: Final = ("$aws/certificates/create", "$aws/certificates/create-from-csr")
_PROVISION: Final = f"$aws/provisioning-templates/{PROVISIONING_TEMPLATE}/provision"

Hook = Callable[[JsonObject], Awaitable[JsonObject]]
Grant = Callable[[Mapping[str, str]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Template:
    """What a registration must and may say, and what the device learns from it.

    `parameters` maps each name to its default, None where it must be given; `configuration`
    maps keys of the device's configuration to parameters.
    """

    parameters: Mapping[str, str | None] = field(
        default_factory=lambda: {"ThingName": None, "Site": "", "Proof": ""}
    )
    thing_name: str = "ThingName"
    configuration: Mapping[str, str] = field(default_factory=lambda: {"site": "Site"})


class ProvisioningRefusedError(Exception):
    """A request is not carried out; status and code as AWS IoT gives them."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class Provisioning:
    """Signs certificates and hands things their rights.

    `grant` is told who has which thing whenever that changes; `hook` is the pre-provisioning
    hook, asked before every registration.
    """

    filters: Sequence[str] = tuple(
        f"{base}/{form}" for base in (*_CREATE, _PROVISION) for form in ("json", "cbor")
    )

    def __init__(
        self,
        database: sqlite3.Connection,
        authority: Authority,
        clock: Clock,
        grant: Grant,
        *,
        template: Template | None = None,
        hook: Hook | None = None,
    ) -> None:
        self._database = database
        self._authority = authority
        self._clock = clock
        self._grant = grant
        self._template = template or Template()
        self._hook = hook

    async def answer(self, topic: str, payload: bytes) -> list[Reply]:
        """Carry out the request of a topic."""
        base, form = topic.rsplit("/", 1)
        try:
            request = _request(form, payload)
            if base == _PROVISION:
                body = await self._registered(request)
            else:
                body = self._created(request, with_key=base == _CREATE[0])
        except ProvisioningRefusedError as refused:
            error: JsonObject = {
                "statusCode": refused.status,
                "errorCode": refused.code,
                "errorMessage": str(refused),
            }
            return [Reply(f"{topic}/rejected", error)]
        return [Reply(f"{topic}/accepted", body)]

    def grants(self) -> dict[str, str]:
        """Return the thing of each certificate that has one."""
        rows = self._database.execute(
            "SELECT certificate_id, thing FROM certificate WHERE thing IS NOT NULL"
        )
        return dict(rows.fetchall())

    def thing_of(self, common_name: str) -> str | None:
        """Return the thing whose certificate has this name, None if it is nobody's (any more)."""
        if reserved(common_name):
            return None
        granted = self.grants()
        if common_name in granted:
            return granted[common_name]
        return common_name if common_name in self._authority.issued() else None

    async def release(self, thing: str) -> None:
        """Free a name: what certificates it has lose its rights, and a claim may take it again."""
        if reserved(thing):
            raise BoxError(f"{thing!r} is no thing")
        self._authority.withdraw(thing)
        self._database.execute("UPDATE certificate SET thing = NULL WHERE thing = ?", (thing,))
        await self._grant(self.grants())

    def _created(self, request: JsonObject, *, with_key: bool) -> JsonObject:
        key = ec.generate_private_key(ec.SECP256R1()) if with_key else None
        csr = signing_request(key) if key is not None else request.get("certificateSigningRequest")
        certificate_id = secrets.token_hex(32)
        try:
            if not isinstance(csr, str):
                raise BoxError("certificateSigningRequest is missing")  # noqa: TRY301
            pem = self._authority.sign(csr, certificate_id)
        except BoxError as error:
            code = "InvalidCertificateSigningRequest"
            raise ProvisioningRefusedError(400, code, str(error)) from error
        token = secrets.token_urlsafe(48)
        self._database.execute(
            "INSERT INTO certificate VALUES (?, ?, ?, ?, NULL)",
            (certificate_id, pem, _digest(token), self._now() + TOKEN_VALID_S),
        )
        body: JsonObject = {
            "certificateId": certificate_id,
            "certificatePem": pem,
            "certificateOwnershipToken": token,
        }
        return body if key is None else body | {"privateKey": private_pem(key)}

    async def _registered(self, request: JsonObject) -> JsonObject:
        certificate_id, pem = self._owned(request)
        parameters = self._parameters(request)
        if self._hook is not None:
            parameters |= await self._asked(self._hook, certificate_id, pem, parameters)
        thing = parameters[self._template.thing_name]
        if not valid_name(thing) or reserved(thing):
            words = f"{thing!r} cannot be the name of a thing"
            raise ProvisioningRefusedError(400, "InvalidParameter", words)
        # The token is used up: the same certificate cannot be given to a second thing.
        self._database.execute(
            "UPDATE certificate SET thing = ?, token = '' WHERE certificate_id = ?",
            (thing, certificate_id),
        )
        await self._grant(self.grants())
        configuration: JsonObject = {
            name: parameters[parameter] for name, parameter in self._template.configuration.items()
        }
        return {"thingName": thing, "deviceConfiguration": configuration}

    def _owned(self, request: JsonObject) -> tuple[str, str]:
        """Return id and certificate of whoever knows the ownership token."""
        token = request.get("certificateOwnershipToken")
        digest = _digest(token) if isinstance(token, str) else None
        row = self._database.execute(
            "SELECT certificate_id, pem FROM certificate WHERE token = ? AND expires > ?",
            (digest, self._now()),
        ).fetchone()
        if row is None:
            raise ProvisioningRefusedError(
                400,
                "InvalidCertificateOwnershipToken",
                "the certificate ownership token is unknown, used or expired",
            )
        return row[0], row[1]

    def _parameters(self, request: JsonObject) -> dict[str, str]:
        given = request.get("parameters", {})
        if not isinstance(given, dict):
            raise ProvisioningRefusedError(400, "InvalidParameter", "parameters must be an object")
        unknown = sorted(set(given) - set(self._template.parameters))
        if unknown:
            words = f"the template has no parameter {unknown[0]}"
            raise ProvisioningRefusedError(400, "InvalidParameter", words)
        parameters = {}
        for name, default in self._template.parameters.items():
            value = given.get(name, default)
            if not isinstance(value, str):
                words = f"parameter {name} must be given as a string"
                raise ProvisioningRefusedError(400, "InvalidParameter", words)
            parameters[name] = value
        return parameters

    async def _asked(
        self, hook: Hook, certificate_id: str, pem: str, parameters: dict[str, str]
    ) -> dict[str, str]:
        question: JsonObject = {
            "claimCertificateId": "claim",
            "certificateId": certificate_id,
            "certificatePem": pem,
            "templateArn": f"arn:aws:iot:local:provisioningtemplate/{PROVISIONING_TEMPLATE}",
            "clientId": "",
            "parameters": dict(parameters),
        }
        words = "the pre-provisioning hook refuses"
        refused = ProvisioningRefusedError(403, "ACCESS_DENIED", words)
        try:
            async with asyncio.timeout(HOOK_LIMIT_S):
                said = await hook(question)
        except Exception as error:
            # A hook that fails refuses, whatever its failure.
            raise refused from error
        if said.get("allowProvisioning") is not True:
            raise refused
        overrides = said.get("parameterOverrides") or {}
        if not isinstance(overrides, dict):
            raise refused
        known = self._template.parameters
        return {name: str(value) for name, value in overrides.items() if name in known}

    def _now(self) -> int:
        return self._clock.wall_ns() // NS_PER_S


def _request(form: str, payload: bytes) -> JsonObject:
    if form != "json":
        words = "the box understands JSON, no CBOR"
        raise ProvisioningRefusedError(415, "UnsupportedPayloadFormat", words)
    try:
        return decoded(payload)
    except (UnicodeDecodeError, NotJsonError) as error:
        words = f"the request is no JSON object: {error}"
        raise ProvisioningRefusedError(400, "InvalidPayload", words) from error


def _digest(token: str) -> str:
    """Return what is kept of a token: the database gives none away."""
    return hashlib.sha256(token.encode()).hexdigest()

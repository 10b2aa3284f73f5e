"""Who asks the pre-provisioning hook: a name that is taken goes to nobody but its holder.

The holder signs `firedetect-rotate:<thing>:<id of the new certificate>` with the present private
key (ECDSA, SHA-256) and sends the signature as parameter `Proof`, in base64. No request of another
certificate can use it again.
"""

import base64
import binascii
import sqlite3
from collections.abc import Awaitable, Callable

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from firedetect.cloudbox.authority import Authority, valid_name
from firedetect.cloudbox.wire import JsonObject
from firedetect.contract.clients import claim_client_id

Function = Callable[[JsonObject], Awaitable[JsonObject | None]]


class HolderOnly:
    """Answers as a pre-provisioning hook does: `allowProvisioning` for free names and holders.

    AWS tells the hook's function who asks; here who proves that he holds a name asks as it, and
    everybody else as a claim. `function` has the last word once it runs.
    """

    def __init__(
        self,
        database: sqlite3.Connection,
        authority: Authority,
        function: Function | None = None,
    ) -> None:
        self._database = database
        self._authority = authority
        self._function = function

    async def __call__(self, question: JsonObject) -> JsonObject:
        """Return whether the registration that AWS asks about may go on."""
        parameters = question["parameters"]
        assert isinstance(parameters, dict)  # noqa: S101 - the service's own
        thing, proof = str(parameters["ThingName"]), str(parameters["Proof"])
        held = self._certificates(thing)
        said = _signed(thing, str(question["certificateId"]))
        if held and not any(_proves(pem, proof, said) for pem in held):
            return {"allowProvisioning": False}
        if self._function is None:
            return {"allowProvisioning": True}
        who = thing if held else claim_client_id(thing)
        answer = await self._function(question | {"clientId": who})
        return {"allowProvisioning": bool(answer and answer.get("allowProvisioning") is True)}

    def taken(self, thing: str) -> bool:
        """Whether somebody has this name."""
        return bool(self._certificates(thing))

    def _certificates(self, thing: str) -> list[str]:
        """Return every certificate that has the rights of this thing now."""
        rows = self._database.execute("SELECT pem FROM certificate WHERE thing = ?", (thing,))
        held = [row[0] for row in rows]
        own = self._authority.issued_pem(thing) if valid_name(thing) else None
        return held if own is None else [*held, own]


def _signed(thing: str, certificate_id: str) -> bytes:
    return f"firedetect-rotate:{thing}:{certificate_id}".encode()


def _proves(pem: str, proof: str, said: bytes) -> bool:
    key = x509.load_pem_x509_certificate(pem.encode()).public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)  # noqa: S101 - the authority signs no other
    try:
        key.verify(base64.b64decode(proof, validate=True), said, ec.ECDSA(hashes.SHA256()))
    except (InvalidSignature, binascii.Error, ValueError):
        # ValueError: a proof that is no ASCII.
        return False
    return True

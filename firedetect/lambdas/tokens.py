"""Links with which somebody who was told can say that they take over: signed, and they expire."""

import base64
import binascii
import json
from typing import Annotated, Any, Final
from urllib.parse import urlencode

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from firedetect.errors import FiredetectError

VALID_S: Final = 48 * 3600
ALGORITHM: Final = "HMAC_SHA_256"
_MAC_BYTES: Final = 32
_LONGEST: Final = 1024


class TokenRefusedError(FiredetectError):
    """A link is not ours, was changed, or has expired."""


class Claim(BaseModel):
    """What a token says: which incident of which detector, until when (seconds since 1970)."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    incident_id: Annotated[str, Field(min_length=1, max_length=200)]
    thing: Annotated[str, Field(min_length=1, max_length=128)]
    exp: int


class Signer:
    """Makes links with a key that never leaves KMS; without address or key there are none."""

    def __init__(self, kms: Any, key: str, url: str) -> None:  # noqa: ANN401 - boto3
        self._kms = kms
        self._key = key
        self._url = url

    def link(self, incident_id: str, thing: str, now_s: int) -> str:
        """Return the address at which an incident can be acknowledged, nothing if there is none."""
        if not (self._url and self._key):
            return ""
        claim = Claim(incident_id=incident_id, thing=thing, exp=now_s + VALID_S)
        body = claim.model_dump_json().encode()
        answer = self._kms.generate_mac(KeyId=self._key, MacAlgorithm=ALGORITHM, Message=body)
        token = f"{_text(body)}.{_text(answer['Mac'])}"
        return f"{self._url}?{urlencode({'t': token})}"


class Verifier:
    """Reads tokens; cheap questions first, so that nonsense costs no request."""

    def __init__(self, kms: Any, key: str) -> None:  # noqa: ANN401 - boto3
        self._kms = kms
        self._key = key

    def claim(self, token: str, now_s: int) -> Claim:
        """Return what a token says; raises TokenRefusedError if it is not to be believed."""
        body, mac = _parts(token)
        try:
            claim = Claim.model_validate(json.loads(body))
        except (ValueError, ValidationError) as error:
            raise TokenRefusedError("it says nothing that we understand") from error
        if now_s >= claim.exp:
            raise TokenRefusedError("it has expired")
        try:
            self._kms.verify_mac(KeyId=self._key, MacAlgorithm=ALGORITHM, Message=body, Mac=mac)
        except self._kms.exceptions.KMSInvalidMacException as error:
            raise TokenRefusedError("its signature is not ours") from error
        return claim


def _parts(token: str) -> tuple[bytes, bytes]:
    body, dot, mac = token.partition(".")
    if not dot or len(token) > _LONGEST or not token.isascii():
        raise TokenRefusedError("it is no token")
    try:
        parts = _bytes(body), _bytes(mac)
    except (binascii.Error, ValueError) as error:
        raise TokenRefusedError("it is no token") from error
    if len(parts[1]) != _MAC_BYTES:
        raise TokenRefusedError("it is no token")
    return parts


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)

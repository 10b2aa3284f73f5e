"""Who this device is towards the cloud: a key that never leaves it, and a certificate for it."""

import base64
import contextlib
import os
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from firedetect.config import Settings
from firedetect.errors import UplinkError
from firedetect.uplink.sdk import Endpoint

CERTIFICATE: Final = "certificate.pem"
KEY: Final = "device.key"
_CURRENT: Final = "current"


class IdentityFolder:
    """Key and certificate belong together: a pair is one folder, a link names the one in use."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def certificate(self) -> Path:
        """The certificate in use."""
        return self.path / _CURRENT / CERTIFICATE

    @property
    def key(self) -> Path:
        """Its private key."""
        return self.path / _CURRENT / KEY

    def new_pair(self) -> tuple[Path, bytes]:
        """Make a key in a new folder; returns the folder and a signing request for the key.

        Raises UplinkError if the folder cannot be written.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            number = 1
            while (folder := self.path / f"pair-{number}").exists():
                number += 1
            folder.mkdir(mode=0o700)
            pem = key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
            _write(folder / KEY, pem)
        except OSError as error:
            raise UplinkError(f"{self.path}: no key can be stored: {error.strerror}") from error
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "firedetect")])
        request = x509.CertificateSigningRequestBuilder().subject_name(name)
        return folder, request.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def proof(self, thing: str, certificate_id: str) -> str:
        """Return the parameter that lets the holder of the present key, nobody else, replace it.

        Empty if there is no present key; raises UplinkError if it cannot be read.
        """
        if not self.key.exists():
            return ""
        try:
            key = serialization.load_pem_private_key(self.key.read_bytes(), password=None)
        except (OSError, ValueError) as error:
            raise UplinkError(f"{self.key}: is no private key: {error}") from error
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise UplinkError(f"{self.key}: is no elliptic-curve key")
        said = f"firedetect-rotate:{thing}:{certificate_id}".encode()
        return base64.b64encode(key.sign(said, ec.ECDSA(hashes.SHA256()))).decode()

    def complete(self, folder: Path, certificate: str) -> None:
        """Store the certificate beside its key; raises UplinkError."""
        try:
            _write(folder / CERTIFICATE, certificate.encode())
        except OSError as error:
            raise UplinkError(f"{folder}: cannot be written: {error.strerror}") from error

    def adopt(self, folder: Path) -> None:
        """Use a complete pair from now on; the one before stays on disk. Raises UplinkError."""
        try:
            link = self.path / f".{_CURRENT}"
            link.unlink(missing_ok=True)
            link.symlink_to(folder.name)
            link.replace(self.path / _CURRENT)
        except OSError as error:
            raise UplinkError(f"{folder}: cannot be adopted: {error.strerror}") from error

    def tidy(self) -> None:
        """Remove all pairs but the one in use and the newest one before it."""
        current = (self.path / _CURRENT).resolve()
        pairs = sorted(self.path.glob("pair-*"), key=_number, reverse=True)
        for pair in [pair for pair in pairs if pair.resolve() != current][1:]:
            self.drop(pair)

    def drop(self, folder: Path) -> None:
        """Remove a pair that came to nothing."""
        with contextlib.suppress(OSError):
            for file in folder.iterdir():
                file.unlink()
            folder.rmdir()


def identity_folder(settings: Settings) -> IdentityFolder:
    """Return where the device's own identity lies."""
    return IdentityFolder(settings.device.data_dir / "identity")


def endpoint_of(settings: Settings, client_id: str | None = None) -> Endpoint:
    """Return where to connect and as whom; raises UplinkError if there is no identity."""
    uplink = settings.uplink
    own = identity_folder(settings)
    endpoint = Endpoint(
        host=uplink.endpoint,
        port=uplink.port,
        client_id=client_id or settings.device.id,
        certificate=uplink.certificate or own.certificate,
        key=uplink.key or own.key,
        ca=uplink.ca,
        receivers_reported=uplink.receivers_reported,
    )
    for what, path in (("certificate", endpoint.certificate), ("key", endpoint.key)):
        if path is None or not path.exists():
            raise UplinkError(f"{path}: there is no {what}; run `firedetect provision`")
    if endpoint.ca is not None and not endpoint.ca.exists():
        raise UplinkError(f"{endpoint.ca}: there is no certificate authority; correct uplink.ca")
    return endpoint


def expires(certificate: Path) -> datetime:
    """Return when a certificate ends (UTC); raises UplinkError if it cannot be read."""
    return _read(certificate).not_valid_after_utc


def lifetime(certificate: Path) -> timedelta:
    """Return how long a certificate is valid from its begin; raises UplinkError."""
    read = _read(certificate)
    return read.not_valid_after_utc - read.not_valid_before_utc


def _read(certificate: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(certificate.read_bytes())
    except (OSError, ValueError) as error:
        raise UplinkError(f"{certificate}: is no certificate: {error}") from error


def _number(pair: Path) -> int:
    text = pair.name.rpartition("-")[2]
    return int(text) if text.isdecimal() else 0


def _write(path: Path, content: bytes) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())

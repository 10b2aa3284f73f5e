"""A certificate authority on this computer: signs the broker, things, operators and the claim."""

import datetime as dt
import ipaddress
import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from firedetect.clock import NS_PER_S, Clock, SystemClock
from firedetect.errors import BoxError

VALID_DAYS = 3650
_CA_VALID_DAYS = 7300
_BACKDATED = dt.timedelta(hours=1)
"""Certificates begin an hour ago: the clock of a device may be a little late."""
_NAME = re.compile(r"[a-zA-Z0-9:_-]{1,64}")
"""AWS IoT's rule for thing names, but the 64 characters that a certificate has room for.

It also keeps `/`, `+` and `#` out of the broker's access patterns.
"""


@dataclass(frozen=True, slots=True)
class Credentials:
    """The three files with which a client connects."""

    certificate: Path
    key: Path
    ca: Path


@dataclass(frozen=True, slots=True)
class Validity:
    """From when to when a certificate counts."""

    start: dt.datetime
    end: dt.datetime


class Authority:
    """The authority whose key lies in `folder`, made there if it is missing.

    Raises BoxError if what lies there is no authority of ours.
    """

    def __init__(self, folder: Path, clock: Clock | None = None) -> None:
        self._folder = folder
        self._clock = clock or SystemClock()
        self._changed: list[Callable[[], None]] = []
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.ca = folder / "ca.crt"
        self.issued_folder = folder / "issued"
        self._key, self._certificate = self._load() if self.ca.exists() else self._make()

    def server_certificate(self) -> Credentials:
        """Return a new certificate for `localhost` and 127.0.0.1."""
        names: list[x509.GeneralName] = [
            x509.DNSName("localhost"),
            x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
            x509.IPAddress(ipaddress.ip_address("::1")),
        ]
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._signed(
            key.public_key(), "localhost", None, ExtendedKeyUsageOID.SERVER_AUTH, names
        )
        return self._written("server", key, certificate, self._folder)

    def issue(
        self, common_name: str, *, validity: Validity | None = None, folder: Path | None = None
    ) -> Credentials:
        """Make a key and a certificate for a client; files in `folder`, else beside the CA."""
        files = self._issue(common_name, validity, folder or self.issued_folder)
        self._tell()
        return files

    def kept(self, common_name: str) -> Credentials:
        """Return the certificate issued to this name before, or issue one."""
        return self.kept_all([common_name])[0]

    def kept_all(self, common_names: Iterable[str]) -> list[Credentials]:
        """Return the certificate of each name, issued where it is missing, told of once."""
        files, missing = [], False
        for name in common_names:
            found = self._place(name)
            if not (found.certificate.exists() and found.key.exists()):
                found, missing = self._issue(name, None, self.issued_folder), True
            files.append(found)
        if missing:
            self._tell()
        return files

    def issued(self) -> list[str]:
        """Return the names that have a certificate in this folder."""
        return sorted(path.stem for path in self.issued_folder.glob("*.crt"))

    def issued_pem(self, common_name: str) -> str | None:
        """Return the certificate issued to this name, None if there is none."""
        path = self._place(common_name).certificate
        return path.read_text() if path.exists() else None

    def withdraw(self, common_name: str) -> None:
        """Forget the certificate issued to this name, if there is one."""
        found = self._place(common_name)
        for path in (found.certificate, found.key):
            path.unlink(missing_ok=True)
        self._tell()

    def on_change(self, call: Callable[[], None]) -> Callable[[], None]:
        """Have `call` told when this object changes what is issued; returns what ends that."""
        self._changed.append(call)
        return lambda: self._changed.remove(call)

    def sign(self, csr_pem: str, common_name: str, validity: Validity | None = None) -> str:
        """Return a certificate (PEM) for the key of a signing request, under our name for it.

        Raises BoxError if the request cannot be read or is not signed by its own key.
        """
        try:
            request = x509.load_pem_x509_csr(csr_pem.encode())
            sound = request.is_signature_valid
            public_key = request.public_key()
        except (ValueError, InvalidSignature) as error:
            raise BoxError(f"the certificate signing request cannot be read: {error}") from error
        if not sound or not isinstance(public_key, ec.EllipticCurvePublicKey):
            raise BoxError("the certificate signing request is not signed by its own P-256 key")
        usage = ExtendedKeyUsageOID.CLIENT_AUTH
        return _pem(self._signed(public_key, _checked(common_name), validity, usage))

    def _place(self, common_name: str) -> Credentials:
        path = self.issued_folder / _checked(common_name)
        # Not `with_suffix`: a name has no dot, and none may be taken for one.
        return Credentials(Path(f"{path}.crt"), Path(f"{path}.key"), self.ca)

    def _issue(self, common_name: str, validity: Validity | None, folder: Path) -> Credentials:
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._signed(
            key.public_key(), _checked(common_name), validity, ExtendedKeyUsageOID.CLIENT_AUTH
        )
        return self._written(common_name, key, certificate, folder)

    def _tell(self) -> None:
        for call in tuple(self._changed):
            call()

    def _now(self) -> dt.datetime:
        return dt.datetime.fromtimestamp(self._clock.wall_ns() / NS_PER_S, tz=dt.UTC)

    def _valid(self, days: int) -> Validity:
        now = self._now()
        return Validity(now - _BACKDATED, now + dt.timedelta(days=days))

    def _make(self) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
        key = ec.generate_private_key(ec.SECP256R1())
        name = _name("firedetect box")
        certificate = (
            _builder(name, name, key.public_key(), self._valid(_CA_VALID_DAYS))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs_certificates=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)  # noqa: FBT003
            .sign(key, hashes.SHA256())
        )
        self._written("ca", key, certificate, self._folder)
        return key, certificate

    def _load(self) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
        try:
            certificate = x509.load_pem_x509_certificate(self.ca.read_bytes())
            pem = (self._folder / "ca.key").read_bytes()
            key = serialization.load_pem_private_key(pem, password=None)
        except (OSError, ValueError) as error:
            raise BoxError(f"{self._folder}: is no usable authority: {error}") from error
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise BoxError(f"{self._folder}/ca.key: is no elliptic-curve key")
        return key, certificate

    def _signed(
        self,
        public_key: ec.EllipticCurvePublicKey,
        common_name: str,
        validity: Validity | None,
        usage: x509.ObjectIdentifier,
        names: list[x509.GeneralName] | None = None,
    ) -> x509.Certificate:
        valid = validity or self._valid(VALID_DAYS)
        issuer = self._certificate.subject
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        builder = (
            _builder(_name(common_name), issuer, public_key, valid)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .add_extension(identifier, critical=False)
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return builder.sign(self._key, hashes.SHA256())

    def _written(
        self,
        stem: str,
        key: ec.EllipticCurvePrivateKey,
        certificate: x509.Certificate,
        folder: Path,
    ) -> Credentials:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        files = Credentials(folder / f"{stem}.crt", folder / f"{stem}.key", self.ca)
        _write_private(files.key, private_pem(key).encode())
        files.certificate.write_text(_pem(certificate))
        return files


def private_pem(key: ec.EllipticCurvePrivateKey) -> str:
    """Return the key as PEM (PKCS 8, not encrypted)."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


def signing_request(key: ec.EllipticCurvePrivateKey) -> str:
    """Return a certificate signing request (PEM) for a key."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(_name("device"))
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def valid_name(name: str) -> bool:
    """Whether this can be the name of a thing."""
    return _NAME.fullmatch(name) is not None


def _checked(name: str) -> str:
    if not valid_name(name):
        raise BoxError(f"{name!r}: a name has 1 to 64 letters, digits, ':', '_' or '-'")
    return name


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _builder(
    subject: x509.Name, issuer: x509.Name, public_key: ec.EllipticCurvePublicKey, valid: Validity
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(valid.start)
        .not_valid_after(valid.end)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _write_private(path: Path, content: bytes) -> None:
    """Write a key that nobody else may read, not even for a moment."""
    path.unlink(missing_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as stream:
        stream.write(content)

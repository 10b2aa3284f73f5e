"""Signatures of bundles: Ed25519 over the bytes of the manifest, which names every other file.

A private key never leaves the computer that signs; a detector trusts the public keys in a folder.
"""

import hashlib
import os
import stat
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from firedetect.errors import BundleError, SignatureError
from firedetect.model.bundle import (
    MANIFEST_FILE,
    SIGNATURE_FILE,
    Bundle,
    load_bundle,
    read_file,
    write_file,
)

SIGNATURE_BYTES: Final = 64
PUBLIC_SUFFIXES: Final = (".pub", ".pem")
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


def generate_key(path: Path) -> Path:
    """Write a new private key (mode 0600) and its public key beside it; return the latter's path.

    Raises SignatureError when either is there already: a key that signed something is not lost.
    """
    public = path.with_suffix(".pub")
    if public == path:
        raise SignatureError(f"{path}: .pub is the public key's name; choose another")
    key = Ed25519PrivateKey.generate()
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    shared = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    if public.exists():
        raise SignatureError(f"{public}: is there already; choose another place")
    for target, content, mode in ((path, secret, 0o600), (public, shared, 0o644)):
        try:
            handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
            with os.fdopen(handle, "wb") as file:
                file.write(content)
        except FileExistsError as error:
            raise SignatureError(f"{target}: is there already; choose another place") from error
        except OSError as error:
            raise SignatureError(f"{target}: cannot be written: {error.strerror}") from error
    return public


def exposed(key: Path) -> bool:
    """Whether others than its owner may read a private key."""
    try:
        return bool(key.stat().st_mode & _OTHERS)
    except OSError:
        return False


def sign_bundle(path: Path, key: Path) -> Bundle:
    """Write the signature of the bundle in the folder `path`, which must pass its checks."""
    private = _private_key(key)
    bundle = load_bundle(path)
    write_file(path / SIGNATURE_FILE, private.sign(_manifest(bundle)))
    return bundle


def verify_signature(bundle: Bundle, trusted: Path | None) -> str:
    """Return the name of the trusted key that signed a loaded bundle.

    `trusted` is a folder of public keys (PEM). Raises SignatureError, which says whether the
    bundle is unsigned, its signature damaged, by no trusted key, or no key trusted at all.
    """
    return _signer(bundle.path, _manifest(bundle), trusted)


def verify_manifest(folder: Path, trusted: Path | None) -> tuple[str, str]:
    """Return the trusted key that signed a folder's manifest, and the manifest's sha256.

    Nothing of the bundle is parsed: who may send one need not be who may sign one. Raises as
    `verify_signature`.
    """
    content = read_file(folder / MANIFEST_FILE)
    return _signer(folder, content, trusted), hashlib.sha256(content).hexdigest()


def _signer(folder: Path, manifest: bytes, trusted: Path | None) -> str:
    keys = trusted_keys(trusted)
    path = folder / SIGNATURE_FILE
    if not path.is_symlink() and not path.exists():
        raise SignatureError(f"{folder}: is not signed; sign it with `firedetect model sign`")
    signature = read_file(path)
    if len(signature) != SIGNATURE_BYTES:
        raise SignatureError(
            f"{path}: is damaged: {len(signature)} bytes, {SIGNATURE_BYTES} expected"
        )
    for name, key in keys.items():
        try:
            key.verify(signature, manifest)
        except InvalidSignature:
            continue
        return name
    raise SignatureError(
        f"{path}: is by none of the trusted keys ({', '.join(keys)}), or the manifest was changed"
    )


def trusted_keys(folder: Path | None) -> dict[str, Ed25519PublicKey]:
    """Return the public keys in a folder by name; raises SignatureError unless there are any.

    A file that is no such key is refused rather than skipped: somebody meant it to be trusted.
    """
    if folder is None:
        raise SignatureError("no key is trusted: set model.trusted_keys to a folder of public keys")
    try:
        paths = sorted(path for path in folder.iterdir() if path.suffix in PUBLIC_SUFFIXES)
    except OSError as error:
        raise SignatureError(
            f"{folder}: the trusted keys cannot be read: {error.strerror}"
        ) from error
    if not paths:
        raise SignatureError(f"{folder}: holds no public key (.pub or .pem)")
    return {path.name: _public_key(path) for path in paths}


def _manifest(bundle: Bundle) -> bytes:
    """Return the manifest's bytes: those that were checked, not what the file holds by now."""
    content = read_file(bundle.path / MANIFEST_FILE)
    if hashlib.sha256(content).hexdigest() != bundle.hash:
        raise BundleError(f"{bundle.path / MANIFEST_FILE}: has changed since it was checked")
    return content


def _private_key(path: Path) -> Ed25519PrivateKey:
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise SignatureError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise SignatureError(f"{path}: is no private key without password (PEM)") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise SignatureError(f"{path}: is no Ed25519 key; make one with `firedetect model keygen`")
    return key


def _public_key(path: Path) -> Ed25519PublicKey:
    try:
        key = load_pem_public_key(path.read_bytes())
    except OSError as error:
        raise SignatureError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise SignatureError(f"{path}: is no public key (PEM)") from error
    if not isinstance(key, Ed25519PublicKey):
        raise SignatureError(f"{path}: is no Ed25519 public key")
    return key

"""Signatures: only what a trusted key signed passes, and every refusal says why."""

import json
import shutil
import stat
from functools import cache

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from firedetect.errors import BundleError, SignatureError
from firedetect.model.bundle import load_bundle
from firedetect.model.signature import exposed, generate_key, sign_bundle, verify_signature
from tests.core.bundles import make_bundle


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    """A folder with the private keys `release` and `other`, and `trusted` with release.pub."""
    folder = tmp_path_factory.mktemp("keys")
    (folder / "trusted").mkdir()
    shutil.copy(generate_key(folder / "release.key"), folder / "trusted")
    generate_key(folder / "other.key")
    return folder


@pytest.fixture(scope="module")
def signed(keys, tmp_path_factory):
    bundle = make_bundle(tmp_path_factory.mktemp("signed") / "bundle")
    return sign_bundle(bundle.path, keys / "release.key")


@pytest.fixture
def folder(signed, tmp_path):
    return shutil.copytree(signed.path, tmp_path / "bundle")


def refuse(folder, trusted, *evidence):
    with pytest.raises(SignatureError) as caught:
        verify_signature(load_bundle(folder), trusted)
    message = str(caught.value)
    assert "\n" not in message
    for part in evidence:
        assert part in message


def test_a_signed_bundle_passes_and_keeps_its_hash(signed, keys):
    assert (signed.path / "signature").stat().st_size == 64
    assert verify_signature(signed, keys / "trusted") == "release.pub"
    assert load_bundle(signed.path).hash == signed.hash
    assert sorted(entry.name for entry in signed.path.iterdir()) == [
        "manifest.json",
        "model.ubj",
        "signature",
    ]


def test_any_of_several_trusted_keys_will_do(folder, keys, tmp_path):
    (tmp_path / "trusted").mkdir()
    for name in ("other", "release"):
        shutil.copy(keys / f"{name}.pub", tmp_path / "trusted" / f"{name}.pem")
    (tmp_path / "trusted" / "README").write_text("not a key")
    assert verify_signature(load_bundle(folder), tmp_path / "trusted") == "release.pem"
    sign_bundle(folder, keys / "other.key")
    assert verify_signature(load_bundle(folder), tmp_path / "trusted") == "other.pem"


def test_an_unsigned_bundle_is_refused(folder, keys):
    (folder / "signature").unlink()
    refuse(folder, keys / "trusted", str(folder), "is not signed")


def test_a_signature_by_another_key_is_refused(folder, keys):
    sign_bundle(folder, keys / "other.key")
    refuse(folder, keys / "trusted", "none of the trusted keys", "release.pub")


@pytest.mark.parametrize("at", [0, 31, 63])
def test_a_flipped_bit_of_the_signature_is_refused(folder, keys, at):
    content = bytearray((folder / "signature").read_bytes())
    content[at] ^= 1
    (folder / "signature").write_bytes(bytes(content))
    refuse(folder, keys / "trusted", "signature", "none of the trusted keys")


@pytest.mark.parametrize("content", [b"", b"x" * 63, b"x" * 65])
def test_a_signature_of_wrong_length_is_refused(folder, keys, content):
    (folder / "signature").write_bytes(content)
    refuse(folder, keys / "trusted", "is damaged", str(len(content)))


def test_a_manifest_changed_after_signing_is_refused(folder, keys):
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"version": "9.9.9"}))
    refuse(folder, keys / "trusted", "the manifest was changed")


def test_a_manifest_changed_after_the_check_is_refused(folder, keys):
    bundle = load_bundle(folder)
    (folder / "manifest.json").write_bytes(b"{}")
    with pytest.raises(BundleError, match="has changed since it was checked"):
        verify_signature(bundle, keys / "trusted")


def test_a_signature_that_is_a_link_is_refused(folder, keys, tmp_path):
    shutil.move(folder / "signature", tmp_path / "away")
    (folder / "signature").symlink_to(tmp_path / "away")
    with pytest.raises(BundleError, match="is a link"):
        verify_signature(load_bundle(folder), keys / "trusted")


def test_without_trusted_keys_nothing_passes(folder, tmp_path):
    refuse(folder, None, "model.trusted_keys")
    refuse(folder, tmp_path / "none", "No such file")
    (tmp_path / "empty").mkdir()
    refuse(folder, tmp_path / "empty", "holds no public key")


@cache
def rsa_key():
    return generate_private_key(public_exponent=65537, key_size=2048)


def test_what_is_no_ed25519_key_is_refused(folder, tmp_path):
    trusted = tmp_path / "trusted"
    trusted.mkdir()
    (trusted / "a.pem").write_text("nonsense")
    refuse(folder, trusted, "a.pem", "is no public key")
    (trusted / "a.pem").write_bytes(
        rsa_key().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    refuse(folder, trusted, "a.pem", "is no Ed25519 public key")


def test_a_key_pair_is_made_once_and_kept_private(tmp_path):
    public = generate_key(tmp_path / "release.key")
    assert public == tmp_path / "release.pub"
    assert stat.S_IMODE((tmp_path / "release.key").stat().st_mode) == 0o600
    assert b"PRIVATE" not in public.read_bytes()
    before = (tmp_path / "release.key").read_bytes()
    with pytest.raises(SignatureError, match="is there already"):
        generate_key(tmp_path / "release.key")
    public.unlink()
    with pytest.raises(SignatureError, match=r"release\.key: is there already"):
        generate_key(tmp_path / "release.key")
    assert (tmp_path / "release.key").read_bytes() == before
    with pytest.raises(SignatureError, match="choose another"):
        generate_key(tmp_path / "x.pub")
    with pytest.raises(SignatureError, match="No such file"):
        generate_key(tmp_path / "none" / "x.key")


def test_a_private_key_that_others_may_read_is_noticed(tmp_path):
    generate_key(tmp_path / "release.key")
    assert not exposed(tmp_path / "release.key")
    (tmp_path / "release.key").chmod(0o640)
    assert exposed(tmp_path / "release.key")
    assert not exposed(tmp_path / "none")


def test_only_a_sound_bundle_is_signed_and_only_with_a_key(folder, keys, tmp_path):
    before = (folder / "signature").read_bytes()
    for content, evidence in (
        (b"nonsense", "is no private key"),
        (
            rsa_key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
            "is no Ed25519 key",
        ),
    ):
        (tmp_path / "bad.key").write_bytes(content)
        with pytest.raises(SignatureError, match=evidence):
            sign_bundle(folder, tmp_path / "bad.key")
    with pytest.raises(SignatureError, match="No such file"):
        sign_bundle(folder, tmp_path / "none.key")
    (folder / "model.ubj").write_bytes(b"x")
    with pytest.raises(BundleError, match="sha256"):
        sign_bundle(folder, keys / "release.key")
    assert (folder / "signature").read_bytes() == before

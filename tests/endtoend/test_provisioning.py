"""Provisioning by claim and rotation with the command itself; what left the device is looked at."""

import contextlib
import json
import stat

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from firedetect.cloudbox.authority import Authority
from firedetect.cloudbox.connection import Connection
from firedetect.uplink.provision import connected
from firedetect.uplink.transport import Endpoint
from tests.daemon.helpers import firedetect
from tests.endtoend.world import Detector
from tests.fakes.box import Heard
from tests.fakes.box import until as seen

pytestmark = pytest.mark.slow
SPKI = serialization.PublicFormat.SubjectPublicKeyInfo
DER = serialization.Encoding.DER


def settings(box, thing):
    return {
        "FIREDETECT_DEVICE__ID": thing,
        "FIREDETECT_UPLINK__ENDPOINT": box.said["endpoint"],
        "FIREDETECT_UPLINK__PORT": str(box.said["port"]),
        "FIREDETECT_UPLINK__CA": box.said["ca"],
    }


def claim(certificate, key):
    return ("--claim-cert", certificate, "--claim-key", key)


def public(key_or_certificate):
    return key_or_certificate.public_key().public_bytes(DER, SPKI)


def identity(folder):
    """Return certificate, private key and folder of the pair in use."""
    pair = (folder / "current").resolve()
    certificate = x509.load_pem_x509_certificate((pair / "certificate.pem").read_bytes())
    key_pem = (pair / "device.key").read_bytes()
    return certificate, serialization.load_pem_private_key(key_pem, None), pair


@contextlib.asynccontextmanager
async def listening(box):
    """Hear everything that is said about certificates."""
    said = box.said
    heard = Heard()
    ear = Connection("ear", said["endpoint"], said["port"], box.authority.kept("cloud"), heard)
    await ear.start()
    try:
        await ear.subscribe(["$aws/certificates/#", "$aws/provisioning-templates/#"])
        yield heard
    finally:
        await ear.stop()


def secrets(pair):
    """Return what must never leave the device."""
    return ["PRIVATE KEY", *(pair / "device.key").read_text().splitlines()[1:-1]]


async def test_the_key_never_leaves_the_device(box, tmp_path):
    held = box.said["claim"]
    by_claim = claim(held["certificate"], held["key"])
    env = settings(box, "claimed-1")
    async with listening(box) as heard:
        done = firedetect("provision", *by_claim, cwd=tmp_path, env=env)
        assert (done.returncode, "valid until" in done.stdout) == (0, True), done.stderr
        await seen(lambda: heard.on("provision/json/accepted"), "what was asked")
    certificate, key, pair = identity(tmp_path / "var" / "identity")
    assert stat.S_IMODE((pair / "device.key").stat().st_mode) == 0o600
    (request,) = heard.on("create-from-csr/json")
    asked = x509.load_pem_x509_csr(request["certificateSigningRequest"].encode())
    assert public(asked) == public(key) == public(certificate)
    everything = " ".join(payload.decode() for _, payload in heard)
    assert not [secret for secret in secrets(pair) if secret in everything]
    again = firedetect("provision", *by_claim, cwd=tmp_path, env=env)
    assert (again.returncode, "take --rotate" in again.stderr) == (1, True)


async def test_a_rotation_makes_another_pair_and_keeps_the_old_one(box, tmp_path):
    thing, env = "claimed-3", settings(box, "claimed-3")
    held = box.said["claim"]
    by_claim = claim(held["certificate"], held["key"])
    done = firedetect("provision", *by_claim, cwd=tmp_path, env=env)
    assert done.returncode == 0, done.stderr
    old, old_key, old_pair = identity(tmp_path / "var" / "identity")
    with Detector(tmp_path, thing, env) as detector:
        await seen(detector.is_up, detector.text, 60.0)
        async with listening(box) as heard:
            done = firedetect("provision", "--rotate", cwd=tmp_path, env=env)
            assert done.returncode == 0, done.stderr
            await seen(lambda: heard.on("provision/json/accepted"), "what was asked")
        new, new_key, new_pair = identity(tmp_path / "var" / "identity")
        assert new_pair != old_pair
        assert new.serial_number != old.serial_number
        assert public(new_key) == public(new) != public(old_key)
        everything = " ".join(payload.decode() for _, payload in heard)
        assert not [secret for secret in secrets(new_pair) if secret in everything]
        assert heard.on("provision/json")[-1]["parameters"]["Proof"]
        # The old pair stays on the disk, and counts until somebody revokes it.
        for pair in (old_pair, new_pair):
            async with connected(endpoint(box.said, f"{thing}-look", pair)):
                pass
        assert detector.is_up()
        detector.stop()
    with Detector(tmp_path, thing, env) as detector:
        await seen(detector.is_up, detector.text, 60.0)


def test_a_name_that_is_taken_needs_an_operator_for_another_device(box, tmp_path, say):
    env, held = settings(box, "claimed-4"), box.said["claim"]
    by_claim = claim(held["certificate"], held["key"])
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
    assert firedetect("provision", *by_claim, cwd=first, env=env).returncode == 0
    done = firedetect("provision", *by_claim, cwd=second, env=env)
    say(f"a name that is taken: {done.stderr.strip()}")
    assert (done.returncode, "registration: 403" in done.stderr) == (1, True)
    assert list((second / "var" / "identity").iterdir()) == []
    box.running.release("claimed-4")
    done = firedetect("provision", *by_claim, cwd=second, env=env)
    assert done.returncode == 0, done.stderr


def endpoint(said, client_id, pair):
    certificate, key = pair / "certificate.pem", pair / "device.key"
    return Endpoint(said["endpoint"], said["port"], client_id, certificate, key, said["ca"])


def test_a_wrong_claim_is_refused_in_one_line_and_leaves_nothing(box, tmp_path, say):
    env = settings(box, "claimed-2")
    stranger = Authority(tmp_path / "stranger").issue("claim")
    held = box.said["claim"]
    reserved = env | {"FIREDETECT_DEVICE__ID": "operator-2"}
    for wrong, settings_ in (
        (claim(stranger.certificate, stranger.key), env),
        (claim(held["certificate"], stranger.key), env),
        (claim(tmp_path / "missing.pem", held["key"]), env),
        (claim(held["certificate"], held["key"]), reserved),
    ):
        done = firedetect("provision", *wrong, cwd=tmp_path, env=settings_)
        say(f"wrong claim: {done.stderr.strip()}")
        assert done.returncode == 1
        assert len(done.stderr.splitlines()) == 1, done.stderr
        assert done.stderr.startswith("firedetect: ")
        folder = tmp_path / "var" / "identity"
        assert not folder.exists() or list(folder.iterdir()) == []
    assert "claimed-2" not in json.dumps(box.told("claimed-2"))

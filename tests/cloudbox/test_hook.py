"""A name that is taken: only the holder of its present key gets another certificate for it."""

import asyncio
import base64
import json

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from firedetect.clock import ManualClock, run_virtual
from firedetect.cloudbox.authority import Authority, Credentials, private_pem, signing_request
from firedetect.cloudbox.database import open_database
from firedetect.cloudbox.hook import HolderOnly
from firedetect.cloudbox.operator import RunningBox
from firedetect.cloudbox.provisioning import Provisioning
from firedetect.errors import BoxError
from tests.fakes.box import client, running_box, until

CSR = "$aws/certificates/create-from-csr/json"
PROVISION = "$aws/provisioning-templates/firedetect/provision/json"
THING = "thing-7"


def proof(key, thing, certificate_id):
    said = f"firedetect-rotate:{thing}:{certificate_id}".encode()
    return base64.b64encode(key.sign(said, ec.ECDSA(hashes.SHA256()))).decode()


class Office:
    """Provisioning with the box's hook."""

    def __init__(self, folder):
        self.database = open_database(None)
        self.authority = Authority(folder, ManualClock())
        self.granted = {}
        hook = HolderOnly(self.database, self.authority)
        self.service = Provisioning(
            self.database, self.authority, ManualClock(), self.grant, hook=hook
        )

    async def grant(self, grants):
        self.granted = dict(grants)

    async def ask(self, topic, request):
        (reply,) = await self.service.answer(topic, json.dumps(request).encode())
        return reply.body

    async def register(self, key, thing, prove=None):
        """Ask for a certificate for `key`; `prove` makes the proof from its id."""
        made = await self.ask(CSR, {"certificateSigningRequest": signing_request(key)})
        parameters = {"ThingName": thing}
        if prove is not None:
            parameters["Proof"] = prove(made["certificateId"])
        request = {"certificateOwnershipToken": made["certificateOwnershipToken"]}
        return made["certificateId"], await self.ask(
            PROVISION, request | {"parameters": parameters}
        )


@pytest.fixture
def office(tmp_path):
    made = Office(tmp_path / "ca")
    yield made
    made.database.close()


def a_key():
    return ec.generate_private_key(ec.SECP256R1())


async def test_a_free_name_needs_no_proof_and_a_rotation_proves_the_present_key(office):
    first, second, third = a_key(), a_key(), a_key()
    one, body = await office.register(first, THING)
    assert body["thingName"] == THING
    two, body = await office.register(second, THING, lambda new: proof(first, THING, new))
    assert body["thingName"] == THING
    # Both certificates count, so each key may prove.
    _, body = await office.register(third, THING, lambda new: proof(first, THING, new))
    assert body["thingName"] == THING
    assert office.granted[one] == office.granted[two] == THING


OLD, STRANGER = a_key(), a_key()
FORGED = {
    "no proof": None,
    "an empty proof": lambda _new: "",
    "no base64": lambda _new: "ö!",
    "a key of somebody else": lambda new: proof(STRANGER, THING, new),
    "the proof of another certificate": lambda _new: proof(OLD, THING, "0" * 64),
    "the proof of another thing": lambda new: proof(OLD, "thing-8", new),
}


@pytest.mark.parametrize("prove", FORGED.values(), ids=FORGED)
async def test_nobody_takes_over_the_name_of_another_thing(office, prove):
    held, _ = await office.register(OLD, THING)
    _, body = await office.register(STRANGER, THING, prove)
    assert (body["statusCode"], body["errorCode"]) == (403, "ACCESS_DENIED")
    assert office.granted == {held: THING}


async def test_a_name_that_the_authority_issued_itself_is_taken_too(office):
    files = office.authority.issue(THING)
    _, body = await office.register(STRANGER, THING)
    assert body["statusCode"] == 403
    own = serialization.load_pem_private_key(files.key.read_bytes(), None)
    _, body = await office.register(STRANGER, THING, lambda new: proof(own, THING, new))
    assert body["thingName"] == THING


async def test_a_released_name_is_free_and_its_certificates_have_no_rights(office):
    await office.register(OLD, THING)
    office.authority.issue(THING)
    await office.service.release(THING)
    assert office.granted == {}
    assert office.authority.issued() == []
    # The key of before proves nothing any more: it is not asked for.
    new, body = await office.register(STRANGER, THING)
    assert body["thingName"] == THING
    assert office.granted == {new: THING}
    with pytest.raises(BoxError, match="is no thing"):
        await office.service.release("cloud")


def test_a_hook_has_five_seconds(tmp_path):
    clock = ManualClock()

    async def slow(_question):
        await asyncio.sleep(5.1)
        return {"allowProvisioning": True}

    async def register():
        office = Office(tmp_path / "ca")
        office.service = Provisioning(
            office.database, office.authority, clock, office.grant, hook=slow
        )
        _, body = await office.register(OLD, THING)
        office.database.close()
        return body

    assert run_virtual(register(), clock)["statusCode"] == 403
    assert clock.monotonic_ns() == 5_000_000_000


async def asked(connection, heard, topic, request):
    before = len(heard)
    await connection.publish(topic, json.dumps(request).encode())
    await until(lambda: len(heard) > before, "an answer")
    return json.loads(heard[before][1])


@pytest.mark.slow
async def test_an_operator_frees_the_name_of_a_device_that_was_replaced(tmp_path):
    async with running_box(tmp_path / "box") as box:
        certificate = box.authority.kept("claim")
        held = []
        async with client(box.broker, "claim", certificate=certificate) as (claim, heard):
            await claim.subscribe([f"{CSR}/+", f"{PROVISION}/+"])
            for number in range(3):
                key = a_key()
                made = await asked(
                    claim, heard, CSR, {"certificateSigningRequest": signing_request(key)}
                )
                token = {"certificateOwnershipToken": made["certificateOwnershipToken"]}
                parameters = {"ThingName": THING}
                body = await asked(claim, heard, PROVISION, token | {"parameters": parameters})
                files = Credentials(
                    tmp_path / f"{number}.crt", tmp_path / f"{number}.key", certificate.ca
                )
                files.certificate.write_text(made["certificatePem"])
                files.key.write_text(private_pem(key))
                held.append((files, body))
                if number == 1:
                    running = RunningBox(tmp_path / "box")
                    await asyncio.to_thread(running.release, THING)
        (old, first), (refused, second), (new, third) = held
        assert (first.get("thingName"), third.get("thingName")) == (THING, THING)
        assert second["statusCode"] == 403
        for files, allowed in ((old, False), (refused, False), (new, True)):
            async with client(box.broker, f"try-{allowed}", certificate=files) as (device, _):
                if allowed:
                    assert await device.publish(f"firedetect/{THING}/event", b"{}") == 0
                else:
                    with pytest.raises(BoxError, match="135"):
                        await device.publish(f"firedetect/{THING}/event", b"{}")

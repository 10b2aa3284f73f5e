"""mosquitto as a child: rights by certificate, crashes, refusals, the end of the parent."""

import asyncio
import datetime as dt
import os
import signal
import ssl
import subprocess
import sys
import textwrap

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from firedetect.cloudbox import mosquitto
from firedetect.cloudbox.authority import (
    Authority,
    Credentials,
    Validity,
    private_pem,
    signing_request,
)
from firedetect.cloudbox.broker import Broker
from firedetect.errors import BoxError
from tests.fakes.box import client, need_mosquitto, running_broker, until

THING, OTHER = "thing-1", "thing-2"
SAID = [
    f"firedetect/{THING}/alert",
    f"firedetect/{THING}/event",
    f"$aws/rules/firedetect_beat/firedetect/{THING}/beat",
    f"$aws/things/{THING}/shadow/name/config/update",
    f"$aws/things/{THING}/shadow/get",
    f"$aws/things/{THING}/jobs/start-next",
    f"$aws/things/{THING}/jobs/j1/update",
    f"$aws/things/{THING}/defender/metrics/json",
    "$aws/certificates/create-from-csr/json",
    "$aws/provisioning-templates/firedetect/provision/json",
]
NOT_SAID = [
    f"firedetect/{OTHER}/alert",
    f"firedetect/{THING}/down",
    f"$aws/rules/firedetect_beat/firedetect/{OTHER}/beat",
    f"$aws/things/{OTHER}/shadow/update",
    f"$aws/things/{THING}/shadow/update/accepted",
    f"$aws/things/{THING}/shadow/update/delta",
    f"$aws/things/{THING}/shadow/name/config/update/rejected",
    f"$aws/things/{THING}/jobs/notify-next",
    f"$aws/things/{OTHER}/jobs/j1/update",
    "$aws/certificates/create/json",
    "anything",
]


async def denied(broker, name, topic, certificate=None):
    """See a publish refused; mosquitto closes the connection after that, as AWS does."""
    certificate = certificate or broker.authority.kept(name)
    async with client(broker, name, client_id="denied", certificate=certificate) as (one, _):
        with pytest.raises(BoxError, match="135"):
            await one.publish(topic, b"{}")


async def test_a_thing_says_what_is_its_own_and_nothing_else(tmp_path):
    async with (
        running_broker(tmp_path) as broker,
        client(broker, "cloud") as (cloud, heard),
        client(broker, THING) as (thing, _),
    ):
        await cloud.subscribe(["#", "$aws/#"])
        for topic in SAID:
            assert await thing.publish(topic, b"{}") == 0
        for topic in NOT_SAID:
            await denied(broker, THING, topic)
        await until(lambda: len(heard) == len(SAID), "the cloud hears all that is allowed")
        assert sorted(topic for topic, _ in heard) == sorted(SAID)


async def test_a_thing_hears_what_is_its_own_and_nothing_else(tmp_path):
    own = [
        f"firedetect/{THING}/down",
        f"$aws/things/{THING}/shadow/update/delta",
        f"$aws/things/{THING}/jobs/notify-next",
    ]
    foreign = [
        f"firedetect/{OTHER}/down",
        f"$aws/things/{OTHER}/shadow/update/accepted",
        f"$aws/rules/firedetect_beat/firedetect/{THING}/beat",
        f"firedetect/{OTHER}/alert",
    ]
    async with (
        running_broker(tmp_path) as broker,
        client(broker, "cloud") as (cloud, _),
        client(broker, THING) as (thing, heard),
    ):
        # Granted by mosquitto, whatever the rights: only delivery tells.
        await thing.subscribe(["#", "$aws/#"])
        for topic in [*foreign, *own]:
            await cloud.publish(topic, b"{}")
        await until(lambda: len(heard) == len(own), "the thing hears its own")
        assert [topic for topic, _ in heard] == own


async def test_operators_and_the_claim_have_their_rights_only(tmp_path):
    async with running_broker(tmp_path) as broker:
        broker.authority.issue("operator-anna")
        await broker.reload()
        async with (
            client(broker, "operator-anna") as (anna, heard),
            client(broker, "claim") as (claim, _),
            client(broker, "cloud") as (cloud, _),
        ):
            await anna.subscribe(["#", "$aws/#"])
            await anna.publish(f"$aws/things/{THING}/shadow/name/config/update", b"{}")
            await claim.publish("$aws/certificates/create/json", b"{}")
            for name, topic in [
                ("operator-anna", f"firedetect/{THING}/down"),
                ("operator-anna", f"$aws/things/{THING}/shadow/update/accepted"),
                ("claim", f"$aws/things/{THING}/shadow/update"),
                ("claim", f"firedetect/{THING}/alert"),
            ]:
                await denied(broker, name, topic)
            await cloud.publish(f"$aws/things/{OTHER}/shadow/update/delta", b"{}")
            await until(lambda: len(heard) == 2, "the operator hears shadows of all things")


async def test_whoever_is_no_thing_has_no_rights_of_a_thing_of_that_name(tmp_path):
    certificate_id = "0" * 64
    key = ec.generate_private_key(ec.SECP256R1())
    async with running_broker(tmp_path) as broker, client(broker, "cloud") as (cloud, heard):
        unregistered = Credentials(tmp_path / "new.crt", tmp_path / "new.key", broker.authority.ca)
        pem = broker.authority.sign(signing_request(key), certificate_id)
        unregistered.certificate.write_text(pem)
        unregistered.key.write_text(private_pem(key))
        files = {name: broker.authority.kept(name) for name in ("claim", "operator", "operator-2")}
        await cloud.subscribe(["#", "$aws/#"])
        for name, certificate in (files | {certificate_id: unregistered}).items():
            for topic in (
                f"firedetect/{name}/alert",
                f"firedetect/{name}/event",
                f"$aws/rules/firedetect_beat/firedetect/{name}/beat",
                f"$aws/things/{name}/shadow/update",
                f"$aws/things/{name}/jobs/start-next",
                f"$aws/things/{name}/defender/metrics/json",
            ):
                await denied(broker, name, topic, certificate)
        for topic in (
            "$aws/certificates/create-from-csr/json",
            "$aws/provisioning-templates/firedetect/provision/json",
        ):
            await denied(broker, certificate_id, topic, unregistered)
        async with (
            client(broker, certificate_id, certificate=unregistered) as (nobody, deaf),
            client(broker, "claim", certificate=files["claim"]) as (claim, claim_heard),
        ):
            await nobody.subscribe(["#", "$aws/#"])
            await claim.subscribe(["#", "$aws/#"])
            for name in ("claim", certificate_id):
                await cloud.publish(f"firedetect/{name}/down", b"{}")
                await cloud.publish(f"$aws/things/{name}/shadow/update/delta", b"{}")
            await cloud.publish("$aws/certificates/create/json/accepted", b"{}")
            await until(lambda: claim_heard, "the claim hears an answer")
            assert [topic for topic, _ in claim_heard] == ["$aws/certificates/create/json/accepted"]
            assert deaf == []
        own = {topic for topic, _ in heard if "/down" not in topic and "delta" not in topic}
        assert own == {"$aws/certificates/create/json/accepted"}


async def test_a_certificate_that_another_process_issues_has_its_rights_soon(tmp_path):
    async with running_broker(tmp_path) as broker, client(broker, "cloud") as (cloud, heard):
        await cloud.subscribe(["firedetect/+/alert"])
        made = Authority(tmp_path / "ca").issue(THING)
        held = [path.rename(tmp_path / path.name) for path in (made.certificate, made.key)]
        Authority(tmp_path / "ca").issue(THING)
        elsewhere = Credentials(*held, made.ca)
        access = tmp_path / "broker" / "access"
        await until(lambda: f"user {THING}\n" in access.read_text(), "the rights")
        async with client(broker, THING, certificate=elsewhere) as (thing, _):
            assert await thing.publish(f"firedetect/{THING}/alert", b"{}") == 0
        broker.authority.withdraw(THING)
        await denied(broker, THING, f"firedetect/{THING}/alert", elsewhere)
        assert len(heard) == 1


async def test_after_a_crash_the_cloud_is_subscribed_again(tmp_path):
    async with (
        running_broker(tmp_path) as broker,
        client(broker, "cloud") as (cloud, heard),
        client(broker, THING) as (thing, _),
    ):
        await cloud.subscribe(["firedetect/+/alert"])
        port, pid = broker.port, broker.pid
        await broker.kill()
        assert broker.pid == 0
        await broker.start()
        assert (broker.port, broker.pid == pid) == (port, False)

        async def arrives():
            while not heard:
                await thing.publish(f"firedetect/{THING}/alert", b"{}")
                await asyncio.sleep(0.05)

        await asyncio.wait_for(arrives(), 10)


async def test_rights_given_while_it_reads_the_former_ones_count_too(tmp_path):
    # mosquitto forgets a signal that comes while it reads; so many users take it half a second.
    async with running_broker(tmp_path) as broker:
        await broker.grant({f"user-{number}": f"thing-{number}" for number in range(2500)})
        newest = broker.authority.issue(THING)
        await broker.reload()
        async with client(broker, THING, certificate=newest) as (thing, heard):
            await thing.subscribe([f"firedetect/{THING}/down"])
            await thing.publish(f"firedetect/{THING}/alert", b"{}")
            async with client(broker, "cloud") as (cloud, _):
                await cloud.publish(f"firedetect/{THING}/down", b"{}")
                await until(lambda: heard, "the newest thing hears")


async def test_a_durable_session_survives_a_crash(tmp_path):
    async with running_broker(tmp_path, durable=True) as broker:
        # Both before the first leaves: new rights would end what is queued for whoever is absent.
        certificate, own = broker.authority.kept_all(["cloud", THING])
        async with client(broker, "cloud", certificate=certificate) as (cloud, _):
            await cloud.subscribe(["firedetect/+/alert"])
        async with client(broker, THING, certificate=own) as (thing, _):
            assert await thing.publish(f"firedetect/{THING}/alert", b'{"n": 1}') == 0
        stored = tmp_path / "broker" / "mosquitto.db"
        await until(lambda: stored.exists() and b'"n"' in stored.read_bytes(), "it is on disk")
        await broker.kill()
        await broker.start()
        async with client(broker, "cloud", certificate=certificate) as (_, heard):
            await until(lambda: heard.on("alert") == [{"n": 1}], "the message of before")


async def tls(broker, credentials):
    context = ssl.create_default_context(cafile=broker.authority.ca)
    if credentials is not None:
        context.load_cert_chain(credentials.certificate, credentials.key)
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", broker.port, ssl=context, server_hostname="localhost"
    )
    try:
        writer.write(b"\x10\x10\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x03abc")
        return await asyncio.wait_for(reader.read(2), 5)
    finally:
        writer.transport.abort()


async def test_no_certificate_an_expired_one_and_one_of_another_authority_stay_out(tmp_path):
    past = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    async with running_broker(tmp_path) as broker:
        good = broker.authority.issue(THING)
        expired = broker.authority.issue(
            THING, validity=Validity(past, past + dt.timedelta(days=1)), folder=tmp_path / "old"
        )
        strange = Authority(tmp_path / "strange").issue(THING)
        assert (await tls(broker, good))[:1] == b"\x20"
        for credentials in (None, expired, strange):
            with pytest.raises((ssl.SSLError, ConnectionError, asyncio.IncompleteReadError)):
                assert await tls(broker, credentials) == b"never"


async def test_what_is_too_large_is_not_passed_on(tmp_path):
    async with (
        running_broker(tmp_path) as broker,
        client(broker, "cloud") as (cloud, heard),
        client(broker, THING) as (thing, _),
    ):
        await cloud.subscribe(["firedetect/#"])
        await thing.publish(f"firedetect/{THING}/event", b"x" * (128 * 1024))
        with pytest.raises(BoxError, match="refuses"):
            await thing.publish(f"firedetect/{THING}/event", b"x" * (128 * 1024 + 1))
        await until(lambda: heard, "the message of 128 KB")
        assert [len(payload) for _, payload in heard] == [128 * 1024]


async def test_a_port_in_use_is_one_clear_error(tmp_path):
    async with running_broker(tmp_path) as broker:
        second = Broker(tmp_path / "second", broker.authority, port=broker.port)
        with pytest.raises(BoxError, match=f"does not start on port {broker.port}.*in use"):
            await second.start()


async def test_without_mosquitto_the_error_says_what_to_type(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(mosquitto, "_SYSTEM_PATH", str(tmp_path))
    with pytest.raises(BoxError, match="sudo apt-get install mosquitto"):
        await Broker(tmp_path / "broker", Authority(tmp_path / "ca")).start()


async def test_the_broker_ends_with_its_parent_however_that_ends(tmp_path):
    need_mosquitto()
    program = """
        import asyncio, sys
        from pathlib import Path
        from firedetect.cloudbox.authority import Authority
        from firedetect.cloudbox.broker import Broker
        async def main():
            folder = Path(sys.argv[1])
            broker = Broker(folder / "broker", Authority(folder / "ca"))
            await broker.start()
            print(broker.pid, flush=True)
            await asyncio.sleep(60)
        asyncio.run(main())
    """
    with subprocess.Popen(  # noqa: ASYNC220 - a real parent
        [sys.executable, "-c", textwrap.dedent(program), tmp_path], stdout=subprocess.PIPE
    ) as parent:
        pid = int(parent.stdout.readline())
        os.kill(pid, 0)
        parent.send_signal(signal.SIGKILL)
        parent.wait(10)

    def gone():
        try:
            with open(f"/proc/{pid}/stat") as stat:  # noqa: PTH123
                return stat.read().split()[2] == "Z"
        except FileNotFoundError:
            return True

    await until(gone, "the broker ends")


@pytest.mark.parametrize(("ci", "outcome"), [("true", "Failed"), ("", "Skipped")])
def test_a_missing_mosquitto_fails_in_ci_and_is_skipped_elsewhere(
    tmp_path, monkeypatch, ci, outcome
):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(mosquitto, "_SYSTEM_PATH", str(tmp_path))
    monkeypatch.setenv("CI", ci)
    with pytest.raises((pytest.fail.Exception, pytest.skip.Exception), match="mosquitto") as seen:
        need_mosquitto()
    assert seen.typename == outcome

"""Identity: made here, provisioned by claim, replaced before it ends, looked at by the doctor."""

import asyncio
import datetime
import stat

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from firedetect.clock import ManualClock, cancel_and_wait
from firedetect.cloudbox.access import CLAIM
from firedetect.cloudbox.authority import Authority, Validity, signing_request
from firedetect.config import DeviceSettings, Settings, UplinkSettings
from firedetect.contract.names import down_topic, event_topic
from firedetect.doctor.cloud import examine_cloud
from firedetect.errors import UplinkError
from firedetect.uplink.certificate import keep_certificate
from firedetect.uplink.connection import Connection
from firedetect.uplink.defender import metrics_of_this_machine
from firedetect.uplink.identity import endpoint_of, expires, identity_folder
from firedetect.uplink.link import Link
from firedetect.uplink.meter import MONTH_S, UNIT_BYTES, Meter
from firedetect.uplink.provision import provision
from firedetect.uplink.sdk import Will
from tests.fakes.box import running_broker, running_services, until
from tests.uplink.links import endpoint

THING = "thing-1"
DAY = datetime.timedelta(days=1)
NAME = x509.oid.NameOID.COMMON_NAME


def settings_of(broker, folder, **uplink):
    values = {"endpoint": broker.host, "port": broker.port, "ca": broker.authority.ca} | uplink
    return Settings(
        device=DeviceSettings(id=THING, data_dir=folder), uplink=UplinkSettings(**values)
    )


async def provisioned(broker, folder):
    settings = settings_of(broker, folder)
    await provision(endpoint(broker, CLAIM), THING, "cellar", identity_folder(settings))
    return settings


async def test_a_device_gets_a_certificate_for_a_key_that_only_it_can_read(tmp_path):
    async with running_broker(tmp_path) as broker, running_services(broker):
        settings = await provisioned(broker, tmp_path / "var")
        own = endpoint_of(settings)
        assert own.client_id == THING
        assert stat.S_IMODE(own.key.stat().st_mode) == 0o600
        assert b"PRIVATE KEY" in own.key.read_bytes()
        assert expires(own.certificate) > datetime.datetime.now(datetime.UTC)


async def test_a_refused_provisioning_leaves_nothing_behind(tmp_path):
    async with running_broker(tmp_path) as broker, running_services(broker):
        settings = settings_of(broker, tmp_path / "var")
        folder = identity_folder(settings)
        with pytest.raises(UplinkError, match="registration"):
            await provision(endpoint(broker, CLAIM), THING, "", folder, template="another")
        assert list(folder.path.iterdir()) == []
        with pytest.raises(UplinkError, match="run `firedetect provision`"):
            endpoint_of(settings)


async def test_a_claim_without_the_present_key_gets_no_name_that_is_taken(tmp_path):
    async with running_broker(tmp_path) as broker, running_services(broker) as services:
        holder = await provisioned(broker, tmp_path / "var")
        with pytest.raises(UplinkError, match="registration"):
            await provisioned(broker, tmp_path / "thief")
        assert list(identity_folder(settings_of(broker, tmp_path / "thief")).path.iterdir()) == []
        assert len(services.provisioning.grants()) == 1
        # The holder may, whatever it connects with.
        await provision(endpoint(broker, CLAIM), THING, "", identity_folder(holder))
        assert set(services.provisioning.grants().values()) == {THING}
        await services.provisioning.release(THING)
        await provisioned(broker, tmp_path / "replacement")


def test_a_present_key_that_cannot_be_read_is_said(tmp_path):
    folder = identity_folder(Settings(device=DeviceSettings(id=THING, data_dir=tmp_path)))
    assert folder.proof(THING, "abc") == ""
    pair, _ = folder.new_pair()
    folder.adopt(pair)
    folder.key.write_text("nonsense")
    with pytest.raises(UplinkError, match="is no private key"):
        folder.proof(THING, "abc")


async def test_a_certificate_near_its_end_is_replaced_and_the_link_goes_on(tmp_path):
    said = []
    async with running_broker(tmp_path) as broker, running_services(broker):
        settings = await provisioned(broker, tmp_path / "var")
        now = datetime.datetime.now(datetime.UTC)
        shorten(broker, settings, Validity(now - 60 * DAY, now + 10 * DAY))
        old = endpoint_of(settings).certificate.read_bytes()
        clock = ManualClock(wall_ns=round(now.timestamp() * 1e9))
        link = Link(down_topic(THING), lambda *what: said.append(what), lambda _: None)
        connection = Connection(link, lambda *what: said.append(what))
        will = Will(event_topic(THING), b"{}")
        tasks = [
            asyncio.create_task(connection.run(lambda: endpoint_of(settings), will)),
            asyncio.create_task(
                keep_certificate(
                    settings,
                    link,
                    clock,
                    lambda *what: said.append(what),
                    lambda new: connection.renew(new, will),
                )
            ),
        ]
        try:
            await until(
                lambda: endpoint_of(settings).certificate.read_bytes() != old, "another one", 30.0
            )
            await until(lambda: ("certificate", None) in said, "the end of it", 30.0)
            await until(link.connected.is_set, "the link", 30.0)
        finally:
            for task in tasks:
                await cancel_and_wait(task)
            await connection.close()
        assert [what for what in said if what[0] == "certificate" and what[1]] == []


def shorten(broker, settings, validity):
    """Let the certificate in use be valid for another time."""
    own = endpoint_of(settings)
    names = x509.load_pem_x509_certificate(own.certificate.read_bytes()).subject
    key = load_pem_private_key(own.key.read_bytes(), None)
    signed = broker.authority.sign(
        signing_request(key), str(names.get_attributes_for_oid(NAME)[0].value), validity
    )
    own.certificate.write_text(signed)


async def looked_at(broker, settings, left, life, *, ahead=0 * DAY):
    """Return what one look at a certificate says, and whether it was replaced."""
    now = datetime.datetime.now(datetime.UTC)
    shorten(broker, settings, Validity(now + left - life, now + left))
    before = endpoint_of(settings).certificate.read_bytes()
    said = []
    link = Link("down", lambda *_: None, lambda _: None)
    link.connected.set()

    async def renew(_new):
        pass

    looking = asyncio.create_task(
        keep_certificate(
            settings,
            link,
            ManualClock(wall_ns=round((now + ahead).timestamp() * 1e9)),
            lambda *what: said.append(what),
            renew,
        )
    )
    await until(lambda: said, "a look", 30.0)
    await cancel_and_wait(looking)
    return said, endpoint_of(settings).certificate.read_bytes() != before


async def test_a_certificate_with_a_short_life_is_not_replaced_at_every_look(tmp_path):
    async with running_broker(tmp_path) as broker, running_services(broker):
        settings = await provisioned(broker, tmp_path / "var")
        assert await looked_at(broker, settings, 8 * DAY, 20 * DAY) == (
            [("certificate", None)], False,
        )  # fmt: skip
        assert await looked_at(broker, settings, 5 * DAY, 20 * DAY) == (
            [("certificate", None)], True,
        )  # fmt: skip


async def test_a_new_certificate_that_ends_no_later_is_a_trouble(tmp_path):
    async with running_broker(tmp_path) as broker, running_services(broker):
        settings = await provisioned(broker, tmp_path / "var")
        said, replaced = await looked_at(broker, settings, 4000 * DAY, 9000 * DAY, ahead=3980 * DAY)
        assert replaced
        ((name, detail),) = said
        assert name == "certificate"
        assert "ends no later than the old one" in detail


async def test_only_the_pair_in_use_and_the_one_before_it_stay(tmp_path):
    async with running_broker(tmp_path) as broker, running_services(broker):
        settings = await provisioned(broker, tmp_path / "var")
        for _ in range(3):
            await looked_at(broker, settings, 5 * DAY, 20 * DAY)
        folder = identity_folder(settings)
        pairs = sorted(path.name for path in folder.path.glob("pair-*"))
        assert len(pairs) == 2
        assert (folder.path / "current").resolve().name in pairs


def findings(settings, status=None):
    return {found.name: found for found in examine_cloud(settings, status)}


async def doctor(settings):
    return await asyncio.to_thread(findings, settings)


@pytest.mark.slow
async def test_the_doctor_looks_at_identity_and_connection(tmp_path):
    async with running_broker(tmp_path) as broker:
        good = broker.authority.issue(THING)
        own = {"certificate": good.certificate, "key": good.key}
        found = await doctor(settings_of(broker, tmp_path / "var", **own))
        assert {name: one.state for name, one in found.items()} == {
            "identity": "ok",
            "cloud": "ok",
            "cloud traffic": "ok",
        }
        assert "$0.0" in found["cloud traffic"].detail

        now = datetime.datetime.now(datetime.UTC)
        day = datetime.timedelta(days=1)
        soon = broker.authority.issue("soon", validity=Validity(now - day, now + 10 * day))
        found = await doctor(
            settings_of(broker, tmp_path / "var", certificate=soon.certificate, key=soon.key)
        )
        assert found["identity"].state == "warn"
        ended = broker.authority.issue("ended", validity=Validity(now - 2 * day, now - day))
        found = await doctor(
            settings_of(broker, tmp_path / "var", certificate=ended.certificate, key=ended.key)
        )
        assert found["identity"].failed
        assert found["cloud"].failed
        other = Authority(tmp_path / "other")
        found = await doctor(settings_of(broker, tmp_path / "var", ca=other.ca, **own))
        assert "TLS failed" in found["cloud"].detail


def test_the_doctor_says_when_there_is_no_cloud_or_no_identity(tmp_path):
    alone = Settings(device=DeviceSettings(data_dir=tmp_path))
    assert findings(alone)["cloud"].state == "warn"
    stranger = Settings(
        device=DeviceSettings(data_dir=tmp_path), uplink=UplinkSettings(endpoint="localhost")
    )
    assert findings(stranger)["identity"].failed


def test_the_doctor_tells_what_a_running_detector_measured(tmp_path):
    alone = Settings(device=DeviceSettings(data_dir=tmp_path))
    meter = Meter(0.0)
    month = meter.per_month(30.0)
    status = {"endpoint": "e", "up": False, "why": "refused", "per_month": month}
    found = findings(alone, status)
    assert found["cloud"].failed
    assert "too early" in found["cloud traffic"].detail
    found = findings(alone, status | {"up": True, "per_month": meter.per_month(1200.0)})
    assert "measured over 20 min" in found["cloud traffic"].detail


def test_a_month_costs_what_its_messages_cost():
    meter = Meter(0.0)
    for _ in range(1000):
        meter.sent("$aws/rules/r/firedetect/t/telemetry", UNIT_BYTES + 1)
        meter.sent("firedetect/t/event", 100)
        meter.shadow_operation()
    month = meter.per_month(MONTH_S)
    connected = MONTH_S / 60 * 0.08e-6
    expected = 1000 * 1.0e-6 + 3000 * 0.3e-6 + 1000 * 1.25e-6 + connected
    assert month["usd"] == pytest.approx(expected, abs=1e-4)
    assert month["messages"] == 2000


def test_defender_is_told_of_ports_connections_and_traffic(unused_tcp_port):
    async def listening():
        server = await asyncio.start_server(lambda *_: None, "127.0.0.1", unused_tcp_port)
        try:
            return await asyncio.to_thread(metrics_of_this_machine)
        finally:
            server.close()
            await server.wait_closed()

    metrics = asyncio.run(listening())
    ports = metrics["listening_tcp_ports"]
    assert {"interface": "127.0.0.1", "port": unused_tcp_port} in ports["ports"]
    assert metrics["network_stats"]["bytes_out"] >= 0

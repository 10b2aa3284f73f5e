"""The transport against a real broker: what is delivered, refused, lost and found again."""

import asyncio
import datetime

import pytest

from firedetect.cloudbox.authority import Authority, Validity
from firedetect.contract.limits import PAYLOAD_MAX_BYTES
from firedetect.errors import (
    LinkDownError,
    NoReceiverError,
    PublishRefusedError,
    UplinkError,
)
from firedetect.uplink.sdk import Will
from firedetect.uplink.transport import MESSAGES_BURST, MqttTransport
from tests.fakes.box import running_broker, until
from tests.uplink.links import Heard, connected, endpoint


async def test_a_publish_counts_only_when_somebody_gets_it(tmp_path):
    async with running_broker(tmp_path) as broker, connected(broker, "t1") as (device, _):
        with pytest.raises(NoReceiverError):
            await device.publish("firedetect/t1/event", b"1")
        async with connected(broker, "cloud") as (cloud, heard):
            await cloud.subscribe("firedetect/t1/event")
            await device.publish("firedetect/t1/event", b"2")
            await until(lambda: heard.messages, "the message")
            assert heard.messages == [("firedetect/t1/event", b"2")]


@pytest.mark.fault("F55", "F74")
async def test_a_denied_topic_is_refused_and_the_link_comes_back(tmp_path):
    async with running_broker(tmp_path) as broker, connected(broker, "t1") as (device, heard):
        with pytest.raises(PublishRefusedError, match="not authorized"):
            await device.publish("firedetect/t2/alert", b"forged")
        # The broker ends the connection over it, as AWS does.
        await until(lambda: heard.up, "the link", 20.0)


@pytest.mark.fault("F55")
@pytest.mark.parametrize(
    ("topic", "payload", "reason"),
    [
        ("firedetect/t1/event", b"x" * (PAYLOAD_MAX_BYTES + 1), "at most 131072"),
        ("a/b/c/d/e/f/g/h/i", b"", "8 slashes, at most 7"),
        ("firedetect/+/event", b"", "wildcard"),
        ("x" * 257, b"", "257 bytes, at most 256"),
    ],
    ids=["payload", "slashes", "wildcard", "topic"],
)
async def test_limits_of_aws_are_kept_without_asking_the_broker(tmp_path, topic, payload, reason):
    async with running_broker(tmp_path) as broker, connected(broker, "t1") as (device, _):
        with pytest.raises(PublishRefusedError, match=reason):
            await device.publish(topic, payload)


@pytest.mark.fault("F50")
@pytest.mark.slow
async def test_a_killed_broker_is_seen_and_found_again(tmp_path):
    async with running_broker(tmp_path) as broker, connected(broker, "t1") as (device, heard):
        await broker.kill()
        await until(lambda: not heard.up, "the loss")
        with pytest.raises(LinkDownError):
            await device.publish("firedetect/t1/event", b"")
        await broker.start()
        await until(lambda: heard.up, "the link", 20.0)


async def test_the_last_will_is_sent_on_a_stop_too(tmp_path):
    async with running_broker(tmp_path) as broker, connected(broker, "cloud") as (cloud, heard):
        await cloud.subscribe("firedetect/t1/event")
        will = Will("firedetect/t1/event", b"gone")
        async with connected(broker, "t1", will=will):
            pass
        await until(lambda: heard.messages, "the last will")
        assert heard.messages == [("firedetect/t1/event", b"gone")]


ATTEMPT_LIMIT_S = 60.0
"""The SDK's TLS holds back its failure for 10 to 30 s on purpose, against attacks by timing."""


async def refused_connection(target):
    heard = Heard()
    transport = MqttTransport(target, heard)
    transport.start()
    await until(lambda: heard.states, "an attempt", ATTEMPT_LIMIT_S)
    await transport.stop()
    assert not any(state.up for state in heard.states)
    return heard.states[0].detail


@pytest.mark.fault("F54")
@pytest.mark.slow
async def test_a_wrong_authority_is_refused_never_downgraded(tmp_path):
    async with running_broker(tmp_path) as broker:
        other = Authority(tmp_path / "other")
        detail = await refused_connection(endpoint(broker, "t1", ca=other.ca))
        assert detail.startswith("TLS failed")


@pytest.mark.fault("F54")
async def test_a_certificate_of_another_authority_is_refused(tmp_path):
    async with running_broker(tmp_path) as broker:
        foreign = Authority(tmp_path / "other").issue("t1")
        target = endpoint(broker, "t1", certificate=foreign.certificate, key=foreign.key)
        assert await refused_connection(target)


@pytest.mark.fault("F54")
async def test_an_expired_certificate_is_refused(tmp_path):
    async with running_broker(tmp_path) as broker:
        now = datetime.datetime.now(datetime.UTC)
        day = datetime.timedelta(days=1)
        old = broker.authority.issue("old", validity=Validity(now - 2 * day, now - day))
        target = endpoint(broker, "t1", certificate=old.certificate, key=old.key)
        assert await refused_connection(target)


@pytest.mark.fault("F52")
async def test_a_name_that_cannot_be_resolved_is_said(tmp_path):
    async with running_broker(tmp_path) as broker:
        detail = await refused_connection(endpoint(broker, "t1", host="nowhere.invalid"))
        assert "cannot be resolved" in detail


@pytest.mark.fault("F52")
async def test_a_closed_port_is_said(tmp_path, unused_tcp_port):
    async with running_broker(tmp_path) as broker:
        detail = await refused_connection(endpoint(broker, "t1", port=unused_tcp_port))
        assert detail == "connection refused"


async def test_no_certificate_is_one_clear_error(tmp_path):
    async with running_broker(tmp_path) as broker:
        target = endpoint(broker, "t1", certificate=tmp_path / "none.pem")
        with pytest.raises(UplinkError, match="cannot be used to connect"):
            MqttTransport(target, Heard())


async def test_two_clients_with_one_name_are_told_so(tmp_path):
    async with (
        running_broker(tmp_path) as broker,
        connected(broker, "t1") as (_, first),
        connected(broker, "t1"),
    ):
        await until(lambda: not first.states[-1].up, "the take-over")
        assert "another client" in first.states[-1].detail


@pytest.mark.fault("F58")
@pytest.mark.slow
async def test_a_flood_from_afar_is_cut_and_counted(tmp_path):
    async with running_broker(tmp_path) as broker, connected(broker, "t1") as (device, heard):
        await device.subscribe("firedetect/t1/down")
        async with connected(broker, "cloud") as (cloud, _):
            sent = 0
            # In waves: on a busy machine the answers to all of them at once would come too late.
            while heard.dropped <= 100:
                assert sent < 20 * MESSAGES_BURST, f"{heard.dropped} of {sent} were cut"
                async with asyncio.TaskGroup() as tasks:
                    for _ in range(MESSAGES_BURST):
                        tasks.create_task(cloud.publish("firedetect/t1/down", b"x"))
                sent += MESSAGES_BURST
        await until(lambda: len(heard.messages) + heard.dropped == sent, "all of them")

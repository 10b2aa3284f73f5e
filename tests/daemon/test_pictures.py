"""Pictures of alarms: named at once, sent behind the message, and said if that does not work."""

import asyncio
import contextlib
import datetime as dt
import ssl
from types import SimpleNamespace

import numpy as np
import pytest
from aiohttp import web
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from firedetect.clock import NS_PER_S, ManualClock, SystemClock, cancel_and_wait
from firedetect.cloudbox.authority import Authority, Validity
from firedetect.cloudbox.credentials import CredentialsProvider
from firedetect.config import (
    DeviceSettings,
    PictureSettings,
    Settings,
    UplinkSettings,
    load_settings,
)
from firedetect.contract.level import Level
from firedetect.contract.messages import DetectorMessage
from firedetect.daemon.detect import Detector
from firedetect.daemon.messages import message_of
from firedetect.daemon.queue import EventQueue
from firedetect.daemon.remote import pictures
from firedetect.daemon.remote.pictures import FRESH_S, WAITING_MAX, AlarmPictures
from firedetect.doctor.cloud import examine_cloud
from firedetect.errors import ConfigError, LinkDownError, TransferError, UplinkError
from firedetect.readings import ThermalImage, Tick
from firedetect.uplink.identity import endpoint_of
from firedetect.uplink.meter import expected
from firedetect.uplink.rights import ask_for_rights
from tests.daemon.test_thermogram import decoded
from tests.fakes.box import until
from tests.fakes.outcomes import alarming

THING = "thing-1"
KEY = "thing-1/pictures/thing-1-1-7.png"
ROLE = "arn:aws:iam::123456789012:role/firedetect-pictures"
ALIAS = "firedetect-pictures"


def image(t_s=0.0, max_c=180.0):
    temp_c = np.full((24, 32), 21.0, np.float32)
    temp_c[10, 20] = max_c
    return ThermalImage(round(t_s * NS_PER_S), temp_c)


def outcome(t_s=0.0, incident="thing-1-1-7", level=Level.ALERT, **changes):
    return alarming(t_s, incident, level, **{"event_id": "thing-1-1-7"} | changes)


class Registry:
    """Stands for the clients of the box's AWS: one alias, rights that last `lasts_s`."""

    def __init__(self):
        self.lasts_s = 3600.0
        self.given = 0

    def client(self, _service):
        return self

    def describe_role_alias(self, *, roleAlias):  # noqa: N803 - AWS's name
        if roleAlias != ALIAS:
            error = {"Error": {"Code": "ResourceNotFoundException", "Message": "no such alias"}}
            raise ClientError(error, "DescribeRoleAlias")
        described = {"roleArn": ROLE, "credentialDurationSeconds": 3600}
        return {"roleAliasDescription": described}

    def assume_role(self, *, RoleArn, RoleSessionName, DurationSeconds):  # noqa: N803
        assert (RoleArn, RoleSessionName, DurationSeconds) == (ROLE, THING, 3600)
        self.given += 1
        ends = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=self.lasts_s)
        given = {"AccessKeyId": "AKIA", "SecretAccessKey": "secret", "SessionToken": "tok/en+1="}
        return {"Credentials": given | {"Expiration": ends}}


class Bucket:
    """Stands for S3: takes what is signed as botocore would sign it."""

    def __init__(self):
        self.objects = {}
        self.tags = []
        self.status = []
        self.asked = 0

    async def put(self, request):
        self.asked += 1
        body = await request.read()
        if self.status:
            return web.Response(status=self.status.pop(0), text="<Code>AccessDenied</Code>")
        assert signature_of(request, body) in request.headers["Authorization"]
        self.objects[request.match_info["key"]] = body
        self.tags.append(request.headers["x-amz-tagging"])
        assert request.headers["Content-Type"] == "image/png"
        return web.Response()


def signature_of(request, body):
    """Sign a request anew with botocore, from the headers that it says were signed."""
    names = request.headers["Authorization"].split("SignedHeaders=")[1].split(",")[0].split(";")
    headers = {name: request.headers[name] for name in names}
    again = AWSRequest("PUT", str(request.url), headers=headers, data=body)
    again.context["timestamp"] = request.headers["x-amz-date"]
    signer = S3SigV4Auth(Credentials("AKIA", "secret", "tok/en+1="), "s3", "eu-central-1")
    text = signer.string_to_sign(again, signer.canonical_request(again))
    return "Signature=" + signer.signature(text, again)


@contextlib.asynccontextmanager
async def served(app, **options):
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, **options).start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


@contextlib.asynccontextmanager
async def cloud(folder):
    """A credentials provider and a bucket; gives both with settings that lead there."""
    authority, registry, bucket = Authority(folder / "ca"), Registry(), Bucket()
    own = authority.issue(THING)
    things = {THING: THING}
    provider = CredentialsProvider(things.get, registry.client)
    await provider.start(authority.server_certificate())
    app = web.Application()
    app.router.add_put("/bucket/{key:.*}", bucket.put)
    async with served(app) as port:
        made = SimpleNamespace(
            authority=authority, registry=registry, bucket=bucket, provider=provider, things=things
        )
        made.settings = settings_for(own, provider.endpoint, f"http://127.0.0.1:{port}/bucket")
        try:
            yield made
        finally:
            await provider.stop()


def settings_for(own, provider, bucket_url):
    return Settings(
        device=DeviceSettings(id=THING, site="workshop"),
        uplink=UplinkSettings(
            endpoint="localhost", ca=own.ca, certificate=own.certificate, key=own.key
        ),
        pictures=PictureSettings(
            share=True,
            credentials_endpoint=provider,
            bucket_url=bucket_url,
            region="eu-central-1",
        ),
    )


class Told:
    """Hears of troubles as the daemon would."""

    def __init__(self):
        self.now = {}
        self.heard = []

    def __call__(self, name, detail):
        self.heard.append(detail)
        if detail is None:
            self.now.pop(name, None)
        else:
            self.now[name] = detail


@contextlib.asynccontextmanager
async def sending(settings, told, **options):
    made = AlarmPictures(settings, SystemClock(), told, retry_s=(0.05,), tolerated_s=0.0, **options)
    task = asyncio.create_task(made.run())
    try:
        yield made
    finally:
        await cancel_and_wait(task)


async def test_the_picture_of_an_alarm_is_named_at_once_and_arrives_signed(tmp_path):
    told = Told()
    async with cloud(tmp_path) as made, sending(made.settings, told) as sender:
        sender.reading(Tick(0))
        sender.reading(image())
        assert sender.take(outcome()) == KEY
        png = await until(lambda: made.bucket.objects.get(KEY), "the picture")
        assert made.bucket.tags == ["kind=picture"]
        _, texts = decoded(png)
        assert texts["Maximum"].startswith("180.0 C at row 10, column 20")
        assert texts["Title"] == "thing-1-1-7"
        assert texts["Source"] == "thing-1 at workshop"
        assert texts["Creation Time"] == "2027-01-15T08:00:00.000Z"
        assert texts["Level"] == "alert"
        await until(lambda: not sender._waiting, "nothing waits")
    assert told.now == {}


async def test_rights_are_asked_for_once_and_before_there_is_a_fire(tmp_path):
    async with cloud(tmp_path) as made, sending(made.settings, Told()) as sender:
        await until(lambda: made.registry.given, "rights lie ready")
        for number in range(3):
            sender.reading(image())
            sender.take(outcome(incident=f"thing-1-1-{number}"))
            await until(lambda: len(made.bucket.objects) == number + 1, "a picture")  # noqa: B023
        assert made.registry.given == 1


async def test_a_higher_level_replaces_the_picture_of_its_incident(tmp_path):
    async with cloud(tmp_path) as made, sending(made.settings, Told()) as sender:
        for level, max_c in ((Level.ALERT, 90.0), (Level.EMERGENCY, 250.0)):
            sender.reading(image(max_c=max_c))
            assert sender.take(outcome(level=level)) == KEY
            text = f"{max_c:.1f} C"
            await until(
                lambda: text in decoded_maximum(made.bucket.objects),  # noqa: B023
                f"the picture of {text}",
            )
        assert list(made.bucket.objects) == [KEY]


def decoded_maximum(objects):
    return decoded(objects[KEY])[1]["Maximum"] if KEY in objects else ""


async def test_a_provider_that_refuses_is_a_trouble_until_it_does_not(tmp_path):
    told = Told()
    async with cloud(tmp_path) as made:
        made.things.clear()
        async with sending(made.settings, told) as sender:
            await until(lambda: "status 403" in told.now.get("pictures", ""), "the trouble")
            sender.reading(image())
            assert sender.take(outcome()) == KEY
            await until(lambda: "1 waiting" in told.heard[-1], "what it means")
            assert made.bucket.asked == 0
            made.things[THING] = THING
            await until(lambda: KEY in made.bucket.objects, "the picture after all")
            await until(lambda: not told.now, "no trouble")


@contextlib.asynccontextmanager
async def black_hole(endpoint):
    """Stand before an endpoint: swallow what is said until the event is set, then let it pass."""
    ends = asyncio.Event()
    host, _, port = endpoint.partition(":")

    async def carry(reader, writer):
        with contextlib.suppress(OSError):
            while said := await reader.read(65536):
                writer.write(said)
                await writer.drain()
        writer.close()

    async def join(reader, writer):
        if ends.is_set():
            there = await asyncio.open_connection(host, int(port))
            async with asyncio.TaskGroup() as group:
                group.create_task(carry(reader, there[1]))
                group.create_task(carry(there[0], writer))
        else:
            await reader.read()
            writer.close()

    server = await asyncio.start_server(join, "127.0.0.1", 0)
    try:
        yield f"localhost:{server.sockets[0].getsockname()[1]}", ends
    finally:
        server.close()


async def test_a_provider_that_swallows_everything_is_a_trouble_until_it_does_not(tmp_path):
    told = Told()
    async with cloud(tmp_path) as made, black_hole(made.provider.endpoint) as (endpoint, ends):
        ways = made.settings.pictures.model_copy(update={"credentials_endpoint": endpoint})
        lost = made.settings.model_copy(update={"pictures": ways})
        async with sending(lost, told, answer_s=0.3) as sender:
            sender.reading(image())
            begun = asyncio.get_running_loop().time()
            assert sender.take(outcome()) == KEY
            assert asyncio.get_running_loop().time() - begun < 0.05
            await until(lambda: "no answer" in told.now.get("pictures", ""), "the trouble")
            ends.set()
            await until(lambda: KEY in made.bucket.objects, "the picture after all")
            await until(lambda: not told.now, "no trouble")


async def test_a_bucket_that_refuses_is_a_trouble_and_rights_are_asked_for_anew(tmp_path):
    told = Told()
    async with cloud(tmp_path) as made, sending(made.settings, told) as sender:
        made.bucket.status = [403, 403, 503]
        sender.reading(image())
        sender.take(outcome())
        await until(lambda: KEY in made.bucket.objects, "the picture after all")
        await until(lambda: not told.now, "no trouble")
        assert sum("AccessDenied" in (detail or "") for detail in told.heard) == 3
        # Anew after each refusal, but not after what passes by itself.
        assert made.registry.given == 3


async def test_a_short_failure_is_no_trouble(tmp_path):
    told = Told()
    async with cloud(tmp_path) as made:
        made.bucket.status = [500, 500]
        sender = AlarmPictures(made.settings, SystemClock(), told, retry_s=(0.01,))
        sender.reading(image())
        sender.take(outcome())
        task = asyncio.create_task(sender.run())
        await until(lambda: KEY in made.bucket.objects and told.heard, "the picture")
        await cancel_and_wait(task)
        assert told.heard == [None]


def sender_without_cloud(told=None):
    settings = Settings(device=DeviceSettings(id=THING))
    return AlarmPictures(settings, ManualClock(), told or Told())


def test_there_is_no_picture_without_an_image_of_this_moment_or_an_incident():
    sender = sender_without_cloud()
    assert sender.take(outcome()) is None
    sender.reading(image(t_s=5.0))
    assert sender.take(outcome(t_s=5.0 + FRESH_S + 0.1)) is None
    assert sender.take(outcome(t_s=5.0, incident=None)) is None
    assert not sender._waiting
    assert sender.take(outcome(t_s=5.0 + FRESH_S)) == KEY


def test_only_so_many_pictures_wait():
    sender = sender_without_cloud()
    sender.reading(image())
    keys = [sender.take(outcome(incident=f"thing-1-1-{n}")) for n in range(WAITING_MAX + 3)]
    assert list(sender._waiting) == keys[3:]


def test_only_alarms_have_a_picture_in_their_message():
    asked = []

    def picture_of(one):
        asked.append(one)
        return KEY

    alert = outcome()
    said = DetectorMessage.model_validate_json(
        message_of(alert, None, THING, "", picture_of).payload
    )
    assert (said.kind, said.picture) == ("alarm", KEY)
    for other, before in (
        (outcome(level=Level.WARNING), None),
        (alert, alert),
        (outcome(level=Level.NORMAL, drill=True), None),
    ):
        body = message_of(other, before, THING, "", picture_of).payload
        assert "picture" not in body
    assert asked == [alert]
    assert "picture" not in message_of(alert, None, THING, "").payload


def test_what_goes_wrong_with_a_picture_keeps_no_alarm():
    def broken(_outcome):
        raise RuntimeError("no picture today")

    queue = EventQueue()
    detector = Detector(
        None, queue, None, ManualClock(), THING, "", lambda _outcome: None, picture_of=broken
    )
    message = message_of(outcome(), None, THING, "", detector._pictured)
    assert DetectorMessage.model_validate_json(message.payload).picture is None
    assert [event.name for event in queue._events] == ["picture"]


async def test_whoever_has_no_valid_certificate_gets_no_rights(tmp_path):
    async with cloud(tmp_path) as made:
        own = endpoint_of(made.settings)
        where = made.provider.endpoint
        rights = await ask_for_rights(own, where, ALIAS, THING)
        assert "secret" not in repr(rights)
        assert "tok/en" not in repr(rights)
        with pytest.raises(TransferError, match="403"):
            await ask_for_rights(own, where, ALIAS, "thing-2")
        with pytest.raises(TransferError, match="404"):
            await ask_for_rights(own, where, "another", THING)
        past = dt.datetime(2001, 1, 1, tzinfo=dt.UTC)
        files = {
            "of a stranger": Authority(tmp_path / "strange").issue(THING),
            "of nobody": made.authority.issue("thing-9"),
            "ended": made.authority.issue(
                THING, validity=Validity(past, past + dt.timedelta(1)), folder=tmp_path / "old"
            ),
        }
        for what, given in files.items():
            settings = settings_for(given, where, "http://127.0.0.1:9/b")
            asked = endpoint_of(settings)
            if what == "of a stranger":
                # It trusts the box, but the box does not know it.
                uplink = settings.uplink.model_copy(update={"ca": made.authority.ca})
                asked = endpoint_of(settings.model_copy(update={"uplink": uplink}))
            with pytest.raises(UplinkError):
                await ask_for_rights(asked, where, ALIAS, THING)
        assert made.registry.given == 1


async def test_the_doctor_says_whether_pictures_would_be_let_in(tmp_path):
    running = {"up": True, "endpoint": "localhost", "per_month": expected()}

    async def found(settings):
        told = await asyncio.to_thread(lambda: list(examine_cloud(settings, running)))
        return next((one for one in told if one.name == "pictures"), None)

    async with cloud(tmp_path) as made:
        assert (await found(made.settings)).state == "ok"
        assert made.registry.given == 1
        ways = made.settings.pictures
        nobody = ways.model_copy(update={"credentials_endpoint": "localhost:9"})
        refused = await found(made.settings.model_copy(update={"pictures": nobody}))
        assert refused.failed
        assert "localhost:9" in refused.detail
        assert "credentials_endpoint" in refused.advice
        other = made.settings.device.model_copy(update={"id": "thing-2"})
        assert "403" in (await found(made.settings.model_copy(update={"device": other}))).detail
        silent = ways.model_copy(update={"share": False})
        assert await found(made.settings.model_copy(update={"pictures": silent})) is None


async def test_what_is_no_credentials_provider_is_told_from_one(tmp_path):
    authority = Authority(tmp_path / "ca")
    server, own = authority.server_certificate(), authority.issue(THING)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(server.certificate, server.key)
    answers = [
        web.json_response({"hello": 1}),
        web.Response(text="<html>"),
        web.Response(status=503),
    ]

    async def answer(_request):
        return answers.pop(0)

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    async with served(app, ssl_context=tls) as port:
        endpoint = endpoint_of(settings_for(own, "localhost", "https://localhost/b"))
        for error in (TransferError, TransferError, LinkDownError):
            with pytest.raises(error):
                await ask_for_rights(endpoint, f"localhost:{port}", ALIAS, THING)


@pytest.mark.parametrize("missing", ["credentials_endpoint", "bucket_url", "region"])
def test_a_site_that_opted_in_says_where_pictures_go(tmp_path, missing):
    lines = {
        "credentials_endpoint": "c1.credentials.iot.eu-central-1.amazonaws.com",
        "bucket_url": "https://b.s3.eu-central-1.amazonaws.com",
        "region": "eu-central-1",
    }
    path = tmp_path / "firedetect.toml"
    text = "[uplink]\nendpoint = 'x'\n[pictures]\nshare = true\n"
    whole = text + "".join(f"{name} = '{value}'\n" for name, value in lines.items())
    path.write_text(whole)
    assert load_settings(path).pictures.share
    del lines[missing]
    path.write_text(text + "".join(f"{name} = '{value}'\n" for name, value in lines.items()))
    with pytest.raises(ConfigError, match=f"pictures.share needs pictures.{missing}"):
        load_settings(path)


def test_pictures_are_off_unless_a_site_opts_in():
    assert not Settings().pictures.share
    assert pictures.TROUBLE == "pictures"

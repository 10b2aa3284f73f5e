"""firedetect-acknowledge: the page, its button, and what the detector makes of it."""

import asyncio
import base64
import datetime as dt
import json
import logging
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest
from aws_lambda_powertools.utilities.idempotency.exceptions import IdempotencyPersistenceLayerError
from hypothesis import given
from hypothesis import strategies as st

from firedetect.contract.names import INCIDENTS_TABLE
from firedetect.contract.shadow import DesiredAlarm, desired_alarm
from firedetect.daemon.messages import message_of
from firedetect.lambdas import acknowledge
from firedetect.lambdas.incidents import Incidents
from firedetect.lambdas.rows import client
from firedetect.lambdas.settings import AcknowledgeSettings
from firedetect.lambdas.tokens import VALID_S, Signer, TokenRefusedError, Verifier
from firedetect.readings import Command, CommandAction, CommandSource
from tests.daemon.test_remote_alarm import Site
from tests.lambdas.helpers import (
    T0,
    URL,
    Down,
    acknowledging,
    context,
    environment,
    escalation,
    message,
    rows,
)

THING = "thing-1"
PRESSED = "level=alert"


class Desk:
    """The page, its clock, and the shadow behind it."""

    def __init__(self):
        self.settings = AcknowledgeSettings.read(environment())
        self.now = T0
        self.iot = boto3.client("iot-data")
        boto3.client("iot").create_thing(thingName=THING)
        self.one = self.made()

    def made(self, **parts):
        return acknowledging(lambda: self.now, **{"iot": self.iot} | parts)

    def token(self, incident="thing-1-1-1", thing=THING):
        signer = Signer(client("kms"), self.settings.sign_key, URL)
        return token_of(signer.link(incident, thing, int(self.now.timestamp())))

    def ask(self, token, method="GET", body="", **more):
        return self.one.answer(request(token, method, body, **more), context())

    def desired(self):
        answer = self.iot.get_thing_shadow(thingName=THING, shadowName="alarm")
        return json.loads(answer["payload"].read())["state"]["desired"]


def request(token, method="GET", body="", **more):
    """An event of a function's address, payload 2.0."""
    return {
        "version": "2.0",
        "rawPath": "/",
        "rawQueryString": f"t={token}",
        "queryStringParameters": None if token is None else {"t": token},
        "headers": {},
        "requestContext": {"http": {"method": method, "path": "/", "sourceIp": "192.0.2.1"}},
        "body": body,
        "isBase64Encoded": False,
    } | more


def token_of(link):
    return parse_qs(urlsplit(link).query)["t"][0]


def tell(*events):
    one = escalation(Down())
    for event in events:
        one.handle(event, context())


@pytest.fixture
def desk(people):
    tell(message(1))
    made = Desk()
    made.people = people
    return made


def row():
    (found,) = rows(INCIDENTS_TABLE)
    return found


def test_the_link_that_people_were_sent_shows_what_burns_where_and_changes_nothing(desk):
    ((_, text, _),) = desk.people.told()
    token = token_of(text.rpartition(" ")[2])
    before = row()
    for _ in range(3):
        page = desk.ask(token)
    assert page["statusCode"] == 200
    for words in ("cellar", "thing-1", "alert", "hot_spot", '<form method="post">'):
        assert words in page["body"]
    assert page["body"].count("<button") == 1
    assert row() == before
    headers = page["headers"]
    assert headers["cache-control"] == "no-store"
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "form-action 'self'" in headers["content-security-policy"]
    assert headers["referrer-policy"] == "no-referrer"
    head = desk.ask(token, "HEAD")
    assert (head["statusCode"], head["body"]) == (200, "")


def test_the_button_marks_the_incident_and_asks_the_detector(desk):
    page = desk.ask(desk.token(), "POST", PRESSED)
    assert page["statusCode"] == 200
    assert "Thank you" in page["body"]
    assert row()["acknowledged"] is True
    assert row()["acknowledgements"] == [
        {"level": "alert", "source": "link", "by": "", "at": "2026-01-01T00:00:00.000+00:00"}
    ]
    asked = desired_alarm(desk.desired())
    assert isinstance(asked, DesiredAlarm)
    assert (asked.acknowledge.incident_id, asked.acknowledge.by) == ("thing-1-1-1", "link, alert")
    assert asked.silence is None


def test_a_picture_is_behind_the_page_wherever_its_button_is_or_was(people):
    tell(message(1, picture="thing-1/pictures/thing-1-1-1.png"))
    desk = Desk()
    token = desk.token()
    href = f'<a href="?t={token}&amp;show=picture">Look at the picture</a>'
    pages = [desk.ask(token), desk.ask(token, "POST", "level=none")]
    assert [page["statusCode"] for page in pages] == [200, 409]
    pages += [desk.ask(token, "POST", PRESSED), desk.ask(token)]
    assert all(page["body"].count(href) == 1 for page in pages)
    clear = {"incident_id": None, "level": "normal", "current": "normal", "alarm": "clear"}
    tell(message(5, kind="event", **clear))
    for method in ("GET", "POST"):
        assert href in desk.ask(token, method, PRESSED)["body"]
    # It is the same place as in the message.
    ((_, text, _), *_) = people.told()
    assert urlsplit(text.rpartition(" ")[2]).query.endswith("&show=picture")


def test_without_a_picture_the_page_has_no_link(desk):
    assert "<a " not in desk.ask(desk.token())["body"]


def test_pressed_again_it_says_by_whom_and_when(desk):
    desk.ask(desk.token(), "POST", PRESSED)
    desk.now += dt.timedelta(minutes=5)
    for method, body in (("POST", PRESSED), ("GET", "")):
        page = desk.ask(desk.token(), method, body)
        assert page["statusCode"] == 200
        assert "already by somebody with the link in a message" in page["body"]
        assert "2026-01-01T00:00:00.000" in page["body"]
        assert "<button" not in page["body"]
    assert len(row()["acknowledgements"]) == 1


def test_who_acknowledged_at_the_detector_is_named_and_the_detector_is_not_asked(desk):
    tell(message(2, kind="event", alarm="acknowledged", ts="2025-12-31T23:59:59.000+00:00"))
    page = desk.ask(desk.token(), "POST", PRESSED)
    assert "already by somebody at the detector, at 2025-12-31T23:59:59.000" in page["body"]
    with pytest.raises(desk.iot.exceptions.ResourceNotFoundException):
        desk.desired()
    assert [one["source"] for one in row()["acknowledgements"]] == ["device", "link"]


def test_a_row_of_before_there_was_a_name_says_that_it_is_acknowledged(desk):
    Incidents(client("dynamodb"), INCIDENTS_TABLE).change(
        "thing-1-1-1",
        lambda one: one.model_copy(
            update={"acknowledged": True, "acknowledged_level": "alert", "revision": 9}
        ),
    )
    assert "already before" in desk.ask(desk.token())["body"]


def test_who_saw_an_alert_has_not_acknowledged_the_emergency(desk):
    token = desk.token()
    tell(message(3, level="emergency", current="emergency"))
    page = desk.ask(token, "POST", PRESSED)
    assert page["statusCode"] == 409
    assert 'value="emergency"' in page["body"]
    assert row()["acknowledged"] is False
    for body in ("", "level=", "level=hot", "level"):
        assert desk.ask(token, "POST", body)["statusCode"] == 409
    assert desk.ask(token, "POST", "level=emergency")["statusCode"] == 200
    assert row()["acknowledged"] is True
    assert desk.desired()["acknowledge"]["by"] == "link, emergency"


def test_a_body_may_come_as_base64(desk):
    body = base64.b64encode(PRESSED.encode()).decode()
    assert desk.ask(desk.token(), "POST", "%%%", isBase64Encoded=True)["statusCode"] == 409
    assert desk.ask(desk.token(), "POST", body, isBase64Encoded=True)["statusCode"] == 200


def changed_(token, place):
    letter = "A" if token[place] != "A" else "B"
    return token[:place] + letter + token[place + 1 :]


def forged(token):
    """A token for another incident with the signature of this one."""
    body = json.dumps({"incident_id": "thing-1-1-2", "thing": THING, "exp": 4_000_000_000})
    return base64.urlsafe_b64encode(body.encode()).decode().rstrip("=") + "." + token.split(".")[1]


WRONG = {
    "none": lambda _: None,
    "empty": lambda _: "",
    "nonsense": lambda _: "x" * 50,
    "not ascii": lambda _: "ä.ä",
    "long": lambda token: token + "A" * 2000,
    "short signature": lambda token: token[:-4],
    "other signature": lambda token: changed_(token, -5),
    "another incident": forged,
    "no JSON": lambda token: "AAAA." + token.split(".")[1],
    "markup": lambda _: "<script>alert(1)</script>",
}


@pytest.mark.parametrize("what", WRONG)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_wrong_link_gets_a_page_in_plain_words_and_changes_nothing(desk, what, method, caplog):
    caplog.set_level(logging.DEBUG, "firedetect")
    token = desk.token()
    before = row()
    page = desk.ask(WRONG[what](token), method, PRESSED)
    assert page["statusCode"] == 403
    assert "This link cannot be used" in page["body"]
    assert "Traceback" not in page["body"]
    assert "<script" not in page["body"]
    assert row() == before
    assert token not in caplog.text
    assert token.split(".")[1] not in caplog.text


def test_a_link_ends_after_two_days(desk):
    token = desk.token()
    desk.now += dt.timedelta(seconds=VALID_S - 1)
    assert desk.ask(token)["statusCode"] == 200
    desk.now += dt.timedelta(seconds=1)
    page = desk.ask(token, "POST", PRESSED)
    assert page["statusCode"] == 403
    assert "it has expired" in page["body"]
    assert row()["acknowledged"] is False


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_incident_that_nobody_knows(desk, method):
    for token in (desk.token("thing-1-1-9"), desk.token(thing="thing-2")):
        page = desk.ask(token, method, PRESSED)
        assert (page["statusCode"], "Not known" in page["body"]) == (404, True)


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", ""])
def test_other_methods_are_not_allowed(desk, method):
    page = desk.ask(desk.token(), method, PRESSED)
    assert (page["statusCode"], page["headers"]["allow"]) == (405, "GET, HEAD, POST")


def test_after_a_reset_there_is_nothing_to_take_over(desk):
    clear = {"incident_id": None, "level": "normal", "current": "normal", "alarm": "clear"}
    tell(message(5, kind="event", **clear))
    for method in ("GET", "POST"):
        page = desk.ask(desk.token(), method, PRESSED)
        assert "This alarm is over" in page["body"]
        assert "<button" not in page["body"]


@pytest.mark.usefixtures("people")
def test_what_a_detector_says_is_no_markup():
    evil = '<script>alert("x")</script>'
    tell(message(1, site=evil, reasons=[evil]))
    desk = Desk()
    page = desk.ask(desk.token())
    assert "<script" not in page["body"]
    assert "&lt;script&gt;" in page["body"]


class Soon:
    """A context that is nearly over: what it leaves undone may be done at once."""

    def get_remaining_time_in_millis(self):
        return 1


class Failing:
    """A client of which one call fails, a number of times."""

    def __init__(self, service, name, times=1, *, after=False):
        self._real = boto3.client(service)
        self.exceptions = self._real.exceptions
        self.meta = self._real.meta
        self.name, self.times, self.after = name, times, after

    def __getattr__(self, name):
        call = getattr(self._real, name)

        def use(**given_):
            if name != self.name or not self.times:
                return call(**given_)
            self.times -= 1
            if self.after:
                call(**given_)
            raise ConnectionError("no answer")

        return use


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(
    ("part", "service", "name"),
    [
        ("kms", "kms", "verify_mac"),
        ("dynamodb", "dynamodb", "get_item"),
        ("dynamodb", "dynamodb", "put_item"),
        ("iot", "iot-data", "update_thing_shadow"),
        ("sns", "sns", "publish"),
        ("events", "events", "put_events"),
        ("remembers", "dynamodb", "put_item"),
        ("remembers", "dynamodb", "update_item"),
    ],
)
def test_whichever_call_fails_pressing_again_makes_all_good(desk, part, service, name, after):
    desk.people.told()
    desk.people.posted()
    one = desk.made(**{part: Failing(service, name, after=after)})
    event = request(desk.token(), "POST", PRESSED)
    with pytest.raises((ConnectionError, IdempotencyPersistenceLayerError)):
        one.answer(event, Soon())
    assert one.answer(event, Soon())["statusCode"] == 200
    assert row()["acknowledged"] is True
    assert desk.desired()["acknowledge"]["incident_id"] == "thing-1-1-1"
    assert len(row()["acknowledgements"]) == 1
    kinds = [said["kind"] for _, _, said in desk.people.told()]
    # Only where nobody knows whether SNS or the memory took it, people may hear it twice.
    twice = ["taken-over"] * 2 if after or part == "remembers" else None
    assert kinds in (["taken-over"], twice)
    posted = [one["detail"]["kind"] for one in desk.people.posted()]
    assert posted in (["taken-over"], ["taken-over"] * 2 if after and part == "events" else None)
    assert one.answer(event, Soon())["statusCode"] == 200
    assert (desk.people.told(), desk.people.posted()) == ([], [])


@pytest.mark.parametrize("what", ["publish", "put_events"])
def test_who_presses_is_told_that_others_do_not_know_but_the_alarm_is_taken_over(desk, what):
    part, service = {"publish": ("sns", "sns"), "put_events": ("events", "events")}[what]
    one = desk.made(**{part: Failing(service, what, times=99)})
    with pytest.raises(ConnectionError):
        one.answer(request(desk.token(), "POST", PRESSED), Soon())
    assert row()["acknowledged"] is True
    assert desk.desired()["acknowledge"]["incident_id"] == "thing-1-1-1"


class Racing:
    """DynamoDB in which the level rises before the first write."""

    def __init__(self):
        self._real = client("dynamodb")
        self.exceptions = self._real.exceptions
        self.happens = [lambda: tell(message(3, level="emergency", current="emergency"))]

    def get_item(self, **given_):
        return self._real.get_item(**given_)

    def put_item(self, **given_):
        if self.happens:
            self.happens.pop()()
        return self._real.put_item(**given_)


def test_a_level_that_rises_while_the_button_is_pressed_is_not_acknowledged(desk):
    racing = desk.made(dynamodb=Racing())
    page = racing.answer(request(desk.token(), "POST", PRESSED), context())
    assert page["statusCode"] == 409
    assert (row()["acknowledged"], row()["acknowledged_level"]) == (False, "alert")
    with pytest.raises(desk.iot.exceptions.ResourceNotFoundException):
        desk.desired()


@pytest.mark.parametrize("known", [True, False])
def test_the_handler_itself_reads_its_environment_and_never_shows_a_traceback(
    desk, known, monkeypatch, caplog
):
    if not known:
        monkeypatch.delenv("SIGN_KEY")
    token = desk.token() if known else "x"
    acknowledge._acknowledging.cache_clear()
    try:
        page = acknowledge.handler(request(token), context())
    finally:
        acknowledge._acknowledging.cache_clear()
    assert page["statusCode"] == (403 if known else 503)
    assert "Traceback" not in page["body"]
    assert ("SIGN_KEY" in caplog.text) is not known


def test_without_a_key_or_an_address_there_is_no_link(people):
    assert Signer(None, "", URL).link("i", "t", 0) == ""
    assert Signer(None, "alias/x", "").link("i", "t", 0) == ""
    assert people.told() == []


@given(st.text(max_size=60))
def test_no_text_is_a_token_by_chance(text):
    class Kms:
        class exceptions:  # noqa: N801 - boto3's name
            class KMSInvalidMacException(Exception): ...  # noqa: N818

    with pytest.raises(TokenRefusedError):
        Verifier(Kms(), "key").claim(text, 0)


class Detector(Site):
    """A detector's pipeline and remote alarm whose messages wait for the link."""

    def __init__(self, folder):
        self.waiting, self.before = [], None
        super().__init__(folder)

    def feed(self, event):
        for outcome in self.pipeline.run([event]):
            self.outcome = outcome
            self.alarm.heard(outcome)
            sent = message_of(outcome, self.before, "d", "cellar")
            self.before = outcome
            self.waiting += [json.loads(sent.payload)] if sent else []
        while len(self.queue):
            command = asyncio.run(self.queue.get())
            self.commands.append(command)
            self.feed(command)

    def send(self):
        """The link is there: the outbox goes out."""
        tell(*(body | {"thing": "d", "received_ms": 1} for body in self.waiting))
        self.waiting.clear()

    def press(self):
        """Somebody presses the button at the detector."""
        now = self.clock.monotonic_ns()
        self.feed(Command(now, CommandAction.ACKNOWLEDGE, CommandSource.LOCAL, "b"))


def test_device_and_cloud_agree_after_a_partition_with_the_program_of_the_device(people, tmp_path):
    """The link is pressed while the detector is away, the button at the detector, too."""
    site = Detector(tmp_path)
    site.burn()
    site.send()
    boto3.client("iot").create_thing(thingName="d")
    settings = AcknowledgeSettings.read(environment())
    iot, kms = boto3.client("iot-data"), client("kms")
    page = acknowledging(iot=iot)

    def press_link(level):
        link = Signer(kms, settings.sign_key, URL).link(site.incident, "d", int(T0.timestamp()))
        return page.answer(request(token_of(link), "POST", f"level={level}"), context())

    def desired():
        answer = iot.get_thing_shadow(thingName="d", shadowName="alarm")
        return json.loads(answer["payload"].read())["state"]["desired"]

    assert press_link("alert")["statusCode"] == 200
    assert site.alarm.reported()["acknowledged"] is False
    # The link is back: the detector hears what is desired, the cloud what became of it.
    assert site.consider(desired())["acknowledged"] is True
    site.send()
    assert [one["source"] for one in row()["acknowledgements"]] == ["link", "device"]
    # The level rises: both ask for people again, and the link works again.
    site.images(0.95)
    assert site.alarm.reported()["acknowledged"] is False
    site.send()
    assert row()["acknowledged"] is False
    assert press_link("emergency")["statusCode"] == 200
    assert site.consider(desired())["acknowledged"] is True
    site.send()
    assert row()["acknowledged"] is True
    # The link and what the detector made of it are one acknowledgement: people hear of it once.
    assert [subject for subject, _, _ in people.told()] == [
        "FIRE ALERT: d at cellar", "Taken over: FIRE ALERT: d at cellar",
        "FIRE EMERGENCY: d at cellar", "Taken over: FIRE EMERGENCY: d at cellar",
    ]  # fmt: skip


def test_the_button_pressed_while_offline_is_known_when_the_detector_is_back(people, tmp_path):
    site = Detector(tmp_path)
    site.burn()
    site.send()
    site.press()
    assert row()["acknowledged"] is False
    site.send()
    assert row()["acknowledgements"][0]["source"] == "device"
    (_, alarm), (_, taken) = [(subject, said["kind"]) for subject, _, said in people.told()]
    assert (alarm, taken) == ("alarm", "taken-over")

"""Pictures of alarms in messages to people: only where the site opted in, never in the way."""

import re
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from firedetect.contract.messages import DetectorMessage
from firedetect.contract.names import INCIDENTS_TABLE, picture_key
from firedetect.errors import MessageRefusedError
from firedetect.lambdas import acknowledge
from firedetect.lambdas.climbing import answer_of
from firedetect.lambdas.escalation import climb_of
from firedetect.lambdas.incident import changed
from firedetect.lambdas.now import utc_now
from firedetect.lambdas.pictures import VALID_S, Pictures, pictures_in
from firedetect.lambdas.policy import understood
from firedetect.lambdas.response_agent import ResponseAgent
from firedetect.lambdas.rows import client
from firedetect.lambdas.settings import ResponseSettings
from tests.lambdas.helpers import (
    T0,
    THING,
    TIER,
    Down,
    acknowledging,
    context,
    environment,
    escalation,
    executions,
    message,
    rows,
)

KEY = "thing-1/pictures/thing-1-1-1.png"
PNG = b"\x89PNG\r\n\x1a\n and so on"


def picture_link(text):
    found = re.search(r"^Picture: (\S+)$", text, re.MULTILINE)
    return found and found.group(1)


def shown(address, method="GET", **more):
    """What the function behind the link answers."""
    query = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
    event = {
        "queryStringParameters": query,
        "requestContext": {"http": {"method": method}},
        "body": "",
    }
    return acknowledging(**more).answer(event, context())


@pytest.fixture
def bucket(people):  # noqa: ARG001 - made on the AWS of this process
    s3 = boto3.client("s3")
    region = {"LocationConstraint": TIER.region}
    s3.create_bucket(Bucket=TIER.bucket, CreateBucketConfiguration=region)
    return s3


def put(s3, key=KEY):
    s3.put_object(Bucket=TIER.bucket, Key=key, Body=PNG)


def test_messages_of_before_there_were_pictures_stay_valid():
    old = understood(message()).message
    assert old.picture is None
    assert "picture" not in old.model_dump_json()
    new = understood(message(picture=KEY)).message
    assert DetectorMessage.model_validate_json(new.model_dump_json()).picture == KEY
    assert picture_key(THING, "thing-1-1-1") == KEY


@pytest.mark.parametrize("picture", [7, "x" * 513, ["a"]])
def test_an_alarm_is_not_refused_for_a_picture_that_is_none(picture):
    assert understood(message(picture=picture)).message.picture is None


def test_people_get_a_link_to_the_picture_only_where_the_site_opted_in(people):
    one = escalation(Down())
    one.handle(message(), context())
    one.handle(message(2, incident_id="thing-1-1-2", picture=picture_key(THING, "thing-1-1-2")),
               context())  # fmt: skip
    (_, plain, _), (_, pictured, _) = people.told()
    assert "Picture" not in plain
    address = picture_link(pictured)
    take_over = re.search(r"so here: (\S+)", pictured).group(1)
    # As short as the other one: an SMS takes 1600 characters, a presigned address may fill it.
    assert address == f"{take_over}&show=picture"
    assert len(pictured) < 1000
    kept = {row["incident_id"]: row["picture"] for row in rows(INCIDENTS_TABLE)}
    assert kept == {"thing-1-1-1": "", "thing-1-1-2": "thing-1/pictures/thing-1-1-2.png"}
    first, second = (one["detail"] for one in people.posted())
    assert (first["picture"], second["picture"]) == ("", address)


def test_the_link_leads_to_the_picture_for_a_while(people, bucket):
    escalation(Down()).handle(message(picture=KEY), context())
    ((_, text, _),) = people.told()
    early = shown(picture_link(text))
    assert early["statusCode"] == 404
    assert "load this page again" in early["body"]
    put(bucket)
    answer = shown(picture_link(text))
    assert answer["statusCode"] == 302
    assert answer["headers"]["cache-control"] == "no-store"
    address = urlsplit(answer["headers"]["location"])
    assert address.hostname == f"{TIER.bucket}.s3.{TIER.region}.amazonaws.com"
    assert address.path == f"/{KEY}"
    signed = parse_qs(address.query)
    assert signed["X-Amz-Expires"] == [str(VALID_S)]
    assert signed["X-Amz-Algorithm"] == ["AWS4-HMAC-SHA256"]
    head = shown(picture_link(text), "HEAD")
    # The address itself has the time in it.
    assert (head["statusCode"], head["body"]) == (302, "")
    assert urlsplit(head["headers"]["location"]).path == f"/{KEY}"
    # To look at a picture acknowledges nothing.
    assert not rows(INCIDENTS_TABLE)[0]["acknowledged"]


def test_a_changed_link_shows_nothing(people, bucket):
    put(bucket)
    escalation(Down()).handle(message(picture=KEY), context())
    ((_, text, _),) = people.told()
    assert shown(picture_link(text).replace("?t=", "?t=a"))["statusCode"] == 403


def test_an_incident_without_a_picture_has_none_behind_its_link(people, bucket):
    put(bucket)
    escalation(Down()).handle(message(), context())
    ((_, text, _),) = people.told()
    link = re.search(r"so here: (\S+)", text).group(1)
    assert shown(f"{link}&show=picture")["statusCode"] == 404


@pytest.mark.parametrize(
    "foreign",
    [
        "thing-2/pictures/thing-1-1-1.png",
        "thing-1/pictures/../../thing-2/pictures/thing-1-1-1.png",
        "thing-1/pictures/thing-1-1-9.png",
        "thing-1/secrets/thing-1-1-1.png",
        "/thing-1/pictures/thing-1-1-1.png",
        "",
    ],
)
def test_a_picture_under_another_name_is_refused_but_people_are_called(people, foreign):
    """The alarm is told, kept and answered; who looks after the tier hears of the rest."""
    down = Down()
    one = escalation(down)
    for _ in range(2):
        with pytest.raises(MessageRefusedError, match="is not its own"):
            one.handle(message(picture=foreign), context())
    ((_, text, _),) = people.told()
    assert "Picture" not in text
    assert "If you take care of it" in text
    assert rows(INCIDENTS_TABLE)[0]["picture"] == ""
    assert down.kinds() == ["receipt", "receipt"]
    assert len(executions()) == 1


def test_an_alarm_without_an_incident_has_no_picture():
    alone = understood(message(incident_id=None, picture="thing-1/pictures/.png")).message
    with pytest.raises(MessageRefusedError):
        changed(None, alone)


class Broken:
    """KMS that does not answer."""

    def generate_mac(self, **_):
        raise EndpointConnectionError(endpoint_url="https://kms")


def test_people_are_called_when_no_link_can_be_made(people):
    down = Down()
    with pytest.raises(EndpointConnectionError):
        escalation(down, kms=Broken()).handle(message(picture=KEY), context())
    ((subject, text, _),) = people.told()
    assert subject == "FIRE ALERT: thing-1 at cellar"
    assert "http" not in text
    assert down.kinds() == ["receipt"]
    assert rows(INCIDENTS_TABLE)[0]["picture"] == KEY


class Refusing:
    """S3 that refuses."""

    def __init__(self, code):
        self.code = code

    def head_object(self, **_):
        raise ClientError({"Error": {"Code": self.code, "Message": "no"}}, "HeadObject")


@pytest.mark.parametrize(("code", "shows"), [("403", True), ("404", True), ("SlowDown", False)])
def test_a_picture_that_cannot_be_shown_stops_nobody_from_pressing_the_button(people, code, shows):
    escalation(Down()).handle(message(picture=KEY), context())
    ((_, text, _),) = people.told()
    pictures = Pictures(lambda: Refusing(code), TIER.bucket)
    if shows:
        assert shown(picture_link(text), pictures=pictures)["statusCode"] == 404
    else:
        with pytest.raises(ClientError):
            shown(picture_link(text), pictures=pictures)
    link = re.search(r"so here: (\S+)", text).group(1)
    assert shown(link, pictures=pictures)["statusCode"] == 200


def test_the_handler_itself_finds_the_bucket_and_never_shows_a_traceback(people, bucket):
    acknowledge._acknowledging.cache_clear()
    put(bucket)
    escalation(Down(), now=utc_now).handle(message(picture=KEY), context())
    ((_, text, _),) = people.told()
    query = {"t": parse_qs(urlsplit(picture_link(text)).query)["t"][0], "show": "picture"}
    event = {"queryStringParameters": query, "requestContext": {"http": {"method": "GET"}}}
    assert acknowledge.handler(event, None)["statusCode"] == 302
    bucket.delete_object(Bucket=TIER.bucket, Key=KEY)
    assert acknowledge.handler(event, None)["statusCode"] == 404
    acknowledge._acknowledging.cache_clear()


def test_without_a_bucket_there_are_no_pictures():
    assert pictures_in("").address(KEY) == ""
    assert pictures_in("bucket").address("") == ""


def test_who_is_called_later_gets_the_link_too(people):
    one = escalation(Down())
    one.handle(message(picture=KEY), context())
    people.told()
    (asked,) = executions().values()
    one.handle(asked, context())
    ((_, text, attributes),) = people.told()
    assert attributes["tier"] == "1"
    assert picture_link(text).endswith("&show=picture")
    # Without its row nobody knows of a picture, and people are called all the same.
    lost = climb_of(asked["climb"]).model_copy(update={"incident_id": "thing-1-1-5"})
    one.handle(answer_of(lost), context())
    ((_, text, _),) = people.told()
    assert "Picture" not in text


def test_whoever_is_called_after_the_escalation_gets_the_link_too(people):
    escalation(Down()).handle(message(picture=KEY), context())
    people.told()
    agent = ResponseAgent(
        ResponseSettings.read(environment()),
        client("dynamodb"),
        client("sns"),
        lambda: T0.replace(day=2),
        events=client("events"),
        kms=client("kms"),
    )
    agent.look(lambda: 60_000)
    ((_, text, _),) = people.told()
    assert picture_link(text).endswith("&show=picture")


def test_a_later_message_takes_no_picture_away():
    row = changed(None, understood(message(picture=KEY)).message)
    calm = understood(message(9, kind="event", level="alert", current="normal")).message
    assert changed(row, calm).picture == KEY
    first = changed(None, calm)
    assert changed(first, understood(message(picture=KEY)).message).picture == KEY

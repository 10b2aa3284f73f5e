"""Messages, AWS and devices for the handlers' tests."""

import datetime as dt
import json
from urllib.parse import parse_qs, urlsplit

import boto3
from aws_lambda_powertools.utilities.idempotency import DynamoDBPersistenceLayer
from botocore.exceptions import ClientError

from firedetect.clock import NS_PER_S, SystemClock
from firedetect.cloudbox.functions import Context
from firedetect.cloudbox.tier import load_tier
from firedetect.contract.names import PEOPLE_TOPIC
from firedetect.lambdas.acknowledge import Acknowledging
from firedetect.lambdas.escalate import Escalation
from firedetect.lambdas.rows import client, unpacked
from firedetect.lambdas.settings import AcknowledgeSettings, EscalateSettings

T0 = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
THING = "thing-1"
TIER = load_tier()
TABLE = (
    "TableName",
    "KeySchema",
    "AttributeDefinitions",
    "GlobalSecondaryIndexes",
    "BillingMode",
)
"""What makes a table in memory what it is."""
URL = "https://acknowledge.example/"


def environment():
    """What the functions find: that of the tier."""
    return TIER.environment() | {
        "ACKNOWLEDGE_URL": URL,
        "AWS_DEFAULT_REGION": TIER.region,
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
    }


def message(seq=1, thing=THING, **changes):
    """An event of the rule with a detector's message in it."""
    return {
        "v": 1,
        "kind": "alarm",
        "event_id": f"{thing}-1-{seq}",
        "incident_id": f"{thing}-1-1",
        "device": thing,
        "site": "cellar",
        "ts": f"2026-01-01T00:00:{seq:02}.000+00:00",
        "t_s": float(seq),
        "level": "alert",
        "current": "alert",
        "score": 0.9,
        "reasons": ["hot_spot", "gas_rise"],
        "health": "ok",
        "troubles": [],
        "alarm": "sounding",
        "drill": False,
        "model": "1.0.0",
        "thing": thing,
        "received_ms": 1_767_225_600_000 + seq,
    } | changes


def lost(**changes):
    """The last will as an event of the rule."""
    return {
        "v": 1,
        "kind": "lost",
        "event_id": f"{THING}-1-lost",
        "device": THING,
        "site": "cellar",
        "boot": 1,
        "thing": THING,
        "received_ms": 1_767_225_600_500,
    } | changes


def context():
    clock = SystemClock()
    return Context("f", 256, "arn", "id", clock.monotonic_ns() + 10 * NS_PER_S, clock)


class Down:
    """Where devices listen; stands for the client `iot-data`."""

    def __init__(self):
        self.heard = []
        self.fails = False

    def publish(self, *, topic, qos, payload):
        if self.fails:
            raise ConnectionError("no answer")
        assert qos == 1
        self.heard.append((topic, json.loads(payload)))

    def kinds(self):
        return [body["kind"] for _, body in self.heard]


class Failing:
    """DynamoDB that refuses calls by name and table, each a number of times."""

    def __init__(self, **times):
        self._real = client("dynamodb")
        self.meta = self._real.meta
        self.exceptions = self._real.exceptions
        self.times = times
        self.table = None

    def __getattr__(self, name):
        call = getattr(self._real, name)

        def use(*names, **request):
            if self.times.get(name) and self.table in {None, request.get("TableName")}:
                self.times[name] -= 1
                error = {"Error": {"Code": "ThrottlingException", "Message": "slow down"}}
                raise ClientError(error, name)
            return call(*names, **request)

        return use


class People:
    """SNS with a queue that hears what people would."""

    def __init__(self, queue_url, posted_url):
        self._queue_url = queue_url
        self._posted_url = posted_url
        self._sqs = boto3.client("sqs")

    @classmethod
    def make(cls):
        dynamodb, sns, sqs = (boto3.client(name) for name in ("dynamodb", "sns", "sqs"))
        for table in TIER.resources("AWS::DynamoDB::Table"):
            dynamodb.create_table(**{name: table[name] for name in TABLE if name in table})
        arn = sns.create_topic(Name=PEOPLE_TOPIC)["TopicArn"]
        queue_url = sqs.create_queue(QueueName="people")["QueueUrl"]
        queue_arn = f"arn:aws:sqs:{TIER.region}:{TIER.account}:people"
        sns.subscribe(TopicArn=arn, Protocol="sqs", Endpoint=queue_arn)
        return cls(queue_url, _other_services())

    def told(self):
        """Take what people were told since the last time: subject, text, attributes."""
        found = []
        for body in self._taken(self._queue_url):
            attributes = body["MessageAttributes"].items()
            said = {name: value["Value"] for name, value in attributes}
            found.append((body["Subject"], body["Message"], said))
        return found

    def posted(self):
        """Take what came over the bus since the last time."""
        return self._taken(self._posted_url)

    def _taken(self, url):
        found = []
        while True:
            answer = self._sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)
            if not answer.get("Messages"):
                return found
            for one in answer["Messages"]:
                self._sqs.delete_message(QueueUrl=url, ReceiptHandle=one["ReceiptHandle"])
                found.append(json.loads(one["Body"]))


def _other_services():
    """Make the bus with a rule, the key that signs links, the state machine."""
    settings = EscalateSettings.read(environment())
    events, kms, sqs = (boto3.client(name) for name in ("events", "kms", "sqs"))
    url = sqs.create_queue(QueueName="posted")["QueueUrl"]
    if settings.event_bus:
        events.create_event_bus(Name=settings.event_bus)
        pattern = json.dumps({"source": ["firedetect"], "detail-type": ["notice"]})
        where = {"Rule": "posted", "EventBusName": settings.event_bus}
        events.put_rule(Name="posted", EventBusName=settings.event_bus, EventPattern=pattern)
        arn = f"arn:aws:sqs:{TIER.region}:{TIER.account}:posted"
        events.put_targets(**where, Targets=[{"Id": "posted", "Arn": arn}])
    key = kms.create_key(KeySpec="HMAC_256", KeyUsage="GENERATE_VERIFY_MAC")
    kms.create_alias(AliasName=settings.sign_key, TargetKeyId=key["KeyMetadata"]["KeyId"])
    boto3.client("stepfunctions").create_state_machine(
        name=settings.escalation_arn.rpartition(":")[2],
        definition="{}",
        roleArn=f"arn:aws:iam::{TIER.account}:role/escalation",
    )
    return url


def escalation(down, sns=None, dynamodb=None, remembers=None, now=lambda: T0, **others):
    """The handler on the AWS of this process."""
    settings = EscalateSettings.read(environment())
    dynamodb = dynamodb or client("dynamodb")
    remembers = remembers or client("dynamodb")
    done = DynamoDBPersistenceLayer(settings.idempotency_table, boto3_client=remembers)
    others = {
        "states": client("stepfunctions"),
        "events": client("events"),
        "kms": client("kms"),
    } | others
    return Escalation(settings, dynamodb, sns or client("sns"), down, done, now, **others)


def acknowledging(now=lambda: T0, remembers=None, **parts):
    """The page behind the link on the AWS of this process."""
    settings = AcknowledgeSettings.read(environment())
    remembers = remembers or client("dynamodb")
    done = DynamoDBPersistenceLayer(settings.idempotency_table, boto3_client=remembers)
    services = {"dynamodb": "dynamodb", "kms": "kms", "iot": "iot-data", "sns": "sns"}
    parts = {"events": client("events")} | parts
    parts = {name: client(service) for name, service in services.items()} | parts
    return Acknowledging(settings, **parts, done=done, now=now)


def pressed(link, level, now=lambda: T0, **parts):
    """What the function answers when somebody presses the button behind a link."""
    token = parse_qs(urlsplit(link).query)["t"][0]
    event = {
        "queryStringParameters": {"t": token},
        "requestContext": {"http": {"method": "POST"}},
        "body": f"level={level}",
    }
    return acknowledging(now, **parts).answer(event, context())


def executions():
    """Every escalation that was started: name and input."""
    states = boto3.client("stepfunctions")
    arn = EscalateSettings.read(environment()).escalation_arn
    found = states.list_executions(stateMachineArn=arn)["executions"]
    return {
        one["name"]: json.loads(
            states.describe_execution(executionArn=one["executionArn"])["input"]
        )
        for one in found
    }


def rows(table):
    """Every row of a table."""
    items = boto3.client("dynamodb").scan(TableName=table)["Items"]
    return [unpacked(item) for item in items]

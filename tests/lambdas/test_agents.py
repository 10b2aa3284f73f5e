"""The agents that watch, analyse and ask for a training: their policies, and on moto."""

import datetime as dt
import json

import boto3
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firedetect.contract.names import DEVICES_TABLE, INCIDENTS_TABLE
from firedetect.lambdas.analysis import report
from firedetect.lambdas.analysis_agent import AnalysisAgent
from firedetect.lambdas.learning import FALSE_ALARMS, PAUSE, wanted
from firedetect.lambdas.learning_agent import LearningAgent
from firedetect.lambdas.monitoring_agent import RESERVE_MS, MonitoringAgent, WatchError
from firedetect.lambdas.people import Speaker
from firedetect.lambdas.provisioning_hook import allowed, handler
from firedetect.lambdas.rows import packed, unpacked
from firedetect.lambdas.settings import LearningSettings
from firedetect.lambdas.watching import LEARNT, Course, Past, look
from tests.lambdas.helpers import T0, environment

BUCKET = "firedetect-data"
TOPIC = "arn:aws:sns:eu-central-1:123456789012:fire-detection-alerts"
OPERATORS = "arn:aws:sns:eu-central-1:123456789012:firedetect-operators"


def beat(seq=1, *, boot=1, age_s=0.5, fresh=None, noise=0.3, score=0.05, **more):
    sensors = {"thermal": {"age_s": age_s, "fresh": seq * 80 if fresh is None else fresh,
                           "noise": noise}}  # fmt: skip
    return {"boot": boot, "seq": seq, "score": score, "sensors": sensors, "site": "cellar"} | more


def looked(past, *beats):
    """Look at beats in turn; return what the last look gave."""
    found = None
    for one in beats:
        found = look(past, one)
        past = found.past if found else past
    return found


def learnt(noise=0.3, looks=LEARNT + 5):
    past = Past()
    for seq in range(looks):
        past = look(past, beat(seq, noise=noise + 0.01 * (seq % 3))).past
    return past


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ({"age_s": 55.0}, "no reading for 55 s"),
        ({"age_s": None}, "no reading for as long as it runs"),
        ({"fresh": 7}, "no new reading since the look before"),
        ({"noise": 0}, "no noise at all"),
    ],
)
def test_a_sensor_that_senses_nothing_is_told_at_the_second_look_and_once(bad, words):
    past = look(Past(), beat(1, fresh=7)).past
    first = look(past, beat(2, **bad))
    assert first.new == ()
    second = look(first.past, beat(3, **bad))
    assert len(second.new) == 1
    assert words in second.new[0]
    third = look(second.past, beat(4, **bad))
    assert (third.new, third.over) == ((), ())
    good = look(third.past, beat(5))
    assert len(good.over) == 1


def test_a_restart_counts_readings_anew():
    past = look(Past(), beat(9, fresh=100)).past
    assert look(past, beat(1, boot=2, fresh=100)).past.findings == {}


def test_noise_far_from_its_own_past_is_found_once_there_is_one():
    usual = learnt()
    loud = looked(usual, beat(900, noise=5.0), beat(901, noise=5.0))
    assert "a noise of 5" in loud.new[0]
    # What is unusual is not learnt.
    assert loud.past.courses == usual.courses
    young = looked(learnt(looks=20), beat(900, noise=5.0), beat(901, noise=5.0))
    assert young.new == ()


def test_the_same_beat_again_is_nothing_new():
    past = look(Past(), beat(1)).past
    assert look(past, beat(1)) is None
    assert look(past, {"seq": "x"}) is None


def test_what_is_kept_survives_its_row_and_damage_is_a_new_beginning():
    past = looked(learnt(), beat(900, noise=0), beat(901, noise=0)).past
    row = unpacked(packed(past.as_row()))
    assert Past.of(row).told == past.told
    assert Past.of(row).courses["thermal"].mean == pytest.approx(past.courses["thermal"].mean)
    for damage in ({}, {"courses": 1}, row | {"courses": {"a": ["x"] * 9}}):
        assert Past.of(damage) == Past()


@settings(max_examples=200, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["boot", "seq", "score", "sensors"]),
        st.recursive(
            st.none() | st.integers(0, 9) | st.floats(0, 9) | st.text(max_size=3),
            lambda inner: st.dictionaries(
                st.sampled_from(["thermal", "age_s", "fresh", "noise"]), inner, max_size=3
            ),
            max_leaves=8,
        ),
    )
)
def test_no_beat_breaks_the_look(one):
    found = look(Past(), one)
    assert found is None or json.dumps(found.past.as_row())


@given(st.lists(st.floats(0.0, 10.0), min_size=2, max_size=60))
def test_a_course_is_mean_and_variance_of_what_it_saw(values):
    course = Course()
    for value in values:
        course = course.after(value)
    mean = sum(values) / len(values)
    assert course.mean == pytest.approx(mean, abs=1e-6)
    assert course.variance == pytest.approx(
        sum((value - mean) ** 2 for value in values) / len(values), abs=1e-6
    )


class Site:
    """Rows in the tables, and the agents over them."""

    def __init__(self, people):
        self.people = people
        self.dynamodb = boto3.client("dynamodb")
        self.s3 = boto3.client("s3")
        self.s3.create_bucket(
            Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
        )
        self.sns = boto3.client("sns")
        self.sns.create_topic(Name="firedetect-operators")
        sqs = boto3.client("sqs")
        self.operators = sqs.create_queue(QueueName="operators")["QueueUrl"]
        arn = "arn:aws:sqs:eu-central-1:123456789012:operators"
        self.sns.subscribe(TopicArn=OPERATORS, Protocol="sqs", Endpoint=arn)
        found = environment() | {"DATA_BUCKET": BUCKET, "OPERATORS_TOPIC_ARN": OPERATORS}
        self.settings = LearningSettings.read(found)

    def row(self, thing, kind, **values):
        item = packed({"thing": thing, "kind": kind} | values)
        self.dynamodb.put_item(TableName=DEVICES_TABLE, Item=item)

    def incident(self, name, **values):
        given = {
            "incident_id": name, "thing": "thing-1", "level": "alert", "reasons": ["H3"],
            "opened_at": "2026-01-01T08:00:00+00:00", "acknowledged": True,
        } | values  # fmt: skip
        self.dynamodb.put_item(TableName=INCIDENTS_TABLE, Item=packed(given))

    def monitor(self, remaining_ms=60_000, sns=None):
        agent = MonitoringAgent(self.dynamodb, DEVICES_TABLE, Speaker(sns or self.sns, TOPIC))
        return agent.run(lambda: remaining_ms)

    def analyse(self, now=T0):
        return AnalysisAgent(self.settings, self.dynamodb, self.s3, lambda: now).run()

    def learn(self, now=T0):
        agent = LearningAgent(self.settings, self.dynamodb, self.s3, self.sns, lambda: now)
        return agent.run()

    def stored(self, key):
        return json.loads(self.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read())

    def heard_by_operators(self):
        answer = boto3.client("sqs").receive_message(QueueUrl=self.operators)
        return [json.loads(one["Body"])["Message"] for one in answer.get("Messages", [])]


@pytest.fixture
def site(people):
    return Site(people)


def test_the_monitoring_agent_tells_what_a_beat_hides_and_when_it_is_over(site):
    for seq in range(1, 4):
        site.row("thing-1", "beat", **beat(seq, noise=0))
        site.row("thing-2", "beat", **beat(seq))
        site.monitor()
    ((subject, text, attributes),) = site.people.told()
    assert subject == "Trouble: thing-1 at cellar: sensors"
    assert "thermal shows no noise at all" in text
    assert attributes["level"] == "trouble"
    site.row("thing-1", "beat", **beat(9))
    assert site.monitor() == {"devices": 2, "new": 0, "over": 1}
    ((subject, _, _),) = site.people.told()
    assert subject.startswith("Trouble ended: thing-1")


def test_the_monitoring_agent_goes_on_after_a_failure_and_tells_again(site):
    class Broken:
        def publish(self, **_request):
            raise RuntimeError("SNS is down")

    for seq in (1, 2):
        site.row("thing-1", "beat", **beat(seq, noise=0))
        site.row("thing-2", "beat", **beat(seq))
        if seq == 1:
            site.monitor()
    with pytest.raises(WatchError, match="thing-1"):
        site.monitor(sns=Broken())
    site.monitor()
    assert len(site.people.told()) == 1


def test_the_monitoring_agent_ends_in_time(site):
    site.row("thing-1", "beat", **beat())
    assert site.monitor(remaining_ms=RESERVE_MS - 1)["devices"] == 0


def test_the_report_counts_finds_habits_and_drift(site):
    for number in range(4):
        day = f"2025-12-{20 + number}T18:0{number}:00+00:00"
        site.incident(f"thing-1-1-{number}", opened_at=day, label="false-alarm")
    site.incident("thing-1-0-1", opened_at="2025-11-20T10:00:00+00:00", acknowledged=False)
    site.incident("thing-1-0-2", opened_at="nonsense")
    past = learnt()
    drifted = {**past.courses, "score": Course(LEARNT, 0.05, 0.0, 0.2)}
    site.row("thing-1", "watch", **Past(drifted, 1, 1).as_row())
    assert site.analyse() == {"detectors": 1, "drifting": ["thing-1"]}
    found = site.stored("reports/newest.json")
    assert found == site.stored("reports/2026-01-01.json")
    month = found["windows"]["30 d"]
    assert (month["incidents"], month["false_alarms"], month["by_reason"]) == (4, 4, {"H3": 4})
    detector = found["by_detector"]["thing-1"]
    assert detector["patterns"] == ["4 incidents between 18 and 19 h UTC"]
    assert (detector["trend"], detector["drift"]) == (3, 0.15)


def test_a_report_of_nothing_is_one():
    assert report([], [], T0)["windows"]["1 d"]["incidents"] == 0


def test_a_training_is_asked_for_once_and_never_done(site):
    for number in range(FALSE_ALARMS - 1):
        site.incident(f"thing-1-1-{number}", label="false-alarm", labelled_at=T0.isoformat())
    assert site.learn() == {"asked": False}
    site.incident("thing-1-1-9", label="false-alarm", labelled_at=T0.isoformat())
    site.row("thing-1", "beat", **beat(model="0.5.0"))
    asked = site.learn()
    order = site.stored(asked["order"])
    assert len(order["false_alarms"]) == FALSE_ALARMS
    assert order["models"] == ["0.5.0"]
    (message,) = site.heard_by_operators()
    assert asked["order"] in message
    assert site.learn(T0 + dt.timedelta(hours=1)) == {"asked": False}
    # What was asked for is no reason again.
    assert site.learn(T0 + PAUSE) == {"asked": False}
    assert site.people.told() == []


def test_drift_of_several_detectors_is_a_reason():
    drifted = Past({"score": Course(LEARNT, 0.05, 0.0, 0.2)}, 1, 1).as_row()
    rows = [{"thing": f"t-{n}", "kind": "watch"} | drifted for n in range(3)]
    assert wanted(rows[:2], [], None, T0) is None
    assert wanted(rows, [], None, T0).drifting == ("t-0", "t-1", "t-2")


class Registry:
    """AWS IoT that knows one thing."""

    class exceptions:  # noqa: N801 - boto3's name
        class ResourceNotFoundException(Exception):  # noqa: N818 - boto3's name
            pass

    def describe_thing(self, thingName):  # noqa: N803 - boto3's name
        if thingName != "taken":
            raise self.exceptions.ResourceNotFoundException


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        ({"parameters": {"ThingName": "new"}, "clientId": "claim-1"}, True),
        ({"parameters": {"ThingName": "taken"}, "clientId": "claim-1"}, False),
        ({"parameters": {"ThingName": "taken"}, "clientId": "taken"}, True),
        ({"parameters": {"ThingName": "taken"}, "clientId": "taken.rotate"}, True),
        ({"parameters": {"ThingName": "taken"}, "clientId": "takenover"}, False),
        ({"parameters": {"ThingName": "taken"}, "clientId": "taken-2"}, False),
        ({"parameters": {"ThingName": "taken"}, "clientId": "taken.other"}, False),
        ({"parameters": {"ThingName": "claim-1"}, "clientId": "claim-1"}, False),
        ({"parameters": {"ThingName": "-fleet-"}}, False),
        ({"parameters": {"ThingName": "a/b"}}, False),
        ({"parameters": {}}, False),
        ({}, False),
        ("nonsense", False),
    ],
)
def test_a_taken_name_goes_to_its_holder_only(event, expected):
    assert allowed(event, Registry()) is expected


@pytest.mark.usefixtures("people")
def test_the_hook_refuses_without_asking_anybody_what_it_does_not_understand():
    assert handler({}, None) == {"allowProvisioning": False}

"""Rules, tier and functions, without a broker."""

import asyncio
import base64
import json
import threading

import pytest

from firedetect.clock import ManualClock, SystemClock
from firedetect.cloudbox.connection import Received
from firedetect.cloudbox.functions import FunctionFailedError, Functions
from firedetect.cloudbox.parts import FunctionPart, RulePayload, SchedulePart
from firedetect.cloudbox.rules import RuleEngine, compiled
from firedetect.cloudbox.rules_sql import parse
from firedetect.cloudbox.tier import STACKS, load_tier, merged
from firedetect.errors import BoxError, RuleError
from tests.fakes.box import until

QUEUE = {"sqs": {"roleArn": "r", "queueUrl": "https://x/1/firedetect-rule-errors"}}


class Performed(list):
    """Remembers actions; those of a kind in `fails` fail."""

    def __init__(self):
        self.fails = set()

    async def perform(self, step, selected, occasion):
        if step.kind in self.fails:
            raise BoxError(f"{step.kind} fails")
        self.append((step.kind, step.text(occasion), selected))


def engine(performed, **rules):
    made = {name: payload(sql, *actions, name=name) for name, (sql, *actions) in rules.items()}
    queries = [parse(sql) for sql, *_ in rules.values()]
    running = RuleEngine(queries, performed, ManualClock())
    running.run(compiled(made))
    return running


def payload(sql, *actions, name="other", **changes):
    given = {
        "sql": sql,
        "awsIotSqlVersion": "2016-03-23",
        "actions": list(actions) or [{"republish": {"roleArn": "r", "topic": name}}],
        "errorAction": QUEUE,
    }
    return RulePayload.model_validate(given | changes)


async def hear(running, topic, payload=b"{}"):
    acknowledged = asyncio.Event()
    if not isinstance(payload, bytes):
        payload = json.dumps(payload).encode()
    taken = running.hear(Received(topic, payload, acknowledged.set))
    if taken:
        await asyncio.wait_for(acknowledged.wait(), 5)
    return taken


async def test_a_message_runs_every_rule_whose_filter_matches():
    performed = Performed()
    running = engine(
        performed,
        one=("SELECT * FROM 'firedetect/+/alert'",),
        two=("SELECT a AS a FROM 'firedetect/#'",),
        other=("SELECT * FROM 'elsewhere'",),
    )
    assert await hear(running, "firedetect/t/alert", {"a": 1})
    assert [text for _, text, _ in performed] == ["one", "two"]
    assert running.filters == ["$aws/rules/#", "elsewhere", "firedetect/#"]


async def test_basic_ingest_runs_exactly_its_rule_and_hides_the_prefix():
    performed = Performed()
    running = engine(
        performed,
        one=("SELECT topic(1) AS t, topic(2) AS thing FROM 'never/matches'",),
        two=("SELECT * FROM '#'",),
    )
    await hear(running, "$aws/rules/one/firedetect/t/beat")
    await hear(running, "$aws/rules/unknown/firedetect/t/beat")
    assert [found[2] for found in performed] == [{"t": "firedetect", "thing": "t"}]


async def test_reserved_topics_are_not_for_rules():
    running = engine(Performed(), one=("SELECT * FROM '#'",))
    assert not await hear(running, "$aws/things/t/shadow/update")


@pytest.mark.parametrize("payload", [b"\xff", b"{", b"[1]", b'{"a": NaN}', b"[" * 50_000])
async def test_a_payload_that_is_no_json_goes_to_the_error_action(payload):
    performed = Performed()
    await hear(engine(performed, one=("SELECT * FROM 'a'",)), "a", payload)
    ((kind, _, report),) = performed
    assert kind == "SqsAction"
    assert (report["ruleName"], report["topic"]) == ("one", "a")
    assert base64.b64decode(report["base64OriginalPayload"]) == payload
    assert "no JSON object" in report["failures"][0]["errorMessage"]


async def test_a_failed_action_goes_to_the_error_action_and_the_others_are_done():
    performed = Performed()
    performed.fails = {"S3Action"}
    running = engine(
        performed,
        one=(
            "SELECT * FROM 'a'",
            {"s3": {"roleArn": "r", "bucketName": "firedetect-data", "key": "${a}"}},
            {"republish": {"roleArn": "r", "topic": "b"}},
        ),
    )
    await hear(running, "a", {"a": "key"})
    assert [kind for kind, _, _ in performed] == ["RepublishAction", "SqsAction"]
    assert performed[1][2]["failures"][0]["failedAction"] == "S3Action"
    performed.fails.add("SqsAction")
    await hear(running, "a", {"a": "key"})


async def test_an_action_that_fails_in_an_unforeseen_way_is_told_like_any_other():
    class Broken(Performed):
        async def perform(self, step, selected, occasion):
            if step.kind == "RepublishAction":
                raise RecursionError
            await super().perform(step, selected, occasion)

    performed = Broken()
    await hear(engine(performed, one=("SELECT * FROM 'a'",)), "a")
    assert performed[0][2]["failures"][0]["errorMessage"] == "RecursionError"


async def test_messages_wait_until_the_engine_is_ready_and_are_kept_if_it_ends_before():
    performed, acknowledged = Performed(), []
    running = engine(performed, one=("SELECT * FROM 'a'",))
    running.ready.clear()
    running.hear(Received("a", b"{}", lambda: acknowledged.append(1)))
    await asyncio.sleep(0)
    assert (performed, acknowledged) == ([], [])
    await running.stop()
    assert acknowledged == []


LAMBDA = {"lambda": {"functionArn": "arn:aws:lambda:x:1:function:firedetect-escalate"}}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"actions": [{"kinesis": {"streamName": "s"}}]}, "kinesis"),
        ({"actions": [LAMBDA | QUEUE]}, "exactly one"),
        ({"actions": []}, "at least 1"),
        ({"awsIotSqlVersion": "2015-10-08"}, "awsIotSqlVersion"),
    ],
)
def test_a_rule_that_the_box_cannot_run_is_refused(changes, words):
    with pytest.raises(ValueError, match=words):
        payload("SELECT * FROM 'a'", **changes)


def test_a_schedule_that_the_box_cannot_run_is_refused():
    with pytest.raises(ValueError, match="expression"):
        SchedulePart(expression="cron(0 * * * ? *)", function="f")


def test_a_rule_that_is_not_understood_is_refused_by_name():
    rules = {"firedetect_alert": payload("SELECT * FROM 'a' GROUP BY b")}
    with pytest.raises(RuleError, match=r"rule firedetect_alert: .*position 19"):
        compiled(rules)


def test_a_rule_that_is_switched_off_does_not_run():
    assert compiled({"a": payload("SELECT * FROM 'a'", ruleDisabled=True)}) == []


def test_every_rule_of_the_templates_is_understood():
    sql = load_tier().sql()
    assert set(sql) == {f"firedetect_{name}" for name in ("alert", "event", "beat", "telemetry")}
    for one in sql.values():
        parse(one)


def test_functions_that_disagree_about_their_one_environment_are_refused():
    functions = {
        name: FunctionPart(
            handler="a.b", timeout_s=1.0, failure_queue="q", environment={"DEVICES_TABLE": name}
        )
        for name in ("one", "other")
    }
    with pytest.raises(BoxError, match="DEVICES_TABLE differs"):
        merged(functions)


@pytest.mark.parametrize("text", [None, "no JSON", '{"Resources": {"a": {}}}'])
def test_templates_that_are_missing_or_damaged_are_said(tmp_path, text):
    if text is not None:
        for stack in STACKS:
            (tmp_path / f"{stack}.template.json").write_text(text)
    with pytest.raises(BoxError, match=str(tmp_path)):
        load_tier(tmp_path)


HERE = "tests.cloudbox.handlers"


def functions(failed, *names, timeout_s=5.0, **limits):
    parts = {
        name: FunctionPart(handler=f"{HERE}.{name}", timeout_s=timeout_s, failure_queue="q")
        for name in names
    }

    async def keep(queue, record):
        failed.append((queue, record))

    made = Functions(keep, SystemClock(), retry_delays_s=(0.01, 0.01), **limits)
    made.know(parts)
    return made


async def test_a_handler_gets_event_and_context_and_its_answer_comes_back():
    answer = await functions([], "echo").invoke("echo", {"a": 1})
    assert answer["event"] == {"a": 1}
    assert answer["function"] == "echo"
    assert 4000 < answer["remaining_ms"] <= 5000
    assert answer["thread"] != threading.current_thread().name


async def test_a_new_box_has_a_new_environment():
    assert (await functions([], "count").invoke("count", {}))["count"] == 1
    again = functions([], "count")
    assert [(await again.invoke("count", {}))["count"] for _ in range(2)] == [1, 2]


async def test_an_event_is_tried_three_times_then_goes_to_the_failure_queue():
    failed = []
    assert not await functions(failed, "broken").invoke_event("broken", {"a": 1})
    ((queue, record),) = failed
    assert queue == "q"
    assert record["requestContext"]["approximateInvokeCount"] == 3
    assert record["requestPayload"] == {"a": 1}
    assert record["responsePayload"] == {"errorType": "ValueError", "errorMessage": "broken"}


async def test_an_event_that_succeeds_at_the_third_try_has_not_failed():
    failed = []
    assert await functions(failed, "third").invoke_event("third", {})
    assert failed == []


@pytest.mark.parametrize(
    ("name", "words"),
    [("missing", "has no attribute 'missing'"), ("no_json", "not JSON serializable"),
     ("leaves", "SystemExit")],
)  # fmt: skip
async def test_every_failure_is_stated(name, words):
    with pytest.raises(FunctionFailedError, match=words):
        await functions([], name).invoke(name, {})


async def test_a_handler_that_hangs_is_given_up():
    with pytest.raises(FunctionFailedError, match=r"timed out after 0\.10 seconds"):
        await functions([], "hangs", timeout_s=0.1).invoke("hangs", {})


async def test_a_retry_does_not_begin_beside_the_run_that_was_given_up(tmp_path):
    failed, log = [], tmp_path / "log"
    running = functions(failed, "slow", timeout_s=0.1)
    assert not await running.invoke_event("slow", {"log": str(log), "takes_s": 0.3})
    assert failed[0][1]["requestContext"]["approximateInvokeCount"] == 3
    await until(lambda: log.read_text() == "begin\nend\n" * 3, "three runs, one after the other")


async def test_a_function_whose_thread_does_not_end_is_out_of_order_until_it_has(tmp_path):
    failed, log = [], tmp_path / "log"
    running = functions(failed, "slow", timeout_s=0.1, thread_end_limit_s=0.1)
    assert not await running.invoke_event("slow", {"log": str(log), "takes_s": 1.0})
    assert not await running.invoke_event("slow", {"log": str(log), "takes_s": 0.0})
    assert log.read_text() == "begin\n"
    for _, record in failed:
        assert "no other one begins" in record["responsePayload"]["errorMessage"]
    await until(lambda: log.read_text() == "begin\nend\n", "the end of the thread")
    await until(running._given_up["slow"].done, "the end of it")
    assert await running.invoke_event("slow", {"log": str(log), "takes_s": 0.0})
    assert len(failed) == 2


async def test_a_schedule_runs_its_function_again_and_again():
    running = functions([], "tick")
    schedule = SchedulePart(expression="rate(1 minute)", function="tick")
    assert schedule.period_s == 60.0
    task = asyncio.create_task(running.tick("s", schedule, 1e-4))
    await until(lambda: "tick" in running._handlers, "the first run")
    handler = running._handlers["tick"]
    await until(lambda: len(handler.__globals__["TICKS"]) >= 3, "three runs")
    task.cancel()
    assert handler.__globals__["TICKS"][0]["detail-type"] == "Scheduled Event"

"""The rule engine: messages of the broker through the tier's rules to their actions."""

import asyncio
import base64
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

import structlog

from firedetect.clock import Clock
from firedetect.cloudbox.connection import Received
from firedetect.cloudbox.parts import Action, RulePayload
from firedetect.cloudbox.rules_sql import Query, parse, parse_template
from firedetect.cloudbox.rules_values import Occasion
from firedetect.cloudbox.wire import JsonObject, NotJsonError, decoded, topic_matches
from firedetect.errors import BoxError, RuleError

BASIC_INGEST: Final = "$aws/rules/"
_NS_PER_MS: Final = 1_000_000

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Step:
    """An action that is ready to be done: what it is, and its text with substitutions."""

    action: Action
    text: Callable[[Occasion], str]

    @property
    def kind(self) -> str:
        """The action's name in a report of failures."""
        names = {"to_function": "LambdaAction", "dynamoDBv2": "DynamoActionV2", "s3": "S3Action"}
        names |= {"sqs": "SqsAction", "republish": "RepublishAction"}
        names["firehose"] = "FirehoseAction"
        return names[next(iter(self.action.model_fields_set))]


class Performer(Protocol):
    """Does actions; raises BoxError if one fails."""

    async def perform(self, step: Step, selected: JsonObject, occasion: Occasion) -> None:
        """Do one action with what the rule selected."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule, compiled."""

    name: str
    query: Query
    steps: tuple[Step, ...]
    error_step: Step


def compiled(rules: Mapping[str, RulePayload]) -> list[Rule]:
    """Return the rules that are switched on; raises RuleError naming rule and place."""
    made = []
    for name, payload in rules.items():
        if payload.ruleDisabled:
            continue
        try:
            steps = tuple(_step(action) for action in payload.actions)
            made.append(Rule(name, parse(payload.sql), steps, _step(payload.errorAction)))
        except RuleError as error:
            raise RuleError(f"rule {name}: {error}") from error
    return made


class RuleEngine:
    """Runs every rule that a message concerns, and acknowledges the message after that.

    Until `run` has the rules, messages wait unacknowledged: they are not lost if we end before.
    What to hear is known by the queries alone.
    """

    def __init__(self, queries: Iterable[Query], performer: Performer, clock: Clock) -> None:
        self.ready = asyncio.Event()
        self._queries = tuple(queries)
        self._rules: dict[str, Rule] = {}
        self._performer = performer
        self._clock = clock
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def filters(self) -> list[str]:
        """Return what to subscribe to: no filter that another one covers."""
        wanted = {query.topic_filter for query in self._queries}
        named = sorted(one for one in wanted if one is not None)
        needed = [
            one
            for one in named
            if not any(one != other and topic_matches(other, one) for other in named)
        ]
        return [f"{BASIC_INGEST}#", *needed]

    def run(self, rules: Iterable[Rule]) -> None:
        """Carry messages out by these rules from now on."""
        self._rules = {rule.name: rule for rule in rules}
        self.ready.set()

    def hear(self, received: Received) -> bool:
        """Take a message if rules are meant to see it."""
        topic = received.topic
        if not topic.startswith(BASIC_INGEST) and topic.startswith("$"):
            return False
        # How many are under way is bounded by the broker's window of unacknowledged messages.
        task = asyncio.create_task(self._handle(received), name="rules:message")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return True

    async def stop(self) -> None:
        """Drop what is under way; the broker keeps what was not acknowledged."""
        for task in tuple(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _handle(self, received: Received) -> None:
        await self.ready.wait()
        topic, rules = self._concerned(received.topic)
        for rule in rules:
            try:
                await self._run(rule, topic, received.payload)
            except Exception:  # noqa: BLE001 - one message must not end the engine
                _log.exception("rule failed", rule=rule.name, topic=received.topic)
        received.acknowledge()

    def _concerned(self, topic: str) -> tuple[str, list[Rule]]:
        """Return the topic as rules see it, and the rules that see it."""
        if topic.startswith(BASIC_INGEST):
            name, _, rest = topic.removeprefix(BASIC_INGEST).partition("/")
            rule = self._rules.get(name)
            return rest, [] if rule is None else [rule]
        found = [
            rule
            for rule in self._rules.values()
            if rule.query.topic_filter and topic_matches(rule.query.topic_filter, topic)
        ]
        return topic, found

    async def _run(self, rule: Rule, topic: str, payload: bytes) -> None:
        now_ms = self._clock.wall_ns() // _NS_PER_MS
        try:
            occasion = Occasion(topic, decoded(payload), now_ms)
        except (UnicodeDecodeError, NotJsonError) as error:
            failure = _failure("SqlEvaluation", f"the payload is no JSON object: {error}")
            await self._failed(rule, Occasion(topic, {}, now_ms), payload, [failure])
            return
        selected = rule.query.result(occasion)
        failures: list[JsonObject] = []
        for step in rule.steps:
            try:
                await self._performer.perform(step, selected, occasion)
            except Exception as error:  # noqa: BLE001 - whatever it is, the error action tells it
                words = str(error) or type(error).__name__
                _log.warning("action failed", rule=rule.name, action=step.kind, error=words)
                failures.append(_failure(step.kind, words))
        if failures:
            await self._failed(rule, occasion, payload, failures)

    async def _failed(
        self, rule: Rule, occasion: Occasion, payload: bytes, failures: list[JsonObject]
    ) -> None:
        """Do the error action with AWS's report of what failed."""
        report: JsonObject = {
            "ruleName": rule.name,
            "topic": occasion.topic,
            # The broker does not tell who published.
            "clientId": "",
            "base64OriginalPayload": base64.b64encode(payload).decode(),
            "failures": [dict(failure) for failure in failures],
        }
        try:
            await self._performer.perform(rule.error_step, report, occasion)
        except BoxError as error:
            _log.error("error action failed", rule=rule.name, error=str(error))


def _failure(action: str, message: str) -> JsonObject:
    return {"failedAction": action, "failedResource": "", "errorMessage": message}


def _step(action: Action) -> Step:
    text = ""
    if action.s3 is not None:
        text = action.s3.key
    elif action.republish is not None:
        text = action.republish.topic
    return Step(action, parse_template(text))

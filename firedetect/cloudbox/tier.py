"""The description of the cloud tier: rules, functions, tables, queues, schedules.

Rules have the shape of AWS IoT's TopicRulePayload. What the box cannot carry out is refused here,
before anything starts.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from firedetect.cloudbox.provisioning import Template
from firedetect.contract.problems import problem_of
from firedetect.errors import BoxError

_RATE: Final = re.compile(r"rate\((\d+) (minute|minutes|hour|hours)\)")


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class LambdaAction(_Part):
    """Run a function, asynchronously."""

    functionArn: str  # noqa: N815 - AWS's name

    @property
    def function(self) -> str:
        """The function's name."""
        return self.functionArn.rsplit(":", 1)[-1]


class PutItem(_Part):
    """Where an item goes."""

    tableName: str  # noqa: N815 - AWS's name


class DynamoAction(_Part):
    """Put what is selected into a table, one column per key."""

    roleArn: str  # noqa: N815 - AWS's name
    putItem: PutItem  # noqa: N815 - AWS's name


class S3Action(_Part):
    """Put what is selected as one object; the key may have substitutions."""

    roleArn: str  # noqa: N815 - AWS's name
    bucketName: str  # noqa: N815 - AWS's name
    key: str


class SqsAction(_Part):
    """Send what is selected to a queue."""

    roleArn: str  # noqa: N815 - AWS's name
    queueUrl: str  # noqa: N815 - AWS's name
    useBase64: bool = False  # noqa: N815 - AWS's name

    @property
    def queue(self) -> str:
        """The queue's name."""
        return self.queueUrl.rsplit("/", 1)[-1]


class RepublishAction(_Part):
    """Publish what is selected on another topic, which may have substitutions."""

    roleArn: str  # noqa: N815 - AWS's name
    topic: str
    qos: Annotated[int, Field(ge=0, le=1)] = 0


class Action(_Part):
    """Exactly one of the actions that the box has."""

    to_function: LambdaAction | None = Field(default=None, alias="lambda")
    dynamoDBv2: DynamoAction | None = None  # noqa: N815 - AWS's name
    s3: S3Action | None = None
    sqs: SqsAction | None = None
    republish: RepublishAction | None = None

    @model_validator(mode="after")
    def _one(self) -> "Action":
        if len(self.model_fields_set) != 1:
            raise ValueError("needs exactly one of lambda, dynamoDBv2, s3, sqs, republish")
        return self


class RulePayload(_Part):
    """One rule."""

    sql: str
    description: str = ""
    awsIotSqlVersion: Annotated[str, Field(pattern="^2016-03-23$")]  # noqa: N815 - AWS's name
    ruleDisabled: bool = False  # noqa: N815 - AWS's name
    actions: Annotated[list[Action], Field(min_length=1, max_length=10)]
    errorAction: Action  # noqa: N815 - AWS's name


class FunctionPart(_Part):
    """One function; `handler` is module and name, as in AWS Lambda."""

    handler: Annotated[str, Field(pattern=r"^[\w.]+\.\w+$")]
    timeout_s: Annotated[float, Field(gt=0, le=900)]
    memory_mb: int = 256
    environment: dict[str, str] = {}
    failure_queue: str


class TablePart(_Part):
    """One table and its keys, which are strings."""

    hash_key: str
    range_key: str | None = None
    time_to_live: str | None = None


class SchedulePart(_Part):
    """When a function runs by itself."""

    expression: Annotated[str, Field(pattern=_RATE.pattern)]
    function: str

    @property
    def period_s(self) -> float:
        """Seconds between two runs."""
        found = _RATE.fullmatch(self.expression)
        assert found is not None  # noqa: S101 - the field's pattern
        unit_s = 60.0 if found.group(2).startswith("minute") else 3600.0
        return unit_s * int(found.group(1))


class TemplatePart(_Part):
    """The provisioning template."""

    parameters: dict[str, str | None]
    thing_name: str
    configuration: dict[str, str]

    def template(self) -> Template:
        """Return it as the provisioning service wants it."""
        return Template(self.parameters, self.thing_name, self.configuration)


class Tier(_Part):
    """Everything that the tier has."""

    region: str
    account: Annotated[str, Field(pattern=r"^\d{12}$")]
    bucket: str
    topics: list[str]
    queues: list[str]
    tables: dict[str, TablePart]
    functions: dict[str, FunctionPart]
    schedules: dict[str, SchedulePart]
    rules: dict[str, RulePayload]
    provisioning: TemplatePart

    def topic_arn(self, topic: str) -> str:
        """Return the address of an SNS topic."""
        return f"arn:aws:sns:{self.region}:{self.account}:{topic}"

    def environment(self) -> dict[str, str]:
        """Return the environment of all functions: they share one process here.

        Raises BoxError if two of them disagree.
        """
        merged: dict[str, str] = {}
        for name, function in self.functions.items():
            for key, value in function.environment.items():
                if merged.setdefault(key, value) != value:
                    raise BoxError(f"function {name}: the box has one environment, {key} differs")
        return merged

    @model_validator(mode="after")
    def _whole(self) -> "Tier":
        """Refuse names that nothing has."""
        for name, rule in self.rules.items():
            for action in (*rule.actions, rule.errorAction):
                self._known(f"rule {name}", action)
        for name, function in self.functions.items():
            _in(f"function {name}", function.failure_queue, "queue", self.queues)
        for name, schedule in self.schedules.items():
            _in(f"schedule {name}", schedule.function, "function", self.functions)
        return self

    def _known(self, where: str, action: Action) -> None:
        if action.to_function is not None:
            _in(where, action.to_function.function, "function", self.functions)
        if action.dynamoDBv2 is not None:
            _in(where, action.dynamoDBv2.putItem.tableName, "table", self.tables)
        if action.s3 is not None:
            _in(where, action.s3.bucketName, "bucket", [self.bucket])
        if action.sqs is not None:
            _in(where, action.sqs.queue, "queue", self.queues)


def load_tier(path: Path | None = None) -> Tier:
    """Read a description, else the one that belongs to this program; raises BoxError."""
    file = path or _own()
    try:
        return Tier.model_validate_json(file.read_bytes())
    except OSError as error:
        raise BoxError(f"{file}: cannot be read: {error.strerror}") from error
    except ValidationError as error:
        raise BoxError(f"{file}: {problem_of(error)}") from error


def _own() -> Path:
    # In a wheel the file lies beside this module, in a checkout in `deploy`.
    beside = Path(__file__).with_name("tier.json")
    return beside if beside.exists() else Path(__file__).parents[2] / "deploy" / "tier.json"


def _in(where: str, name: str, kind: str, known: Mapping[str, object] | list[str]) -> None:
    if name not in known:
        raise ValueError(f"{where}: there is no {kind} {name}")

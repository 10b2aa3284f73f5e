"""What the box runs of a deployed tier: rules, functions, schedules, as AWS's calls describe them.

Rules have the shape of AWS IoT's TopicRulePayload. What the box cannot carry out is refused here.
"""

import re
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, model_validator

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


class FirehoseAction(_Part):
    """Put what is selected on a delivery stream, with a separator behind it."""

    roleArn: str  # noqa: N815 - AWS's name
    deliveryStreamName: str  # noqa: N815 - AWS's name
    separator: str = ""


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
    firehose: FirehoseAction | None = None
    republish: RepublishAction | None = None

    @model_validator(mode="after")
    def _one(self) -> "Action":
        if len(self.model_fields_set) != 1:
            raise ValueError(
                "needs exactly one of lambda, dynamoDBv2, s3, sqs, firehose, republish"
            )
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

"""The functions: name, time limit, schedule, and what each may do."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from aws_cdk import CfnParameter, Duration, RemovalPolicy, Stack
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3 as s3

from deploy import names
from deploy.parts.keys import use_key, use_key_by_alias
from deploy.parts.review import accept, accept_star, skip_checkov

RUNTIME: Final = lambda_.Runtime.PYTHON_3_12
ATTEMPTS: Final = 2
MAX_AGE_S: Final = 6 * 3600
"""An event of a rule is tried so often again, at most so long; then it goes to the failures."""
_RETENTION: Final[Mapping[int, logs.RetentionDays]] = {
    14: logs.RetentionDays.TWO_WEEKS,
    90: logs.RetentionDays.THREE_MONTHS,
}
_READ: Final = ("dynamodb:GetItem", "dynamodb:Query")
_READ_ALL: Final = (*_READ, "dynamodb:Scan")
_CHANGE: Final = (*_READ, "dynamodb:PutItem")
_CHANGE_ALL: Final = (*_READ_ALL, "dynamodb:PutItem")
_ONCE: Final = (*_CHANGE, "dynamodb:UpdateItem", "dynamodb:DeleteItem")
_TELL: Final = ("sns:Publish",)
_THINGS: Final = "things come and go; the rest of the name is fixed"
_PICTURES: Final = (
    "each thing has its own folder of pictures, named by incidents; the signed link says which one"
)
_REPORTS: Final = "reports are named by date; the folder is fixed"


@dataclass(frozen=True, slots=True)
class Right:
    """Actions on something of ours; `wide` says why the name has a star."""

    actions: tuple[str, ...]
    service: str
    name: str
    wide: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """One function."""

    handler: str
    timeout_s: int
    rights: tuple[Right, ...]
    every_min: int = 0
    memory_mb: int = 512


_INCIDENTS: Final = f"table/{names.INCIDENTS}"
_OPEN: Final = f"{_INCIDENTS}/index/{names.OPEN_INCIDENTS}"
_DEVICES: Final = f"table/{names.DEVICES}"
_PEOPLE: Final = Right(_TELL, "sns", names.PEOPLE_TOPIC)
_OPERATORS: Final = Right(_TELL, "sns", names.OPERATORS_TOPIC)
_DOWN: Final = Right(("iot:Publish",), "iot", "topic/firedetect/*/down", _THINGS)
_EVENTS: Final = Right(("events:PutEvents",), "events", f"event-bus/{names.BUS}")

PLANS: Final = {
    "escalate": Plan(
        "escalate",
        30,
        (
            _PEOPLE,
            _DOWN,
            _EVENTS,
            Right(_CHANGE, "dynamodb", _INCIDENTS),
            Right(_CHANGE, "dynamodb", _DEVICES),
            Right(_ONCE, "dynamodb", f"table/{names.IDEMPOTENCY}"),
            Right(("states:StartExecution",), "states", f"stateMachine:{names.ESCALATION}"),
            Right(("sagemaker:InvokeEndpoint",), "sagemaker", f"endpoint/{names.ENDPOINT}"),
        ),
    ),
    "acknowledge": Plan(
        "acknowledge",
        20,
        (
            _PEOPLE,
            _EVENTS,
            Right(_CHANGE, "dynamodb", _INCIDENTS),
            Right(_ONCE, "dynamodb", f"table/{names.IDEMPOTENCY}"),
            Right(("iot:UpdateThingShadow",), "iot", "thing/*/alarm", _THINGS),
            Right(("s3:GetObject",), "s3", "*/pictures/*", _PICTURES),
        ),
    ),
    "supervisor": Plan(
        "supervisor",
        30,
        (_PEOPLE, _DOWN, _EVENTS, Right(_CHANGE_ALL, "dynamodb", _DEVICES)),
        every_min=1,
    ),
    "monitoring-agent": Plan(
        "monitoring_agent", 60, (_PEOPLE, Right(_CHANGE_ALL, "dynamodb", _DEVICES)), every_min=5
    ),
    "analysis-agent": Plan(
        "analysis_agent",
        120,
        (
            Right(_CHANGE_ALL, "dynamodb", _DEVICES),
            Right(_READ_ALL, "dynamodb", _INCIDENTS),
            Right(("s3:PutObject",), "s3", "reports/*", _REPORTS),
        ),
        every_min=10,
    ),
    "response-agent": Plan(
        "response_agent",
        60,
        (
            _PEOPLE,
            _EVENTS,
            Right(_CHANGE, "dynamodb", _INCIDENTS),
            Right(("dynamodb:Query",), "dynamodb", _OPEN),
        ),
        every_min=15,
    ),
    "learning-agent": Plan(
        "learning_agent",
        60,
        (
            _OPERATORS,
            Right(_CHANGE_ALL, "dynamodb", _DEVICES),
            Right(_READ_ALL, "dynamodb", _INCIDENTS),
            Right(("s3:PutObject",), "s3", "learning/*", _REPORTS),
        ),
        every_min=60,
    ),
    "provisioning-hook": Plan(
        "provisioning_hook", 5, (Right(("iot:DescribeThing",), "iot", "thing/*", _THINGS),)
    ),
}
SIGNS: Final = {
    "escalate": "kms:GenerateMac",
    "response-agent": "kms:GenerateMac",
    "acknowledge": "kms:VerifyMac",
}


class Functions:
    """All functions of a stack; one package is uploaded for them beside the template.

    So a template never changes with the code, and a roll-back is the key of the package before.
    """

    def __init__(self, stack: Stack, key: kms.Key, sign_key: kms.CfnKey, log_days: int) -> None:
        self._stack = stack
        self._key = key
        self._log_days = log_days
        bucket = CfnParameter(stack, "CodeBucket", description="bucket of the functions' package")
        package = CfnParameter(stack, "CodeKey", description="key of the functions' package")
        self._code = lambda_.Code.from_bucket(
            s3.Bucket.from_bucket_name(stack, "Code", bucket.value_as_string),
            package.value_as_string,
        )
        self._environment = _environment(stack)
        self.by_name = {name: self._function(name, plan) for name, plan in PLANS.items()}
        for name, action in SIGNS.items():
            _role(self.by_name[name]).add_to_principal_policy(
                iam.PolicyStatement(actions=[action], resources=[sign_key.attr_arn])
            )

    def schedule(self) -> None:
        """Let those that run by themselves do so."""
        for name, plan in PLANS.items():
            if plan.every_min:
                events.Rule(
                    self._stack,
                    f"{_identity(name)}Schedule",
                    rule_name=f"firedetect-{name}",
                    schedule=events.Schedule.rate(Duration.minutes(plan.every_min)),
                    targets=[targets.LambdaFunction(self.by_name[name])],
                )

    def _function(self, name: str, plan: Plan) -> lambda_.Function:
        role = iam.Role(
            self._stack,
            f"{_identity(name)}Role",
            role_name=names.everywhere(self._stack, name),
            assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"),
        )
        log_group = logs.LogGroup(
            self._stack,
            f"{_identity(name)}Logs",
            log_group_name=f"/aws/lambda/firedetect-{name}",
            retention=_RETENTION[self._log_days],
            encryption_key=self._key,
            removal_policy=RemovalPolicy.DESTROY,
        )
        log_group.grant_write(role)
        function = lambda_.Function(
            self._stack,
            _identity(name),
            function_name=f"firedetect-{name}",
            runtime=RUNTIME,
            architecture=lambda_.Architecture.ARM_64,
            handler=f"firedetect.lambdas.{plan.handler}.handler",
            code=self._code,
            role=role,
            log_group=log_group,
            # As text no line has a level, and the alarm on errors would look for one in vain. Below
            # INFO the metrics would go: they are lines without a level, which counts as INFO.
            logging_format=lambda_.LoggingFormat.JSON,
            application_log_level_v2=lambda_.ApplicationLogLevel.INFO,
            system_log_level_v2=lambda_.SystemLogLevel.INFO,
            timeout=Duration.seconds(plan.timeout_s),
            memory_size=plan.memory_mb,
            environment=self._environment,
            environment_encryption=self._key,
        )
        lambda_.CfnEventInvokeConfig(
            self._stack,
            f"{_identity(name)}Failures",
            function_name=function.function_name,
            qualifier="$LATEST",
            maximum_retry_attempts=ATTEMPTS,
            maximum_event_age_in_seconds=MAX_AGE_S,
            destination_config={
                "onFailure": {"destination": names.arn(self._stack, "sqs", names.FUNCTION_ERRORS)}
            },
        )
        self._grant(role, plan)
        accept(
            function, "L1", "tests run on older interpreters; the newest runtime comes after them"
        )
        skip_checkov(function, "CKV_AWS_117", "no VPC: it speaks to AWS services over TLS only")
        skip_checkov(function, "CKV_AWS_116", "its failures go to a queue by EventInvokeConfig")
        skip_checkov(function, "CKV_AWS_115", "no reserved share: an alarm must never be throttled")
        return function

    def _grant(self, role: iam.Role, plan: Plan) -> None:
        use_key(role, self._key)
        failures = Right(("sqs:SendMessage",), "sqs", names.FUNCTION_ERRORS)
        for right in (*plan.rights, failures):
            resource = _resource(self._stack, right)
            role.add_to_principal_policy(
                iam.PolicyStatement(actions=list(right.actions), resources=[resource])
            )
            if right.service == "s3":
                use_key_by_alias(role, self._stack, names.LAKE_ALIAS)
            if right.wide:
                accept_star(role, resource, right.wide)


def _environment(stack: Stack) -> dict[str, str]:
    return {
        "INCIDENTS_TABLE": names.INCIDENTS,
        "DEVICES_TABLE": names.DEVICES,
        "IDEMPOTENCY_TABLE": names.IDEMPOTENCY,
        "PEOPLE_TOPIC_ARN": names.arn(stack, "sns", names.PEOPLE_TOPIC),
        "OPERATORS_TOPIC_ARN": names.arn(stack, "sns", names.OPERATORS_TOPIC),
        "ESCALATION_ARN": names.arn(stack, "states", f"stateMachine:{names.ESCALATION}"),
        "EVENT_BUS": names.BUS,
        "SIGN_KEY": names.SIGN_ALIAS,
        "DATA_BUCKET": names.bucket_name(stack),
        "POWERTOOLS_SERVICE_NAME": "firedetect",
        "POWERTOOLS_METRICS_NAMESPACE": "firedetect",
    }


def _resource(stack: Stack, right: Right) -> str:
    if right.service == "s3":
        return f"arn:{stack.partition}:s3:::{names.bucket_name(stack)}/{right.name}"
    return names.arn(stack, right.service, right.name)


def _role(function: lambda_.Function) -> iam.IRole:
    assert function.role is not None  # noqa: S101 - every function of ours has one
    return function.role


def _identity(name: str) -> str:
    return name.title().replace("-", "")

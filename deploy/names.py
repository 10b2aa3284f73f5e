"""Names that the stacks share: fixed ones, so that no stack has to export anything."""

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from aws_cdk import Stack

FUNCTIONS: Final = (
    "escalate",
    "acknowledge",
    "supervisor",
    "monitoring-agent",
    "analysis-agent",
    "response-agent",
    "learning-agent",
    "provisioning-hook",
)
RULE_ERRORS: Final = "firedetect-rule-errors"
FUNCTION_ERRORS: Final = "firedetect-function-errors"
PEOPLE_TOPIC: Final = "fire-detection-alerts"
OPERATORS_TOPIC: Final = "firedetect-operators"
INCIDENTS: Final = "firedetect-incidents"
OPEN_INCIDENTS: Final = "open"
DEVICES: Final = "firedetect-devices"
IDEMPOTENCY: Final = "firedetect-idempotency"
ESCALATION: Final = "firedetect-escalation"
ENDPOINT: Final = "fire-mvp-xgb-endpoint"
BUS: Final = "firedetect"
PROVISIONING_TEMPLATE: Final = "firedetect"
KEY_ALIAS: Final = "alias/firedetect"
LAKE_ALIAS: Final = "alias/firedetect-lake"
SIGN_ALIAS: Final = "alias/firedetect-acknowledge"
STREAM: Final = "firedetect-telemetry"


def arn(stack: "Stack", service: str, rest: str, *, place: bool = True) -> str:
    """Return the address of something with a fixed name in the stack's account and region."""
    where = f"{stack.region}:{stack.account}" if place else ":"
    return f"arn:{stack.partition}:{service}:{where}:{rest}"


def function_arn(stack: "Stack", name: str) -> str:
    """Return the address of one of our functions."""
    return arn(stack, "lambda", f"function:firedetect-{name}")


def everywhere(stack: "Stack", name: str) -> str:
    """Return the name of what belongs to no region, such as a role: each region has one of it."""
    return f"firedetect-{name}-{stack.region}"


def bucket_name(stack: "Stack") -> str:
    """Return the name of the data bucket; bucket names are worldwide."""
    return f"firedetect-data-{stack.account}-{stack.region}"


def models_bucket_name(stack: "Stack") -> str:
    """Return the name of the bucket of models that jobs deliver."""
    return f"firedetect-models-{stack.account}-{stack.region}"

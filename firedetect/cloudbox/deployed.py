"""Deploys the tier's templates on moto, and reads back what is to be run."""

import io
import json
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic import ValidationError

from firedetect.cloudbox.parts import FunctionPart, RulePayload, SchedulePart
from firedetect.cloudbox.tier import Tier
from firedetect.contract.problems import problem_of
from firedetect.errors import BoxError

_CODE_BUCKET: Final = "firedetect-code"
_CODE_KEY: Final = "package.zip"
_COMPLETE: Final = "CREATE_COMPLETE"

ClientOf = Callable[[str], Any]


@dataclass(frozen=True, slots=True)
class Deployed:
    """What AWS's own calls say of the tier, and how its stacks came out."""

    functions: Mapping[str, FunctionPart]
    schedules: Mapping[str, SchedulePart]
    rules: Mapping[str, RulePayload]
    stacks: Mapping[str, str]


def deploy(tier: Tier, client_of: ClientOf) -> Deployed:
    """Create every stack, and return what was made; raises BoxError with the stack that failed."""
    s3, cloudformation = client_of("s3"), client_of("cloudformation")
    s3.create_bucket(
        Bucket=_CODE_BUCKET, CreateBucketConfiguration={"LocationConstraint": tier.region}
    )
    # Functions run from what is installed here; AWS wants a package all the same.
    s3.put_object(Bucket=_CODE_BUCKET, Key=_CODE_KEY, Body=_package())
    known = {"CodeBucket": _CODE_BUCKET, "CodeKey": _CODE_KEY, **tier.parameters}
    stacks = {}
    for name, template in tier.templates.items():
        wanted = template.get("Parameters", {})
        try:
            cloudformation.create_stack(
                StackName=name,
                TemplateBody=json.dumps(template),
                Parameters=[
                    {"ParameterKey": key, "ParameterValue": known[key]}
                    for key in wanted
                    if key in known
                ],
            )
            (made,) = cloudformation.describe_stacks(StackName=name)["Stacks"]
        except Exception as error:
            raise BoxError(f"stack {name} is not created: {error}") from error
        stacks[name] = str(made["StackStatus"])
        if stacks[name] != _COMPLETE:
            raise BoxError(f"stack {name}: {stacks[name]}, {made.get('StackStatusReason')}")
    return Deployed(_functions(client_of), _schedules(client_of), _rules(client_of), stacks)


def _functions(client_of: ClientOf) -> dict[str, FunctionPart]:
    functions = client_of("lambda")
    made = {}
    for page in functions.get_paginator("list_functions").paginate():
        for one in page["Functions"]:
            name = str(one["FunctionName"])
            failures = functions.get_function_event_invoke_config(FunctionName=name)
            queue = failures["DestinationConfig"]["OnFailure"]["Destination"]
            made[name] = FunctionPart(
                handler=one["Handler"],
                timeout_s=float(one["Timeout"]),
                memory_mb=int(one["MemorySize"]),
                environment=one["Environment"]["Variables"],
                failure_queue=queue.rsplit(":", 1)[-1],
            )
    return made


def _schedules(client_of: ClientOf) -> dict[str, SchedulePart]:
    events = client_of("events")
    made = {}
    for rule in events.list_rules()["Rules"]:
        expression = rule.get("ScheduleExpression")
        if expression is None:
            continue
        (target,) = events.list_targets_by_rule(Rule=rule["Name"])["Targets"]
        try:
            made[rule["Name"]] = SchedulePart(
                expression=expression, function=target["Arn"].rsplit(":", 1)[-1]
            )
        except ValidationError as error:
            raise BoxError(f"schedule {rule['Name']}: {problem_of(error)}") from error
    return made


def _rules(client_of: ClientOf) -> dict[str, RulePayload]:
    iot = client_of("iot")
    made = {}
    for one in iot.list_topic_rules()["rules"]:
        name = str(one["ruleName"])
        rule = iot.get_topic_rule(ruleName=name)["rule"]
        known = {key: rule[key] for key in RulePayload.model_fields if key in rule}
        try:
            made[name] = RulePayload.model_validate(known)
        except ValidationError as error:
            raise BoxError(f"rule {name}: {problem_of(error)}") from error
    return made


def _package() -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as package:
        package.writestr("README", "The box runs the functions that are installed beside it.\n")
    return made.getvalue()

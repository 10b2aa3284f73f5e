"""Types of CloudFormation that moto lacks: each is created by the matching call on the same moto.

Property names are mapped without case onto the input of that call, values converted to its types.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from botocore.model import ListShape, MapShape, Shape, StructureShape

from firedetect.errors import BoxError

_TLS_ONLY: Final = "aws:SecureTransport"

Properties = dict[str, Any]
ClientOf = Callable[[str], Any]


@dataclass(frozen=True, slots=True)
class Kind:
    """How a type is created: service and call, names of arguments that differ, what it is known by.

    `name` is the argument that is its physical id, `made` names it where a template leaves it out.
    `answer` maps attributes that templates ask for to members of the answer, or to an address.
    `reshape` changes the
    properties before all.
    """

    service: str
    call: str
    name: str
    answer: Mapping[str, str] = field(default_factory=dict)
    renamed: Mapping[str, str] = field(default_factory=dict)
    reshape: Callable[[Properties], Properties] = lambda properties: properties
    made: bool = False
    known_by: str = ""
    """The attribute that is the physical id, where the call has no name for it."""


def _policy_of_queues(given: Properties) -> Properties:
    return {
        "QueueUrl": given["Queues"][0],
        "Attributes": {"Policy": json.dumps(given["PolicyDocument"])},
    }


def _policy_of_topics(given: Properties) -> Properties:
    return {
        "TopicArn": given["Topics"][0],
        "AttributeName": "Policy",
        "AttributeValue": json.dumps(given["PolicyDocument"]),
    }


def _policy_of_bucket(given: Properties) -> Properties:
    """Without what denies all but TLS: on this computer nobody speaks it, and moto would obey."""
    document = dict(given["PolicyDocument"])
    document["Statement"] = [
        one
        for one in document["Statement"]
        if _TLS_ONLY not in one.get("Condition", {}).get("Bool", {})
    ]
    return {"Bucket": given["Bucket"], "Policy": json.dumps(document)}


def _plan(given: Properties) -> Properties:
    """Backup's template names differ from its call's in three places."""
    plan = given["BackupPlan"]
    rules = [
        {
            "RuleName": rule["RuleName"],
            "TargetBackupVaultName": rule["TargetBackupVault"],
            "ScheduleExpression": rule["ScheduleExpression"],
            "StartWindowMinutes": rule["StartWindowMinutes"],
            "CompletionWindowMinutes": rule["CompletionWindowMinutes"],
            "Lifecycle": rule["Lifecycle"],
            "CopyActions": rule["CopyActions"],
        }
        for rule in plan["BackupPlanRule"]
    ]
    return {"BackupPlan": {"BackupPlanName": plan["BackupPlanName"], "Rules": rules}}


def _key(given: Properties) -> Properties:
    names = {"KeyPolicy": "Policy", "KeySpec": "KeySpec", "KeyUsage": "KeyUsage"}
    names["Description"] = "Description"
    return {new: given[name] for name, new in names.items() if name in given}


def _vault(given: Properties) -> Properties:
    return {key: value for key, value in given.items() if key != "BackupVaultTags"}


def _group(given: Properties) -> Properties:
    return {"thingGroupName": given["ThingGroupName"]}


def _state_machine(given: Properties) -> Properties:
    return {
        "name": given["StateMachineName"],
        "definition": given["DefinitionString"],
        "roleArn": given["RoleArn"],
    }


def _stream(given: Properties) -> Properties:
    """What the stream would be encrypted with comes later in moto: kept out of its call."""
    return {
        key: value
        for key, value in given.items()
        if key != "DeliveryStreamEncryptionConfigurationInput"
    } | {"DeliveryStreamType": "DirectPut"}


def _work_group(given: Properties) -> Properties:
    return {"Name": given["Name"], "Configuration": given["WorkGroupConfiguration"]}


FUNCTION_URL: Final = "AWS::Lambda::Url"

KINDS: Final[Mapping[str, Kind]] = {
    "AWS::ApplicationAutoScaling::ScalableTarget": Kind(
        "application-autoscaling", "register_scalable_target", "ResourceId"
    ),
    "AWS::ApplicationAutoScaling::ScalingPolicy": Kind(
        "application-autoscaling",
        "put_scaling_policy",
        "PolicyName",
        renamed={
            "TargetTrackingScalingPolicyConfiguration": "TargetTrackingScalingPolicyConfiguration"
        },
    ),
    "AWS::Athena::WorkGroup": Kind("athena", "create_work_group", "Name", reshape=_work_group),
    "AWS::Backup::BackupPlan": Kind(
        "backup", "create_backup_plan", "", {"BackupPlanId": "BackupPlanId"}, reshape=_plan
    ),
    "AWS::Backup::BackupVault": Kind(
        "backup", "create_backup_vault", "BackupVaultName", reshape=_vault
    ),
    "AWS::Budgets::Budget": Kind("budgets", "create_budget", ""),
    "AWS::CloudWatch::Alarm": Kind(
        "cloudwatch",
        "put_metric_alarm",
        "AlarmName",
        {"Arn": "arn:aws:cloudwatch:{region}:{account}:alarm:{name}"},
    ),
    "AWS::Events::ApiDestination": Kind(
        "events", "create_api_destination", "Name", {"Arn": "ApiDestinationArn"}
    ),
    "AWS::Events::Connection": Kind(
        "events", "create_connection", "Name", {"Arn": "ConnectionArn"}
    ),
    "AWS::Glue::Database": Kind("glue", "create_database", ""),
    "AWS::Glue::Table": Kind("glue", "create_table", ""),
    "AWS::IoT::ThingGroup": Kind(
        "iot", "create_thing_group", "thingGroupName", {"Arn": "thingGroupArn"}, reshape=_group
    ),
    "AWS::IoT::TopicRule": Kind("iot", "create_topic_rule", "ruleName"),
    "AWS::KinesisFirehose::DeliveryStream": Kind(
        "firehose",
        "create_delivery_stream",
        "DeliveryStreamName",
        {"Arn": "DeliveryStreamARN"},
        reshape=_stream,
    ),
    "AWS::Lambda::EventInvokeConfig": Kind(
        "lambda", "put_function_event_invoke_config", "FunctionName"
    ),
    FUNCTION_URL: Kind(
        "lambda",
        "create_function_url_config",
        "FunctionName",
        {"FunctionUrl": "FunctionUrl"},
        renamed={"TargetFunctionArn": "FunctionName"},
    ),
    # moto's own type makes every key a symmetric one.
    "AWS::KMS::Key": Kind(
        "kms",
        "create_key",
        "",
        {"KeyId": "KeyMetadata.KeyId", "Arn": "KeyMetadata.Arn"},
        reshape=_key,
        known_by="KeyId",
    ),
    "AWS::Logs::MetricFilter": Kind("logs", "put_metric_filter", "filterName", made=True),
    "AWS::S3::BucketPolicy": Kind("s3", "put_bucket_policy", "Bucket", reshape=_policy_of_bucket),
    "AWS::SNS::TopicPolicy": Kind(
        "sns", "set_topic_attributes", "TopicArn", reshape=_policy_of_topics
    ),
    # moto's own type makes one that is not run.
    "AWS::StepFunctions::StateMachine": Kind(
        "stepfunctions",
        "create_state_machine",
        "name",
        {"Arn": "stateMachineArn"},
        reshape=_state_machine,
        known_by="Arn",
    ),
    "AWS::SQS::QueuePolicy": Kind(
        "sqs", "set_queue_attributes", "QueueUrl", reshape=_policy_of_queues
    ),
}

RECORDED: Final = (
    "AWS::IoT::ProvisioningTemplate",
    "AWS::IoT::SecurityProfile",
    "AWS::IoT::FleetMetric",
    "AWS::Backup::BackupSelection",
)
"""moto has no call for these: they are recorded only, and the box says so."""


def create(
    type_name: str, logical_id: str, properties: Properties, client_of: ClientOf, account: str
) -> tuple[str, dict[str, str]]:
    """Create one resource; return its physical id and its attributes. Raises BoxError."""
    kind = KINDS[type_name]
    client = client_of(kind.service)
    given = {kind.renamed.get(name, name): value for name, value in properties.items()}
    shape = client.meta.service_model.operation_model(
        client.meta.method_to_api_mapping[kind.call]
    ).input_shape
    try:
        arguments = fitted(kind.reshape(given), shape)
        if "AccountId" in shape.members:
            arguments["AccountId"] = account
        if kind.made:
            arguments.setdefault(kind.name, logical_id)
        answer = getattr(client, kind.call)(**arguments)
    except Exception as error:
        raise BoxError(f"{type_name} {logical_id}: {error}") from error
    told = {"region": client.meta.region_name, "account": account}
    told["name"] = str(arguments.get(kind.name, logical_id))
    attributes = {
        name: path.format(**told) if path.startswith("arn:") else _member(answer, path)
        for name, path in kind.answer.items()
    }
    identity = attributes.get(kind.known_by) or arguments.get(kind.name, logical_id)
    return str(identity), attributes


def _member(answer: Any, path: str) -> str:  # noqa: ANN401 - what the call answers
    for name in path.split("."):
        answer = answer[name]
    return str(answer)


def fitted(value: Any, shape: Shape) -> Any:  # noqa: ANN401 - whatever a template holds
    """Return a value of a template as a call wants it; raises BoxError for what is not known."""
    if isinstance(shape, StructureShape):
        return _structure(value, shape)
    if isinstance(shape, ListShape):
        items = value if isinstance(value, list) else [value]
        return [fitted(item, shape.member) for item in items]
    if isinstance(shape, MapShape):
        return {str(key): fitted(item, shape.value) for key, item in value.items()}
    return _scalar(value, shape.type_name)


def _structure(value: Any, shape: StructureShape) -> dict[str, Any]:  # noqa: ANN401
    if not isinstance(value, dict):
        raise BoxError(f"{shape.name} must be an object, not {value!r}")
    members = {name.lower(): name for name in shape.members}
    made = {}
    for name, item in value.items():
        member = members.get(name.lower().replace("_", ""))
        if member is None:
            if name in {"Tags", "TagList"}:
                continue
            raise BoxError(f"{shape.name} has no {name}")
        made[member] = fitted(item, shape.members[member])
    return made


def _scalar(value: Any, kind: str) -> Any:  # noqa: ANN401
    if kind in {"integer", "long"}:
        return int(value)
    if kind in {"float", "double"}:
        return float(value)
    if kind == "boolean":
        return value if isinstance(value, bool) else str(value).lower() == "true"
    if kind == "string" and not isinstance(value, str):
        return json.dumps(value) if isinstance(value, dict | list) else str(value)
    return value

"""Rules of the detectors: from a topic to a function or a table, with a queue for what fails."""

from typing import Final

from aws_cdk import Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_iot as iot
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_

from deploy import names
from deploy.parts.keys import use_key

_SQL_VERSION: Final = "2016-03-23"
_SELECT: Final = "SELECT *, topic(2) AS thing, timestamp() AS received_ms"
Action = iot.CfnTopicRule.ActionProperty


class Rules:
    """The rules of a stack, which act as one role."""

    def __init__(self, stack: Stack, key: kms.IKey, role: str) -> None:
        self._stack = stack
        self.role = iam.Role(
            stack,
            "RulesRole",
            role_name=names.everywhere(stack, role),
            assumed_by=iam.ServicePrincipal("iot.amazonaws.com"),
        )
        self._allow("sqs:SendMessage", names.arn(stack, "sqs", names.RULE_ERRORS))
        use_key(self.role, key)

    def to_function(self, name: str, description: str, function: lambda_.Function) -> None:
        """Let a function have what detectors publish on their topic of that name."""
        topic = f"firedetect/+/{name}"
        action = Action(
            lambda_=iot.CfnTopicRule.LambdaActionProperty(function_arn=function.function_arn)
        )
        self._rule(name, f"{_SELECT} FROM '{topic}'", description, action)
        function.add_permission(
            f"From{name.title()}",
            principal=iam.ServicePrincipal("iot.amazonaws.com"),
            source_arn=names.arn(self._stack, "iot", f"rule/firedetect_{name}"),
            source_account=self._stack.account,
        )

    def to_table(self, name: str, description: str, table: str) -> None:
        """Put what detectors send to the rule itself (basic ingest) into a table, kind by kind."""
        self._allow("dynamodb:PutItem", names.arn(self._stack, "dynamodb", f"table/{table}"))
        action = Action(
            dynamo_d_bv2=iot.CfnTopicRule.DynamoDBv2ActionProperty(
                role_arn=self.role.role_arn,
                put_item=iot.CfnTopicRule.PutItemInputProperty(table_name=table),
            )
        )
        self._rule(name, f"{_SELECT}, '{name}' AS kind", description, action)

    def to_stream(self, name: str, description: str, stream: str) -> None:
        """Put what detectors send to the rule itself on a delivery stream, a line each."""
        self._allow(
            "firehose:PutRecord", names.arn(self._stack, "firehose", f"deliverystream/{stream}")
        )
        action = Action(
            firehose=iot.CfnTopicRule.FirehoseActionProperty(
                delivery_stream_name=stream, role_arn=self.role.role_arn, separator="\n"
            )
        )
        self._rule(name, _SELECT, description, action)

    def _allow(self, action: str, resource: str) -> None:
        self.role.add_to_principal_policy(
            iam.PolicyStatement(actions=[action], resources=[resource])
        )

    def _rule(self, name: str, sql: str, description: str, action: Action) -> None:
        stack = self._stack
        errors = (
            f"https://sqs.{stack.region}.{stack.url_suffix}/{stack.account}/{names.RULE_ERRORS}"
        )
        iot.CfnTopicRule(
            stack,
            f"{name.title()}Rule",
            rule_name=f"firedetect_{name}",
            topic_rule_payload=iot.CfnTopicRule.TopicRulePayloadProperty(
                sql=sql,
                aws_iot_sql_version=_SQL_VERSION,
                description=description,
                rule_disabled=False,
                actions=[action],
                error_action=Action(
                    sqs=iot.CfnTopicRule.SqsActionProperty(
                        queue_url=errors, role_arn=self.role.role_arn, use_base64=False
                    )
                ),
            ),
        )

"""The escalation: one tier of people after the other, until somebody acknowledges."""

from typing import Final

from aws_cdk import Duration, RemovalPolicy, Stack
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_stepfunctions as sfn
from aws_cdk import aws_stepfunctions_tasks as tasks
from constructs import Construct

from deploy import names
from deploy.parts.review import accept, accept_star, skip_checkov
from deploy.stage import Stage

_ATTEMPTS: Final = 8
_PAUSE: Final = Duration.seconds(60)
_LIMIT: Final = Duration.days(2)
"""After so long the response agent alone follows an incident up."""


class FlowStack(Stack):
    """A state machine that asks the function what to do, does it, waits as told, asks again."""

    def __init__(self, scope: Construct, stage: Stage) -> None:
        super().__init__(
            scope,
            "FiredetectFlow",
            stack_name="firedetect-flow",
            description="firedetect: escalation until somebody acknowledges",
        )
        escalate = lambda_.Function.from_function_name(self, "Escalate", "firedetect-escalate")
        climb = tasks.LambdaInvoke(
            self,
            "Climb",
            lambda_function=escalate,
            payload_response_only=True,
            # A step and nothing beside it: only so is it told from what a detector says.
            payload=sfn.TaskInput.from_object({"climb": sfn.JsonPath.object_at("$.climb")}),
            retry_on_service_exceptions=False,
        )
        # A step that fails is tried for minutes: nobody has been woken yet.
        climb.add_retry(
            errors=["States.ALL"],
            interval=Duration.seconds(1),
            backoff_rate=2.0,
            max_attempts=_ATTEMPTS,
            max_delay=Duration.seconds(60),
        )
        # However long that takes: the machine itself ends after two days.
        pause = sfn.Wait(self, "WaitForService", time=sfn.WaitTime.duration(_PAUSE))
        climb.add_catch(pause.next(climb), errors=["States.ALL"], result_path="$.failed")
        wait = sfn.Wait(self, "WaitForSomebody", time=sfn.WaitTime.seconds_path("$.climb.wait_s"))
        over = sfn.Succeed(self, "Over")
        decide = sfn.Choice(self, "Acknowledged")
        climb.next(decide)
        decide.when(sfn.Condition.boolean_equals("$.climb.over", value=True), over).otherwise(
            wait.next(climb)
        )
        log_group = logs.LogGroup(
            self,
            "Logs",
            log_group_name="/aws/vendedlogs/states/firedetect-escalation",
            retention=logs.RetentionDays.THREE_MONTHS,
            removal_policy=RemovalPolicy.RETAIN if stage.keep_data else RemovalPolicy.DESTROY,
        )
        skip_checkov(log_group, "CKV_AWS_158", "steps hold ids and times, no data of detectors")
        machine = sfn.StateMachine(
            self,
            "Escalation",
            state_machine_name=names.ESCALATION,
            definition_body=sfn.DefinitionBody.from_chainable(wait),
            timeout=_LIMIT,
            tracing_enabled=True,
            logs=sfn.LogOptions(
                destination=log_group, level=sfn.LogLevel.ALL, include_execution_data=False
            ),
        )
        role = machine.role
        accept(role, "IAM5[Resource::*]", "delivery of logs and traces has no narrower resource")
        versions = names.function_arn(self, "escalate") + ":*"
        accept_star(role, versions, "all versions of one function")
        skip_checkov(
            role.node.find_child("DefaultPolicy"),
            "CKV_AWS_111",
            "delivery of logs and traces has no narrower resource",
        )

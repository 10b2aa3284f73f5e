"""Slack and PagerDuty: notices of the bus by HTTPS, each service as it wants them. Opt-in."""

from dataclasses import dataclass
from typing import Final

from aws_cdk import CfnParameter, SecretValue, Stack
from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from deploy import names
from deploy.stage import Stage

PAGERDUTY: Final = "https://events.pagerduty.com/v2/enqueue"
_RATE_A_SECOND: Final = 20
_ATTEMPTS: Final = 24
_MAX_AGE_S: Final = 6 * 3600
_PATHS: Final = {
    name: f"$.detail.{name}"
    for name in ("subject", "text", "level", "site", "thing", "incident_id", "dedup_key", "link")
}


@dataclass(frozen=True, slots=True)
class Channel:
    """One service: where it listens, which levels it hears, what it is told."""

    name: str
    levels: tuple[str, ...]
    template: str


SLACK_CHANNEL: Final = Channel(
    "slack",
    ("trouble", "warning", "alert", "emergency"),
    '{"text": "*<subject>*\\n<text>"}',
)
PAGERDUTY_CHANNEL: Final = Channel(
    "pagerduty",
    ("alert", "emergency"),
    '{"routing_key": "<key>", "event_action": "trigger", "dedup_key": "<dedup_key>", '
    '"client": "firedetect", "client_url": "<link>", "payload": {"summary": "<subject>", '
    '"source": "<thing>", "severity": "critical", "class": "<level>", "component": "<site>", '
    '"custom_details": {"text": "<text>", "incident_id": "<incident_id>"}}}',
)


class ChannelsStack(Stack):
    """A destination, a connection and a rule for each service; what fails waits in our queue."""

    def __init__(self, scope: Construct, stage: Stage) -> None:  # noqa: ARG002 - the same in all
        super().__init__(
            scope,
            "FiredetectChannels",
            stack_name="firedetect-channels",
            description="firedetect: notices to Slack and PagerDuty, opt-in",
        )
        self._bus = events.EventBus.from_event_bus_name(self, "Bus", names.BUS)
        failures = names.arn(self, "sqs", names.FUNCTION_ERRORS)
        self._failures = sqs.Queue.from_queue_arn(self, "Failures", failures)
        slack = CfnParameter(
            self, "SlackUrl", no_echo=True, description="address of an incoming webhook of Slack"
        )
        pagerduty = CfnParameter(
            self, "PagerDutyUrl", default=PAGERDUTY, description="address of its Events API v2"
        )
        key = CfnParameter(
            self, "PagerDutyKey", no_echo=True, description="integration key of PagerDuty"
        )
        self._channel(SLACK_CHANNEL, slack.value_as_string, SLACK_CHANNEL.template)
        self._channel(
            PAGERDUTY_CHANNEL,
            pagerduty.value_as_string,
            PAGERDUTY_CHANNEL.template.replace("<key>", key.value_as_string),
        )

    def _channel(self, channel: Channel, url: str, template: str) -> None:
        title = channel.name.title()
        # Both services know us by the address or by a key in the body; the header says who speaks.
        connection = events.Connection(
            self,
            f"{title}Connection",
            connection_name=f"firedetect-{channel.name}",
            authorization=events.Authorization.api_key(
                "x-firedetect", SecretValue.unsafe_plain_text("firedetect")
            ),
        )
        destination = events.CfnApiDestination(
            self,
            f"{title}Destination",
            name=f"firedetect-{channel.name}",
            connection_arn=connection.connection_arn,
            http_method="POST",
            invocation_endpoint=url,
            invocation_rate_limit_per_second=_RATE_A_SECOND,
        )
        role = iam.Role(
            self,
            f"{title}Role",
            role_name=f"firedetect-{channel.name}",
            assumed_by=iam.ServicePrincipal("events.amazonaws.com"),
        )
        role.add_to_policy(
            iam.PolicyStatement(
                actions=["events:InvokeApiDestination"], resources=[destination.attr_arn]
            )
        )
        events.CfnRule(
            self,
            f"{title}Rule",
            name=f"firedetect-{channel.name}",
            event_bus_name=self._bus.event_bus_name,
            event_pattern={
                "source": ["firedetect"],
                "detail-type": ["notice"],
                "detail": {"level": list(channel.levels)},
            },
            targets=[
                events.CfnRule.TargetProperty(
                    id=channel.name,
                    arn=destination.attr_arn,
                    role_arn=role.role_arn,
                    dead_letter_config=events.CfnRule.DeadLetterConfigProperty(
                        arn=self._failures.queue_arn
                    ),
                    retry_policy=events.CfnRule.RetryPolicyProperty(
                        maximum_retry_attempts=_ATTEMPTS,
                        maximum_event_age_in_seconds=_MAX_AGE_S,
                    ),
                    input_transformer=events.CfnRule.InputTransformerProperty(
                        input_paths_map=_PATHS, input_template=template
                    ),
                )
            ],
        )

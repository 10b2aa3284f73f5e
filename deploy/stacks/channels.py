"""Slack and PagerDuty: notices of the bus by HTTPS, each service as it wants them. Opt-in."""

from collections.abc import Mapping
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
class Hearing:
    """Which notices a service hears, all kinds if none is named, and what it is told of each."""

    name: str
    levels: tuple[str, ...]
    templates: tuple[str, ...]
    kinds: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Channel:
    """One service."""

    name: str
    hears: tuple[Hearing, ...]


_TRIGGER: Final = (
    '{"routing_key": "<key>", "event_action": "trigger", "dedup_key": "<dedup_key>:<level>", '
    '"client": "firedetect", "client_url": "<link>", "payload": {"summary": "<subject>", '
    '"source": "<thing>", "severity": "critical", "class": "<level>", "component": "<site>", '
    '"custom_details": {"text": "<text>", "incident_id": "<incident_id>"}}}'
)
_COVERED: Final[Mapping[str, tuple[str, ...]]] = {
    "alert": ("alert",),
    "emergency": ("alert", "emergency"),
}
"""What ends with each level: whoever has taken over an emergency has taken over its alert, too."""
_ENDS: Final[Mapping[str, str]] = {"acknowledge": "taken-over", "resolve": "closed"}


def _end(action: str, level: str) -> str:
    return (
        f'{{"routing_key": "<key>", "event_action": "{action}", '
        f'"dedup_key": "<dedup_key>:{level}"}}'
    )


SLACK_CHANNEL: Final = Channel(
    "slack",
    (
        Hearing(
            "slack",
            ("trouble", "warning", "alert", "emergency"),
            ('{"text": "*<subject>*\\n<text>"}',),
        ),
    ),
)
# While an incident of PagerDuty is acknowledged, a trigger with its key calls nobody. So each level
# has a key of its own: an emergency calls again after its alert was taken over.
PAGERDUTY_CHANNEL: Final = Channel(
    "pagerduty",
    (
        Hearing("pagerduty", tuple(_COVERED), (_TRIGGER,), ("alarm", "unanswered")),
        *(
            Hearing(
                f"pagerduty-{action}-{level}",
                (level,),
                tuple(_end(action, one) for one in covered),
                (kind,),
            )
            for action, kind in _ENDS.items()
            for level, covered in _COVERED.items()
        ),
    ),
)


class ChannelsStack(Stack):
    """A destination and a connection for each service, its rules; what fails waits in our queue."""

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
        self._channel(SLACK_CHANNEL, slack.value_as_string)
        self._channel(PAGERDUTY_CHANNEL, pagerduty.value_as_string, key.value_as_string)

    def _channel(self, channel: Channel, url: str, key: str = "") -> None:
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
            role_name=names.everywhere(self, channel.name),
            assumed_by=iam.ServicePrincipal("events.amazonaws.com"),
        )
        role.add_to_policy(
            iam.PolicyStatement(
                actions=["events:InvokeApiDestination"], resources=[destination.attr_arn]
            )
        )
        for hearing in channel.hears:
            detail = {"level": list(hearing.levels)}
            if hearing.kinds:
                detail["kind"] = list(hearing.kinds)
            events.CfnRule(
                self,
                f"{hearing.name.title().replace('-', '')}Rule",
                name=f"firedetect-{hearing.name}",
                event_bus_name=self._bus.event_bus_name,
                event_pattern={
                    "source": ["firedetect"],
                    "detail-type": ["notice"],
                    "detail": detail,
                },
                targets=[
                    events.CfnRule.TargetProperty(
                        id=f"{channel.name}-{number}",
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
                            input_paths_map=_PATHS, input_template=template.replace("<key>", key)
                        ),
                    )
                    for number, template in enumerate(hearing.templates)
                ],
            )

"""What tells the operators that the tier itself fails: alarms and a dashboard."""

from collections.abc import Mapping
from typing import Final

from aws_cdk import Duration, Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs

from deploy import names

ERRORS_PCT: Final = 5
FIVE_MIN: Final = Duration.minutes(5)
_LEVEL_FIELDS: Final = ("level", "log_level")
"""Python's runtime writes `level` for what a logger says, `log_level` for what nobody caught."""
_MISSING: Final = cloudwatch.TreatMissingData
_ABOVE: Final = cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD
_BELOW: Final = cloudwatch.ComparisonOperator.LESS_THAN_THRESHOLD


class Watch:
    """Alarms of a stack; each one goes to the operators."""

    def __init__(self, stack: Stack, operators: sns.ITopic) -> None:
        self._stack = stack
        self._action = actions.SnsAction(operators)
        self.alarms: list[cloudwatch.IAlarm] = []

    def functions(self, functions: Mapping[str, lambda_.Function]) -> None:
        """Watch the share of invocations that fail, and critical lines of the log."""
        for name, function in functions.items():
            identity = name.title().replace("-", "")
            failed = cloudwatch.MathExpression(
                expression="100 * errors / MAX([errors, invocations])",
                using_metrics={
                    "errors": function.metric_errors(period=FIVE_MIN),
                    "invocations": function.metric_invocations(period=FIVE_MIN),
                },
                label="failed, %",
                period=FIVE_MIN,
            )
            self._alarm(
                f"{identity}Errors",
                f"{name} fails in more than {ERRORS_PCT} % of its runs",
                failed,
                ERRORS_PCT,
            )
            self._critical_lines(identity, name, function)

    def queue(self, identity: str, what: str, queue: sqs.Queue) -> None:
        """Watch a queue of failures: nothing may lie in it unseen."""
        depth = queue.metric_approximate_number_of_messages_visible(period=Duration.minutes(1))
        self._alarm(f"{identity}Depth", f"{what} have failed and wait for a redrive", depth, 0)

    def topic(self, people: sns.Topic) -> None:
        """Watch whether messages to people could not be delivered."""
        failed = people.metric_number_of_notifications_failed(period=FIVE_MIN)
        self._alarm("PeopleNotReached", "messages to people were not delivered", failed, 0)

    def silence(self) -> None:
        """Watch how many detectors are silent, and whether anything is heard at all."""
        silent = cloudwatch.Metric(
            namespace="firedetect",
            metric_name="SilentDevices",
            dimensions_map={"service": "firedetect"},
            statistic="Maximum",
            period=FIVE_MIN,
        )
        self._alarm("SilentDevices", "detectors are silent", silent, 0)
        beats = cloudwatch.Metric(
            namespace="AWS/IoT",
            metric_name="TopicMatch",
            dimensions_map={"RuleName": "firedetect_beat"},
            statistic="Sum",
            period=FIVE_MIN,
        )
        self._alarm(
            "IngestBelow",
            "no beat of any detector has arrived for five minutes",
            beats,
            1,
            comparison=_BELOW,
            missing=_MISSING.BREACHING,
        )

    def dashboard(
        self, functions: Mapping[str, lambda_.Function], queues: Mapping[str, sqs.Queue]
    ) -> None:
        """Show alarms, functions, failures and detectors on one page."""
        name = names.everywhere(self._stack, "tier")
        board = cloudwatch.Dashboard(self._stack, "Dashboard", dashboard_name=name)
        board.add_widgets(
            cloudwatch.AlarmStatusWidget(title="alarms", alarms=self.alarms, width=24)
        )
        board.add_widgets(
            _graph("runs", [f.metric_invocations() for f in functions.values()]),
            _graph("errors", [f.metric_errors() for f in functions.values()]),
            _graph(
                "duration, p99", [f.metric_duration(statistic="p99") for f in functions.values()]
            ),
        )
        told = ["Told", "SilentDevices", "OpenIncidents", "SecondOpinion", "SecondOpinionFailed"]
        board.add_widgets(
            _graph("people and detectors", [_ours(name) for name in told]),
            _graph(
                "failures that wait",
                [q.metric_approximate_number_of_messages_visible() for q in queues.values()],
            ),
            _graph("from decision to people, ms", [_ours("AlarmLatencyMs", "p99")]),
        )

    def _critical_lines(self, identity: str, name: str, function: lambda_.Function) -> None:
        logs.MetricFilter(
            self._stack,
            f"{identity}Critical",
            log_group=function.log_group,
            filter_pattern=logs.FilterPattern.any(
                *(
                    logs.FilterPattern.string_value(f"$.{field}", "=", level)
                    for field in _LEVEL_FIELDS
                    for level in ("CRITICAL", "ERROR")
                )
            ),
            metric_namespace="firedetect",
            metric_name=f"CriticalLines-{name}",
            default_value=0,
        )
        lines = cloudwatch.Metric(
            namespace="firedetect",
            metric_name=f"CriticalLines-{name}",
            statistic="Sum",
            period=FIVE_MIN,
        )
        self._alarm(f"{identity}CriticalLines", f"{name} logs errors", lines, 0)

    def _alarm(
        self,
        identity: str,
        description: str,
        metric: cloudwatch.IMetric,
        threshold: float,
        comparison: cloudwatch.ComparisonOperator = _ABOVE,
        missing: cloudwatch.TreatMissingData = _MISSING.NOT_BREACHING,
    ) -> None:
        alarm = cloudwatch.Alarm(
            self._stack,
            f"{identity}Alarm",
            alarm_name=f"firedetect-{identity}",
            alarm_description=description,
            metric=metric,
            threshold=threshold,
            evaluation_periods=1,
            comparison_operator=comparison,
            treat_missing_data=missing,
        )
        alarm.add_alarm_action(self._action)
        self.alarms.append(alarm)


def _graph(title: str, metrics: list[cloudwatch.IMetric]) -> cloudwatch.GraphWidget:
    return cloudwatch.GraphWidget(title=title, left=metrics, width=8)


def _ours(name: str, statistic: str = "Maximum") -> cloudwatch.Metric:
    return cloudwatch.Metric(
        namespace="firedetect",
        metric_name=name,
        dimensions_map={"service": "firedetect"},
        statistic=statistic,
    )

"""Numbers for dashboards and alarms: one line of the log each, in CloudWatch's own format."""

import logging

from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit

_log = logging.getLogger(__name__)


def count(name: str, value: float = 1) -> None:
    """Say a number of things; without a namespace in the environment nobody wants to know."""
    _say(name, MetricUnit.Count, value)


def milliseconds(name: str, value: float) -> None:
    """Say how long something took."""
    _say(name, MetricUnit.Milliseconds, value)


def _say(name: str, unit: MetricUnit, value: float) -> None:
    try:
        # Each has its own: what a crash leaves behind must not be said with the next event.
        metrics = EphemeralMetrics()
        metrics.add_metric(name, unit, value)
        metrics.flush_metrics()
    except Exception as error:  # noqa: BLE001 - no number is worth an alarm
        _log.debug("%s is not said: %s", name, error)

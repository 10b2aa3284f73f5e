"""Counts what is sent, and what it costs at AWS in a month.

Prices (USD, us-east-1): AWS IoT Core pricing page as of January 2025; rules and actions from
general knowledge. They are a scale, not an invoice: functions, storage and SNS are not in them.
"""

from dataclasses import dataclass
from typing import Final

MONTH_S: Final = 30.4375 * 86_400.0
UNIT_BYTES: Final = 5 * 1024
USD_PER_CONNECTED_MINUTE: Final = 0.08e-6
USD_PER_MESSAGE: Final = 1.00e-6
USD_PER_SHADOW_OPERATION: Final = 1.25e-6
USD_PER_RULE_AND_ACTION: Final = 0.30e-6
_HEADER_BYTES: Final = 6
"""What MQTT adds to topic and payload of a publish, packet identifier included."""


@dataclass(slots=True)
class Meter:
    """Publishes of this connection since the start, as AWS meters them."""

    began_s: float
    messages: int = 0
    sent_bytes: int = 0
    ordinary_units: int = 0
    basic_units: int = 0
    shadow_operations: int = 0

    def sent(self, topic: str, payload_bytes: int) -> None:
        """Count one publish."""
        size = len(topic) + payload_bytes + _HEADER_BYTES
        self.messages += 1
        self.sent_bytes += size
        units = max(1, -(-payload_bytes // UNIT_BYTES))
        if topic.startswith("$aws/rules/"):
            self.basic_units += units
        else:
            self.ordinary_units += units

    def shadow_operation(self) -> None:
        """Count one request to the shadow service."""
        self.shadow_operations += 1

    def per_month(self, now_s: float) -> dict[str, float]:
        """Return messages, bytes and USD of a month like the time since the start."""
        seconds = max(now_s - self.began_s, 1.0)
        scale = MONTH_S / seconds
        units = self.ordinary_units + self.basic_units
        usd = (
            self.ordinary_units * USD_PER_MESSAGE
            + units * USD_PER_RULE_AND_ACTION
            + self.shadow_operations * USD_PER_SHADOW_OPERATION
        ) * scale + MONTH_S / 60.0 * USD_PER_CONNECTED_MINUTE
        return {
            "observed_s": round(seconds, 1),
            "messages": round(self.messages * scale),
            "bytes": round(self.sent_bytes * scale),
            "usd": round(usd, 4),
        }


def expected() -> dict[str, float]:
    """Return what a quiet detector sends in a month by its own intervals; computed, not seen."""
    meter = Meter(0.0)
    hour_s = 3600
    for _ in range(hour_s // 20):
        meter.sent("$aws/rules/firedetect_beat/firedetect/detector/beat", 380)
    for _ in range(hour_s // 60):
        meter.sent("$aws/rules/firedetect_telemetry/firedetect/detector/telemetry", 3600)
    meter.shadow_operation()
    return meter.per_month(float(hour_s))

"""What a detector costs in a month: `python -m deploy.costs [--devices N] [--telemetry 60s] ...`.

Unit prices are in `prices.csv`; what is counted comes from the committed templates and from the
intervals of the detector. It is a scale, not an invoice: no free tier, no tax, no data transfer.
"""

import argparse
import csv
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from deploy.committed import resources

PRICES: Final = Path(__file__).with_name("prices.csv")
MONTH_S: Final = 30.4375 * 86_400
UNIT: Final = 5 * 1024
GB: Final = 1024**3
BATCH_BYTES: Final[Mapping[str, tuple[float, int]]] = {
    "60s": (60.0, 4400),
    "10s": (10.0, 950),
    "1s": (1.0, 350),
}
"""Seconds between batches, bytes of one: 4.4 KB are measured, the shorter ones estimated."""
BEAT_S: Final = 20.0
LEASE_S: Final = 300.0
SHADOW_S: Final = 3600.0
DELIVERY_S: Final = 900.0
"""The stream gathers for so long, and then writes an object per detector."""
HISTORY_MONTHS: Final = 24
PARQUET: Final = 0.5
"""Of what the JSON takes; estimated."""
PICTURE_BYTES: Final = 200_000
PICTURE_MONTHS: Final = 12
ROWS_BYTES: Final = 3_000
"""All rows of one detector; each look reads them all."""
RUN_S: Final = 0.4
PER_DEVICE_S: Final = 0.004
"""A run of a function, and what each detector adds to it; estimated."""
LOG_BYTES: Final = 1_000
ALARM_MESSAGES: Final = 4
ALARM_STEPS: Final = 16
LISTENERS: Final = 3
BEHAVIOURS: Final = 5
KEY_REQUESTS: Final = 150_000
"""A month, by services that keep a data key for minutes; estimated."""
OWN_METRICS: Final = 4
_READ_NO_DEVICES: Final = frozenset({"firedetect-response-agent"})


@dataclass(frozen=True, slots=True)
class Setting:
    """What is asked for: incidents and pictures are per detector and month."""

    devices: int = 100
    telemetry: str = "60s"
    pictures: float = 0.0
    incidents: float = 0.2
    sms: int = 0
    endpoint: bool = False


def prices(path: Path = PRICES) -> dict[str, float]:
    """Return the unit prices by name."""
    with path.open(newline="") as lines:
        return {row["name"]: float(row["usd"]) for row in csv.DictReader(lines)}


def costs(setting: Setting) -> dict[str, float]:
    """Return USD per detector and month by item; what is shared is divided by the detectors."""
    price = prices()
    own = _detector(setting, price) | _incidents(setting, price)
    shared = {name: usd / setting.devices for name, usd in _tier(setting, price).items()}
    names = dict.fromkeys([*own, *shared])
    return {name: own.get(name, 0.0) + shared.get(name, 0.0) for name in names}


def _detector(setting: Setting, price: Mapping[str, float]) -> dict[str, float]:
    every_s, size = BATCH_BYTES[setting.telemetry]
    batches, beats, leases = MONTH_S / every_s, MONTH_S / BEAT_S, MONTH_S / LEASE_S
    units = -(-size // UNIT)
    taken_gb = batches * units * UNIT / GB
    objects = MONTH_S / max(DELIVERY_S, every_s)
    stored_gb = batches * size * PARQUET * HISTORY_MONTHS / GB
    pictures_gb = setting.pictures * PICTURE_BYTES * PICTURE_MONTHS / GB
    shadows = MONTH_S / SHADOW_S
    # A lease is published, delivered and acknowledged; a shadow answers with three messages.
    messages = 3 * leases + 3 * shadows
    writes = beats + leases + 2 * MONTH_S / 300.0
    reads = sum(MONTH_S / every for every in _looks()) * ROWS_BYTES / 4096
    datapoints = BEHAVIOURS * MONTH_S / 300.0
    return {
        "IoT Core": MONTH_S / 60 * price["iot_connected_minute"]
        + messages * price["iot_message"]
        + shadows * price["iot_shadow_operation"],
        "rules": (batches * units + beats) * (price["iot_rule"] + price["iot_action"]),
        "Device Defender": datapoints * price["defender_datapoint"],
        "Firehose": taken_gb
        * sum(price[f"firehose_{name}"] for name in ("gb", "conversion_gb", "partition_gb"))
        + objects * price["firehose_partition_object"],
        "S3": (objects + setting.pictures) * price["s3_put"]
        + (stored_gb + pictures_gb) * price["s3_gb_month"],
        "DynamoDB": writes * price["dynamodb_write"]
        + reads * price["dynamodb_read"]
        + ROWS_BYTES / GB * (price["dynamodb_gb_month"] + price["dynamodb_recovery_gb_month"]),
    }


def _incidents(setting: Setting, price: Mapping[str, float]) -> dict[str, float]:
    count = setting.incidents
    messages = count * ALARM_MESSAGES
    return {
        "SNS": messages * (price["sns_publish"] + LISTENERS * price["sns_email"]),
        "SMS": count * setting.sms * price["sns_sms"],
        "Step Functions": count * ALARM_STEPS * price["states_transition"],
    }


def _tier(setting: Setting, price: Mapping[str, float]) -> dict[str, float]:
    """Return what the tier costs in a month, however many detectors there are."""
    runs = {name: MONTH_S / every for name, every in _schedules().items()}
    memory_gb = {
        str(one["FunctionName"]): int(one["MemorySize"]) / 1024
        for one in resources("AWS::Lambda::Function")
    }
    run_s = RUN_S + PER_DEVICE_S * setting.devices
    compute = sum(runs[name] * memory_gb[name] * run_s for name in runs)
    invocations = sum(runs.values()) + setting.devices * setting.incidents * ALARM_MESSAGES
    keys = sum(1 for _ in resources("AWS::KMS::Key"))
    watched = sum(_metrics(one) for one in resources("AWS::CloudWatch::Alarm"))
    own = OWN_METRICS + sum(1 for _ in resources("AWS::Logs::MetricFilter"))
    items = {
        "Lambda": invocations * price["lambda_request"] + compute * price["lambda_gb_second"],
        "KMS": keys * price["kms_key_month"] + KEY_REQUESTS * price["kms_request"],
        "logs": invocations * LOG_BYTES / GB * price["logs_gb"],
        "alarms and metrics": watched * price["alarm_month"] + own * price["metric_month"],
    }
    if setting.endpoint:
        items["SageMaker"] = MONTH_S / 3600 * price["sagemaker_hour"]
    return items


def _schedules() -> dict[str, float]:
    """Return the seconds between two runs of each function that runs by itself."""
    found = {}
    for rule in resources("AWS::Events::Rule"):
        said = str(rule.get("ScheduleExpression", ""))
        if said.startswith("rate("):
            count, unit = said.removeprefix("rate(").removesuffix(")").split()
            seconds = {"minute": 60.0, "hour": 3600.0, "day": 86_400.0}[unit.rstrip("s")]
            found[str(rule["Name"])] = int(count) * seconds
    return found


def _looks() -> list[float]:
    """Return how often the rows of all detectors are read."""
    return [every for name, every in _schedules().items() if name not in _READ_NO_DEVICES]


def _metrics(alarm: Mapping[str, Any]) -> int:
    return sum("MetricStat" in one for one in alarm.get("Metrics", ())) or 1


def itemised(setting: Setting) -> list[str]:
    """Return a table of items as lines."""
    found = costs(setting)
    total = sum(found.values())
    return [
        "| item | USD per detector and month |",
        "|---|---|",
        *(f"| {name} | {usd:.4f} |" for name, usd in found.items() if usd),
        f"| **total** | **{total:.3f}** |",
    ]


def by_setting(setting: Setting) -> list[str]:
    """Return a table of totals by telemetry and number of detectors as lines."""
    fleets = (10, 100, 1000, 5000)
    head = " | ".join(f"{count} detectors" for count in fleets)
    lines = [f"| telemetry every | {head} |", "|---" * (len(fleets) + 1) + "|"]
    for telemetry in BATCH_BYTES:
        totals = (
            sum(costs(replace(setting, devices=count, telemetry=telemetry)).values())
            for count in fleets
        )
        lines.append(f"| {telemetry} | " + " | ".join(f"{usd:.2f}" for usd in totals) + " |")
    return lines


def main(arguments: Sequence[str] | None = None) -> int:
    """Print what the setting that is asked for costs."""
    plain = Setting()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--devices", type=int, default=plain.devices)
    parser.add_argument("--telemetry", choices=BATCH_BYTES, default=plain.telemetry)
    parser.add_argument("--pictures", type=float, default=plain.pictures, help="per month")
    parser.add_argument("--incidents", type=float, default=plain.incidents, help="per month")
    parser.add_argument("--sms", type=int, default=plain.sms, help="parts per incident")
    parser.add_argument("--endpoint", action="store_true", help="with the second opinion")
    parser.add_argument("--json", action="store_true")
    chosen = vars(parser.parse_args(arguments))
    as_json = chosen.pop("json")
    setting = Setting(**chosen)
    if setting.devices < 1:
        parser.error("--devices must be 1 or more")
    if as_json:
        print(json.dumps(costs(setting)))
        return 0
    print("\n".join([*itemised(setting), "", *by_setting(setting)]))
    return 0


if __name__ == "__main__":
    sys.exit(main())

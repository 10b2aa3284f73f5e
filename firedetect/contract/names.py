"""Every name that device and cloud share: topics, shadows, jobs, functions, tables."""

from typing import Final

TELEMETRY_RULE: Final = "firedetect_telemetry"
BEAT_RULE: Final = "firedetect_beat"

SHADOW_CONFIG: Final = "config"
SHADOW_STATE: Final = "state"
SHADOW_ALARM: Final = "alarm"

PEOPLE_TOPIC: Final = "fire-detection-alerts"
"""The SNS topic; its attributes `level`, `site` and `thing` are for filter policies."""

INCIDENTS_TABLE: Final = "firedetect-incidents"
OPEN_INCIDENTS_INDEX: Final = "open"
"""Of the incidents: only rows that have `open` are in it, and those are not over."""
DEVICES_TABLE: Final = "firedetect-devices"
IDEMPOTENCY_TABLE: Final = "firedetect-idempotency"

PROVISIONING_TEMPLATE: Final = "firedetect"

PICTURES_ROLE_ALIAS: Final = "firedetect-pictures"
"""What a detector becomes when it puts a picture into the bucket."""
PICTURE_TAG: Final = "kind=picture"
"""Every picture has this tag: by it the bucket knows what to delete early."""


def alert_topic(thing: str) -> str:
    """Alarms of a device."""
    return f"firedetect/{thing}/alert"


def event_topic(thing: str) -> str:
    """Troubles, restores, acknowledgements and the last will of a device."""
    return f"firedetect/{thing}/event"


def down_topic(thing: str) -> str:
    """Receipts of alarms and the lease, from the cloud."""
    return f"firedetect/{thing}/down"


def telemetry_topic(thing: str) -> str:
    """Batches of features and scores, by basic ingest."""
    return f"$aws/rules/{TELEMETRY_RULE}/firedetect/{thing}/telemetry"


def beat_topic(thing: str) -> str:
    """Proof of sensing, by basic ingest."""
    return f"$aws/rules/{BEAT_RULE}/firedetect/{thing}/beat"


def defender_topic(thing: str) -> str:
    """Device Defender's device-side metrics."""
    return f"$aws/things/{thing}/defender/metrics/json"


def picture_key(thing: str, incident_id: str) -> str:
    """The picture of an incident in the bucket of the history: known before there is one."""
    return f"{thing}/pictures/{incident_id}.png"

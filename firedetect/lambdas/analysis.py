"""What the history of incidents and the courses of the detectors tell. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from firedetect.lambdas.watching import LEARNT, Past

WINDOWS_DAYS: Final = (1, 7, 30)
DRIFT: Final = 0.05
"""The score of quiet hours has moved by so much against its own week."""
PATTERN: Final = 3
"""So many incidents of one detector in the same hour of the day are a habit of the place."""
MONTH_DAYS: Final = 30


def report(
    rows: Iterable[Mapping[str, Any]], incidents: Iterable[Mapping[str, Any]], now: datetime
) -> dict[str, Any]:
    """Return the report: fleet, windows, each detector with its patterns and drift."""
    pasts = {str(row["thing"]): Past.of(row) for row in rows if row.get("kind") == "watch"}
    known = [one for one in incidents if _opened(one) is not None]
    things = sorted({*pasts, *(str(one["thing"]) for one in known)})
    detectors = {
        thing: _detector(pasts.get(thing), [o for o in known if o["thing"] == thing], now)
        for thing in things
    }
    return {
        "v": 1,
        "at": now.isoformat(timespec="seconds"),
        "detectors": len(things),
        "windows": {f"{days} d": _window(known, now, days) for days in WINDOWS_DAYS},
        "drifting": [thing for thing, one in detectors.items() if one["drift"] is not None],
        "by_detector": detectors,
    }


def drift_of(past: Past | None) -> float | None:
    """Return how far the score of three hours is from that of a week, None if it is not far."""
    course = None if past is None else past.courses.get("score")
    if course is None or course.looks < LEARNT:
        return None
    moved = course.fast - course.mean
    return round(moved, 4) if abs(moved) > DRIFT else None


def _window(incidents: list[Mapping[str, Any]], now: datetime, days: int) -> dict[str, Any]:
    recent = _since(incidents, now, days)
    return {
        "incidents": len(recent),
        "by_level": dict(Counter(str(one["level"]) for one in recent)),
        "by_reason": dict(Counter(str(r) for one in recent for r in one.get("reasons", ()))),
        "false_alarms": sum(one.get("label") == "false-alarm" for one in recent),
        "unlabelled": sum(not one.get("label") for one in recent),
        "unacknowledged": sum(not one.get("acknowledged") for one in recent),
        "drills": sum(bool(one.get("drill")) for one in recent),
    }


def _detector(
    past: Past | None, incidents: list[Mapping[str, Any]], now: datetime
) -> dict[str, Any]:
    month = _since(incidents, now, MONTH_DAYS)
    hours = Counter(opened.hour for one in month if (opened := _opened(one)) is not None)
    before = [one for one in _since(incidents, now, 2 * MONTH_DAYS) if one not in month]
    return {
        "incidents_30_d": len(month),
        "incidents_30_d_before": len(before),
        "trend": len(month) - len(before),
        "patterns": [
            f"{count} incidents between {hour} and {hour + 1} h UTC"
            for hour, count in sorted(hours.items())
            if count >= PATTERN
        ],
        "drift": drift_of(past),
        "findings": [] if past is None else list(past.told),
    }


def _since(
    incidents: Iterable[Mapping[str, Any]], now: datetime, days: int
) -> list[Mapping[str, Any]]:
    begin = now - timedelta(days=days)
    return [one for one in incidents if (opened := _opened(one)) is not None and opened >= begin]


def _opened(incident: Mapping[str, Any]) -> datetime | None:
    try:
        opened = datetime.fromisoformat(str(incident["opened_at"]))
    except (KeyError, ValueError):
        return None
    return opened if opened.tzinfo is not None else None

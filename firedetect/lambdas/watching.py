"""What the beats of one detector say of its sensors, against its own past. Pure."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

STALE_S: Final = 30.0
LEARNT: Final = 288
"""So many looks, a day of them, make a past to compare with."""
DEVIATIONS: Final = 8.0
FLOOR: Final = 0.1
"""A deviation is never taken for smaller than this share of the mean: quiet nights are equal."""
SLOW: Final = 1.0 / 2016
FAST: Final = 1.0 / 36
"""A week and three hours of looks: the past, and what is new."""
PERSISTENT: Final = 2
"""A finding counts when so many looks in a row have it."""


@dataclass(frozen=True, slots=True)
class Course:
    """Mean and variance of something over looks, old ones forgotten; `fast` forgets sooner."""

    looks: int = 0
    mean: float = 0.0
    variance: float = 0.0
    fast: float = 0.0

    def after(self, value: float) -> "Course":
        """Return the course with one more value."""
        looks = self.looks + 1
        weight = max(SLOW, 1.0 / looks)
        step = value - self.mean
        mean = self.mean + weight * step
        variance = (1.0 - weight) * (self.variance + weight * step * step)
        fast = self.fast + max(FAST, 1.0 / looks) * (value - self.fast)
        return Course(looks, mean, variance, fast)

    def unusual(self, value: float) -> bool:
        """Whether a value is far from all that was seen, once enough was."""
        if self.looks < LEARNT:
            return False
        deviation = max(math.sqrt(self.variance), FLOOR * abs(self.mean), 1e-6)
        return abs(value - self.mean) > DEVIATIONS * deviation


@dataclass(frozen=True, slots=True)
class Past:
    """What is kept of a detector between looks: courses, the newest beat, findings and how long."""

    courses: Mapping[str, Course] = field(default_factory=dict)
    boot: int = -1
    seq: int = -1
    fresh: Mapping[str, int] = field(default_factory=dict)
    findings: Mapping[str, int] = field(default_factory=dict)
    told: tuple[str, ...] = ()

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> "Past":
        """Return what a row holds; one that is not understood is none."""
        try:
            return cls(
                {name: Course(*values) for name, values in row["courses"].items()},
                int(row["boot"]),
                int(row["seq"]),
                dict(row["fresh"]),
                dict(row["findings"]),
                tuple(row["told"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError):
            return cls()

    def as_row(self) -> dict[str, object]:
        """Return it as a row holds it."""
        return {
            "courses": {
                name: [course.looks, course.mean, course.variance, course.fast]
                for name, course in self.courses.items()
            },
            "boot": self.boot,
            "seq": self.seq,
            "fresh": dict(self.fresh),
            "findings": dict(self.findings),
            "told": list(self.told),
        }


@dataclass(frozen=True, slots=True)
class Look:
    """What one look at a detector gives: its past from now on, and what people are told."""

    past: Past
    new: tuple[str, ...]
    over: tuple[str, ...]


def look(past: Past, beat: Mapping[str, Any]) -> Look | None:
    """Return what a beat adds, None if it is the one that was looked at before.

    A beat that says nothing new is for the supervisor, which tells of silence.
    """
    boot, seq = beat.get("boot"), beat.get("seq")
    if (
        not isinstance(boot, int)
        or not isinstance(seq, int)
        or (boot, seq) == (past.boot, past.seq)
    ):
        return None
    found = dict(_found(past, beat, same_boot=boot == past.boot))
    findings = {name: past.findings.get(name, 0) + 1 for name in found}
    lasting = {name for name, times in findings.items() if times >= PERSISTENT}
    told = set(past.told)
    values = _values(beat)
    # What is unusual is not learnt: it would be usual soon.
    courses = past.courses
    if not found:
        courses = {
            **courses,
            **{name: courses.get(name, Course()).after(value) for name, value in values.items()},
        }
    new = tuple(found[name] for name in sorted(lasting - told))
    over = tuple(sorted(told - set(found)))
    kept = Past(
        courses, boot, seq, _fresh(beat), findings, tuple(sorted((told & set(found)) | lasting))
    )
    return Look(kept, new, over)


def _found(past: Past, beat: Mapping[str, Any], *, same_boot: bool) -> Iterator[tuple[str, str]]:
    """Yield the findings by name, each with its words."""
    for name, sensor in _sensors(beat):
        age_s, fresh, noise = (sensor.get(key) for key in ("age_s", "fresh", "noise"))
        if not isinstance(age_s, int | float) or age_s > STALE_S:
            yield f"{name}:stale", f"{name} has given no reading for {_seconds(age_s)}"
        elif same_boot and fresh == past.fresh.get(name):
            yield f"{name}:frozen", f"{name} has given no new reading since the look before"
        elif noise == 0:
            yield f"{name}:still", f"{name} shows no noise at all: real sensors do"
        elif isinstance(noise, int | float) and past.courses.get(name, Course()).unusual(noise):
            usual = past.courses[name].mean
            yield f"{name}:unusual", f"{name} has a noise of {noise:.3g}, its own is {usual:.3g}"


def _values(beat: Mapping[str, Any]) -> dict[str, float]:
    """Return what courses are kept of: the noise of each sensor, and the score."""
    values = {
        name: float(sensor["noise"])
        for name, sensor in _sensors(beat)
        if isinstance(sensor.get("noise"), int | float)
    }
    score = beat.get("score")
    if isinstance(score, int | float):
        values["score"] = float(score)
    return values


def _fresh(beat: Mapping[str, Any]) -> dict[str, int]:
    return {
        name: sensor["fresh"]
        for name, sensor in _sensors(beat)
        if isinstance(sensor.get("fresh"), int)
    }


def _sensors(beat: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    sensors = beat.get("sensors")
    if isinstance(sensors, Mapping):
        for name, sensor in sorted(sensors.items()):
            if isinstance(sensor, Mapping):
                yield str(name), sensor


def _seconds(age_s: object) -> str:
    return f"{age_s:.0f} s" if isinstance(age_s, int | float) else "as long as it runs"

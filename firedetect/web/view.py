"""The newest image and outcome, and ten minutes of curves, as the local page shows them."""

import base64
import math
from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np

from firedetect.clock import NS_PER_S, Clock, SystemClock
from firedetect.contract.contributions import in_words
from firedetect.contract.settings import Thresholds
from firedetect.decision.outcome import Outcome, number
from firedetect.readings import Event, ThermalImage

HISTORY_S = 600
OUTCOME_LIMIT_S = 5.0
"""An outcome older than this says nothing about now."""
HEARTBEAT_S = 1.0
"""A client hears at least this often, so that it can tell silence from a broken connection."""
INVALID = -32768
"""What stands for an invalid pixel in the centi-degrees of an image."""
_CENTI_MAX = 32767


@dataclass(slots=True)
class Cursor:
    """What one client has been sent."""

    image: int = 0
    outcome: int = 0
    second: int = -1
    sent_ns: int | None = None


@dataclass(slots=True)
class _Second:
    """One second of the curves: the highest of its values, NaN where nothing was measured."""

    t_s: int
    level: str = ""
    current: str = ""
    health: str = ""
    score: float = math.nan
    gas: float = math.nan
    hot_c: float = math.nan

    def fold(self, outcome: Outcome) -> None:
        self.level = outcome.level.label
        self.current = outcome.current.label
        self.health = outcome.health.value
        self.score = _higher(self.score, outcome.score)
        self.gas = _higher(self.gas, outcome.features.get("gas_val", math.nan))
        self.hot_c = _higher(self.hot_c, outcome.features.get("tproxy_val", math.nan))

    def point(self) -> dict[str, Any]:
        return {
            "t_s": self.t_s,
            "level": self.level,
            "current": self.current,
            "health": self.health,
            "score": number(self.score),
            "gas": number(self.gas),
            "hot_c": number(self.hot_c),
        }


class LiveView:
    """Takes images and outcomes in the event loop; memory is bounded by ten minutes of seconds.

    Ages are counted from the time of arrival. `thresholds` are those that the score is shown
    against.
    """

    def __init__(self, clock: Clock | None = None, thresholds: Thresholds | None = None) -> None:
        self.thresholds = thresholds or Thresholds()
        self._clock = clock or SystemClock()
        self._image: ThermalImage | None = None
        self._images = 0
        self._image_ns: int | None = None
        self._encoded: dict[str, Any] | None = None
        self._outcome: Outcome | None = None
        self._featured: Outcome | None = None
        self._because = ""
        self._outcomes = 0
        self._zero_ns = 0
        self._outcome_ns: int | None = None
        self._seconds: deque[_Second] = deque(maxlen=HISTORY_S)

    def reading(self, event: Event) -> None:
        """Take a decoded event; only images are shown."""
        if isinstance(event, ThermalImage):
            self.image(event)

    def image(self, image: ThermalImage) -> None:
        """Show `image` from now on."""
        self._image = image
        self._images += 1
        self._image_ns = self._clock.monotonic_ns()
        self._encoded = None

    def outcome(self, outcome: Outcome) -> None:
        """Show `outcome` from now on."""
        self._outcome = outcome
        self._outcomes += 1
        self._outcome_ns = self._clock.monotonic_ns()
        self._zero_ns = outcome.t_ns - round(outcome.t_s * NS_PER_S)
        if outcome.features:
            self._featured = outcome
        if outcome.contributions:
            self._because = in_words(outcome.contributions)
        elif "score" not in outcome.reasons:
            self._because = ""
        second = math.floor(outcome.t_s)
        if self._seconds and self._seconds[-1].t_s > second:
            # Time of another run: its curves are not ours.
            self._seconds.clear()
        if not self._seconds or self._seconds[-1].t_s < second:
            self._seconds.append(_Second(second))
        self._seconds[-1].fold(outcome)

    def record(self) -> dict[str, Any] | None:
        """Return the newest state with the newest score and features; None before any outcome.

        `features_t_s` says of when score and features are, `because` what raised the score when it
        last raised the level; empty if the score is no reason now.
        """
        if self._outcome is None:
            return None
        record = self._outcome.as_record()
        featured = self._featured
        if featured is not None and featured is not self._outcome:
            record["score"] = number(featured.score)
            record["features"] = featured.as_record()["features"]
        record["features_t_s"] = featured.t_s if featured is not None else None
        record["because"] = self._because
        return record

    def outcome_age_s(self) -> float | None:
        """Return the age of the newest outcome, None before any."""
        return self._age_s(self._outcome_ns)

    def image_age_s(self) -> float | None:
        """Return the age of the newest image, None before any."""
        return self._age_s(self._image_ns)

    def silence(self) -> str | None:
        """Return why nothing is known of this moment, None while outcomes arrive."""
        age_s = self.outcome_age_s()
        if age_s is None:
            return "no outcome yet"
        return f"no outcome for {age_s:.1f} s" if age_s >= OUTCOME_LIMIT_S else None

    def state(self, since_s: int = -1) -> dict[str, Any]:
        """Return the newest record, its age, and the curves from `since_s` on, a point a second."""
        return {
            "outcome_age_s": self.outcome_age_s(),
            "image_age_s": self.image_age_s(),
            "silence": self.silence(),
            "thresholds": self.thresholds.model_dump(),
            "record": self.record(),
            "history": [second.point() for second in self._seconds if second.t_s >= since_s],
        }

    def news(self, cursor: Cursor) -> dict[str, Any] | None:
        """Return what a client has not been sent yet and move its cursor; None for nothing.

        It always gets the newest image and all points it misses: a slow client loses images, never
        a piece of a curve.
        """
        now_ns = self._clock.monotonic_ns()
        changed = cursor.image != self._images or cursor.outcome != self._outcomes
        heard = cursor.sent_ns is not None and now_ns - cursor.sent_ns < HEARTBEAT_S * NS_PER_S
        if heard and not changed:
            return None
        # The last second sent may have grown since.
        message = self.state(cursor.second)
        message["sent_s"] = now_ns / NS_PER_S
        if cursor.image != self._images:
            message["image"] = self._encode()
        cursor.image, cursor.outcome, cursor.sent_ns = self._images, self._outcomes, now_ns
        cursor.second = self._seconds[-1].t_s if self._seconds else -1
        return message

    def _age_s(self, arrived_ns: int | None) -> float | None:
        if arrived_ns is None:
            return None
        return round((self._clock.monotonic_ns() - arrived_ns) / NS_PER_S, 3)

    def _encode(self) -> dict[str, Any] | None:
        if self._encoded is None and self._image is not None:
            self._encoded = encode(self._image, self._zero_ns)
        return self._encoded


def encode(image: ThermalImage, zero_ns: int = 0) -> dict[str, Any]:
    """Return rows, columns and base64 of little-endian int16 centi-°C, INVALID for NaN.

    Its `t_s` counts from `zero_ns`, as the outcomes' does.
    """
    rows, cols = image.temp_c.shape
    valid = np.isfinite(image.temp_c)
    centi = np.round(np.where(valid, image.temp_c, 0.0) * 100.0)
    words = np.clip(centi, -_CENTI_MAX, _CENTI_MAX).astype("<i2")
    words[~valid] = INVALID
    return {
        "rows": rows,
        "cols": cols,
        "t_s": round((image.t_ns - zero_ns) / NS_PER_S, 6),
        "data": base64.b64encode(words.tobytes()).decode("ascii"),
    }


def _higher(known: float, value: float) -> float:
    """Return the higher of two values; NaN gives way to any number."""
    return value if math.isnan(known) or value > known else known

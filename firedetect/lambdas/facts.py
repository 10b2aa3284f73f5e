"""What is kept of an incident beside its level: acknowledgements, its end, its return. Pure."""

from collections.abc import Iterable
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

from firedetect.contract.level import Level, LevelName
from firedetect.contract.messages import DetectorMessage
from firedetect.lambdas.policy import not_newer, order_of

DEVICE: Final = "device"
"""Somebody acknowledged at the detector or through it: button, page, command line, shadow."""
RESET: Final = "reset"
"""Somebody reset the alarm at the detector: that is more than an acknowledgement."""
LINK: Final = "link"
"""Somebody used the link in a message."""
_TO_MS: Final = 23
"""So many characters of a time are the same from everybody: `2026-01-01T00:00:00.000`."""


class Value(BaseModel):
    """What is not changed."""

    model_config = ConfigDict(frozen=True)


class Acknowledgement(Value):
    """Who took over which level, and when by their own clock.

    Of a detector `event_id` names the first message that says so; of others `again` is how often
    the incident had come back by then.
    """

    level: LevelName
    source: str
    at: str
    by: str = ""
    event_id: Annotated[str, Field(exclude_if=lambda name: not name)] = ""
    again: Annotated[int, Field(exclude_if=lambda number: not number)] = 0


class LogLine(Value):
    """One thing that happened."""

    at: str
    what: str


class Opinion(Value):
    """What an endpoint said of an alarm beside the edge: scores from 0 to 1, None for no answer."""

    event_id: str
    model: str
    edge: float
    cloud: Annotated[float, Field(ge=0, le=1)] | None
    combined: Annotated[float, Field(ge=0, le=1)]


class Word(Value):
    """A message of the detector, for its place among the others."""

    event_id: str
    at: str

    def is_before(self, event_id: str, at: str) -> bool:
        """Whether a message is newer than this one: by its number, not by a clock."""
        return not not_newer(event_id, at, self.event_id, self.at)


class Back(Value):
    """A fire that was measured again after people were told that it is over.

    `number` counts how often, `level` is the highest that was declared before, `first` the first
    message that measured it, `after` the last word of before.
    """

    number: int
    level: LevelName
    first: Word
    after: Word
    received_ms: int = 0

    def earlier(self, message: DetectorMessage) -> "Back":
        """Return the same with a message that came late, if that measured the fire before."""
        word = word_of(message)
        if self.after.is_before(*_named(word)) and word.is_before(*_named(self.first)):
            return self.model_copy(update={"first": word})
        return self


def word_of(message: DetectorMessage) -> Word:
    """Return the place of a message."""
    return Word(event_id=message.event_id, at=message.ts)


def newest(event_ids: Iterable[str], at: str) -> Word:
    """Return the last word of a detector; `at` is the latest time that it said."""
    return Word(event_id=max(event_ids, key=order_of, default=""), at=at)


def nth(again: int) -> str:
    """Return what tells the steps of an incident that came back from those of before."""
    return f", again {again}" if again else ""


def merged(
    known: Iterable[Acknowledgement], given: Acknowledgement | None
) -> tuple[Acknowledgement, ...]:
    """Return acknowledgements in order of time with one more: the earliest word of each."""
    found = {_whose(one): one for one in known}
    if given is not None:
        before = found.get(_whose(given))
        found[_whose(given)] = given if before is None else _earliest(before, given)
    return tuple(sorted(found.values(), key=_when))


def counting(known: Iterable[Acknowledgement], back: Back | None) -> list[Acknowledgement]:
    """Return those that were given since the fire came back, in their order; else all.

    A detector says "acknowledged" until it is reset: that counts only if it has not said so of
    this level when the fire came back. So a second press there cannot be told from the first.
    """
    if back is None:
        return list(known)
    return [
        one
        for one in known
        if (
            one.event_id != "" and back.first.is_before(one.event_id, one.at)
            if one.source == DEVICE
            else one.again == back.number
        )
    ]


def in_order(lines: Iterable[LogLine]) -> tuple[LogLine, ...]:
    """Return what happened in order of the times that were said, each once."""
    return tuple(sorted(dict.fromkeys(lines), key=lambda line: line.at[:_TO_MS]))


def higher(one: LevelName, other: LevelName) -> LevelName:
    """Return the more severe of two levels."""
    return one if Level.from_label(one) >= Level.from_label(other) else other


def _named(word: Word) -> tuple[str, str]:
    return word.event_id, word.at


def _whose(one: Acknowledgement) -> tuple[str, str, str, int]:
    return one.level, one.source, one.by, one.again


def _earliest(one: Acknowledgement, other: Acknowledgement) -> Acknowledgement:
    if one.event_id and other.event_id:
        place = Word(event_id=one.event_id, at=one.at)
        return one if place.is_before(other.event_id, other.at) else other
    return min(one, other, key=_when)


def _when(one: Acknowledgement) -> tuple[str, str, str, str]:
    return one.at[:_TO_MS], one.source, one.by, one.level

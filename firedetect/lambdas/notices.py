"""What people are told of a message, in words for somebody who was just woken. Pure."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from firedetect.contract.contributions import in_words
from firedetect.contract.messages import DetectorMessage, LinkLost
from firedetect.lambdas.policy import Message, is_drill

TROUBLE: Final = "trouble"
PASSING: Final = frozenset({"starting", "warm-up", "learning"})
"""Kinds of troubles that end by themselves: nobody is woken because a detector was started."""
REASONS: Final[Mapping[str, str]] = {
    "score": "heat and gas together look like a fire (score)",
    "H1": "the air is as hot as in a fire (H1)",
    "H2": "the air heats up very fast (H2)",
    "H3": "a hot area grows (H3)",
    "H4": "an area beyond the measuring range grows (H4)",
    "H5": "carbon monoxide stays high (H5)",
    "signs": "heat and fire gas at the same time (two signs)",
    "H6": "CO2 rises fast, with heat (H6)",
}
"""What the reasons of a level mean; the code stays, for who looks it up."""
ACT: Final[Mapping[str, str]] = {
    "informational": "Nothing needs to be done.",
    "warning": "Have a look soon: it may be the beginning of a fire.",
    "alert": "Leave the building, call the fire service, then check.",
    "emergency": "Leave the building at once, call the fire service, do not go back in.",
}
"""What to do at each level."""
TAKE_OVER: Final = "If you take care of it, say so here:"
PICTURE: Final = "Picture:"
PICTURE_QUERY: Final = "show=picture"
DRILL: Final = "THIS IS A DRILL."
_NOTHING: Final = "Nothing burns."
_CHECK: Final = "Check its power and network."
_UNKNOWN: Final = "not stated"
_SUBJECT_LIMIT: Final = 100


@dataclass(frozen=True, slots=True)
class Notice:
    """What people are told; `level` is for filters: a fire level or `trouble`.

    So is `tier`: 0 for who is told first; `others` are told by the same message. `act` says what to
    do, `reasons` are codes: an SMS has no room for the text. `link` is where somebody can say that
    they take over; with `pictured` there is a picture behind it, too.
    """

    level: str
    site: str
    thing: str
    kind: str
    subject: str
    text: str
    incident_id: str = ""
    tier: int = 0
    drill: bool = False
    link: str = ""
    pictured: bool = False
    act: str = ""
    reasons: tuple[str, ...] = ()
    others: tuple[int, ...] = ()

    @property
    def picture_link(self) -> str:
        """Where the picture is: an address of the bucket would be long, and end soon."""
        return f"{self.link}&{PICTURE_QUERY}" if self.link and self.pictured else ""

    def with_link(self, link: str, *, pictured: bool = False) -> "Notice":
        """Return the same with an address, in the text too; without one it stays as it is."""
        if not link:
            return self
        linked = replace(self, link=link, pictured=pictured)
        lines = [self.text, f"{TAKE_OVER} {link}"]
        if linked.picture_link:
            lines.append(f"{PICTURE} {linked.picture_link}")
        return replace(linked, text="\n".join(lines))


def notice_of(message: Message, told: tuple[str, ...] = ()) -> Notice | None:
    """Return what people are told about a message, None for what only the tables need.

    `told` are the troubles of the device that were kept last: people know of the lasting ones.
    """
    if isinstance(message, LinkLost):
        subject = f"Trouble: {message.device} at {place(message.site)} is not connected"
        text = (
            f"The detector {message.device} at {place(message.site)} has lost its connection.\n"
            "If it still runs it sounds its own alarm, but it cannot call anybody.\n"
            f"{_CHECK}"
        )
        return _notice(message, TROUBLE, subject, text, _CHECK)
    if message.kind == "trouble":
        return _trouble(message) if _what(message.troubles) != _what(told) else None
    if message.kind == "alarm":
        return alarm_of(message)
    if message.level in {"informational", "warning"}:
        subject = f"{message.level.capitalize()}: {message.device} at {place(message.site)}"
        act = _NOTHING if is_drill(message) else ACT[message.level]
        return _notice(
            message, message.level, _marked(message, subject), f"{_story(message)}\n{act}", act
        )
    if is_drill(message):
        subject = _marked(message, f"Drill: {message.device} at {place(message.site)}")
        text = f"{_story(message)}\n{_NOTHING}"
        return _notice(message, message.level, subject, text, _NOTHING)
    return None


def lasting(troubles: Iterable[str]) -> tuple[str, ...]:
    """Return the troubles that do not end by themselves."""
    return tuple(name for name in troubles if name.partition(":")[2] not in PASSING)


def alarm_of(message: DetectorMessage) -> Notice:
    """Return what people are told of an alarm."""
    subject = f"FIRE {message.level.upper()}: {message.device} at {place(message.site)}"
    act = ACT[message.level]
    return _notice(message, message.level, subject, f"{_story(message)}\n{act}", act)


def _what(troubles: Iterable[str]) -> set[str]:
    """Return what has lasting troubles: another reason of the same one is no news."""
    return {name.partition(":")[0] for name in lasting(troubles)}


def _trouble(message: DetectorMessage) -> Notice:
    where = f"{message.device} at {place(message.site)}"
    sees = f"Its ability to see a fire is {message.health.value}."
    if lasting(message.troubles):
        subject = f"Trouble: {where}: {', '.join(lasting(message.troubles))}"
        text = (
            f"The detector {where} has troubles: {_words(message.troubles)}.\n"
            f"{sees} Since {message.ts}."
        )
    else:
        subject = f"Trouble ended: {where}"
        text = (
            f"The detector {where} has no trouble any more{_starting(message)}; its ability to see "
            f"a fire is {message.health.value}. Since {message.ts}."
        )
    return _notice(message, TROUBLE, subject, text, sees)


def _starting(message: DetectorMessage) -> str:
    return f" but {_words(message.troubles)}, which ends by itself" if message.troubles else ""


def _story(message: DetectorMessage) -> str:
    lines = [
        f"Where: {place(message.site)}, detector {message.device}.",
        f"How severe: {message.level} (now {message.current}).",
        f"Why: {_because(message)}.",
        f"Since: {message.ts}.",
    ]
    if is_drill(message):
        lines.insert(0, DRILL)
    return "\n".join(lines)


def _notice(message: Message, level: str, subject: str, text: str, act: str) -> Notice:
    notice = Notice(level, message.site, message.device, message.kind, fit(subject), text, act=act)
    if isinstance(message, LinkLost) or level == TROUBLE:
        return notice
    return replace(
        notice,
        incident_id=message.incident_id or "",
        drill=is_drill(message),
        reasons=message.reasons,
    )


def fit(subject: str) -> str:
    """Return a subject as SNS takes it: up to 100 printable ASCII characters."""
    plain = subject.encode("ascii", "replace").decode()
    return re.sub(r"[^ -~]+", " ", plain)[:_SUBJECT_LIMIT].strip()


def _marked(message: DetectorMessage, subject: str) -> str:
    return f"[DRILL] {subject}" if is_drill(message) else subject


def place(site: str) -> str:
    """Return a site in words."""
    return site or "a site without name"


def _because(message: DetectorMessage) -> str:
    parts = in_words(message.contributions)
    return because(message.reasons, f", mostly because of: {parts}" if parts else "")


def because(reasons: Iterable[str], behind_score: str = "") -> str:
    """Return reasons in words."""
    behind = {"score": behind_score}
    return "; ".join(REASONS.get(code, code) + behind.get(code, "") for code in reasons) or _UNKNOWN


def _words(codes: tuple[str, ...]) -> str:
    return ", ".join(code.replace("_", " ") for code in codes)

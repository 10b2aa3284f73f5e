"""The text of an SMS, which shows no subject and is paid for by its length. Pure."""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Final

from firedetect.lambdas.notices import Notice

LIMIT: Final = 320
"""Characters without the link: two of the parts that an SMS is sent and paid in."""
TAKE_OVER: Final = "Take over:"
BRIEF: Final[Mapping[str, str]] = {
    "score": "heat and gas",
    "H1": "air as hot as in a fire",
    "H2": "air heats up very fast",
    "H3": "hot area grows",
    "H4": "area beyond the range grows",
    "H5": "carbon monoxide",
    "signs": "heat and fire gas",
    "H6": "CO2 rises fast",
}
"""The reasons of a level in a few words each."""
_MORE: Final = "..."
_SHORTEST_WHY: Final = 20


def sms_of(notice: Notice) -> str:
    """Return what burns where, what to do, why, and where to take over: one line each.

    What to do and the link are always whole: only the reasons are cut. The picture is behind the
    same link.
    """
    lines = [plain(notice.subject), plain(notice.act)]
    lines = [line for line in lines if line]
    why = _why(notice.reasons, LIMIT - sum(len(line) + 1 for line in lines))
    if why:
        lines.append(why)
    if notice.link:
        lines.append(f"{TAKE_OVER} {notice.link}")
    return "\n".join(lines)


def plain(text: str) -> str:
    """Return a text in letters of the first alphabet of an SMS: others halve what a part holds.

    Of a letter with an accent the letter stays; what has none in that alphabet becomes "?".
    """
    letters = unicodedata.normalize("NFKD", text)
    bare = "".join(letter for letter in letters if not unicodedata.combining(letter))
    ascii_only = bare.encode("ascii", "replace").decode().replace("`", "'")
    return re.sub(r"[^ -~]+", " ", ascii_only).strip()


def _why(reasons: Iterable[str], room: int) -> str:
    words = plain(", ".join(BRIEF.get(code, code) for code in reasons))
    if not words or room < _SHORTEST_WHY:
        return ""
    why = f"Why: {words}."
    return why if len(why) <= room else why[: room - len(_MORE)] + _MORE

"""API destinations of the event bus: what a rule makes of an event is sent by HTTP.

AWS tries for hours; here each event is tried a few times, then it is in the failure queue.
"""

import json
import re
import threading
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import structlog

from firedetect.cloudbox.wire import JsonObject

ATTEMPTS: Final = 3
PAUSE_S: Final = 0.2
LIMIT_S: Final = 5.0
_PLACE: Final = re.compile(r"<(\w+)>")

Failed = Callable[[str, JsonObject], None]
"""Told the address of the failure queue and what could not be sent."""

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a rule sends to, and what its connection adds."""

    url: str
    method: str
    headers: Mapping[str, str]


def rendered(template: str, paths: Mapping[str, str], event: Mapping[str, Any]) -> str:
    """Return an input template with its places filled: text is escaped as in a JSON string."""

    def fill(found: re.Match[str]) -> str:
        value = _at(paths.get(found.group(1), ""), event)
        text = json.dumps(value, ensure_ascii=False)
        return text[1:-1] if isinstance(value, str) else text

    return _PLACE.sub(fill, template)


def send(destination: Destination, body: str, failed: Callable[[str], None]) -> None:
    """Send in a thread of its own; `failed` hears after the last attempt."""

    def work() -> None:
        why = ""
        waits = threading.Event()
        for attempt in range(ATTEMPTS):
            if attempt:
                waits.wait(PAUSE_S)
            try:
                request = urllib.request.Request(  # noqa: S310 - the address is the operator's
                    destination.url,
                    data=body.encode(),
                    method=destination.method,
                    headers={"Content-Type": "application/json", **destination.headers},
                )
                with urllib.request.urlopen(request, timeout=LIMIT_S):  # noqa: S310
                    return
            except (OSError, ValueError) as error:
                why = str(error)
        _log.warning("destination does not answer", url=destination.url, error=why)
        failed(why)

    threading.Thread(target=work, name="destination", daemon=True).start()


def _at(path: str, event: Mapping[str, Any]) -> Any:  # noqa: ANN401 - whatever the event holds
    value: Any = event
    for part in path.removeprefix("$").strip(".").split("."):
        if not isinstance(value, Mapping) or part not in value:
            # AWS leaves the place of a path that leads nowhere empty.
            return ""
        value = value[part]
    return value

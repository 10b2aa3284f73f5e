"""firedetect-monitoring-agent: every 5 min, each detector's sensors against its own past."""

import logging
import os
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final

from firedetect.errors import FiredetectError
from firedetect.lambdas.devices import Devices
from firedetect.lambdas.notices import TROUBLE, Notice, fit, place
from firedetect.lambdas.people import Speaker
from firedetect.lambdas.rows import client, every_row
from firedetect.lambdas.settings import SupervisorSettings
from firedetect.lambdas.watching import Look, Past, look

BEAT: Final = "beat"
WATCH: Final = "watch"
RESERVE_MS: Final = 10_000
"""No detector is begun with less time than calls that hang may take."""
_LOOK: Final = "It may not see a fire. Have it looked at: firedetect doctor."
_AS_BEFORE: Final = "It senses as before again."

_log = logging.getLogger(__name__)


class WatchError(FiredetectError):
    """Not every detector could be looked at; the message names them."""


def handler(event: object, context: Any) -> dict[str, object]:  # noqa: ANN401, ARG001 - AWS's shape
    """Look at every detector once; raises WatchError after trying them all."""
    return _agent().run(context.get_remaining_time_in_millis)


class MonitoringAgent:
    """The handler with what it uses."""

    def __init__(self, dynamodb: Any, table: str, speaker: Speaker) -> None:  # noqa: ANN401
        self._dynamodb = dynamodb
        self._table = table
        self._devices = Devices(dynamodb, table)
        self._speaker = speaker

    def run(self, remaining_ms: Callable[[], int]) -> dict[str, object]:
        """Look, tell what is new or over, keep what was learnt."""
        beats: dict[str, Mapping[str, Any]] = {}
        pasts: dict[str, Mapping[str, Any]] = {}
        for row in every_row(self._dynamodb, self._table):
            kinds = {BEAT: beats, WATCH: pasts}
            kinds.get(str(row["kind"]), {})[str(row["thing"])] = row
        counts = {"devices": 0, "new": 0, "over": 0}
        failed = []
        for thing, beat in sorted(beats.items()):
            if remaining_ms() < RESERVE_MS:
                _log.warning("%d detectors wait for the next look", len(beats) - counts["devices"])
                break
            counts["devices"] += 1
            before = pasts.get(thing, {})
            found = look(Past.of(before), beat)
            if found is None:
                continue
            counts["new"] += len(found.new)
            counts["over"] += len(found.over)
            try:
                self._say(thing, str(beat.get("site", "")), found)
                kept = found.past.as_row() | {"thing": thing, "kind": WATCH}
                self._devices.keep(dict(before), kept)
            except Exception as error:  # noqa: BLE001 - the others must be looked at, too
                _log.warning("%s: %s", thing, error)
                failed.append(thing)
        if failed:
            raise WatchError(f"not looked at: {', '.join(failed)}")
        return dict(counts)

    def _say(self, thing: str, site: str, found: Look) -> None:
        # People first, the note that they were told after: better twice than never.
        where = f"{thing} at {place(site)}"
        if found.new:
            lines = [f"- {words}" for words in found.new]
            text = "\n".join(
                [
                    f"The detector {where} speaks, but something is wrong with what it senses:",
                    *lines,
                    _LOOK,
                ]
            )
            self._tell(thing, site, f"Trouble: {where}: sensors", text, _LOOK)
        if found.over:
            text = f"The detector {where} senses as before again: {', '.join(found.over)}."
            self._tell(thing, site, f"Trouble ended: {where}: sensors", text, _AS_BEFORE)

    def _tell(self, thing: str, site: str, subject: str, text: str, act: str) -> None:
        notice = Notice(TROUBLE, site, thing, WATCH, fit(subject), text, act=act)
        self._speaker.tell(notice, {})


@cache
def _agent() -> MonitoringAgent:
    """Return the one of this execution environment: clients are made once."""
    settings = SupervisorSettings.read(os.environ)
    speaker = Speaker(client("sns"), settings.people_topic_arn)
    return MonitoringAgent(client("dynamodb"), settings.devices_table, speaker)

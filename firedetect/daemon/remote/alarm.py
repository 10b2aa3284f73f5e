"""Acknowledge and silence from afar: requests for one incident, so that they merge in any order."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, Final

import structlog

from firedetect.clock import CLOCK_SET_S, NS_PER_S, Clock
from firedetect.contract.level import Level
from firedetect.contract.problems import Problem
from firedetect.contract.shadow import (
    Acknowledge,
    DesiredAlarm,
    ReportedAlarm,
    Silence,
    desired_alarm,
)
from firedetect.daemon.disk import DiskThread
from firedetect.daemon.queue import EventQueue
from firedetect.decision.machine import ACKNOWLEDGED
from firedetect.decision.outcome import Outcome
from firedetect.readings import Command, CommandAction, CommandSource
from firedetect.storage.slots import Slots
from firedetect.uplink.shadow_client import ShadowDocument

DONE: Final = "done"
"""The answer to a request that was carried out."""
_ACKNOWLEDGE: Final = "acknowledge"
_SILENCE: Final = "silence"

_log = structlog.get_logger()


def _nobody() -> None:
    """Nobody is told yet."""


@dataclass(slots=True)
class RemoteAlarm:
    """Turns the shadow `alarm` into commands, each request once; `on_change`: report again.

    `kept` holds what was carried out over a restart: an acknowledgement belongs to the level that
    people saw, and the shadow desires it for ever.
    """

    queue: EventQueue
    clock: Clock
    disk: DiskThread
    kept: Slots | None = None
    on_change: Callable[[], None] = field(default=_nobody, init=False)
    _outcome: Outcome | None = None
    _desired: DesiredAlarm | None = None
    _done: dict[str, str] = field(default_factory=dict)
    _answers: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        slot = None if self.kept is None else self.kept.active()
        body = {} if slot is None else slot.body
        self._done, self._answers = _texts(body.get("done")), _texts(body.get("answers"))

    async def consider(self, document: ShadowDocument) -> None:
        """Take what people ask for."""
        desired = desired_alarm({} if document.desired is None else document.desired)
        if isinstance(desired, Problem):
            _log.warning("a request from afar is refused", problem=str(desired))
            self._answers = {"document": str(desired)}
            self._desired = None
        else:
            self._answers.pop("document", None)
            self._desired = desired
        self._carry_out()
        self.on_change()

    def heard(self, outcome: Outcome) -> None:
        """Take an outcome: the answer to a request, or another incident."""
        before, self._outcome = self._outcome, outcome
        answer = outcome.answer
        if answer is not None:
            for what, request in self._done.items():
                if answer.command_id == _command_id(what, request):
                    self._answers[what] = "" if answer.accepted else answer.detail
                    self._remember()
                    self.on_change()
        if before is None or before.incident_id != outcome.incident_id:
            # A request may have been here before the incident: after a restart it is.
            self._carry_out()
            self.on_change()
        elif (before.alarm, before.level) != (outcome.alarm, outcome.level):
            self.on_change()

    def report_to(self, call: Callable[[], None]) -> None:
        """Call `call` whenever there is something new to report."""
        self.on_change = call

    def reported(self) -> dict[str, Any] | None:
        """Return what the shadow `alarm` reports, None before the first outcome."""
        outcome = self._outcome
        if outcome is None:
            return None
        document = ReportedAlarm(
            incident_id=outcome.incident_id,
            level=outcome.level.label,
            alarm=outcome.alarm.value,
            acknowledged=outcome.alarm in ACKNOWLEDGED,
            answers={what: _shown(answer) for what, answer in self._answers.items()},
        )
        return document.model_dump(mode="json")

    def _carry_out(self) -> None:
        desired, outcome = self._desired, self._outcome
        if desired is None or outcome is None:
            return
        if desired.acknowledge is not None:
            self._ask(_ACKNOWLEDGE, desired.acknowledge, outcome)
        if desired.silence is not None:
            self._ask(_SILENCE, desired.silence, outcome)

    def _ask(self, what: str, request: Acknowledge | Silence, outcome: Outcome) -> None:
        if request.incident_id != outcome.incident_id:
            self._answers[what] = f"incident {request.incident_id} is not the present one"
            return
        if isinstance(request, Acknowledge) and _overtaken(request, outcome):
            self._answers[what] = f"the level is {outcome.level.label} now: look again"
            return
        key = request.model_dump_json(exclude_none=True)
        if self._done.get(what) == key:
            return
        duration_s = None
        if isinstance(request, Silence):
            left = self._left_s(request.until)
            if isinstance(left, str):
                self._answers[what] = left
                return
            duration_s = left
        self._done[what] = key
        self._remember()
        action = CommandAction.ACKNOWLEDGE if what == _ACKNOWLEDGE else CommandAction.SILENCE
        now = self.clock.monotonic_ns()
        self.queue.put(
            Command(now, action, CommandSource.REMOTE, _command_id(what, key), duration_s)
        )

    def _remember(self) -> None:
        if self.kept is not None:
            body = {"done": dict(self._done), "answers": dict(self._answers)}
            self.disk.later(partial(self.kept.propose, body), _not_stored)

    def _left_s(self, until: str) -> float | str:
        """Return how long a silence still lasts, or why it is none."""
        now_s = self.clock.wall_ns() / NS_PER_S
        if now_s < CLOCK_SET_S:
            return "the clock of this detector is not set: no expiry can be judged"
        try:
            end = datetime.fromisoformat(until)
        except ValueError:
            return "until is no time (ISO 8601)"
        if end.tzinfo is None:
            return "until has no offset from UTC"
        left_s = end.timestamp() - now_s
        return left_s if left_s > 0 and math.isfinite(left_s) else "has expired"


def _overtaken(request: Acknowledge, outcome: Outcome) -> bool:
    """Whether the alarm is more severe than what the person saw who acknowledged it."""
    return request.level is not None and Level.from_label(request.level) < outcome.level


def _not_stored(why: str) -> None:
    _log.warning("what was asked from afar is not stored", error=why)


def _texts(stored: object) -> dict[str, str]:
    known = stored if isinstance(stored, dict) else {}
    return {what: text for what, text in known.items() if isinstance(text, str)}


def _command_id(what: str, request: str) -> str:
    return f"shadow-{what}-{request}"


def _shown(answer: str) -> str:
    # The shadow drops what is empty in places; a word cannot be overlooked.
    return answer or DONE

"""Says each change of level, health or alarm in the log, with its reasons."""

from collections.abc import Callable
from typing import Any

import structlog

from firedetect.contract.level import LATCHING_FROM
from firedetect.decision.outcome import Outcome, number

_log = structlog.get_logger()


def log_transitions() -> Callable[[Outcome], None]:
    """Return a listener that logs each change of level, health or alarm with its reasons."""
    shown: list[Outcome] = []

    def hear(outcome: Outcome) -> None:
        if outcome.event_id is None:
            return
        before = shown[-1] if shown else None
        shown[:] = [outcome]
        facts: dict[str, Any] = {
            "t_s": outcome.t_s,
            "reasons": list(outcome.reasons),
            "score": number(outcome.score),
            "health": outcome.health.value,
            "alarm": outcome.alarm.value,
            "event_id": outcome.event_id,
        }
        if outcome.troubles:
            facts["troubles"] = list(outcome.troubles)
        if before is None or before.level is not outcome.level:
            was = before.level.label if before else "start"
            log = _log.warning if outcome.level >= LATCHING_FROM else _log.info
            log(f"level {was} -> {outcome.level.label}", **facts)
        elif before.current is not outcome.current:
            was, now = before.current.label, outcome.current.label
            _log.info(f"current {was} -> {now}, level stays {outcome.level.label}", **facts)
        elif outcome.answer is not None:
            answer = outcome.answer
            said = "done" if answer.accepted else f"refused: {answer.detail}"
            _log.info(f"command {answer.action.value}: {said}", **facts)
        elif before.troubles != outcome.troubles or before.health is not outcome.health:
            log = _log.warning if outcome.troubles else _log.info
            log("troubles" if outcome.troubles else "no trouble", **facts)
        else:
            _log.info("alarm state", **facts)

    return hear

"""What the detector says of itself: heartbeat and shadow `state`."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from firedetect import __version__
from firedetect.clock import NS_PER_S, Clock
from firedetect.contract.level import Health, Level
from firedetect.contract.messages import Beat
from firedetect.contract.shadow import StateDocument
from firedetect.daemon.keep import Keeper
from firedetect.daemon.remote.sensing import Sensing
from firedetect.decision.outcome import Outcome, iso_time, number
from firedetect.features.vector import SCHEMA_ID

_SHOWN_TROUBLES = 20
_LONGEST_TROUBLE = 120


def _nobody() -> None:
    """Nobody is told yet."""


@dataclass(slots=True)
class SelfReport:
    """Hears of outcomes; `on_change` is called when the shadow must be told."""

    device: str
    site: str
    boot: int
    clock: Clock
    keeper: Keeper
    sensing: Sensing
    known_answer: Callable[[], bool | None]
    config_version: Callable[[], int | None]
    on_change: Callable[[], None] = field(default=_nobody, init=False)
    _last: Outcome | None = None
    _shown: tuple[object, ...] = ()
    _beats: int = 0
    _began_ns: int = field(init=False)

    def __post_init__(self) -> None:
        self._began_ns = self.clock.monotonic_ns()

    def heard(self, outcome: Outcome) -> None:
        """Take an outcome."""
        self._last = outcome
        shown = (outcome.level, outcome.health, outcome.incident_id, outcome.troubles)
        if (*shown, outcome.model) != self._shown:
            self._shown = (*shown, outcome.model)
            self.on_change()

    async def beat(self) -> Beat:
        """Return the proof that the detector senses, made now."""
        outcome = self._last
        self._beats += 1
        return Beat(
            device=self.device,
            site=self.site,
            boot=self.boot,
            seq=self._beats,
            ts=iso_time(self.clock.wall_ns()),
            uptime_s=round((self.clock.monotonic_ns() - self._began_ns) / NS_PER_S, 1),
            level=(Level.NORMAL if outcome is None else outcome.level).label,
            health=Health.BLIND if outcome is None else outcome.health,
            score=None if outcome is None else number(outcome.score),
            troubles=_troubles(outcome),
            sensors=self.sensing.beats(),
            known_answer=self.known_answer(),
            waiting=await self.keeper.waiting(),
            model=None if outcome is None else outcome.model,
            config_version=self.config_version(),
        )

    def report_to(self, call: Callable[[], None]) -> None:
        """Call `call` whenever there is something new to report."""
        self.on_change = call

    def reported(self) -> dict[str, Any] | None:
        """Return what the shadow `state` reports, None before the first outcome."""
        outcome = self._last
        if outcome is None:
            return None
        document = StateDocument(
            level=outcome.level.label,
            health=outcome.health,
            incident_id=outcome.incident_id,
            troubles=_troubles(outcome),
            program=__version__,
            model=outcome.model,
            schema_id=SCHEMA_ID,
            boot=self.boot,
            site=self.site,
        )
        return document.model_dump(mode="json")


def _troubles(outcome: Outcome | None) -> tuple[str, ...]:
    known = () if outcome is None else outcome.troubles
    return tuple(trouble[:_LONGEST_TROUBLE] for trouble in known[:_SHOWN_TROUBLES])

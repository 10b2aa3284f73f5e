"""One judgement from the two ways to a level: hard rules with their hold, and confirmed scores."""

import math

import numpy as np
from numpy.typing import NDArray

from firedetect.contract.level import Health, Level
from firedetect.contract.settings import DecisionSettings
from firedetect.decision.alarm import Alarm
from firedetect.decision.confirm import ScoreLevel
from firedetect.decision.hard_rules import HardInputs, HardRules, HardVerdict
from firedetect.decision.outcome import Answer
from firedetect.decision.signs import TwoSigns
from firedetect.readings import Command, CommandAction

NS_PER_S = 1_000_000_000
QUIET_SCORE = 0.1
TWO_SIGNS = "signs"
"""The reason that stands beside the score when heat and gas came together."""


class Judge:
    """Holds the level of this moment (`current`) and the latched alarm."""

    def __init__(self, settings: DecisionSettings) -> None:
        self.alarm = Alarm(settings)
        self.last_score = math.nan
        self._settings = settings
        self._rules = HardRules(settings.hard)
        self._scores = ScoreLevel(settings)
        self._hard = HardVerdict()
        self._hard_until_ns = 0
        self._signs = TwoSigns()
        self._together = False

    def configure(self, settings: DecisionSettings) -> None:
        """Use other settings from the next event on; what is latched stays."""
        self._settings = self._scores.settings = self.alarm.settings = settings
        self._rules.limits = settings.hard

    def hard(self, inputs: HardInputs) -> None:
        """Fold physical values."""
        self.hold(inputs.t_ns, self._rules.judge(inputs))

    def hold(self, t_ns: int, verdict: HardVerdict) -> None:
        """Fold a verdict of the hard rules; it holds for a while after it has become lower."""
        if verdict.level >= self._hard.level and verdict.level is not Level.NORMAL:
            self._hard = verdict
            self._hard_until_ns = t_ns + round(self._settings.hold_s * NS_PER_S)
        elif t_ns >= self._hard_until_ns:
            self._hard = verdict

    def see(self, t_ns: int, row: NDArray[np.floating]) -> None:
        """Fold the columns (27,) that a score is of, before the score itself."""
        self._signs.fold(t_ns, row)

    def score(self, t_ns: int, score: float) -> None:
        """Fold the model's score (NaN for none)."""
        self.last_score = score
        self._scores.fold(t_ns, score)
        self._together = self._signs.together(t_ns)

    @property
    def _score_level(self) -> Level:
        """The level of the score; a warning with two signs is an alert."""
        level = self._scores.level
        return Level.ALERT if self.two_signs else level

    @property
    def two_signs(self) -> bool:
        """Whether heat and gas together make an alert of a warning now."""
        return self._together and self._scores.level is Level.WARNING

    @property
    def current(self) -> Level:
        """The unlatched level."""
        return max(self._hard.level, self._score_level)

    @property
    def level(self) -> Level:
        """The level that is declared: the latched one, or a higher current one."""
        return max(self.alarm.level, self.current)

    @property
    def reasons(self) -> tuple[str, ...]:
        """What speaks for the current level; for a level that is only latched, what latched it."""
        if self.current is Level.NORMAL:
            return self.alarm.reasons
        by_score = ("score",) if self._scores.level is not Level.NORMAL else ()
        by_signs = (TWO_SIGNS,) if self.two_signs else ()
        return by_score + by_signs + self._hard.rules

    @property
    def calm(self) -> bool:
        """Whether neither score nor hard rules see anything; an unknown score is not calm."""
        return self.last_score < QUIET_SCORE and self._hard.level is Level.NORMAL

    def declare(self, event_id: str) -> bool:
        """Latch the current level if it must be; returns whether the latched level rose."""
        return self.alarm.declare(self.current, self.reasons, event_id)

    def obey(self, command: Command, health: Health) -> Answer:
        """Do what a person asks, or say why not."""
        refused = self._act(command, health)
        return Answer(command.command_id, command.action, not refused, refused)

    def _act(self, command: Command, health: Health) -> str:
        match command.action:
            case CommandAction.ACKNOWLEDGE:
                return self.alarm.acknowledge()
            case CommandAction.SILENCE:
                return self.alarm.silence(command)
            case CommandAction.RESET:
                return self._reset(command.t_ns, health)
            case CommandAction.DRILL:
                return self.alarm.start_drill(command)

    def _reset(self, t_ns: int, health: Health) -> str:
        if self.alarm.level is not Level.NORMAL:
            if health is Health.BLIND:
                return "the detector is blind: nobody can tell whether the fire is out"
            active = self._rules.verdict
            if active.level is not Level.NORMAL:
                return f"above the hard limits when last seen: {', '.join(active.rules)}"
            if self._scores.still_high(t_ns) or self.two_signs:
                return f"the score is still high: {self.last_score:.2f}"
        refused = self.alarm.reset()
        if not refused:
            self._hard = HardVerdict()
            self._scores.reset(t_ns)
        return refused

"""A change proves itself: local health must stay as good as before, else it is taken back.

The link plays no part: a network that fails just now says nothing about a model or a setting.
"""

import asyncio
from collections.abc import Callable

import structlog

from firedetect.contract.level import Health
from firedetect.decision.health import PASSING
from firedetect.decision.outcome import Outcome
from firedetect.readings import Sensor

PROBATION_S = 120.0
WORSE_FOR_S = 5.0
"""A trouble that is over sooner is no reason to go back."""
_LOCAL = ("model", "bundle", "late", "task:detect", "task:acquire", "detect")
"""Troubles, by how their names begin, that a change of model or settings can cause."""
_RANK = {Health.OK: 0, Health.DEGRADED: 1, Health.BLIND: 2}

_log = structlog.get_logger()


class Probation:
    """Watches outcomes after a change; one change at a time."""

    def __init__(self) -> None:
        self._before: tuple[int, frozenset[str]] = (0, frozenset())
        self._now: tuple[int, frozenset[str]] = (0, frozenset())
        self._end: asyncio.TimerHandle | None = None
        self._worse: asyncio.TimerHandle | None = None
        self._proof: Callable[[Outcome], bool] = lambda _outcome: True
        self._proved = False
        self._passed: Callable[[], None] = lambda: None
        self._failed: Callable[[str], None] = lambda _why: None

    @property
    def running(self) -> bool:
        """Whether a change is proving itself."""
        return self._end is not None

    def heard(self, outcome: Outcome) -> None:
        """Take an outcome."""
        local = frozenset(trouble for trouble in outcome.troubles if trouble.startswith(_LOCAL))
        self._now = (_rank(outcome), frozenset(name.split(":")[0] for name in local))
        if self._end is None:
            return
        self._proved = self._proved or self._proof(outcome)
        worse = self._complaint()
        if worse and self._worse is None:
            self._worse = asyncio.get_running_loop().call_later(WORSE_FOR_S, self._take_back)
        elif not worse and self._worse is not None:
            self._worse.cancel()
            self._worse = None

    def begin(
        self,
        passed: Callable[[], None],
        failed: Callable[[str], None],
        proof: Callable[[Outcome], bool] = lambda _outcome: True,
        *,
        resumed: bool = False,
    ) -> None:
        """Begin to watch a change that holds from now on; exactly one of the two is called.

        Without an outcome that is a `proof` it fails. `resumed` after a restart: nobody knows
        which sensors were lost before, and no change can lose one.
        """
        self.stop()
        self._before = (max(_RANK.values()), frozenset()) if resumed else self._now
        self._passed, self._failed = passed, failed
        self._proof, self._proved = proof, False
        self._end = asyncio.get_running_loop().call_later(PROBATION_S, self._over)

    def stop(self) -> None:
        """Watch no longer: the change was taken back or replaced for another reason."""
        for timer in (self._end, self._worse):
            if timer is not None:
                timer.cancel()
        self._end = self._worse = None

    def _complaint(self) -> str:
        rank, troubles = self._now
        if rank > self._before[0]:
            return f"health became {next(h for h, known in _RANK.items() if known == rank)}"
        return ", ".join(sorted(troubles - self._before[1]))

    def _over(self) -> None:
        complaint = self._complaint()
        if not complaint and not self._proved:
            complaint = f"nothing was judged within {PROBATION_S:.0f} s"
        self.stop()
        if complaint:
            self._failed(complaint)
        else:
            self._passed()

    def _take_back(self) -> None:
        complaint = self._complaint()
        self.stop()
        _log.warning("a change is taken back", why=complaint)
        self._failed(complaint)


def _rank(outcome: Outcome) -> int:
    """Return how bad the health is; sensors that only warm up after a start are no complaint."""
    kinds = dict(trouble.partition(":")[::2] for trouble in outcome.troubles)
    lost = [sensor for sensor in Sensor if sensor in kinds and kinds[sensor] not in PASSING]
    return _RANK[outcome.health] if lost else 0

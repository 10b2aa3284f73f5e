"""The model in use: swapped between two events, watched, taken back when it does harm."""

import asyncio
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path

import structlog

from firedetect.contract.settings import DecisionSettings
from firedetect.daemon.disk import DiskThread
from firedetect.daemon.models.choose import ModelInUse, choose_model, start_model
from firedetect.daemon.models.install import Installed, ModelStore
from firedetect.daemon.probation import Probation
from firedetect.daemon.trials import StoredTrial
from firedetect.decision.outcome import Outcome
from firedetect.errors import BundleError, StorageError
from firedetect.model.scorer import Scorer
from firedetect.uplink.link import Report

INSTALL_LIMIT_S = 120.0
"""Reading, checking and trying a bundle on a slow machine."""
_TROUBLE = "bundle"

_log = structlog.get_logger()


class ModelKeeper:
    """Installs and rolls back while the detector runs; `swap` puts a scorer into the pipeline.

    `one_change` is held while a model is tried with the settings in force, so that neither is
    adopted beside something with which it was not tried. `disk` is closed with it: a thread of its
    own, because trying a bundle takes longer than others may wait for a disk.
    """

    def __init__(
        self,
        store: ModelStore,
        trusted_keys: Path | None,
        trial: Callable[[], StoredTrial],
        decision: Callable[[], DecisionSettings],
        report: Report,
        disk: DiskThread,
        one_change: asyncio.Lock,
        limit_s: float = INSTALL_LIMIT_S,
    ) -> None:
        self._store = store
        self._trusted_keys = trusted_keys
        self._trial = trial
        self._decision = decision
        self._report = report
        self._one_change = one_change
        self._disk = disk
        self._limit_s = limit_s
        self._before: Scorer | None = None
        self._probation = Probation()
        self._outcome: Outcome | None = None
        self._proven: asyncio.Future[str] | None = None
        self._installing = False
        self._going_back: asyncio.Task[None] | None = None
        self.swap: Callable[[Scorer | None], None] = lambda _scorer: None
        chosen = start_model(store)
        self.scorer = chosen.scorer
        self.refused = chosen.trouble
        if self._on_trial and store.named[0].path == chosen.path:
            # What to go back to must not have to come from a disk that hangs by then.
            self._before = choose_model(store, proven_only=True).scorer
        if chosen.trouble:
            report(_TROUBLE, chosen.trouble)

    @property
    def version(self) -> str | None:
        """The version of the model in use, None without one."""
        return None if self.scorer is None else self.scorer.version

    def known_answer(self) -> bool | None:
        """Whether the model in use knows a fire just now, None without one."""
        return None if self.scorer is None else self.scorer.known_answer()

    def watch(self) -> None:
        """Begin to watch a model that has not proved itself yet, once the event loop runs."""
        if self._on_trial:
            self._begin(resumed=True)

    @property
    def _on_trial(self) -> bool:
        named = self._store.named if self._store.fixed is None else ()
        return bool(named) and not named[0].confirmed

    def heard(self, outcome: Outcome) -> None:
        """Take an outcome."""
        self._outcome = outcome
        self._probation.heard(outcome)

    async def install(self, source: Path, *, allow_downgrade: bool = False) -> Installed:
        """Check, try and use a bundle; `proven` then tells whether it stayed.

        Raises BundleError, TrialError or StorageError with the reason; then nothing changed.
        """
        self._refuse_in_alarm()
        if self._probation.running or self._installing:
            raise BundleError("another model is proving itself: wait two minutes")
        self._installing = True
        try:
            async with self._one_change:
                return await self._installed(source, allow_downgrade=allow_downgrade)
        finally:
            self._installing = False

    async def _installed(self, source: Path, *, allow_downgrade: bool) -> Installed:
        present = self.scorer
        try:
            installed = await self._disk.run(
                lambda: self._install(source, present, allow_downgrade=allow_downgrade),
                self._limit_s,
            )
            # An alarm may have come while the bundle was tried.
            self._refuse_in_alarm()
        except (BundleError, StorageError):
            # What was refused, or goes on behind our back, must not be in use at the next start.
            self._disk.later(self._store.leave_unconfirmed, self._not_stored)
            raise
        if installed.changed:
            self._before = present
            self._use(installed.scorer)
            self._begin()
            _log.info("model installed", version=installed.version, signed_by=installed.key)
        return installed

    async def proven(self) -> str:
        """Return why the model was taken back, or nothing once it has proved itself."""
        return "" if self._proven is None else await asyncio.shield(self._proven)

    async def rollback(self) -> str:
        """Go back to the bundle before; returns what is in use then.

        Raises BundleError or StorageError; then nothing changed.
        """
        chosen = await self._disk.run(self._roll_back, self._limit_s)
        self._probation.stop()
        self._use(chosen.scorer)
        self._end("rolled back on request")
        version = self.version or "none: the hard rules work alone"
        _log.warning("model rolled back", now=version)
        return version

    async def leave_unproven(self) -> None:
        """Go back to the last proven bundle; a proven one stays. Raises StorageError."""
        self._probation.stop()
        self._disk.later(self._store.leave_unconfirmed, self._not_stored)
        chosen = await self._disk.run(self._proven_one, self._limit_s)
        self._use(chosen.scorer)
        self._end("left unproven")

    def close(self) -> None:
        """End the watch, and the thread once it is idle."""
        self._probation.stop()
        self._disk.close()

    def _refuse_in_alarm(self) -> None:
        if self._outcome is not None and self._outcome.latched:
            raise BundleError("an alarm is latched: no model is changed until it is reset")

    def _install(self, source: Path, present: Scorer | None, *, allow_downgrade: bool) -> Installed:
        trial = self._trial()
        return self._store.install(
            source,
            trusted_keys=self._trusted_keys,
            present=present,
            settings=self._decision(),
            library=trial.library(),
            history=[trial.newest()],
            allow_downgrade=allow_downgrade,
        )

    def _use(self, scorer: Scorer | None) -> None:
        self.scorer = scorer
        self.swap(scorer)
        if scorer is not None:
            self._report(_TROUBLE, None)

    def _begin(self, *, resumed: bool = False) -> None:
        self._proven = asyncio.get_running_loop().create_future()
        self._probation.begin(self._confirm, self._take_back, self._scored, resumed=resumed)

    def _scored(self, outcome: Outcome) -> bool:
        """Whether the model in use has judged something."""
        return outcome.model == self.version and not math.isnan(outcome.score)

    def _confirm(self) -> None:
        if self.scorer is not None:
            self._disk.later(partial(self._store.confirm, self.scorer.hash), self._not_stored)
        self._end("")

    def _take_back(self, why: str) -> None:
        """Go back by itself: local health is not as good as before."""
        _log.warning("model taken back", version=self.version, why=why)
        # At once where the one before is known: the disk may be what fails.
        self._use(self._before)
        self._disk.later(self._store.rollback, self._not_stored)
        self._going_back = asyncio.create_task(self._use_proven(), name="model:back")
        self._end(why)

    async def _use_proven(self) -> None:
        """Use what the store says after the way back, also if that was not written."""
        try:
            chosen = await self._disk.run(self._proven_one, self._limit_s)
        except Exception as error:  # noqa: BLE001 - nobody waits for this task
            self._not_stored(f"{type(error).__name__}: {error}")
        else:
            self._use(chosen.scorer)

    def _roll_back(self) -> ModelInUse:
        self._store.rollback()
        return choose_model(self._store)

    def _proven_one(self) -> ModelInUse:
        return choose_model(self._store, proven_only=True)

    def _not_stored(self, why: str) -> None:
        self._report(_TROUBLE, why)

    def _end(self, why: str) -> None:
        if self._proven is not None and not self._proven.done():
            self._proven.set_result(why)

"""Settings from afar: judged whole, tried, stored A/B, watched, taken back when they do harm."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Literal, Protocol

import structlog

from firedetect.clock import cancel_and_wait
from firedetect.config import Settings
from firedetect.contract.problems import Problem
from firedetect.contract.settings import (
    DecisionRules,
    DecisionSettings,
    GasSampling,
    RemoteSettings,
    SensorSampling,
)
from firedetect.contract.shadow import Refusal, ReportedConfig, Verdict, desired_settings
from firedetect.daemon.disk import DiskThread
from firedetect.daemon.probation import Probation
from firedetect.daemon.remote.kept_config import (
    NOTHING,
    Adopted,
    KeptConfig,
    fingerprint_of,
    refusal,
)
from firedetect.errors import StorageError
from firedetect.uplink.link import Report
from firedetect.uplink.shadow_client import ShadowDocument

_TROUBLE = "config"

_log = structlog.get_logger()


class SettingsTrial(Protocol):
    """Tries settings on the library and on what this detector has stored."""

    def verdicts(
        self, candidate: DecisionSettings, present: DecisionSettings
    ) -> AsyncIterator[tuple[Verdict | None, str]]:
        """Yield a first verdict soon, then fuller ones, each with why it refuses, or nothing."""


class RemoteConfig:
    """The settings in force and how they came to be; `apply` is called when they change.

    `folder` is None where no disk can be used: then nothing from afar is adopted.
    """

    def __init__(
        self,
        settings: Settings,
        folder: Path | None,
        trial: SettingsTrial,
        report: Report,
        apply: Callable[[RemoteSettings], None],
        disk: DiskThread,
        one_change: asyncio.Lock,
    ) -> None:
        self._base = base_settings(settings)
        self._silence_emergency = settings.decision.remote_emergency_silence
        self._kept = None if folder is None else KeptConfig(folder, disk, self._not_stored)
        self._trial = trial
        self._one_change = one_change
        self._report = report
        self._apply = apply
        self._adopted = NOTHING
        self._before = NOTHING
        self._judged = ""
        self._verdict: Verdict | None = None
        self._verdict_version: int | None = None
        self._refused: Refusal | None = None
        self._status: Literal["defaults", "adopted", "confirmed", "reverted"] = "defaults"
        self._fuller: asyncio.Task[None] | None = None
        self.settings = self._base
        self.probation = Probation()
        self.on_change: Callable[[], None] = lambda: None

    @property
    def decision(self) -> DecisionSettings:
        """How scores become levels, as it is in force."""
        return self._decision(self.settings)

    @property
    def version(self) -> int | None:
        """The version of the shadow that the settings came with, None for the device's own."""
        return self._adopted.version or None

    def restore(self) -> None:
        """Take what was adopted before this start, unless it did harm or no longer fits; blocks."""
        if self._kept is None:
            return
        found = self._kept.find()
        self._judged, self._refused = found.judged, found.refused
        for adopted, confirmed in found.kept:
            # The last is the one in force, the one before it is what to go back to.
            self._restore(adopted, confirmed=confirmed)
        if found.bad is not None:
            self._kept.remember_bad(found.bad, self._note_bad(found.bad, found.why))

    def watch(self) -> None:
        """Begin to watch what is not confirmed yet, once the event loop runs."""
        if self._status == "adopted":
            self.probation.begin(self._confirm, self._take_back, resumed=True)

    async def consider(self, document: ShadowDocument) -> None:
        """Adopt or refuse what a `config` shadow desires; the answer is in `reported`."""
        desired = document.desired if document.desired is not None else {}
        # Not the version: it rises with every report of ours, and each would be judged again.
        fingerprint = fingerprint_of(desired, document.desired_s)
        if fingerprint == self._judged:
            return
        self._judged = fingerprint
        if fingerprint_of(desired, 0) == fingerprint_of(self._adopted.desired, 0):
            self._refused = None
            self._adopted = Adopted(desired, document.version, document.desired_s)
            if self._status == "reverted":
                self._status = "confirmed" if desired else "defaults"
            return
        old = self._older(document)
        if old:
            self._refuse(document, Problem("version", old))
            return
        candidate = desired_settings(self._base, desired)
        if isinstance(candidate, Problem):
            self._refuse(document, candidate)
            return
        adopted = Adopted(desired, document.version, document.desired_s)
        await self.close()
        # Held until adopted: no model is swapped in that was not tried with these settings.
        async with self._one_change:
            await self._try(document, adopted, candidate)

    async def close(self) -> None:
        """End a trial that is under way."""
        if self._fuller is not None:
            await cancel_and_wait(self._fuller)
            self._fuller = None

    def report_to(self, call: Callable[[], None]) -> None:
        """Call `call` whenever there is something new to report."""
        self.on_change = call

    def reported(self) -> dict[str, Any]:
        """Return what the shadow `config` reports."""
        document = ReportedConfig.model_validate(
            {
                **self.settings.model_dump(),
                "version": self.version,
                "status": self._status,
                "verdict": self._verdict,
                "verdict_version": self._verdict_version,
                "refused": self._refused,
            }
        )
        return document.model_dump(mode="json")

    async def _try(
        self, document: ShadowDocument, adopted: Adopted, candidate: RemoteSettings
    ) -> None:
        verdicts = self._trial.verdicts(self._decision(candidate), self.decision)
        try:
            verdict, refused = await anext(verdicts)
        except asyncio.CancelledError:
            # Not judged: the next look at the shadow does it.
            self._judged = ""
            raise
        except Exception as error:  # noqa: BLE001 - what cannot be tried is not adopted
            _log.exception("the trial failed")
            verdict, refused = None, f"cannot be tried: {type(error).__name__}: {error}"
        self._verdict, self._verdict_version = verdict, document.version
        if refused:
            self._refuse(document, Problem("", refused))
        elif await self._adopt(document, adopted, candidate):
            # The change holds at once; the rest of the history may still speak against it.
            self._fuller = asyncio.create_task(self._hear_rest(verdicts), name="config:trial")

    async def _hear_rest(self, verdicts: AsyncIterator[tuple[Verdict | None, str]]) -> None:
        try:
            async for verdict, refused in verdicts:
                self._verdict = verdict
                if refused:
                    self._take_back(refused)
                    return
                self.on_change()
        except Exception as error:  # noqa: BLE001 - it passed the first trial, health is watched
            _log.exception("the fuller trial failed")
            self._report(_TROUBLE, f"the fuller trial failed: {type(error).__name__}: {error}")

    async def _adopt(
        self, document: ShadowDocument, adopted: Adopted, settings: RemoteSettings
    ) -> bool:
        if self._kept is None:
            self._refuse(document, Problem("", "cannot be stored: no disk can be used"))
            return False
        try:
            await self._kept.propose(adopted)
        except StorageError as error:
            self._refuse(document, Problem("", f"cannot be stored: {error}"))
            return False
        _log.info("settings from afar are adopted", version=adopted.version)
        if self._status != "adopted":
            self._before = self._adopted
        self._adopted = adopted
        self._refused = None
        self._status = "adopted"
        self._use(settings)
        self.probation.begin(self._confirm, self._take_back)
        return True

    def _use(self, settings: RemoteSettings) -> None:
        self.settings = settings
        self._apply(settings)
        self.on_change()

    def _confirm(self) -> None:
        self._status = "confirmed"
        self._report(_TROUBLE, None)
        if self._kept is not None:
            self._kept.confirm()
        self.on_change()

    def _take_back(self, why: str) -> None:
        """Go back to what was in force before the last change; proven, if the trial says so."""
        self.probation.stop()
        if self._fuller is not None and self._fuller is not asyncio.current_task():
            self._fuller.cancel()
        bad = self._adopted
        before = desired_settings(self._base, self._before.desired)
        self._adopted, self._before = self._before, NOTHING
        if isinstance(before, Problem):
            self._adopted, before = NOTHING, self._base
        _log.warning("settings from afar are taken back", version=bad.version, why=why)
        refused = self._note_bad(bad, why)
        if self._kept is not None:
            self._kept.take_back(bad, refused)
        self._use(before)

    def _not_stored(self, why: str) -> None:
        self._report(_TROUBLE, why)

    def _restore(self, adopted: Adopted | None, *, confirmed: bool) -> None:
        problem = Problem("", "are damaged")
        if adopted is not None:
            found = desired_settings(self._base, adopted.desired)
            if isinstance(found, RemoteSettings):
                self._before, self._adopted = self._adopted, adopted
                self.settings = found
                self._status = "confirmed" if confirmed else "adopted"
                return
            problem = found
        _log.error("the stored remote settings are not used", problem=str(problem))
        self._report(_TROUBLE, f"the stored remote settings are not used: {problem}")

    def _note_bad(self, bad: Adopted, why: str) -> Refusal:
        """Judge a document as harmful: it is not tried again until somebody writes it anew."""
        self._status = "reverted"
        self._judged = bad.fingerprint
        self._refused = refusal(bad.version, "", f"taken back: {why}")
        return self._refused

    def _refuse(self, document: ShadowDocument, problem: Problem) -> None:
        _log.warning("settings from afar are refused", problem=str(problem))
        self._refused = refusal(document.version, problem.path, problem.reason)
        self.on_change()

    def _older(self, document: ShadowDocument) -> str:
        """Return why a document is older than what is in force, nothing if it is not.

        A shadow that was deleted and made again counts its versions from the start, but its
        desired part is younger.
        """
        known = self._adopted
        # Version 0 is no shadow at all: it was deleted, and the device's own values hold.
        older = 0 < document.version < known.version
        if older and document.desired_s <= known.desired_s:
            return f"{document.version} is older than {known.version}, which is in force"
        return ""

    def _decision(self, settings: RemoteSettings) -> DecisionSettings:
        rules = {name: getattr(settings, name) for name in DecisionRules.model_fields}
        return DecisionSettings(**rules, remote_emergency_silence=self._silence_emergency)


def base_settings(settings: Settings) -> RemoteSettings:
    """Return what the device's own configuration says of what may change from afar."""
    rules = {name: getattr(settings.decision, name) for name in DecisionRules.model_fields}
    gas = GasSampling(interval_s=settings.gas.interval_s)
    return RemoteSettings(**rules, sensors=SensorSampling(gas=gas))

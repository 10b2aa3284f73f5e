"""What the four jobs do at the detector."""

import asyncio
import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import structlog

from firedetect.clock import NS_PER_S, Clock
from firedetect.commissioning.files import keep_baseline
from firedetect.commissioning.gas import CleanAir, change_of, moved_too_far
from firedetect.config import GasBaseline, Settings
from firedetect.contract.jobs import (
    Calibrate,
    CollectRecording,
    Drill,
    InstallModel,
    JobDocument,
)
from firedetect.daemon.ask import CommandDesk
from firedetect.daemon.disk import DiskThread
from firedetect.daemon.models.install import Installed, is_kept, model_store
from firedetect.daemon.models.keeper import ModelKeeper
from firedetect.daemon.queue import EventQueue
from firedetect.daemon.remote.flight import KEPT_S, FlightRecorder
from firedetect.daemon.remote.gas_anchor import GasAnchor
from firedetect.daemon.remote.jobs import Step
from firedetect.decision.outcome import Outcome, iso_time
from firedetect.errors import (
    ConfigError,
    JobFailedError,
    JobRejectedError,
    LinkDownError,
    RecordingError,
)
from firedetect.readings import CommandAction, CommandSource, Event, GasCalibrated, GasCounts
from firedetect.sensors.recording import RecordingWriter
from firedetect.uplink.transfer import download, upload

WRITE_LIMIT_S = 60.0
INSTALL_LOOK_LIMIT_S = 30.0
"""A bundle that came along is checked whole, beside what else the disk has to do."""
CHECKING = "checking"
PROVING = "proving"
"""The steps at which a model may be in use that has not proved itself yet."""
UPLOADING = "uploading"
"""The step at which a recording is complete on the disk."""

_log = structlog.get_logger()


@dataclass(slots=True)
class JobHandlers:
    """Called with a job's document; `folder` is None where no disk can be used.

    `gas_baseline` returns the clean-air baseline in force, None while it is learnt.
    """

    settings: Settings
    folder: Path | None
    queue: EventQueue
    clock: Clock
    desk: CommandDesk
    flight: FlightRecorder
    models: ModelKeeper
    disk: DiskThread
    gas_baseline: Callable[[], GasBaseline | None]
    _clean_air: CleanAir | None = field(default=None, init=False)
    _anchor: GasAnchor = field(init=False)

    def __post_init__(self) -> None:
        """Find what the last jobs left in the folder."""
        self._anchor = GasAnchor(self.folder)

    async def __call__(self, document: JobDocument, step: Step, interrupted: str) -> str:
        """Carry out one job; see daemon.remote.jobs.Handler."""
        match document:
            case InstallModel():
                return await self._install(document, step, interrupted)
            case Calibrate():
                return await self._calibrate(document, step)
            case CollectRecording():
                return await self._collect(document, step, interrupted)
            case Drill():
                return await self._drill(document, step, interrupted)

    def reading(self, event: Event) -> None:
        """Take a decoded reading, for a calibration under way."""
        if self._clean_air is not None and isinstance(event, GasCounts):
            self._clean_air.reading(event)

    def heard(self, outcome: Outcome) -> None:
        """Take an outcome, for a calibration under way."""
        if self._clean_air is not None:
            self._clean_air.level(outcome.level)

    async def _install(self, job: InstallModel, step: Step, interrupted: str) -> str:
        if self.folder is None:
            raise JobFailedError("no disk can be used: nothing can be installed")
        if interrupted in {CHECKING, PROVING}:
            # The detector ended while the model was on trial: perhaps because of it.
            await self.models.leave_unproven()
            if self.models.version == job.version:
                return f"model {job.version} has proved itself after a restart"
            raise JobFailedError("the detector ended before the model had proved itself")
        archive = self.folder / "incoming" / f"{job.sha256}.zip"
        await self.disk.run(partial(_make_room, archive.parent, keep=archive))
        await step("downloading")
        await download(job.url, archive, size=job.size_bytes, sha256=job.sha256, disk=self.disk.run)
        await step(CHECKING)
        try:
            if job.rollback:
                installed = await self._gone_back(archive)
            else:
                installed = await self.models.install(archive)
        finally:
            self.disk.later(partial(archive.unlink, missing_ok=True), _left_behind)
        if installed.version != job.version:
            await self.models.leave_unproven()
            raise JobFailedError(f"the bundle is version {installed.version}, not {job.version}")
        if installed.changed:
            try:
                await step(PROVING)
            except JobFailedError:
                # Ended from afar: nobody wants it any more.
                await self.models.leave_unproven()
                raise
            taken_back = await self.models.proven()
            if taken_back:
                raise JobFailedError(f"taken back: {taken_back}")
        return f"model {installed.version} is in use, signed by {installed.key}"

    async def _gone_back(self, archive: Path) -> Installed:
        """Take an older bundle that is here, no other: what is signed may be old and bad."""
        store = model_store(self.settings)
        if not await self.disk.run(partial(is_kept, store, archive), INSTALL_LOOK_LIMIT_S):
            raise JobFailedError(
                "rollback: this is neither the bundle before nor the one that came along"
            )
        return await self.models.install(archive, allow_downgrade=True)

    async def _calibrate(self, job: Calibrate, step: Step) -> str:
        if not self.settings.gas.enabled:
            raise JobRejectedError("there is no gas board")
        await step("collecting")
        self._clean_air = clean_air = CleanAir()
        try:
            await asyncio.sleep(job.duration_s)
        finally:
            self._clean_air = None
        baseline = clean_air.baseline()
        if isinstance(baseline, str):
            raise JobFailedError(baseline)
        present = self.gas_baseline()
        anchor = await self.disk.run(partial(self._anchor.of, present)) or baseline
        far = moved_too_far(anchor, baseline)
        if far:
            # From afar nobody can tell steady fumes from clean air.
            raise JobFailedError(f"{far}; calibrate at the device, in clean air")
        await self.disk.run(partial(self._anchor.keep, anchor, baseline))
        path = self.settings.gas.calibration
        if path is not None:
            try:
                baseline = await self.disk.run(partial(keep_baseline, path, baseline))
            except (OSError, ConfigError) as error:
                await self.disk.run(self._anchor.undo)
                if isinstance(error, ConfigError):
                    raise
                raise JobFailedError(
                    f"{path}: cannot be kept: {error.strerror or error}"
                ) from error
        self.queue.put(GasCalibrated(self.clock.monotonic_ns(), baseline))
        change = change_of(present, baseline)
        return f"clean-air baseline from {clean_air.readings} readings: {change}"

    async def _collect(self, job: CollectRecording, step: Step, interrupted: str) -> str:
        if not self.settings.uplink.share_recordings:
            raise JobRejectedError("this site does not share recordings (uplink.share_recordings)")
        if self.folder is None:
            raise JobFailedError("no disk can be used: nothing can be recorded")
        folder = self.folder / "incoming"
        keep = False
        try:
            recording = await self._recording(job, step, interrupted, folder)
            await step(UPLOADING)
            size = await upload(job.upload_url, recording, disk=self.disk.run)
        except (LinkDownError, asyncio.CancelledError):
            # The next attempt, perhaps after a restart, sends this recording and no later one.
            keep = True
            raise
        finally:
            if not keep:
                self.disk.later(partial(_make_room, folder, keep=None), _left_behind)
        return f"sent {size} bytes, {_span_of(recording)}"

    async def _recording(
        self, job: CollectRecording, step: Step, interrupted: str, folder: Path
    ) -> Path:
        """Return the recording that an earlier attempt completed, else make one."""
        key = _key_of(job)
        try:
            if interrupted == UPLOADING:
                kept = await self.disk.run(partial(_kept, folder, key))
                if kept is not None:
                    return kept
            await step("recording")
            events = self.flight.begin(min(float(job.duration_s), KEPT_S))
            try:
                await asyncio.sleep(max(0.0, job.duration_s - KEPT_S))
            finally:
                self.flight.end(events)
            seconds = _seconds(events, job.duration_s)
            target = folder / f"{key}-{seconds}-{self.clock.wall_ns()}.mcap"
            await self.disk.run(partial(_write, target, events), WRITE_LIMIT_S)
        except (OSError, RecordingError) as error:
            raise JobFailedError(f"the recording could not be written: {error}") from error
        return target

    async def _drill(self, job: Drill, step: Step, interrupted: str) -> str:
        if interrupted:
            raise JobFailedError("the detector was started again during the drill")
        await step("sounding")
        try:
            outcome = await self.desk.ask(
                CommandAction.DRILL, CommandSource.REMOTE, float(job.duration_s)
            )
        except TimeoutError as error:
            raise JobFailedError("the detector did not answer") from error
        answer = outcome.answer
        if answer is None or not answer.accepted:
            raise JobFailedError("refused" if answer is None else answer.detail)
        return f"drill for {job.duration_s} s"


def _key_of(job: CollectRecording) -> str:
    """Return a name for the job's file; the address itself is a secret, and no name for a file."""
    return hashlib.sha256(job.upload_url.encode()).hexdigest()[:16]


def _kept(folder: Path, key: str) -> Path | None:
    return next(folder.glob(f"{key}-*.mcap"), None)


def _seconds(events: list[Event], at_most_s: int) -> int:
    """Return how long a recording is, without what a replay begins with, which may be older."""
    if not events:
        return 0
    last_ns = events[-1].t_ns
    oldest_ns = last_ns - at_most_s * NS_PER_S
    begun_ns = min(event.t_ns for event in events if event.t_ns >= oldest_ns)
    return round((last_ns - begun_ns) / NS_PER_S)


def _span_of(recording: Path) -> str:
    """Return the span of time that a recording's name holds: a restart forgets everything else."""
    _key, seconds, until_ns = recording.stem.split("-")
    return f"{seconds} s until {iso_time(int(until_ns))}"


def _write(target: Path, events: list[Event]) -> None:
    """Write a recording, whole or not at all; raises OSError or RecordingError."""
    _make_room(target.parent, keep=None)
    new = target.with_suffix(".new")
    with RecordingWriter(new) as writer:
        for event in events:
            writer.write(event)
    with new.open("rb") as file:
        os.fsync(file.fileno())
    new.replace(target)


def _left_behind(why: str) -> None:
    _log.warning("a file of a job stays until the next one", error=why)


def _make_room(folder: Path, keep: Path | None) -> None:
    """Make the folder of what comes and goes; what earlier jobs left there is removed."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        if path != keep:
            path.unlink(missing_ok=True)

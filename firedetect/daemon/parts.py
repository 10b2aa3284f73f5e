"""The parts of a daemon and how they are joined: the one place where they all meet."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

from firedetect.clock import Clock
from firedetect.config import Settings
from firedetect.contract.settings import RemoteSettings
from firedetect.daemon.ask import CommandDesk
from firedetect.daemon.button import Button
from firedetect.daemon.detect import Detector
from firedetect.daemon.disk import DiskThread
from firedetect.daemon.hot_places import HotPlaceKeeper
from firedetect.daemon.incidents import IncidentRecordings
from firedetect.daemon.keep import Keeper
from firedetect.daemon.messages import no_picture
from firedetect.daemon.models.install import model_store
from firedetect.daemon.models.keeper import ModelKeeper
from firedetect.daemon.queue import EventQueue
from firedetect.daemon.remember import Memory
from firedetect.daemon.remote.alarm import RemoteAlarm
from firedetect.daemon.remote.cloud import Cloud
from firedetect.daemon.remote.config import RemoteConfig
from firedetect.daemon.remote.flight import FlightRecorder
from firedetect.daemon.remote.job_handlers import JobHandlers
from firedetect.daemon.remote.outbox import StoredOutbox
from firedetect.daemon.remote.pictures import AlarmPictures
from firedetect.daemon.remote.self_report import SelfReport
from firedetect.daemon.remote.sensing import Sensing
from firedetect.daemon.remote.telemetry import TelemetryCollector
from firedetect.daemon.self_check import SelfCheck
from firedetect.daemon.siren import Siren
from firedetect.daemon.start_settings import StartSettings
from firedetect.daemon.transitions import log_transitions
from firedetect.daemon.trials import StoredTrial
from firedetect.daemon.troubles import Troubles
from firedetect.daemon.wall_clock import WallClock
from firedetect.daemon.warmup import warm_kernels
from firedetect.decision.outcome import Outcome
from firedetect.outputs.button import Contact
from firedetect.outputs.local import Lines
from firedetect.pipeline import Pipeline
from firedetect.readings import SettingsChanged
from firedetect.sensors.base import since_boot_s
from firedetect.sensors.bus import I2cPort
from firedetect.sensors.catalog import SensorSpec, configured
from firedetect.sensors.frames import OpenFrames, frames_of
from firedetect.sensors.recording import RecordingWriter
from firedetect.sensors.wiring import Wiring
from firedetect.storage.slots import Slots
from firedetect.uplink.link import Report
from firedetect.uplink.only_path import OnlyPath
from firedetect.uplink.second_path import SecondPath
from firedetect.web.view import LiveView

OpenPort = Callable[[int], I2cPort]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What differs between a Pi, a simulation and a test: wiring, outputs, time, listeners."""

    clock: Clock
    open_port: OpenPort
    open_frames: OpenFrames = frames_of
    lines: Lines | None = None
    button: Contact | None = None
    powered_s: Callable[[], float] = since_boot_s
    listeners: tuple[Callable[[Outcome], None], ...] = ()
    record: Path | None = None
    duration_s: float | None = None
    served: bool = True
    """Whether page and control socket are offered."""
    sysfs: Path | None = None
    """Where the kernel shows a machine that is a detector's own."""
    start: StartSettings | None = None
    """Where the settings come from, if that is a file."""


@dataclass(slots=True)
class Parts:
    """Everything that runs."""

    queue: EventQueue
    troubles: Troubles
    detector: Detector
    sensors: tuple[SensorSpec, ...]
    wiring: Wiring
    keeper: Keeper
    siren: Siren | None
    button: Button | None
    view: LiveView
    desk: CommandDesk
    remote: RemoteConfig
    models: ModelKeeper
    trial: StoredTrial
    disk: DiskThread
    telemetry: TelemetryCollector
    self_check: SelfCheck
    wall_clock: WallClock
    places: HotPlaceKeeper
    incidents: IncidentRecordings
    cloud: Cloud | None
    only_path: OnlyPath | None
    pictures: AlarmPictures | None
    tasks: dict[str, Callable[[], Awaitable[None]]] = field(default_factory=dict)


def assemble(
    settings: Settings, around: Surroundings, memory: Memory, stack: AsyncExitStack
) -> Parts:
    """Make every part and join them; nothing runs yet."""
    clock = around.clock
    queue = EventQueue()
    keeper = Keeper(memory.store, queue, clock)
    folder = None if memory.folder is None else memory.folder.path
    recorder = stack.enter_context(RecordingWriter(around.record)) if around.record else None
    troubles = Troubles(queue, clock)
    report = troubles.report
    view = LiveView(clock)
    trial = StoredTrial(
        None if memory.folder is None else memory.folder.database, lambda: models.scorer
    )

    def apply(changed: RemoteSettings) -> None:
        queue.put(SettingsChanged(clock.monotonic_ns(), remote.decision))
        view.thresholds = changed.thresholds

    disk = DiskThread()
    one_change = asyncio.Lock()
    remote = RemoteConfig(settings, folder, trial, report, apply, disk, one_change)
    remote.restore()
    view.thresholds = remote.settings.thresholds
    models = ModelKeeper(
        model_store(settings),
        settings.model.trusted_keys,
        lambda: trial,
        lambda: remote.decision,
        report,
        DiskThread("models"),
        one_change,
    )
    warm_kernels(models.scorer)
    pipeline = Pipeline(models.scorer, remote.decision)
    models.swap = pipeline.replace_model
    siren = Siren(around.lines, queue, clock) if around.lines else None
    sensors = configured(settings)
    sensing = Sensing(clock, tuple(spec.sensor for spec in sensors))
    outbox = StoredOutbox(keeper, report)
    telemetry = TelemetryCollector(
        settings.device.id, memory.boot, lambda: remote.settings.telemetry.batch_s, outbox.add_batch
    )
    about = SelfReport(
        device=settings.device.id,
        site=settings.device.site,
        boot=memory.boot,
        clock=clock,
        keeper=keeper,
        sensing=sensing,
        known_answer=models.known_answer,
        config_version=lambda: remote.version,
    )
    asked = None if folder is None else Slots(folder, "alarm-asked")
    alarm = RemoteAlarm(queue, clock, disk, asked)
    desk = CommandDesk(queue, clock)
    flight = FlightRecorder(pipeline.remembered)
    places = HotPlaceKeeper(folder, clock, disk, report)
    handlers = JobHandlers(
        settings,
        folder,
        queue,
        clock,
        desk,
        flight,
        models,
        disk,
        lambda: pipeline.remembered(clock.monotonic_ns()).gas_baseline,
    )
    incidents = IncidentRecordings(folder, settings.device.kept_recordings, flight, disk, report)
    cloud = pictures = None
    if settings.uplink.endpoint:
        cloud = Cloud(settings, clock, report, outbox, about, remote, alarm, handlers, folder, disk)
        pictures = AlarmPictures(settings, clock, report) if settings.pictures.share else None
    detector = Detector(
        pipeline=pipeline,
        queue=queue,
        keeper=keeper,
        clock=clock,
        device=settings.device.id,
        site=settings.device.site,
        first=siren.show if siren else lambda _outcome: None,
        listeners=[
            view.outcome,
            log_transitions(),
            telemetry.heard,
            about.heard,
            alarm.heard,
            desk.heard,
            handlers.heard,
            remote.probation.heard,
            models.heard,
            places.outcome,
            incidents.heard,
            *around.listeners,
        ],
        on_event=flight.heard,
        on_reading=(
            view.reading,
            sensing.heard,
            handlers.reading,
            places.reading,
            *([pictures.reading] if pictures else []),
        ),
        picture_of=pictures.take if pictures else no_picture,
        recorder=recorder,
    )
    return Parts(
        queue=queue,
        troubles=troubles,
        detector=detector,
        sensors=sensors,
        wiring=Wiring(around.open_port, around.open_frames),
        keeper=keeper,
        siren=siren,
        button=Button(around.button, desk.ask, report) if around.button else None,
        view=view,
        desk=desk,
        remote=remote,
        models=models,
        trial=trial,
        disk=disk,
        telemetry=telemetry,
        wall_clock=WallClock(queue, clock, report),
        self_check=SelfCheck(models.known_answer, report, around.sysfs),
        places=places,
        incidents=incidents,
        cloud=cloud,
        only_path=_only_path(settings, outbox, report, clock),
        pictures=pictures,
    )


def _only_path(
    settings: Settings, outbox: StoredOutbox, report: Report, clock: Clock
) -> OnlyPath | None:
    uplink = settings.uplink
    if uplink.endpoint or not uplink.second_path_url:
        return None
    return OnlyPath(outbox, SecondPath(uplink.second_path_url, report).take, clock)

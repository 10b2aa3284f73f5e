"""Remembers over days where it was hot, for a mask that a person may approve."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import structlog

from firedetect.clock import NS_PER_S, Clock
from firedetect.commissioning.mask import HotPlaces
from firedetect.contract.level import Level
from firedetect.daemon.disk import DiskThread
from firedetect.decision.outcome import Outcome
from firedetect.readings import Event, ThermalImage
from firedetect.storage.slots import Disk

FILE = "hot-places.json"
SAVE_EVERY_S = 3600.0
_TROUBLE = "hot-places"

_log = structlog.get_logger()


class HotPlaceKeeper:
    """Hears of images and outcomes; what an emergency heats is never learnt."""

    def __init__(
        self,
        folder: Path | None,
        clock: Clock,
        disk: DiskThread,
        report: Callable[[str, str | None], None],
    ) -> None:
        self._path = None if folder is None else folder / FILE
        self._clock = clock
        self._disk = disk
        self._report = report
        self._places = _remembered(self._path)
        self._level = Level.NORMAL
        self._saved_ns = clock.monotonic_ns()

    def outcome(self, outcome: Outcome) -> None:
        """Note the level."""
        self._level = outcome.level

    def reading(self, event: Event) -> None:
        """Take an image."""
        if not isinstance(event, ThermalImage) or self._level >= Level.EMERGENCY:
            return
        self._places.image(event.temp_c, self._clock.wall_ns())
        if event.t_ns - self._saved_ns > SAVE_EVERY_S * NS_PER_S:
            self._saved_ns = event.t_ns
            self.save()

    def save(self) -> None:
        """Write what is known, without waiting."""
        if self._path is None:
            return
        path, text = self._path, json.dumps(self._places.as_record())
        loop = asyncio.get_running_loop()

        def write() -> None:
            _write(path, text)
            loop.call_soon_threadsafe(self._report, _TROUBLE, None)

        self._disk.later(write, lambda why: self._report(_TROUBLE, why))


def load_hot_places(folder: Path) -> HotPlaces:
    """Return what the detector with this data folder remembers; nothing if it never ran."""
    return _remembered(folder / FILE)


def _remembered(path: Path | None) -> HotPlaces:
    if path is None or not path.exists():
        return HotPlaces()
    try:
        return HotPlaces.from_record(json.loads(path.read_text()))
    except Exception as error:  # noqa: BLE001 - no content of a disk may end the start
        _log.warning("hot places are learnt anew", file=str(path), error=repr(error))
        return HotPlaces()


def _write(path: Path, text: str) -> None:
    disk, new = Disk(), path.with_name(f".{path.name}.new")
    disk.write(new, text.encode())
    disk.replace(new, path)

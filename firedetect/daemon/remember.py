"""What a start finds of the last run; a disk that cannot be used never stops detection."""

import json
from contextlib import ExitStack
from dataclasses import dataclass, replace

import structlog

from firedetect.clock import NS_PER_S, Clock
from firedetect.config import Settings, load_gas_baseline
from firedetect.errors import FolderInUseError, StorageError
from firedetect.readings import Restored
from firedetect.sensors.codec import decode
from firedetect.storage.folder import DataFolder
from firedetect.storage.store import Store, read_remembered

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Memory:
    """The store of this run and what the last one left in it.

    `folder` is None where the data folder cannot be used; `troubles` says what is wrong by name.
    """

    store: Store
    boot: int
    remembered: str | None
    folder: DataFolder | None
    troubles: dict[str, str]


def open_memory(settings: Settings, clock: Clock, stack: ExitStack) -> Memory:
    """Open the data folder; raises FolderInUseError if another daemon has it."""
    path = settings.device.data_dir
    folder = None
    try:
        folder = stack.enter_context(DataFolder(path))
        store = Store(folder.database)
        boot = store.next_boot()
        remembered = store.remembered()
    except FolderInUseError:
        raise
    except StorageError as error:
        _log.error("state is kept in memory only", error=str(error))
        # Without a counter the wall clock keeps event ids apart.
        boot = clock.wall_ns() // NS_PER_S
        remembered = read_remembered(path / "firedetect.db")
        return Memory(Store.in_memory(), boot, remembered, folder, {"storage": str(error)})
    aside = store.moved_aside
    troubles = {} if aside is None else {"database": f"damaged, now {aside.name}"}
    return Memory(store, boot, remembered, folder, troubles)


def restored(settings: Settings, memory: Memory, now_ns: int) -> Restored:
    """Return what the last run left, with the gas calibration that the settings name."""
    event = Restored(now_ns)
    if memory.remembered is not None:
        try:
            known = decode("Restored", json.loads(memory.remembered))
        except (ValueError, KeyError, TypeError) as error:
            _log.error("the remembered state cannot be read", error=str(error))
            memory.troubles["memory"] = "the remembered state cannot be read"
        else:
            assert isinstance(known, Restored)  # noqa: S101 - decoded by that name
            event = replace(known, t_ns=now_ns)
    path = settings.gas.calibration
    if path is not None:
        calibrated = load_gas_baseline(path)
        # A new calibration file begins without the drift of the old one.
        if event.gas_baseline != calibrated:
            event = replace(event, gas_baseline=calibrated, gas_tracked=None)
    return event

"""What a start finds of the last run; a disk that cannot be used never stops detection."""

import contextlib
import json
import secrets
import sqlite3
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import structlog

from firedetect.clock import CLOCK_SET_S, NS_PER_S, Clock
from firedetect.commissioning.mask import limits_of
from firedetect.config import GasBaseline, Settings, load_gas_baseline, load_mask
from firedetect.errors import ConfigError, FolderInUseError, StorageError
from firedetect.readings import MaskApproved, Restored
from firedetect.sensors.codec import decode, encode
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
    """Open the data folder; raises FolderInUseError if another daemon has it, nothing else."""
    path = settings.device.data_dir
    folder = store = None
    try:
        folder = stack.enter_context(DataFolder(path))
        store = Store(folder.database)
        boot = store.next_boot(_first_boot(clock))
        remembered = store.remembered()
    except FolderInUseError:
        raise
    except (StorageError, sqlite3.Error, OSError, ValueError) as error:
        if store is not None:
            with contextlib.suppress(sqlite3.Error):
                store.close()
        return _without_disk(path / "firedetect.db", clock, folder, error)
    aside = store.moved_aside
    troubles = {} if aside is None else {"database": f"damaged, now {aside.name}"}
    return Memory(store, boot, remembered, folder, troubles)


def _without_disk(
    database: Path, clock: Clock, folder: DataFolder | None, error: Exception
) -> Memory:
    """Return a memory that ends with this run, with what can still be read of the last one."""
    why = str(error) if isinstance(error, StorageError) else f"{type(error).__name__}: {error}"
    _log.error("state is kept in memory only", error=why)
    troubles = {"storage": why}
    remembered = None
    try:
        remembered = read_remembered(database)
    except (StorageError, ValueError) as unread:
        _log.error("the state of the last run cannot be read", error=str(unread))
        troubles["memory"] = "the state of the last run cannot be read"
    return Memory(Store.in_memory(), _first_boot(clock), remembered, folder, troubles)


def _first_boot(clock: Clock) -> int:
    """Return where to count starts from without a counter, so that no event id comes twice.

    The cloud takes an id that it knows for the same event, and would tell nobody.
    """
    wall_s = clock.wall_ns() // NS_PER_S
    if wall_s >= CLOCK_SET_S:
        return wall_s
    # A clock that was never set shows the same times after every start.
    return CLOCK_SET_S - 1 - secrets.randbelow(CLOCK_SET_S)


def restored(settings: Settings, memory: Memory, now_ns: int) -> Restored:
    """Return what the last run left, with the gas calibration that the settings name.

    What cannot be read is left out and added to the troubles of `memory`.
    """
    event = Restored(now_ns)
    if memory.remembered is not None:
        try:
            event = replace(_decoded(memory.remembered), t_ns=now_ns)
        except Exception as error:  # noqa: BLE001 - no content of a disk may end the start
            _log.error("the remembered state cannot be read", error=repr(error))
            memory.troubles["memory"] = "the remembered state cannot be read"
    path = settings.gas.calibration
    if path is not None:
        try:
            calibrated = load_gas_baseline(path)
        except (ConfigError, ValueError, RecursionError) as error:
            _log.error("the gas calibration cannot be used", error=str(error))
            memory.troubles["calibration"] = str(error)
            return event
        # A new calibration file, of another board or place, begins without what the old one saw.
        if event.gas_baseline is None or not _same(event.gas_baseline, calibrated):
            event = replace(event, gas_baseline=calibrated, gas_tracked=None, gas_activity=None)
    return event


def approved_mask(settings: Settings, memory: Memory, now_ns: int) -> MaskApproved | None:
    """Return the mask that the settings name; one that cannot be used is a trouble of `memory`."""
    path = settings.thermal.mask
    if path is None:
        return None
    try:
        mask = load_mask(path)
    except (ConfigError, ValueError, RecursionError) as error:
        _log.error("the mask cannot be used", error=str(error))
        memory.troubles["mask"] = str(error)
        return None
    return MaskApproved(now_ns, limits_of(mask), round(mask.approved.timestamp()) * NS_PER_S)


def _same(one: GasBaseline, other: GasBaseline) -> bool:
    return one.same_air(other) and (one.co_a, one.co_beta) == (other.co_a, other.co_beta)


def _decoded(text: str) -> Restored:
    known = decode("Restored", json.loads(text))
    assert isinstance(known, Restored)  # noqa: S101 - decoded by that name
    # JSON may escape half a character, which no message could carry on: refused here.
    json.dumps(encode(known), ensure_ascii=False).encode()
    return known

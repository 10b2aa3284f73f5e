"""Settings from afar over restarts: what is in force, what was before, what did harm."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from firedetect.contract.shadow import Refusal
from firedetect.daemon.disk import DiskThread
from firedetect.errors import StorageError
from firedetect.storage.slots import Slot, Slots

_LONGEST_REASON = 400


@dataclass(frozen=True, slots=True)
class Adopted:
    """A desired document that was adopted, the shadow version and time it came with."""

    desired: dict[str, Any]
    version: int
    desired_s: int

    @property
    def fingerprint(self) -> str:
        """What tells this wish from every other."""
        return fingerprint_of(self.desired, self.desired_s)


NOTHING = Adopted({}, 0, 0)


@dataclass(frozen=True, slots=True)
class Found:
    """What a start finds: documents with whether they are confirmed, the one in force last.

    `bad` was taken back just now, because the program ended before it had proved itself; `judged`
    and `refused` are of the last document that was taken back earlier.
    """

    kept: tuple[tuple[Adopted | None, bool], ...] = ()
    bad: Adopted | None = None
    why: str = ""
    judged: str = ""
    refused: Refusal | None = None


class KeptConfig:
    """Two pairs of files in `folder`; `failed` hears what could not be stored or read."""

    def __init__(self, folder: Path, disk: DiskThread, failed: Callable[[str], None]) -> None:
        self._slots = Slots(folder, "config")
        self._bad = Slots(folder, "config-taken-back")
        self._disk = disk
        self._failed = failed

    def find(self) -> Found:
        """Count this start and return what was left; blocks."""
        for problem in (*self._slots.problems, *self._bad.problems):
            self._failed(problem)
        judged, refused = _taken_back(self._bad.active())
        before = self._slots.active()
        try:
            why = self._slots.count_start()
        except StorageError as error:
            why = ""
            self._failed(str(error))
        stored = reversed(self._slots.stored())
        kept = tuple((_adopted_of(slot.body), slot.confirmed) for slot in stored)
        bad = None if before is None or not why else _adopted_of(before.body) or NOTHING
        return Found(kept, bad, why, judged, refused)

    async def propose(self, adopted: Adopted) -> None:
        """Store a document as the one in force, unconfirmed; raises StorageError."""
        body = asdict(adopted)
        try:
            await self._disk.run(lambda: self._slots.propose(body))
        except StorageError:
            # What the disk may still do to it is undone behind it, and nothing else.
            self._disk.later(lambda: self._slots.withdraw(body), self._failed)
            raise

    def confirm(self) -> None:
        """Note that the one in force has proved itself."""
        self._disk.later(self._slots.confirm, self._failed)

    def take_back(self, bad: Adopted, refused: Refusal) -> None:
        """Leave the one in force, proven or not, and remember that it did harm."""
        self._disk.later(lambda: self._slots.revert(even_confirmed=True), self._failed)
        self.remember_bad(bad, refused)

    def remember_bad(self, bad: Adopted, refused: Refusal) -> None:
        """Remember what did harm: the shadow still desires it after a restart."""
        body = {
            "version": refused.version,
            "reason": refused.reason,
            "judged": bad.fingerprint,
        }
        self._disk.later(lambda: _keep(self._bad, body), self._failed)


def refusal(version: int, path: str, reason: str) -> Refusal:
    """Return a refusal that fits into the shadow."""
    return Refusal(version=version, path=path[:200], reason=reason[:_LONGEST_REASON])


def fingerprint_of(desired: object, desired_s: int) -> str:
    """Return what tells one desired document from every other, also the same written again."""
    try:
        text = json.dumps([desired, desired_s], sort_keys=True)
    except RecursionError:
        text = f"too deep to be written, {desired_s}"
    return hashlib.sha256(text.encode()).hexdigest()


def _keep(slots: Slots, body: dict[str, Any]) -> None:
    slots.propose(body)
    slots.confirm()


def _taken_back(slot: Slot | None) -> tuple[str, Refusal | None]:
    body = {} if slot is None else slot.body
    version, reason, judged = (body.get(key) for key in ("version", "reason", "judged"))
    if isinstance(version, int) and isinstance(reason, str) and isinstance(judged, str):
        return judged, refusal(version, "", reason)
    return "", None


def _adopted_of(body: dict[str, Any]) -> Adopted | None:
    desired, version, stamp = (body.get(key) for key in ("desired", "version", "desired_s"))
    if isinstance(desired, dict) and isinstance(version, int) and isinstance(stamp, int):
        return Adopted(desired, version, stamp)
    return None

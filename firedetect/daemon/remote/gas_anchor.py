"""How far jobs may take the clean-air baseline: near the last one that was set at the device."""

from pathlib import Path
from typing import Final

from pydantic import ValidationError

from firedetect.config import GasBaseline
from firedetect.storage.slots import Slots

_NAME: Final = "gas-anchor"
_DEVICE: Final = "device"
_JOB: Final = "job"


class GasAnchor:
    """Remembers from which baseline jobs began: step by step they would take it anywhere.

    `folder` is None where no disk can be used: then it lasts as long as this run.
    """

    def __init__(self, folder: Path | None) -> None:
        self._slots = None if folder is None else Slots(folder, _NAME)
        self._known: tuple[GasBaseline, GasBaseline] | None = None
        self._before: tuple[GasBaseline, GasBaseline] | None = None

    def of(self, present: GasBaseline | None) -> GasBaseline | None:
        """Return what a new baseline must be near to, where `present` is in force; reads a file."""
        known = self._known or self._stored()
        if present is None or known is None:
            return present
        anchor, by_job = known
        # Set at the device since, or learnt anew: that is where the next ones begin.
        return anchor if present.same_air(by_job) else present

    def keep(self, anchor: GasBaseline, by_job: GasBaseline) -> None:
        """Note that a job is about to set a baseline; raises StorageError."""
        if self._slots is not None:
            self._slots.propose({_DEVICE: anchor.model_dump(), _JOB: by_job.model_dump()})
            self._slots.confirm()
        self._before, self._known = self._known, (anchor, by_job)

    def undo(self) -> None:
        """Forget the last baseline that was noted: it was not set; raises StorageError."""
        self._known, self._before = self._before, None
        if self._slots is not None:
            self._slots.revert(even_confirmed=True)

    def _stored(self) -> tuple[GasBaseline, GasBaseline] | None:
        slot = None if self._slots is None else self._slots.active()
        try:
            if slot is not None:
                anchor, by_job = (GasBaseline.model_validate(slot.body[k]) for k in (_DEVICE, _JOB))
                return anchor, by_job
        except (KeyError, ValidationError):
            # Counts as absent, as a damaged record does.
            pass
        return None

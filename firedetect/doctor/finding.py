"""What one check of `firedetect doctor` found."""

from dataclasses import asdict, dataclass
from typing import Any

_MARKS = {"ok": "ok  ", "warn": "warn", "fail": "FAIL"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One check: `state` is ok, warn or fail; `advice` says what to do."""

    name: str
    state: str
    detail: str
    advice: str = ""

    @property
    def failed(self) -> bool:
        """Whether the detector cannot work as configured."""
        return self.state == "fail"

    @property
    def mark(self) -> str:
        """Four letters for a column of findings."""
        return _MARKS[self.state]

    def as_record(self) -> dict[str, Any]:
        """Return the object that `doctor --json` prints."""
        return asdict(self)

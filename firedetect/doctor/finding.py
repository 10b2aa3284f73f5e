"""What one check of `firedetect doctor` found."""

from collections.abc import Callable, Iterable, Iterator
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
    def text(self) -> str:
        """What people read: one line, and the advice in a second one."""
        line = f"{_MARKS[self.state]}  {self.name}: {self.detail}"
        return f"{line}\n      {self.advice}" if self.advice else line

    def as_record(self) -> dict[str, Any]:
        """Return the object that `doctor --json` prints."""
        return asdict(self)


def guarded(name: str, check: Callable[[], Iterable[Finding]]) -> Iterator[Finding]:
    """Yield the findings of a check, and one that names it if it ends in an error of its own."""
    try:
        yield from check()
    except Exception as error:  # noqa: BLE001 - the other checks must still be made
        yield Finding(
            name,
            "fail",
            f"this check itself failed: {type(error).__name__}: {error}",
            "the others are not touched by it; please report it",
        )

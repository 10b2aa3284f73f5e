"""The first problem of a document, as a path and a reason that a person can act on."""

from dataclasses import dataclass

from pydantic import ValidationError

_LONGEST = 200


@dataclass(frozen=True, slots=True)
class Problem:
    """Where a document is wrong (`thresholds.alert`) and why."""

    path: str
    reason: str

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}" if self.path else self.reason


def problem_of(error: ValidationError) -> Problem:
    """Return the first problem of a validation."""
    first = error.errors()[0]
    path = ".".join(str(part) for part in first["loc"])
    reason = "unknown key" if first["type"] == "extra_forbidden" else first["msg"]
    given = first.get("input")
    shown = f" (got {given!r})" if isinstance(given, str | int | float | bool) else ""
    return Problem(path[:_LONGEST], f"{reason}{shown[:_LONGEST]}")

"""The page of the realism report: what is outside first, with its reason, then everything else."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from firedetect.lab.page import Markup, page, paragraph, table, write_page
from firedetect.lab.plots import drawn
from firedetect.lab.realism.check import Check

UNKNOWN: Final = "The reason is not known yet."
_FARTHEST: Final = 1.5
_COLOURS: Final = {True: "#276749", False: "#9b2c2c"}
_MARKS: Final = {True: "<span class=ok>inside</span>", False: "<span class=bad>outside</span>"}
_WHAT: Final = (
    "The generator's fires, nuisances and air, held against real experiments. A check is inside if "
    "the generator's value (a median, where there are draws) lies in the real range. Nothing was "
    "tuned to pass. No recording shows a real fire to such an array."
)


def write_realism(out: Path, checks: Sequence[Check]) -> None:
    """Write `out` as HTML and, beside it, the same figures as JSON; raises DatasetError."""
    outside, inside = parted(checks)
    parts = [
        "<h1>Realism of the generator</h1>",
        paragraph(_WHAT),
        paragraph(f"{len(checks)} checks: {len(outside)} outside, {len(inside)} inside."),
        "<h2>Outside</h2>",
        _table(outside, with_cause=True) if outside else paragraph("None."),
        "<h2>Inside</h2>",
        _table(inside, with_cause=False) if inside else paragraph("None."),
        "<h2>All, by what they are about</h2>",
        *(picture(group, _of_group(checks, group)) for group in _groups(checks)),
    ]
    figures = {
        "checks": [one.as_record() for one in (*outside, *inside)],
        "outside": [one.name for one in outside],
        "count": {"all": len(checks), "outside": len(outside), "inside": len(inside)},
    }
    write_page(out, page("Realism of the generator", parts), figures)


def parted(checks: Sequence[Check]) -> tuple[list[Check], list[Check]]:
    """Return the checks that are outside, and those that are inside."""
    return [one for one in checks if not one.inside], [one for one in checks if one.inside]


def picture(group: str, checks: Sequence[Check]) -> str:
    """Return where the generator stands in each real range, 0 and 1 being its two ends."""
    rows = list(reversed(checks))
    with drawn(group, "place in the real range", "", height_in=1.0 + 0.2 * len(rows)) as (
        axes,
        made,
    ):
        axes.axvspan(0.0, 1.0, color="#e2e8f0")
        for y, one in enumerate(rows):
            colour = _COLOURS[one.inside]
            if one.spread is not None:
                ends = [place(one, value) for value in one.spread]
                axes.plot(ends, [y, y], color=colour, linewidth=1)
            axes.plot([place(one, one.got)], [y], "o", color=colour, markersize=4)
        axes.set_yticks(range(len(rows)), [one.name for one in rows])
        axes.set_xlim(-_FARTHEST, 1.0 + _FARTHEST)
    return made.svg


def place(check: Check, value: float) -> float:
    """Return where a value stands in a check's range, cut where the picture ends."""
    wide = check.high - check.low
    if math.isnan(value) or not math.isfinite(wide):
        return 1.0 + _FARTHEST
    if wide <= 0.0:
        return 0.5 if value == check.low else math.copysign(_FARTHEST, value - check.low)
    return min(max((value - check.low) / wide, -_FARTHEST), 1.0 + _FARTHEST)


def _table(checks: Sequence[Check], *, with_cause: bool) -> str:
    head = ["check", "source", "compared", "real range", "generator", "10 to 90 %", "draws", ""]
    return table(
        [*head, "reason"] if with_cause else head,
        [
            [
                one.name,
                one.source,
                one.compared,
                f"{_number(one.low)} to {_number(one.high)} {one.unit}",
                _number(one.got),
                "" if one.spread is None else " to ".join(_number(value) for value in one.spread),
                one.count,
                Markup(_MARKS[one.inside]),
                *([one.cause or UNKNOWN] if with_cause else []),
            ]
            for one in checks
        ],
        words=True,
    )


def _number(value: float) -> str:
    return f"{value:.4g}" if math.isfinite(value) else "never"


def _of_group(checks: Sequence[Check], group: str) -> list[Check]:
    return [one for one in checks if one.group == group]


def _groups(checks: Sequence[Check]) -> list[str]:
    return list(dict.fromkeys(one.group for one in checks))

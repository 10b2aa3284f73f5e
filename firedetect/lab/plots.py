"""The pictures of a report, as SVG text: no file beside the page, no display."""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from firedetect.contract.level import Level

WIDTH_IN: Final = 6.4
HEIGHT_IN: Final = 3.2
COLOURS: Final = {
    "informational": "#2b6cb0",
    "warning": "#b7791f",
    "alert": "#c05621",
    "emergency": "#9b2c2c",
}
_ABOUT: Final = re.compile(r"<metadata>.*?</metadata>", re.DOTALL)
_METADATA: Final = {"Date": None, "Creator": None}


class Picture:
    """An SVG that is made while it is drawn on."""

    svg: str = ""


@contextmanager
def drawn(
    title: str, x: str, y: str, *, height_in: float = HEIGHT_IN
) -> Iterator[tuple[Axes, Picture]]:
    """Yield axes to draw on, and the picture that is there afterwards."""
    figure = Figure(figsize=(WIDTH_IN, height_in), layout="constrained")
    canvas = FigureCanvasSVG(figure)
    axes = figure.add_subplot()
    axes.set_title(title, fontsize=10)
    axes.set_xlabel(x, fontsize=9)
    axes.set_ylabel(y, fontsize=9)
    axes.tick_params(labelsize=8)
    axes.grid(visible=True, alpha=0.3)
    picture = Picture()
    yield axes, picture
    out = io.StringIO()
    # The title salts the names inside, so that a page of pictures has each name once.
    with rc_context({"svg.hashsalt": title}):
        canvas.print_svg(out, metadata=_METADATA)  # type: ignore[no-untyped-call]
    # From the element on: a page takes no XML prologue.
    text = out.getvalue()
    picture.svg = _ABOUT.sub("", text[text.index("<svg") :])


def reliability(calibration: dict[str, Any]) -> str:
    """Return score against hazard, per level."""
    rows = [row for row in calibration["levels"] if row["rows"]]
    with drawn("Reliability", "mean score of the level", "share") as (axes, picture):
        axes.plot([0, 1], [0, 1], color="#999", linewidth=1)
        x = [row["mean_score"] for row in rows]
        axes.plot(x, [row["mean_hazard"] for row in rows], "o-", label="mean hazard")
        above = [row["hazard_at_or_above"] for row in rows]
        axes.plot(x, above, "s--", label="hazard at or above the level")
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1.05)
        axes.legend(fontsize=8)
    return picture.svg


def trade_off(sweep: list[dict[str, Any]], site: str) -> str:
    """Return misses against false alarms as the threshold of `alert` moves (DET)."""
    title = f"Misses and false alarms ({site}), by threshold of alert; score alone"
    with drawn(title, "false alarms a device-year", "missed fires, %") as (axes, picture):
        floor = 1e-3
        x = [max(row["false_a_year"], floor) for row in sweep]
        y = [max(100.0 * row["missed"], 0.01) for row in sweep]
        axes.loglog(x, y, "o-")
        for row, at_x, at_y in zip(sweep, x, y, strict=True):
            axes.annotate(f"{row['threshold']:.2f}", (at_x, at_y), fontsize=7)
        axes.axvline(0.1, color="#9b2c2c", linewidth=1, linestyle=":")
    return picture.svg


def times(families: list[dict[str, Any]]) -> str:
    """Return when the median fire of each family reached each level after its ignition."""
    rows = list(reversed(families))
    height = 1.2 + 0.22 * len(rows)
    title = "Median time from ignition to each level"
    with drawn(title, "s", "", height_in=height) as (axes, picture):
        for level in COLOURS:
            points = [
                (row["from_ignition_s"][level][0], i)
                for i, row in enumerate(rows)
                if row["from_ignition_s"][level][0] is not None
            ]
            if points:
                x, y = zip(*points, strict=True)
                axes.scatter(x, y, color=COLOURS[level], s=18, label=level)
        axes.set_yticks(range(len(rows)), [row["family"] for row in rows])
        axes.set_xscale("symlog", linthresh=10.0)
        axes.legend(fontsize=8)
    return picture.svg


def nuisances(table: dict[str, Any], site: str) -> str:
    """Return false alarms a year per nuisance, the worst of them."""
    level = Level.ALERT.label
    rows = [row for row in table["nuisances"] if row["tried"]][:15][::-1]
    title = f"False alert a device-year ({site}): found, and 95 % bound of what was tried"
    with drawn(title, "a year", "", height_in=1.2 + 0.22 * len(rows)) as (axes, picture):
        y = range(len(rows))
        bounds = [min(row[level]["at_most"], 1e4) for row in rows]
        axes.barh(y, bounds, color="#ddd")
        axes.barh(y, [row[level]["a_year"] for row in rows], color=COLOURS[level])
        axes.set_yticks(y, [row["family"] for row in rows])
        axes.set_xscale("symlog", linthresh=0.01)
    return picture.svg

"""`docs/performance.md`: the table of a run, with machine and versions, and its plot."""

from collections.abc import Sequence
from pathlib import Path

from firedetect.bench.floors import verdict
from firedetect.bench.machine import load, machine
from firedetect.bench.rounds import ROUNDS, UNITS, Comparison

_HEAD = """# Speed, side by side

Made by `firedetect bench -o docs/performance.md`, on {machine}, load {load:.1f}.

Each peer and our code work in turn in one process, {rounds} rounds long; a ratio is peer time over
our time within a round, so that whatever else the machine does meets both. Times are medians and
say less: they double when the machine is busy. Nothing here was measured on a Raspberry Pi.

![Ratios]({plot})

| bench | peer | ratio | p10 to p90 | floor | ours | peer |
|---|---|---|---|---|---|---|
"""
_NOTES = """
## Do they do the same?

"""


def write_page(path: Path, found: Sequence[Comparison]) -> None:
    """Write the page, and its plot beside it."""
    plot = path.with_suffix(".svg")
    _draw(plot, found)
    text = _HEAD.format(machine=machine(), load=load(), rounds=ROUNDS, plot=plot.name)
    for one in found:
        unit = UNITS.get(one.bench, "µs")
        text += (
            f"| {one.bench} | {one.peer} | **{one.ratio_median:.1f}** "
            f"| {one.ratio_p10:.1f} to {one.ratio_p90:.1f} "
            f"| {verdict(one)} | {one.ours_us:.1f} {unit} | {one.peer_us:.1f} {unit} |\n"
        )
    text += _NOTES
    text += "".join(f"- {one.bench}, {one.peer}: {one.agreement}\n" for one in found)
    path.write_text(text, encoding="utf-8")


def _draw(path: Path, found: Sequence[Comparison]) -> None:
    import matplotlib  # noqa: PLC0415 - of the extra `lab`

    matplotlib.use("svg")
    from matplotlib import pyplot  # noqa: PLC0415

    # No date and no random names: the same figures give the same file.
    matplotlib.rcParams["svg.hashsalt"] = "firedetect"
    figure, axes = pyplot.subplots(figsize=(9, 0.36 * len(found) + 1.2), layout="constrained")
    places = range(len(found), 0, -1)
    ratios = [one.ratio_median for one in found]
    wide = [
        [one.ratio_median - one.ratio_p10 for one in found],
        [one.ratio_p90 - one.ratio_median for one in found],
    ]
    axes.barh(places, ratios, xerr=wide, color="#b5482a", ecolor="#444444", capsize=2)
    axes.set_yticks(list(places), [f"{one.bench}\n{one.peer[:60]}" for one in found], fontsize=6)
    axes.set_xscale("log")
    axes.axvline(1.0, color="black", linewidth=0.8)
    axes.set_xlabel("peer time / our time, median and p10 to p90")
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)

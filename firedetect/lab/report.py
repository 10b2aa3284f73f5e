"""The report of an evaluation: one page that holds its own pictures, and the same as JSON."""

import html
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from firedetect.errors import DatasetError
from firedetect.lab import plots
from firedetect.lab.evaluate import REPORT_SITE
from firedetect.lab.targets import Verdict

_STYLE: Final = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem;
  color: #1a202c; background: #fff; }
table { border-collapse: collapse; margin: .6rem 0 1.4rem; font-size: 13px; }
th, td { border-bottom: 1px solid #e2e8f0; padding: .2rem .7rem; text-align: right; }
th:first-child, td:first-child { text-align: left; }
.ok { color: #276749; } .bad { color: #9b2c2c; font-weight: 600; }
svg { max-width: 100%; height: auto; }
code { font-size: 12px; }
"""


def write_report(out: Path, told: dict[str, Any], targets: Sequence[dict[str, Any]]) -> None:
    """Write `out` as HTML and, beside it, the same figures as JSON; raises DatasetError."""
    page = _page(told, targets)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(page)
        figures = told | {"targets": list(targets)}
        out.with_suffix(".json").write_text(json.dumps(figures, indent=1, allow_nan=False) + "\n")
    except OSError as error:
        raise DatasetError(f"{out}: cannot be written: {error.strerror or error}") from error


def _page(told: dict[str, Any], targets: Sequence[dict[str, Any]]) -> str:
    bundle, data = told["bundle"], told["data"]
    parts = [
        f"<h1>{html.escape(bundle['name'])} {html.escape(bundle['version'])}: evaluation</h1>",
        (
            f"<p>Bundle <code>{bundle['hash'][:16]}</code>, {bundle['trees']} trees, on "
            f"{data['episodes']} episodes ({data['fires']} fires, {data['images']} images) in "
            f"{data['rooms']} rooms with {data['boards']} boards; data <code>{data['sha256'][:16]}"
            "</code>. Everything here is simulated; nothing is known of real "
            "fires. Intervals are exact at 95 %.</p>"
        ),
        "<h2>Targets</h2>",
        _targets(targets),
        "<h2>Fires, the worst first</h2>",
        _families(told["families"]),
        plots.times(told["families"]),
        "<h2>False alarms</h2>",
        _sites(told["false_alarms"]),
        plots.nuisances(told["false_alarms"][REPORT_SITE], REPORT_SITE),
        plots.trade_off(told["sweep"], REPORT_SITE),
        "<h2>What the score means</h2>",
        (
            f"<p>Expected calibration error {told['calibration']['ece']:.4f}, Brier score "
            f"{told['calibration']['brier']:.4f}.</p>"
        ),
        plots.reliability(told["calibration"]),
        "<h2>Ways to decide</h2>",
        _ways(told),
        "<h2>Without some sensors</h2>",
        _degraded(told["degraded"]),
        "<h2>Chatter</h2>",
        (
            f"<p>{told['chatter']['changes_a_day']} level changes a day made of nuisances alone "
            f"({told['chatter']['hours']} h); {told['chatter']['episodes_that_flap']} episodes "
            "rose more than once.</p>"
        ),
    ]
    if "left_out" in told:
        parts += ["<h2>Families that were never seen</h2>", _left_out(told["left_out"])]
        parts += ["<h2>Each column alone (AUC)</h2>", _columns(told["columns"])]
    title = f"Evaluation of {html.escape(bundle['name'])} {html.escape(bundle['version'])}"
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{title}</title>"
        f"<meta name=viewport content='width=device-width'><style>{_STYLE}</style>"
        + "\n".join(parts)
        + "</html>\n"
    )


def _targets(targets: Sequence[dict[str, Any]]) -> str:
    return _table(
        ("target", "reached", "floor", "", "aim"),
        (
            (
                target["name"],
                target["shown"],
                target["floor"],
                _mark(target["floor_met"]),
                _mark(target["aim_met"]),
            )
            for target in targets
        ),
    )


def _families(families: Sequence[dict[str, Any]]) -> str:
    return _table(
        ("family", "fires", "found", "95 %", "alert from ignition p50/p90/p99 s", "from 5 kW s"),
        (
            (
                row["family"],
                row["fires"],
                _percent(row["found"]["share"]),
                f"{_percent(row['found']['low'])} to {_percent(row['found']['high'])}",
                _times(row["from_ignition_s"]["alert"]),
                _times(row["from_5kw_s"]["alert"]),
            )
            for row in families
        ),
    )


def _sites(sites: dict[str, Any]) -> str:
    levels = ("informational", "warning", "alert", "emergency")
    return _table(
        ("site", *(f"{level} a year (at most)" for level in levels), "exposure, years"),
        (
            (
                site,
                *(
                    f"{table[level]['a_year']:.3g} ({table[level]['at_most']:.3g})"
                    for level in levels
                ),
                f"{table['exposure_years']:.3g}",
            )
            for site, table in sites.items()
        ),
    )


def _ways(told: dict[str, Any]) -> str:
    ways = {"hard rules alone": told["hard_rules_alone"], "score alone": told["score_alone"]}
    ways |= told.get("contest", {})
    return _table(
        ("decided by", "fires found", "false alert a year (dwelling)", "worst nuisance"),
        (
            (
                name,
                _percent(way["found"]["share"]),
                f"{way['false_a_year']['alert']:.3g}",
                f"{way['worst_nuisance']['family']} {_percent(way['worst_nuisance']['share'])}",
            )
            for name, way in ways.items()
        ),
    )


def _degraded(degraded: dict[str, Any]) -> str:
    return _table(
        ("left", "fires found", "in view p50/p99 s", "smoulder by 100 ppm", "false alert a year"),
        (
            (
                name,
                _percent(way["found"]["share"]),
                (
                    f"{_number(way['promises']['in_view']['p50_s'])} / "
                    f"{_number(way['promises']['in_view']['p99_s'])}"
                ),
                _percent(way["smoulder_by_100ppm"]["share"]),
                f"{way['false_a_year']['alert']:.3g}",
            )
            for name, way in degraded.items()
        ),
    )


def _left_out(left: dict[str, Any]) -> str:
    fires = _table(
        ("fire family left out", "found", "with the second opinion", "of"),
        (
            (
                row["family"],
                _percent(row["found"]["share"]),
                _percent(row["with_second"]["share"]),
                row["found"]["of"],
            )
            for row in left["fires"]
        ),
    )
    others = _table(
        ("nuisance left out", "false alert an episode", "with the second opinion", "of"),
        (
            (
                row["family"],
                _percent(row["false"]["share"]),
                _percent(row["with_second"]["share"]),
                row["false"]["of"],
            )
            for row in left["nuisances"]
        ),
    )
    return f"<p>Calibration error out of distribution {left['ece']:.4f}.</p>{fires}{others}"


def _columns(columns: dict[str, float]) -> str:
    rows = ((name, f"{auc:.3f}") for name, auc in list(columns.items())[:12])
    return _table(("column", "AUC"), rows)


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    top = "".join(f"<th>{html.escape(name)}</th>" for name in head)
    body = "".join(
        "<tr>" + "".join(f"<td>{_cell(value)}</td>" for value in row) + "</tr>" for row in rows
    )
    return f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"


def _cell(value: object) -> str:
    return value if isinstance(value, _Html) else html.escape(str(value))


class _Html(str):
    """Text that is markup already."""

    __slots__ = ()


def _mark(met: Verdict) -> str:
    look = {Verdict.MET: "ok", Verdict.MISSED: "bad"}.get(met)
    return met if look is None else _Html(f"<span class={look}>{met}</span>")


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100.0 * share:.1f} %"


def _number(value: float | None) -> str:
    return "missed" if value is None else f"{value:.1f}"


def _times(quantiles: Sequence[float | None]) -> str:
    return " / ".join(_number(value) for value in quantiles)

"""The model card: what a bundle is, what it reached, and where it must not be believed."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from firedetect.errors import DatasetError
from firedetect.lab.targets import Verdict

_LIMITS = """\
- Everything here was simulated; no public recording shows a real fire to this pair of sensors.
- The rates of nuisances are assumptions (`firedetect/simulation/nuisances.csv`).
- There is no smoke sensor. Smouldering plastics behind furniture may be found late or not at all.
- It judges hazard, not people's safety: no score is a CO reading, and it is not a listed detector.
"""


def write_card(path: Path, told: dict[str, Any], targets: Sequence[dict[str, Any]]) -> None:
    """Write the card of an evaluated bundle as Markdown; raises DatasetError."""
    bundle, data = told["bundle"], told["data"]
    lines = [
        f"# Model card: {bundle['name']} {bundle['version']}",
        "",
        f"Bundle hash `{bundle['hash']}`, {bundle['trees']} boosted trees over 27 columns.",
        f"Trained on data `{bundle['training_data_sha256'][:16]}`, seed {bundle['seed']}; judged",
        f"on {data['episodes']} whole episodes ({data['fires']} fires, {data['images']} images)",
        f"in rooms that were not trained on, data `{data['sha256'][:16]}`.",
        "Written by `firedetect evaluate`.",
        "",
        "## What it is held to",
        "",
        "Not shown: what was reached is within the target, but at 95 % it may be outside: there",
        "were too few tries.",
        "",
        "| target | reached | floor | met | aim | met |",
        "|---|---|---|---|---|---|",
        *(
            f"| {t['name']} | {t['shown']} | {t['floor']} | {_mark(t['floor_met'])} | {t['aim']} "
            f"| {_mark(t['aim_met'])} |"
            for t in targets
        ),
        "",
        "## Fires by family, the worst first",
        "",
        "| family | dangerous fires | found | alert after ignition p50 / p90 / p99, s |",
        "|---|---|---|---|",
        *(
            f"| {row['family']} | {row['fires']} | {_percent(row['found']['share'])} | "
            f"{_times(row['from_ignition_s']['alert'])} |"
            for row in told["families"]
            if row["fires"]
        ),
        "",
        "## False alarms",
        "",
        "| site | alert or above a year (at most) | emergency a year (at most) | exposure, years |",
        "|---|---|---|---|",
        *(
            f"| {site} | {table['alert']['a_year']:.3g} ({table['alert']['at_most']:.3g}) | "
            f"{table['emergency']['a_year']:.3g} ({table['emergency']['at_most']:.3g}) | "
            f"{table['exposure_years']:.3g} |"
            for site, table in told["false_alarms"].items()
        ),
        "",
        "## How it was trained",
        "",
        *(f"- {name}: {value}" for name, value in sorted(bundle["hyper_parameters"].items())),
        "",
        "## Limits",
        "",
        _LIMITS,
    ]
    try:
        path.write_text("\n".join(lines))
    except OSError as error:
        raise DatasetError(f"{path}: cannot be written: {error.strerror or error}") from error


def _mark(met: Verdict) -> str:
    return f"**{met}**" if met is Verdict.MISSED else met


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100.0 * share:.1f} %"


def _times(quantiles: Sequence[float | None]) -> str:
    return " / ".join("missed" if value is None else f"{value:.0f}" for value in quantiles)

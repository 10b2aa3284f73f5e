"""Runs the comparisons that are asked for, and writes down what they gave."""

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Final

from firedetect.bench.bulk import bulk_per_core
from firedetect.bench.conversion import raw_to_temperature
from firedetect.bench.end_to_end import end_to_end_p50, end_to_end_p99, paced_64hz_p99
from firedetect.bench.features import features, flow
from firedetect.bench.floors import verdict
from firedetect.bench.page import write_page
from firedetect.bench.rounds import UNITS, Comparison
from firedetect.bench.score import score
from firedetect.bench.startup import rss, start_to_first_score
from firedetect.errors import BenchError

__all__ = ["BENCHES", "as_json", "as_line", "compare", "write_page"]

BENCHES: Final[dict[str, Callable[[], Iterator[Comparison]]]] = {
    "raw_to_temperature": raw_to_temperature,
    "features": features,
    "flow": flow,
    "score": score,
    "end_to_end_p50": end_to_end_p50,
    "end_to_end_p99": end_to_end_p99,
    "paced_64hz_p99": paced_64hz_p99,
    "bulk_per_core": bulk_per_core,
    "start_to_first_score": start_to_first_score,
    "rss": rss,
}


def compare(names: list[str]) -> Iterator[Comparison]:
    """Yield the comparisons of the named benches, of all without a name, as they are made.

    Raises BenchError for a name that is none.
    """
    unknown = [name for name in names if name not in BENCHES]
    if unknown:
        raise BenchError(f"no such bench: {', '.join(unknown)}; there are {', '.join(BENCHES)}")
    for name in names or BENCHES:
        yield from BENCHES[name]()


def as_line(found: Comparison) -> str:
    """Return a comparison as a line of a terminal."""
    spread = f"({found.ratio_p10:.1f} to {found.ratio_p90:.1f})"
    unit = UNITS.get(found.bench, "us")
    times = f"{found.ours_us:.1f} against {found.peer_us:.1f} {unit}"
    ratio = f"{found.bench:21} {found.ratio_median:7.1f}x {spread:18}"
    return f"{ratio} {verdict(found):24} {times:31} {found.peer}"


def as_json(found: Comparison) -> str:
    """Return a comparison as a line of JSON."""
    return json.dumps(asdict(found), ensure_ascii=False)

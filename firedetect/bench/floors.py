"""How much faster than each peer we have to be, at least; the reasons are in the notes of a run."""

from typing import Final

from firedetect.bench.rounds import Comparison

_FLOORS: Final = {
    ("raw_to_temperature", "Adafruit"): 100.0,
    ("raw_to_temperature", "Melexis C"): 3.0,
    ("features", ""): 20.0,
    ("score", "inplace_predict"): 30.0,
    ("score", "predict_proba"): 80.0,
    ("score", "onnxruntime"): 2.0,
    ("end_to_end_p50", ""): 40.0,
    ("end_to_end_p99", ""): 40.0,
    ("paced_64hz_p99", ""): 10.0,
    ("bulk_per_core", ""): 20.0,
    ("start_to_first_score", ""): 1.5,
    ("rss", ""): 1.0,
}
"""By bench and a part of the peer's name."""


def floor_of(found: Comparison) -> float | None:
    """Return the least ratio that was promised; None without a promise.

    Rows with missing values are reported beside the complete ones that the promise is about.
    """
    if "NaN" in found.peer:
        return None
    for (bench, part), floor in _FLOORS.items():
        if bench == found.bench and part in found.peer:
            return floor
    return None


def verdict(found: Comparison) -> str:
    """Return the floor and whether the median reaches it, or nothing."""
    floor = floor_of(found)
    if floor is None:
        return ""
    return f"{'met' if found.ratio_median >= floor else 'NOT met'}: at least {floor:g}"

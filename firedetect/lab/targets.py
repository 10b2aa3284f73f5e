"""What the model is held to: floors and aims, and what an evaluation reached of them."""

import math
from enum import StrEnum
from typing import Any, Final

_BEYOND: Final = 3
BELOW: Final = "at most"
ABOVE: Final = "at least"


class Verdict(StrEnum):
    """What a sample says of a target. Few tries show little: 12 of 12 may be 74 %."""

    MET = "yes"
    MISSED = "no"
    NOT_SHOWN = "not shown"
    """What was reached is within the target, but the bound at 95 % of it is not."""
    NONE = "-"


def targets(told: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a record per target: name, value, floor, aim, and whether each is met."""
    view, films = told["promises"]["in_view"], told["degraded"]["films alone"]
    dwelling = told["false_alarms"]["dwelling"]
    found = [
        _time("in view: alert after 5 kW", view, 0.50, 5.0),
        _time("in view: alert after 5 kW", view, 0.99, 15.0),
        _share("in view: missed", view["missed"], BELOW, 0.005, 0.001),
        _share(
            "occluded, 60 m³: alert by 250 kW", _promise(told, "occluded_by_250kw"), ABOVE, 0.95
        ),
        _share(
            "occluded, 60 m³: alert by 100 kW",
            _promise(told, "occluded_by_100kw"),
            ABOVE,
            None,
            0.99,
        ),
        _share(
            "smoulder: alert by 100 ppm CO, films alone",
            films["smoulder_by_100ppm"],
            ABOVE,
            0.95,
            0.99,
        ),
        _share(
            "TF1 to TF6: alert before the end of the test",
            _promise(told, "test_fires_in_time"),
            ABOVE,
            0.99,
            1.0,
        ),
        *(
            _share(f"hard rules alone, in view: {family}", share, ABOVE, 0.99)
            for family, share in told["hard_rules_alone"]["in_view"].items()
        ),
        _rate("false emergency", dwelling, "emergency", 0.02, 0.005),
        _rate("false alert or above", dwelling, "alert", 0.1, 0.02),
        _target("calibration error", told["calibration"]["ece"], BELOW, 0.04, 0.02),
    ]
    if "left_out" in told:
        found += _left_out(told["left_out"], told["columns"])
    return found


def _left_out(left: dict[str, Any], columns: dict[str, float]) -> list[dict[str, Any]]:
    fire, nuisance = left["fires"][0], left["nuisances"][0]
    return [
        _share(f"worst left-out fire ({fire['family']})", fire["found"], ABOVE, 0.90, 0.98),
        _share(
            f"worst left-out nuisance ({nuisance['family']}): false alert an episode",
            nuisance["false"],
            BELOW,
            0.02,
            0.005,
        ),
        _target("calibration error, families left out", left["ece"], BELOW, None, 0.05),
        _target("best single column, AUC", next(iter(columns.values())), BELOW, 0.99, None),
    ]


def _promise(told: dict[str, Any], name: str) -> dict[str, Any]:
    share: dict[str, Any] = told["promises"][name]
    return share


def _share(
    name: str, share: dict[str, Any], sense: str, floor: float | None, aim: float | None = None
) -> dict[str, Any]:
    if not share["of"]:
        return _target(name, None, sense, floor, aim)
    bound = share["high"] if sense == BELOW else share["low"]
    return _target(name, share["share"], sense, floor, aim, bound=bound) | {
        "shown": f"{100 * share['share']:.2f} % ({share['hits']} of {share['of']}; "
        f"{100 * share['low']:.2f} to {100 * share['high']:.2f} %)"
    }


def _time(name: str, view: dict[str, Any], share: float, limit_s: float) -> dict[str, Any]:
    percent = f"p{100 * share:.0f}"
    # Fewer than three of the sample lie beyond it: the next ones may lie anywhere.
    bound = None if view["missed"]["of"] * (1.0 - share) > _BEYOND - 1e-9 else math.inf
    return _target(
        f"{name}, {percent} (s)", view[f"{percent}_s"], BELOW, limit_s, limit_s, bound=bound
    )


def _rate(name: str, site: dict[str, Any], level: str, floor: float, aim: float) -> dict[str, Any]:
    found, years = site[level], site["exposure_years"]
    name = f"{name} a device-year (dwelling)"
    return _target(name, found["a_year"], BELOW, floor, aim, bound=found["at_most"]) | {
        "shown": f"{found['a_year']:.3g} (at most {found['at_most']:.3g}; {years:.2g} years)"
    }


def _target(
    name: str,
    value: float | None,
    sense: str,
    floor: float | None,
    aim: float | None,
    *,
    bound: float | None = None,
) -> dict[str, Any]:
    """Return one record; `bound` is what the value may be at 95 %, if that was worked out."""
    return {
        "name": name,
        "value": value,
        "shown": "none" if value is None else f"{value:.4g}",
        "floor": "-" if floor is None else f"{sense} {floor:g}",
        "aim": "-" if aim is None else f"{sense} {aim:g}",
        "floor_met": _verdict(value, bound, sense, floor),
        "aim_met": _verdict(value, bound, sense, aim),
    }


def _verdict(value: float | None, bound: float | None, sense: str, limit: float | None) -> Verdict:
    if limit is None:
        return Verdict.NONE
    if value is None or math.isnan(value):
        return Verdict.NOT_SHOWN
    if not _within(value, sense, limit):
        return Verdict.MISSED
    return Verdict.MET if bound is None or _within(bound, sense, limit) else Verdict.NOT_SHOWN


def _within(value: float, sense: str, limit: float) -> bool:
    return value <= limit if sense == BELOW else value >= limit

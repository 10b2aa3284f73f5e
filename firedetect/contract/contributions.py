"""Contributions to a score (log odds by column): the strongest, with names for people."""

import math
from collections.abc import Mapping
from typing import Final

MOST_SENT: Final = 5
MOST_TOLD: Final = 3
"""So many go with a message, so many of them are told."""
DIGITS_SENT: Final = 3

WORDS: Final[Mapping[str, str]] = {
    "t_mean": "mean temperature",
    "t_std": "spread of the temperatures",
    "t_max": "hottest pixel",
    "t_p95": "warmest part of the view",
    "t_hot_area_pct": "hot area",
    "t_hot_largest_blob_pct": "largest hot region",
    "t_grad_mean": "edges of warm regions",
    "t_grad_std": "sharpest edges of warm regions",
    "t_diff_mean": "flicker",
    "t_diff_std": "flicker in places",
    "flow_mag_mean": "movement",
    "flow_mag_std": "movement in places",
    "tproxy_val": "temperature of the hot spot",
    "tproxy_delta": "hot spot above its usual temperature",
    "tproxy_vel": "rise of the hot spot",
    "gas_val": "gas",
    "gas_delta": "gas above clean air",
    "gas_vel": "rise of the gas",
    "g_no2_lr": "sensor for nitrogen dioxide",
    "g_c2h5oh_lr": "sensor for ethanol",
    "g_voc_lr": "sensor for vapours",
    "g_co_lr": "sensor for carbon monoxide",
    "co2_excess_ppm": "CO2 above clean air",
    "co2_rate_ppm_per_min": "rise of the CO2",
    "air_delta_c": "air above its usual temperature",
    "air_rate_c_per_min": "rise of the air temperature",
    "rh_delta_pct": "change of the humidity",
}
"""What the columns of the model are called; things, not changes: an absent value counts as well."""


def strongest(contributions: Mapping[str, float], most: int | None = None) -> dict[str, float]:
    """Return the contributions by their absolute size, largest first; at most `most` of them."""
    numbers = {name: value for name, value in contributions.items() if math.isfinite(value)}
    return dict(sorted(numbers.items(), key=lambda item: -abs(item[1]))[:most])


def to_send(contributions: Mapping[str, float]) -> dict[str, float]:
    """Return what of the contributions goes with a message: few and rounded."""
    rounded = {name: round(value, DIGITS_SENT) for name, value in contributions.items()}
    return strongest({name: value for name, value in rounded.items() if value}, MOST_SENT)


def in_words(contributions: Mapping[str, float]) -> str:
    """Return what has raised the score most, as `hot area (+2.1), rise of the gas (+1.3)`."""
    raising = {name: value for name, value in contributions.items() if value > 0.0}
    words = (
        f"{WORDS.get(name, name.replace('_', ' '))} ({value:+.1f})"
        for name, value in strongest(raising, MOST_TOLD).items()
    )
    return ", ".join(words)

"""Telemetry batches: one vector a second as columns of integer deltas, small enough for 5 KB.

Each column is a list: the first value in steps, then the differences; null where there is none.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from firedetect.contract.messages import ContractMessage

SCORE = "score"
LEVEL = "level"
HARD = "hard"
"""Columns beside the features: score, declared level (0 to 4), level of the hard rules."""

STEP: Mapping[str, float] = {
    SCORE: 0.001,
    LEVEL: 1.0,
    HARD: 1.0,
    "t_hot_area_pct": 0.1,
    "t_hot_largest_blob_pct": 0.1,
    "t_mean": 0.05,
    "t_std": 0.02,
    "t_max": 0.1,
    "t_p95": 0.05,
    "t_grad_mean": 0.02,
    "t_grad_std": 0.02,
    "t_diff_mean": 0.02,
    "t_diff_std": 0.02,
    "flow_mag_mean": 0.02,
    "flow_mag_std": 0.02,
    "tproxy_val": 0.1,
    "tproxy_delta": 0.1,
    "tproxy_vel": 0.01,
    "gas_val": 1.0,
    "gas_delta": 1.0,
    "gas_vel": 0.05,
    "g_no2_lr": 0.005,
    "g_c2h5oh_lr": 0.005,
    "g_voc_lr": 0.005,
    "g_co_lr": 0.005,
    "co2_excess_ppm": 1.0,
    "co2_rate_ppm_per_min": 1.0,
    "air_delta_c": 0.05,
    "air_rate_c_per_min": 0.1,
    "rh_delta_pct": 0.2,
}
"""Resolution of each column in its unit: below what the sensors can tell apart."""


class TelemetryBatch(ContractMessage):
    """Seconds in a row; `seconds` are those since `start` at which the vectors were taken."""

    kind: Literal["telemetry"] = "telemetry"
    device: str
    batch_id: str
    start: str
    seconds: tuple[int, ...]
    columns: dict[str, tuple[int | None, ...]]
    model: str | None


_MOST = 2**53
"""Larger whole numbers are not the same for everybody who reads JSON: such a value is none."""


def packed(values: Iterable[float], step: float) -> tuple[int | None, ...]:
    """Return values (NaN for none) as integer deltas in multiples of `step`."""
    deltas: list[int | None] = []
    before = 0
    for value in values:
        steps = value / step
        # A comparison with NaN is false: it is none as well.
        if not abs(steps) <= _MOST:
            deltas.append(None)
            continue
        now = round(steps)
        deltas.append(now - before)
        before = now
    return tuple(deltas)


def unpacked(deltas: Sequence[int | None], step: float) -> list[float]:
    """Return the values of a packed column, NaN where there is none."""
    values = []
    total = 0
    for delta in deltas:
        if delta is None:
            values.append(math.nan)
            continue
        total += delta
        values.append(total * step)
    return values

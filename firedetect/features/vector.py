"""The feature table: order, names, units and definitions of everything the model sees.

The table is the contract between the detector, the training data and every model bundle.
`SCHEMA_ID` is a hash of the whole table with its constants, so that a bundle trained for another
definition is refused.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Final

ROWS: Final = 24
COLS: Final = 32
MIN_VALID_SHARE: Final = 700 / 768
"""Below this share of valid pixels the thermal features are NaN and the array is in trouble."""

CLIP_C: Final = 300.0
"""Upper end of the array's range; hotter pixels count as this."""
INVALID_BELOW_C: Final = -100.0
INVALID_ABOVE_C: Final = 1000.0
"""Values outside are no temperatures of a room but faults of the data: NaN."""

HOT_MIN_C: Final = 40.0
HOT_ABOVE_MEDIAN_C: Final = 10.0
"""A hot pixel is both: warmer than skin, and clearly warmer than its room."""

PROXY_PIXELS: Final = 8
"""Pixels in the hot-spot temperature: the area of a 5 kW flame at 3 m, robust to one bad pixel."""

GRID_S: Final = 0.25
GRID_MIN_S: Final = 0.125
GRID_MAX_S: Final = 0.5
"""Difference and flow compare images about 0.25 s apart, at least half and at most twice that."""

FLOW_RADIUS_PX: Final = 2
FLOW_REGULARISATION: Final = 6.25
"""Lucas-Kanade on 5x5 pixels; 25 px x (0.5 °C/px)² damps gradients that are only sensor noise."""

SLOPE_WINDOW_S: Final = 30
SLOPE_MIN_SECONDS: Final = 10
BASELINE_WINDOW_S: Final = 600
BASELINE_MIN_SECONDS: Final = 10

CLEAN_AIR_INDEX: Final = 400.0
INDEX_PER_LOG_RATIO: Final = 100.0
INDEX_WEIGHTS: Final = {"no2": -0.1, "c2h5oh": 0.15, "voc": 0.25, "co": 0.5}
"""Grove fire-gas index: 400 + 100 x sum of weight x ln(R0/Rs); one unit is about one per cent."""


@dataclass(frozen=True, slots=True)
class Feature:
    """One column of the model: name, unit and meaning."""

    name: str
    unit: str
    meaning: str


FEATURES: Final = (
    Feature("t_mean", "°C", "mean of the valid pixels"),
    Feature("t_std", "°C", "population standard deviation of the valid pixels"),
    Feature("t_max", "°C", "hottest pixel at full resolution; the 300 °C limit counts as 300"),
    Feature("t_p95", "°C", "95th percentile, linear interpolation"),
    Feature("t_hot_area_pct", "%", "share of the valid pixels that are hot"),
    Feature("t_hot_largest_blob_pct", "%", "share in the largest 8-connected hot region"),
    Feature("t_grad_mean", "°C/px", "mean Sobel magnitude, reflected border, divided by 8"),
    Feature("t_grad_std", "°C/px", "population standard deviation of that magnitude"),
    Feature("t_diff_mean", "°C", "mean absolute difference to the image 0.25 s before"),
    Feature("t_diff_std", "°C", "population standard deviation of that difference"),
    Feature("flow_mag_mean", "px/image", "mean magnitude of the dense Lucas-Kanade flow"),
    Feature("flow_mag_std", "px/image", "population standard deviation of that magnitude"),
    Feature("tproxy_val", "°C", "hot spot: mean of the 8 hottest valid pixels at full resolution"),
    Feature("tproxy_delta", "°C", "hot spot minus the running median of its last 10 min"),
    Feature("tproxy_vel", "°C/s", "Theil-Sen slope of the hot spot's second means over 30 s"),
    Feature("gas_val", "ppm-equivalent", "CO2 where an SCD41 works, else the Grove fire-gas index"),
    Feature("gas_delta", "ppm-equivalent", "gas_val minus its clean-air baseline"),
    Feature("gas_vel", "ppm-equivalent/s", "Theil-Sen slope of its second means over 30 s"),
)
"""The 18 features, in the order that every model, message and endpoint uses."""

CONTEXT: Final = (
    Feature("g_no2_lr", "1", "ln(R0/Rs) of the NO2 film"),
    Feature("g_c2h5oh_lr", "1", "ln(R0/Rs) of the ethanol film"),
    Feature("g_voc_lr", "1", "ln(R0/Rs) of the VOC film"),
    Feature("g_co_lr", "1", "ln(R0/Rs) of the CO film"),
    Feature("co2_excess_ppm", "ppm", "CO2 above its clean-air baseline"),
    Feature("co2_rate_ppm_per_min", "ppm/min", "Theil-Sen slope of CO2 over 30 s"),
    Feature("air_delta_c", "°C", "air temperature minus the running median of its last 10 min"),
    Feature("air_rate_c_per_min", "°C/min", "Theil-Sen slope of the air temperature over 30 s"),
    Feature("rh_delta_pct", "%", "relative humidity minus the running median of its last 10 min"),
)
"""Context columns, after the 18; NaN where their sensor is absent."""

N_FEATURES: Final = len(FEATURES)
COLUMNS: Final = tuple(feature.name for feature in FEATURES + CONTEXT)
THERMAL_COLUMNS: Final = COLUMNS[:15]
GAS_COLUMNS: Final = COLUMNS[15:18]
INDEX: Final = {name: position for position, name in enumerate(COLUMNS)}


def _schema_id() -> str:
    constants = {
        name: value
        for name, value in sorted(globals().items())
        if name.isupper() and isinstance(value, int | float | dict) and name != "INDEX"
    }
    table = [asdict(feature) for feature in FEATURES + CONTEXT]
    text = json.dumps([table, constants], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


SCHEMA_ID: Final = _schema_id()
"""Hash of the table and its constants; a bundle for another one is refused at load."""

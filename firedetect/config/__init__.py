"""The configuration: read once, whole, from TOML and environment; anything unknown is refused.

Settings can make the hard rules more sensitive than the compiled floors, never less.
"""

from firedetect.config.calibration import MASK_MAX_SHARE, GasBaseline, HotMask, ThermalCalibration
from firedetect.config.load import (
    load_gas_baseline,
    load_mask,
    load_settings,
    load_thermal_calibration,
    parse_settings,
)
from firedetect.config.settings import (
    AirSettings,
    Co2Settings,
    DeviceSettings,
    GasSettings,
    LeptonSettings,
    LogSettings,
    ModelSettings,
    OutputSettings,
    PictureSettings,
    Settings,
    ThermalSettings,
    UplinkSettings,
    WebSettings,
)

__all__ = [
    "MASK_MAX_SHARE",
    "AirSettings",
    "Co2Settings",
    "DeviceSettings",
    "GasBaseline",
    "GasSettings",
    "HotMask",
    "LeptonSettings",
    "LogSettings",
    "ModelSettings",
    "OutputSettings",
    "PictureSettings",
    "Settings",
    "ThermalCalibration",
    "ThermalSettings",
    "UplinkSettings",
    "WebSettings",
    "load_gas_baseline",
    "load_mask",
    "load_settings",
    "load_thermal_calibration",
    "parse_settings",
]

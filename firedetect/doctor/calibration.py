"""Checks of the calibration files: are they there, good, and readable for the service."""

import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from firedetect.config import Settings, load_gas_baseline, load_mask, load_thermal_calibration
from firedetect.doctor.finding import Finding
from firedetect.doctor.host import Host
from firedetect.errors import ConfigError


def examine_gas(host: Host, settings: Settings) -> Finding:
    """Tell what the gas board takes for clean air."""
    path = settings.gas.calibration
    if not settings.gas.enabled:
        return Finding("gas baseline", "ok", "no gas board")
    if path is None:
        return Finding(
            "gas baseline",
            "warn",
            "none is configured: the first minute after the first start is taken for clean air",
            "type  firedetect calibrate gas  in clean air, and name the file in gas.calibration",
        )
    return _file(host, settings, "gas baseline", "gas", path, load_gas_baseline)


def examine_thermal(host: Host, settings: Settings) -> Finding:
    """Tell whether the array was commissioned where it hangs."""
    path = settings.thermal.calibration
    if not settings.thermal.enabled:
        return Finding("thermal calibration", "ok", "no thermal array")
    if path is None:
        return Finding(
            "thermal calibration",
            "warn",
            "none is configured: temperatures may be off by degrees, its EEPROM has no copy",
            "type  firedetect calibrate thermal, and name the file in thermal.calibration",
        )
    return _file(host, settings, "thermal calibration", "thermal", path, load_thermal_calibration)


def examine_mask(host: Host, settings: Settings) -> Iterator[Finding]:
    """Tell whether the mask of hot places can be used, where there is one."""
    path = settings.thermal.mask
    if settings.thermal.enabled and path is not None:
        yield _file(host, settings, "hot mask", "mask", path, load_mask)


def _file(
    host: Host,
    settings: Settings,
    name: str,
    kind: str,
    path: Path,
    load: Callable[[Path], object],
) -> Finding:
    again = f"type  firedetect calibrate {kind}"
    real = host.at(path)
    try:
        load(real)
        mode = stat.S_IMODE(real.stat().st_mode)
    except (ConfigError, OSError) as error:
        return Finding(name, "fail", str(error), again)
    # The service owns its data folder; elsewhere it is anybody.
    own = real.is_relative_to(host.at(settings.device.data_dir))
    if not own and not mode & stat.S_IROTH:
        return Finding(
            name,
            "warn",
            f"{path} has mode {mode:04o}: the service runs as a user of its own and cannot read it",
            f"sudo chmod 644 {path}",
        )
    return Finding(name, "ok", str(path))

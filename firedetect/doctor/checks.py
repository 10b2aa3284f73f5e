"""The checks of `firedetect doctor`, in the order in which a person would mend them."""

import asyncio
import os
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from firedetect.clock import CLOCK_SET_S, SystemClock
from firedetect.config import Settings, load_gas_baseline
from firedetect.doctor.cloud import examine_cloud
from firedetect.doctor.finding import Finding
from firedetect.errors import (
    BundleError,
    ConfigError,
    FiredetectError,
    FolderInUseError,
    StorageError,
)
from firedetect.model.bundle import default_bundle_path, load_bundle
from firedetect.outputs.local import find_chip
from firedetect.sensors.bus import I2cBus, open_i2c
from firedetect.sensors.catalog import SensorSpec, configured
from firedetect.storage.folder import DataFolder

MIN_FREE_BYTES = 200 * 1024 * 1024
_TIMESYNC = Path("/run/systemd/timesync/synchronized")
_READ_LIMIT_S = 8.0


def examine(
    settings: Settings, bundle: Path | None = None, link: dict[str, Any] | None = None
) -> Iterator[Finding]:
    """Yield one finding per check, in the order in which a person would mend them.

    `bundle` is the model in use, by default the one of the settings; `link` what a running daemon
    says of its way to the cloud.
    """
    if _is_running(settings.device.data_dir):
        # Two readers would take each other's sub-pages.
        yield Finding(
            "sensors",
            "warn",
            "not touched: a running detector reads them",
            "`firedetect status` tells what it sees; stop it to check the buses",
        )
    else:
        yield from _sensors(settings)
    yield _model(bundle or settings.model.bundle or default_bundle_path())
    yield _calibration(settings)
    yield _outputs(settings)
    yield _disk(settings.device.data_dir)
    yield _clock()
    yield from examine_cloud(settings, link)


def _is_running(folder: Path) -> bool:
    """Whether a daemon holds the data folder."""
    if not folder.exists():
        return False
    try:
        DataFolder(folder).close()
    except FolderInUseError:
        return True
    except StorageError:
        # The check of the disk says what is wrong with it.
        return False
    return False


def _sensors(settings: Settings) -> Iterator[Finding]:
    specs = configured(settings)
    if not specs:
        yield Finding("sensors", "fail", "none is enabled", "enable [thermal] or [gas]")
    missing = set()
    for number in sorted({spec.bus for spec in specs}):
        finding = _bus(number)
        missing |= {number} if finding.failed else set()
        yield finding
    for spec in specs:
        if spec.bus not in missing:
            yield asyncio.run(_sensor(spec))


def _bus(number: int) -> Finding:
    name = f"bus i2c-{number}"
    try:
        open_i2c(number).close()
    except FiredetectError as error:
        return Finding(
            name,
            "fail",
            str(error),
            "add dtparam=i2c_arm=on,i2c_arm_baudrate=400000 to /boot/firmware/config.txt, put the "
            "user into the group i2c, restart",
        )
    rate = Path(f"/sys/class/i2c-adapter/i2c-{number}/of_node/clock-frequency")
    try:
        hertz = int.from_bytes(rate.read_bytes(), "big")
    except OSError:
        return Finding(name, "ok", "opens; its rate is not stated by the system")
    if hertz < 400_000:
        return Finding(
            name,
            "warn",
            f"runs at {hertz // 1000} kHz: 8 Hz sub-pages need 400 kHz",
            "set i2c_arm_baudrate=400000",
        )
    return Finding(name, "ok", f"opens, {hertz // 1000} kHz")


async def _sensor(spec: SensorSpec) -> Finding:
    name = f"sensor {spec.sensor} at 0x{spec.address:02x}"
    bus = I2cBus(f"i2c-{spec.bus}", partial(open_i2c, spec.bus))
    driver = spec.factory(bus, SystemClock())
    try:
        async with asyncio.timeout(_READ_LIMIT_S):
            await driver.open()
            await driver.read()
    except (FiredetectError, TimeoutError) as error:
        return Finding(
            name,
            "fail",
            str(error) or f"no reading within {_READ_LIMIT_S:.0f} s",
            "check supply, SDA, SCL and the address",
        )
    finally:
        await bus.close()
    return Finding(name, "ok", "answers and delivers a reading")


def _model(path: Path) -> Finding:
    try:
        bundle = load_bundle(path)
    except BundleError as error:
        return Finding("model", "fail", str(error), "install another bundle; hard rules work alone")
    return Finding("model", "ok", f"{bundle.manifest.name} {bundle.manifest.version}")


def _calibration(settings: Settings) -> Finding:
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
    try:
        load_gas_baseline(path)
    except ConfigError as error:
        return Finding(
            "gas baseline", "fail", str(error), "type  firedetect calibrate gas  in clean air"
        )
    return Finding("gas baseline", "ok", str(path))


def _outputs(settings: Settings) -> Finding:
    if not settings.outputs.enabled:
        return Finding(
            "outputs",
            "warn",
            "none is enabled: an alarm shows on page and log, nothing sounds",
            "wire siren, light and relay and set outputs.enabled = true",
        )
    try:
        find_chip(settings.outputs.chip_label)
    except OSError as error:
        return Finding("outputs", "fail", str(error), "set outputs.chip_label; see `gpiodetect`")
    return Finding("outputs", "ok", f"GPIO chip {settings.outputs.chip_label}")


def _disk(folder: Path) -> Finding:
    existing = folder if folder.exists() else folder.resolve().parent
    if not existing.exists() or not os.access(existing, os.W_OK):
        return Finding("disk", "fail", f"{folder}: cannot be written", "set device.data_dir")
    free = shutil.disk_usage(existing).free
    detail = f"{free // 1_000_000} MB free at {existing}"
    if free < MIN_FREE_BYTES:
        return Finding("disk", "fail", detail, "free at least 200 MB")
    return Finding("disk", "ok", detail)


def _clock() -> Finding:
    if SystemClock().wall_ns() / 1e9 < CLOCK_SET_S:
        return Finding(
            "clock",
            "warn",
            "the wall clock was never set; detection does not need it, records and TLS do",
            "connect the network or fit the RTC battery",
        )
    if _TIMESYNC.parent.exists() and not _TIMESYNC.exists():
        return Finding("clock", "warn", "not synchronised", "check `timedatectl`")
    return Finding("clock", "ok", "set")

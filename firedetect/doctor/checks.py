"""The checks of `firedetect doctor`, in the order in which a person would mend them."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from firedetect.config import Settings
from firedetect.doctor import buses, calibration, clock, machine, storage
from firedetect.doctor.cloud import examine_cloud
from firedetect.doctor.finding import Finding, guarded
from firedetect.doctor.host import Host, this_machine
from firedetect.doctor.model import Kernel, examine_kernels, examine_model, loaded_kernels
from firedetect.doctor.scan import BusLook, look_at
from firedetect.doctor.sensors import examine_sensors
from firedetect.errors import FolderInUseError, StorageError
from firedetect.model.bundle import default_bundle_path
from firedetect.sensors.catalog import configured
from firedetect.storage.folder import DataFolder


def examine(
    settings: Settings,
    bundle: Path | Callable[[], Path] | None = None,
    link: dict[str, Any] | None = None,
    host: Host | None = None,
    kernels: Callable[[], tuple[Kernel, ...]] = loaded_kernels,
) -> Iterator[Finding]:
    """Yield one finding per check, in the order in which a person would mend them.

    `bundle` is the model in use or finds it, by default the one of the settings; `link` what a
    running daemon says of its way to the cloud. A check that fails itself is a finding, too.
    """
    host = host or this_machine()
    yield from guarded("machine", lambda: [machine.examine_board(host)])
    yield from guarded("kernel", lambda: [machine.examine_kernel(host)])
    yield from guarded("power", lambda: [machine.examine_power(host)])
    yield from guarded("temperature", lambda: [machine.examine_heat(host)])
    yield from guarded("user", lambda: [machine.examine_user(host, settings)])
    yield from guarded("kernel log", lambda: [machine.examine_kernel_log(host)])
    yield from guarded("sensors", lambda: _hardware(host, settings, kernels))
    yield from guarded("model", lambda: [examine_model(_path(settings, bundle))])
    yield from guarded("kernels", lambda: [examine_kernels(host, kernels)])
    yield from guarded("thermal calibration", lambda: [calibration.examine_thermal(host, settings)])
    yield from guarded("hot mask", lambda: calibration.examine_mask(host, settings))
    yield from guarded("gas baseline", lambda: [calibration.examine_gas(host, settings)])
    yield from guarded("outputs", lambda: [_outputs(host, settings)])
    yield from guarded("data folder", lambda: [storage.examine_folder(host, settings)])
    yield from guarded("disk", lambda: [storage.examine_space(host, settings)])
    yield from guarded("disk wear", lambda: [storage.examine_wear(host)])
    yield from guarded("clock", lambda: [clock.examine_clock(host)])
    yield from guarded("clock battery", lambda: [clock.examine_battery(host)])
    yield from guarded("cloud", lambda: examine_cloud(settings, link))


def _hardware(
    host: Host, settings: Settings, kernels: Callable[[], tuple[Kernel, ...]]
) -> Iterator[Finding]:
    """Yield the findings of buses and sensors, from the wire to the reading."""
    if _is_running(host, settings.device.data_dir):
        # Two readers would take each other's sub-pages.
        yield Finding(
            "sensors",
            "warn",
            "not touched: a running detector reads them",
            "`firedetect status` tells what it sees; stop it to check the buses",
        )
        return
    specs = configured(settings)
    if not specs:
        yield Finding("sensors", "fail", "none is enabled", "enable [thermal] or [gas]")
        return
    looks: list[BusLook] = []
    for number in sorted({spec.bus for spec in specs if spec.bus is not None}):
        yield from guarded(f"bus i2c-{number}", partial(_bus, host, settings, number, looks))
    yield from guarded("thermal rate", lambda: buses.examine_rate(settings, tuple(looks)))
    images = all(kernel.is_compiled for kernel in kernels())
    yield from examine_sensors(host, settings, tuple(looks), images=images)


def _bus(host: Host, settings: Settings, number: int, looks: list[BusLook]) -> Iterator[Finding]:
    """Look at a bus, keep the look, yield what it shows."""
    look = look_at(host, settings, number)
    looks.append(look)
    yield buses.examine_bus(host, settings, look)
    if not look.closed:
        yield buses.examine_speed(settings, look)


def _is_running(host: Host, folder: Path) -> bool:
    """Whether a daemon holds the data folder, or the service runs where that cannot be seen."""
    real = host.at(folder)
    try:
        if real.exists():
            DataFolder(real).close()
    except FolderInUseError:
        return True
    except (StorageError, OSError):
        # The folder of the service is closed to others.
        state = host.run(("systemctl", "is-active", "firedetect.service"))
        return (state or "").strip() == "active"
    return False


def _path(settings: Settings, bundle: Path | Callable[[], Path] | None) -> Path:
    if callable(bundle):
        return bundle()
    return bundle or settings.model.bundle or default_bundle_path()


def _outputs(host: Host, settings: Settings) -> Finding:
    if not settings.outputs.enabled:
        return Finding(
            "outputs",
            "warn",
            "none is enabled: an alarm shows on page and log, nothing sounds",
            "wire siren, light and relay and set outputs.enabled = true",
        )
    label = settings.outputs.chip_label
    try:
        host.find_chip(label)
    except OSError as error:
        return Finding(
            "outputs",
            "fail",
            str(error),
            "set outputs.chip_label (see `gpiodetect`); the user must be in the group gpio",
        )
    return Finding("outputs", "ok", f"GPIO chip {label}")

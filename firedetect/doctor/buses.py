"""Judges what was seen of the buses: do they work, are they as fast as their sensors want."""

from collections import Counter
from collections.abc import Iterator
from typing import Final

from firedetect.config import Settings
from firedetect.doctor.finding import Finding
from firedetect.doctor.host import Host
from firedetect.doctor.machine import POWER_CYCLE, devices, is_pi
from firedetect.doctor.scan import BusLook, known_addresses
from firedetect.readings import Sensor
from firedetect.sensors.catalog import configured
from firedetect.sensors.mlx90640 import rate

THERMAL_HZ: Final = 400_000
SLOW_MAX_HZ: Final = 400_000
"""The gas board and the SCD41 follow no faster bus."""
NEAR: Final = 0.8
"""A bus that reaches this part of its speed has it: controllers pause between bytes."""
ABOVE: Final = 1.1

CONFIG: Final = "/boot/firmware/config.txt"
_SLOW: Final = (Sensor.GAS, Sensor.CO2)
_HELD: Final = {
    "ETIMEDOUT": "its controller timed out",
    "EAGAIN": "arbitration lost, or SDA stuck at low",
}
_FIRST_BUS: Final = 1
_PINS: Final = {2: "pins_12_13,"}
"""The pins of the second bus that leave those of the outputs free."""


def examine_bus(host: Host, settings: Settings, look: BusLook) -> Finding:
    """Tell whether a bus opens, who answers on it, whether transfers hold up."""
    name = f"bus i2c-{look.number}"
    if look.closed:
        return _closed(host, name, look)
    if look.held:
        kind = next((words for code, words in _HELD.items() if code in look.held), "hangs")
        return Finding(name, "fail", f"{kind}: {look.held}", POWER_CYCLE)
    if not look.answers:
        return Finding(
            name,
            "fail",
            "no sensor answers at any address",
            "check 3.3 V, ground, whether SDA and SCL are swapped, pull-ups",
        )
    known = known_addresses(settings)
    who = ", ".join(f"0x{address:02x} ({known[address]})" for address in look.answers)
    if look.failures:
        kinds = ", ".join(f"{kind} ({n})" for kind, n in Counter(look.failures).items())
        return Finding(
            name,
            "warn",
            f"{len(look.failures)} of {look.transfers} transfers fail: {kinds}; answers: {who}",
            "check plugs, cable (at most 30 cm), 10 uF + 100 nF at the array, pull-ups, supply",
        )
    return Finding(name, "ok", f"answers: {who}")


def examine_speed(settings: Settings, look: BusLook) -> Finding:
    """Tell how fast a bus is, and whether that suits the sensors that the settings put on it."""
    name = f"speed i2c-{look.number}"
    measured_hz = None if look.dump_s is None else rate.bus_hz(look.dump_s)
    said = _said(look.set_hz, measured_hz)
    hz = speed_hz(look)
    if hz is None:
        return Finding(name, "ok", said)
    sensors = [spec.sensor for spec in configured(settings) if spec.bus == look.number]
    if look.set_hz is not None and hz < NEAR * look.set_hz:
        return Finding(
            name,
            "warn",
            f"{said}: it is slower than set",
            "restart if the setting is new; else a newer kernel, shorter cable, stronger pull-ups",
        )
    slow = [sensor for sensor in sensors if sensor in _SLOW]
    if Sensor.THERMAL in sensors and hz < NEAR * THERMAL_HZ:
        return Finding(
            name,
            "warn",
            f"{said}: a sub-page of the array takes {1e3 * rate.read_s(hz):.0f} ms, "
            f"{1e3 * rate.read_s(THERMAL_HZ):.0f} ms at 400 kHz",
            f"{line_for(look.number, THERMAL_HZ)} in {CONFIG}, then restart",
        )
    if Sensor.THERMAL in sensors and hz > ABOVE * rate.EEPROM_MAX_HZ:
        return Finding(
            name,
            "warn",
            f"{said}: the EEPROM of the array is read at no more than 400 kHz",
            f"{line_for(look.number, THERMAL_HZ)} in {CONFIG}, then restart",
        )
    if slow and hz > ABOVE * SLOW_MAX_HZ:
        return Finding(
            name,
            "warn",
            f"{said}: {' and '.join(slow)} follow no more than 400 kHz",
            f"{line_for(look.number, 100_000)} in {CONFIG}, then restart",
        )
    return Finding(name, "ok", said)


def examine_rate(settings: Settings, looks: tuple[BusLook, ...]) -> Iterator[Finding]:
    """Tell whether the refresh rate asked for fits the bus of the array."""
    thermal = settings.thermal
    look = next((look for look in looks if look.number == thermal.bus), None)
    hz = None if look is None else speed_hz(look)
    if not thermal.enabled or look is None or look.closed:
        return
    if hz is None:
        yield Finding("thermal rate", "ok", f"{thermal.refresh_hz} Hz; the bus speed is not known")
        return
    largest = rate.largest_refresh_hz(hz)
    took = (
        f"a sub-page takes {1e3 * rate.read_s(hz):.0f} of the {1e3 / thermal.refresh_hz:.0f} ms "
        "there are"
    )
    if thermal.refresh_hz <= largest:
        more = f"{largest} Hz fits too" if thermal.refresh_hz < largest else "no higher rate fits"
        yield Finding("thermal rate", "ok", f"{thermal.refresh_hz} Hz: {took}; {more}")
        return
    fits = f"it runs at {largest} Hz, the most that fits" if largest else "no rate fits"
    ways = ["set the bus to 400 kHz"] if hz < NEAR * THERMAL_HZ else []
    ways += [f"set thermal.refresh_hz = {largest}"] if largest else []
    yield Finding(
        "thermal rate",
        "fail",
        f"{thermal.refresh_hz} Hz does not fit: {took}; {fits}",
        ", or ".join(ways),
    )


def speed_hz(look: BusLook) -> float | None:
    """Return the speed of a bus as measured, else as set, else None."""
    return look.set_hz if look.dump_s is None else rate.bus_hz(look.dump_s)


def line_for(number: int, hz: int) -> str:
    """Return the line of the boot configuration that gives a bus this speed."""
    if number == _FIRST_BUS:
        return f"dtparam=i2c_arm=on,i2c_arm_baudrate={hz}"
    return f"dtoverlay=i2c{number}-pi5,{_PINS.get(number, '')}baudrate={hz}"


def _closed(host: Host, name: str, look: BusLook) -> Finding:
    if host.at(f"/dev/i2c-{look.number}").exists():
        return Finding(
            name,
            "fail",
            look.closed,
            f"sudo usermod -aG i2c {host.user}, then log in again; install the udev rule",
        )
    if not is_pi(host):
        return Finding(
            name,
            "fail",
            look.closed,
            "this is no Raspberry Pi: name a bus that it has, or try  firedetect run --simulate "
            "waste-bin",
        )
    others = ", ".join(path.name for path in devices(host, "i2c-*")) or "none"
    hz = THERMAL_HZ if look.number == _FIRST_BUS else 100_000
    return Finding(
        name,
        "fail",
        f"{look.closed} (there is: {others})",
        f"{line_for(look.number, hz)} in {CONFIG}, i2c-dev in /etc/modules-load.d, then restart",
    )


def _said(set_hz: int | None, measured_hz: float | None) -> str:
    if measured_hz is None:
        return "not stated by the system" if set_hz is None else f"{set_hz / 1e3:.0f} kHz set"
    if set_hz is None:
        return f"{measured_hz / 1e3:.0f} kHz measured"
    return f"{measured_hz / 1e3:.0f} kHz measured, {set_hz / 1e3:.0f} kHz set"

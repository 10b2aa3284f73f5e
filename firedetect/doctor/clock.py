"""Checks of the time: is it set and synchronised, does the battery of the clock chip last."""

from typing import Final

from firedetect.clock import CLOCK_SET_S, NS_PER_S
from firedetect.doctor.finding import Finding
from firedetect.doctor.host import Host

_TIMESYNC: Final = "/run/systemd/timesync"
_RTC: Final = "/sys/class/rtc/rtc0"
_EMPTY_UV: Final = 2_500_000
_CHARGE = "a rechargeable cell (ML-2020) is charged with dtparam=rtc_bbat_vchg=3000000"


def examine_clock(host: Host) -> Finding:
    """Tell whether the wall clock can be believed; detection does not need it."""
    if host.clock.wall_ns() < CLOCK_SET_S * NS_PER_S:
        return Finding(
            "clock",
            "warn",
            "the wall clock was never set; detection does not need it, records and TLS do",
            "connect the network or fit the RTC battery",
        )
    if host.at(f"{_TIMESYNC}/synchronized").exists():
        return Finding("clock", "ok", "synchronised")
    told = (
        host.run(("timedatectl", "show", "--property=NTPSynchronized", "--value")) or ""
    ).strip()
    if told == "yes":
        return Finding("clock", "ok", "synchronised")
    if told == "no" or host.at(_TIMESYNC).exists():
        return Finding(
            "clock",
            "warn",
            "set, but not synchronised: TLS may call a certificate not yet valid",
            "check the network, then  timedatectl timesync-status",
        )
    return Finding("clock", "ok", "set; whether it is synchronised is not told here")


def examine_battery(host: Host) -> Finding:
    """Tell whether the clock chip outlives a loss of power."""
    name = "clock battery"
    if not host.at(_RTC).exists():
        return Finding(name, "ok", "no clock chip: the time comes from the network after a start")
    held_uv = host.number(f"{_RTC}/battery_voltage")
    charged_uv = host.number(f"{_RTC}/charging_voltage")
    if held_uv is None:
        return Finding(name, "ok", "the clock chip tells nothing of its battery")
    detail = f"{held_uv / 1e6:.1f} V"
    if held_uv < _EMPTY_UV:
        return Finding(
            name,
            "warn",
            f"{detail}: none or empty; after a loss of power the time is wrong until the network "
            "comes",
            f"fit one at the connector BAT; {_CHARGE}",
        )
    if not charged_uv:
        return Finding(name, "ok", f"{detail}, not charged: {_CHARGE}")
    return Finding(name, "ok", f"{detail}, charged up to {charged_uv / 1e6:.1f} V")

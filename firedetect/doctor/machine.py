"""Checks of the computer itself: what it is, its kernel, its supply, its heat, who asks."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from firedetect.config import Settings
from firedetect.doctor.finding import Finding
from firedetect.doctor.host import ROOT_USER, Host

KERNEL_MIN: Final = (6, 6, 20)
"""Before it transfers of a Pi 5 end with "controller timed out", and its bus is slower than set."""
HOT_C: Final = 80.0
"""From here on the firmware slows the processor down."""

_UNDER_VOLTAGE, _THROTTLED = 1 << 0, 1 << 1 | 1 << 2 | 1 << 3
_SINCE_BOOT: Final = 16
"""The same bits, so far to the left, for whatever was since boot."""
_SUPPLY = (
    "use the 27 W supply (5.1 V, 5 A) and a short cable; feed siren and relay from another one"
)
_COOLING = "fit the active cooler; leave room for air around the case"


def model_of(host: Host) -> str:
    """Return the name of the board, empty if the kernel tells none."""
    return host.text("/proc/device-tree/model") or ""


def examine_board(host: Host) -> Finding:
    """Tell which computer it is; the detector wants a 64-bit system."""
    board = model_of(host)
    name = board or f"a computer with {host.machine}"
    if host.bits < 64:
        return Finding(
            "machine",
            "fail",
            f"{name} with a {host.bits}-bit system: parts of the detector exist for 64 bits only",
            "install the 64-bit Raspberry Pi OS",
        )
    if not is_pi(host):
        return Finding("machine", "ok", f"{name}, not a Raspberry Pi; {host.bits}-bit")
    return Finding("machine", "ok", f"{name}, {host.bits}-bit")


def examine_kernel(host: Host) -> Finding:
    """Tell the kernel's version; early ones lose I2C transfers on a Pi 5."""
    release = host.text("/proc/sys/kernel/osrelease") or ""
    found = re.match(r"(\d+)\.(\d+)(?:\.(\d+))?", release)
    if found is None:
        return Finding("kernel", "ok", "its version is not known")
    version = tuple(int(part or 0) for part in found.groups())
    if "Raspberry Pi 5" in model_of(host) and version < KERNEL_MIN:
        return Finding(
            "kernel",
            "warn",
            f"{release}: I2C of a Pi 5 ends in 'controller timed out' before "
            f"{'.'.join(map(str, KERNEL_MIN))}",
            "sudo apt full-upgrade, then restart",
        )
    return Finding("kernel", "ok", release)


def examine_power(host: Host) -> Finding:
    """Tell whether supply or heat slow the machine down, now or at any time since boot."""
    answer = host.run(("vcgencmd", "get_throttled")) or ""
    found = re.search(r"throttled=0x([0-9a-fA-F]+)", answer)
    if found is None:
        return Finding("power", "ok", "not available here: vcgencmd tells nothing")
    flags = int(found[1], 16)
    seen = [
        (word, when, mask)
        for when, shift in (("now", 0), ("since boot", _SINCE_BOOT))
        for word, mask in (("under-voltage", _UNDER_VOLTAGE), ("throttled", _THROTTLED))
        if flags >> shift & mask
    ]
    if not seen:
        return Finding("power", "ok", "no under-voltage, not throttled, now and since boot")
    # What goes on now was also since boot: it is said once.
    words = {word: when for word, when, _ in reversed(seen)}
    said = ", ".join(f"{word} {when}" for word, when in sorted(words.items(), reverse=True))
    short = "under-voltage" in words
    return Finding(
        "power",
        "fail" if flags & _UNDER_VOLTAGE else "warn",
        f"{said} (0x{flags:x})" + ("; it damages transfers of the sensors" if short else ""),
        _SUPPLY if short else _COOLING,
    )


def examine_heat(host: Host) -> Finding:
    """Tell the temperature of the processor."""
    milli_c = host.number("/sys/class/thermal/thermal_zone0/temp")
    if milli_c is None:
        return Finding("temperature", "ok", "not available here")
    detail = f"processor at {milli_c / 1000:.0f} °C"
    if milli_c / 1000 >= HOT_C:
        return Finding("temperature", "warn", f"{detail}: it is slowed down", _COOLING)
    return Finding("temperature", "ok", detail)


def examine_user(host: Host, settings: Settings) -> Finding:
    """Tell whether this user may use buses, camera and outputs."""
    if host.user == ROOT_USER:
        return Finding("user", "ok", "root, who may use everything; the service may less")
    wanted = {"i2c": "buses"}
    wanted |= {"video": "cameras"} if settings.lepton.enabled else {}
    wanted |= {"gpio": "outputs"} if settings.outputs.enabled else {}
    missing = [group for group in wanted if group not in host.groups]
    if missing:
        return Finding(
            "user",
            "warn",
            f"{host.user} is not in {' and '.join(missing)}: "
            f"{' or '.join(wanted[group] for group in missing)} stay closed",
            f"sudo usermod -aG {','.join(missing)} {host.user}, then log in again",
        )
    return Finding("user", "ok", f"{host.user}, in {' and '.join(wanted)}")


def examine_kernel_log(host: Host) -> Finding:
    """Tell which complaints about I2C and supply the kernel has logged since boot."""
    log = host.run(("journalctl", "--dmesg", "--boot", "--output=cat", "--no-pager", "--quiet"))
    if not log:
        return Finding("kernel log", "ok", "not readable here")
    counts = {words: log.lower().count(words) for words in _COMPLAINTS}
    said = [f"{words!r} ({count})" for words, count in counts.items() if count]
    if not said:
        return Finding("kernel log", "ok", "no complaint about I2C or supply since boot")
    advice = next(_COMPLAINTS[words] for words, count in counts.items() if count)
    return Finding("kernel log", "warn", f"since boot: {', '.join(said)}", advice)


POWER_CYCLE = (
    "switch the sensors' supply off and on (a restart does not do it); then shorter cable, pull-ups"
)
_COMPLAINTS: Final = {
    "undervoltage detected": _SUPPLY,
    "controller timed out": POWER_CYCLE,
    "sda stuck at low": POWER_CYCLE,
    "lost arbitration": POWER_CYCLE,
}


def is_pi(host: Host) -> bool:
    """Whether this is a Raspberry Pi."""
    return "Raspberry Pi" in model_of(host)


def devices(host: Host, pattern: str) -> Iterator[Path]:
    """Yield the devices below /dev that match, by the name that people know them by."""
    for path in sorted(host.at("/dev").glob(pattern)):
        yield Path("/dev") / path.name

"""Checks of where records lie: can the data folder be written, is there space, is the card worn."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from firedetect.config import Settings
from firedetect.doctor.finding import Finding
from firedetect.doctor.host import Host

MIN_FREE_BYTES: Final = 200 * 1024 * 1024
_WORN, _WORN_OUT = 0x08, 0x0B
"""Steps of 10 % of its life; the last one is beyond it (JEDEC JESD84-B51, 7.4.30)."""
_URGENT: Final = 0x03


def examine_folder(host: Host, settings: Settings) -> Finding:
    """Tell whether the data folder can be written."""
    folder = settings.device.data_dir
    existing = _existing(folder, host)
    if _read_only(host, existing):
        return Finding(
            "data folder",
            "fail",
            f"{folder} lies on a file system that is read-only",
            "sudo mount -o remount,rw its file system, or name another folder in device.data_dir",
        )
    if not host.may(existing, os.W_OK):
        return Finding(
            "data folder",
            "fail",
            f"{folder}: {host.user} cannot write it",
            "set device.data_dir; the folder of the service is seen with sudo only",
        )
    return Finding("data folder", "ok", f"{folder} can be written")


def examine_space(host: Host, settings: Settings) -> Finding:
    """Tell how much space is left for records."""
    try:
        free = host.free_bytes(_existing(settings.device.data_dir, host))
    except OSError as error:
        return Finding("disk", "fail", f"{error.strerror or error}", "set device.data_dir")
    detail = f"{free // 1_000_000} MB free at {settings.device.data_dir}"
    if free < MIN_FREE_BYTES:
        return Finding("disk", "fail", detail, "free at least 200 MB; journalctl --vacuum-size=32M")
    return Finding("disk", "ok", detail)


def examine_wear(host: Host) -> Finding:
    """Tell how much of their life cards have used, where they tell."""
    name = "disk wear"
    said, worst = [], 0
    for card, used in _lives(host):
        worst = max(worst, used)
        tenths = min(used, 10)
        text = f"{10 * (tenths - 1)} to {10 * tenths} % of its life used"
        said.append(f"{card}: {'beyond its life' if used >= _WORN_OUT else text}")
    if not said:
        return Finding(name, "ok", "unknown: no card here tells it, as most SD cards")
    detail = ", ".join(said)
    if worst >= _WORN:
        return Finding(
            name,
            "fail" if worst >= _WORN_OUT else "warn",
            detail,
            "copy it to a new card or an NVMe disk before it becomes read-only",
        )
    return Finding(name, "ok", detail)


def _lives(host: Host) -> Iterator[tuple[str, int]]:
    """Yield name and used life, in steps of 10 %, of each card that tells."""
    for block in sorted(host.at("/sys/block").glob("mmcblk*")):
        device = f"/sys/block/{block.name}/device"
        steps = [_hex(word) for word in (host.text(f"{device}/life_time") or "").split()]
        if not any(steps):
            # Zero means that the card does not say.
            continue
        urgent = _hex(host.text(f"{device}/pre_eol_info") or "0") >= _URGENT
        yield block.name, _WORN_OUT if urgent else max(steps)


def _hex(text: str) -> int:
    try:
        return int(text, 16)
    except ValueError:
        return 0


def _existing(folder: Path, host: Host) -> Path:
    """Return the folder, or the nearest one above it that this user can see."""
    real = host.at(folder)
    return next((place for place in (real, *real.parents) if _is_seen(place)), host.root)


def _is_seen(place: Path) -> bool:
    try:
        return place.exists()
    except OSError:
        return False


def _read_only(host: Host, folder: Path) -> bool:
    """Whether the nearest mount above a folder is read-only."""
    nearest, read_only = -1, False
    for line in (host.text("/proc/mounts") or "").splitlines():
        fields = line.split()
        if len(fields) < 4:
            continue
        place = host.at(fields[1].replace("\\040", " "))
        # A later line hides an earlier one of the same place.
        if folder.is_relative_to(place) and len(place.parts) >= nearest:
            nearest, read_only = len(place.parts), "ro" in fields[3].split(",")
    return read_only

"""Looks once a minute after what no reading shows: the supply, the heat, whether the model knows.

The flags of the firmware behind `vcgencmd` need a device that the service may not open; the kernel
shows the same of the supply (driver `rpi_volt`) and the temperature to everybody.
"""

import asyncio
import math
from collections.abc import Callable
from pathlib import Path
from typing import Final

from firedetect.uplink.link import Report

EVERY_S: Final = 60.0
HOT_C: Final = 80.0
"""From here on the firmware slows the processor down."""
COOL_C: Final = 75.0


class SelfCheck:
    """Troubles `supply`, `heat` and `known-answer`; `known_answer` is None without a model.

    `sysfs` is where the kernel shows the machine; None if it is not that of a detector.
    """

    def __init__(
        self, known_answer: Callable[[], bool | None], report: Report, sysfs: Path | None
    ) -> None:
        self._known_answer = known_answer
        self._report = report
        self._sysfs = sysfs
        self._hot = False

    async def run(self) -> None:
        """Look for ever."""
        while True:
            self.look()
            await asyncio.sleep(EVERY_S)

    def look(self) -> None:
        """Look once; what this machine does not show is no trouble."""
        if self._sysfs is not None:
            low = _under_voltage(self._sysfs / "class/hwmon")
            self._report("supply", "under-voltage" if low else None)
            heat_c = _heat_c(self._sysfs / "class/thermal/thermal_zone0/temp")
            self._hot = heat_c >= (COOL_C if self._hot else HOT_C)
            self._report("heat", "the processor is slowed down" if self._hot else None)
        forgot = self._known_answer() is False
        self._report("known-answer", "the model does not know a fire any more" if forgot else None)


def _under_voltage(monitors: Path) -> bool:
    return any(
        _read(folder / "name") == "rpi_volt" and _read(folder / "in0_lcrit_alarm") == "1"
        for folder in monitors.glob("hwmon*")
    )


def _heat_c(zone: Path) -> float:
    try:
        return int(_read(zone)) / 1000.0
    except ValueError:
        return math.nan


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return ""

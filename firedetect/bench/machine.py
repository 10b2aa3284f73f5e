"""On what was measured: a ratio holds on one machine, and less on a busy one."""

import os
import platform
from pathlib import Path

import psutil


def machine() -> str:
    """Return on what was measured: processor, cores, system, Python."""
    cores = os.cpu_count()
    return f"{_processor()}, {cores} cores, {platform.system()}, Python {platform.python_version()}"


def load() -> float:
    """Return how many processes wanted a core in the last minute."""
    return float(psutil.getloadavg()[0])


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    named = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.machine()

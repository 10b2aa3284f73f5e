"""Start of a process to its first score, kernels cached, and the memory that it takes."""

import subprocess
import sys
import time
from collections.abc import Iterator
from functools import cache
from typing import Final

import numpy as np

from firedetect.bench.end_to_end import PEER
from firedetect.bench.rounds import Comparison, Times

_ROUNDS: Final = 7


def start_to_first_score() -> Iterator[Comparison]:
    """Compare the time from the start of the interpreter to the answer."""
    yield _measure()[0].comparison("start_to_first_score", PEER, "both score one image")


def rss() -> Iterator[Comparison]:
    """Compare the memory taken at most; its columns are MiB, not microseconds."""
    yield _measure()[1].comparison("rss", PEER, "MiB at most until the first score")


@cache
def _measure() -> tuple[Times, Times]:
    found = np.array([[_start(which) for which in ("ours", "user")] for _ in range(_ROUNDS + 1)])
    # The first round fills the disk's cache.
    took_us, kib = found[1:, :, 0] * 1e6, found[1:, :, 1]
    return Times(took_us[:, 0], took_us[:, 1]), Times(kib[:, 0] / 1024, kib[:, 1] / 1024)


def _start(which: str) -> tuple[float, float]:
    started = time.perf_counter()
    answer = subprocess.run(  # noqa: S603 - this very program
        [sys.executable, "-m", "firedetect.bench.first_score", which],
        check=True,
        capture_output=True,
        text=True,
    )
    return time.perf_counter() - started, float(answer.stdout.split()[-1])

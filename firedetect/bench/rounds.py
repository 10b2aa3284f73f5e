"""Times two contenders in turn, so that whatever else the machine does meets both alike."""

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Call = Callable[[int], object]
"""Does the work once; the argument counts the calls, so that material can change."""

ROUNDS: Final = 30
ROUND_S: Final = 0.02
"""Each contender works at least this long in a round."""
SAMPLES: Final = 200
"""Calls of a round that are timed one by one."""

UNITS: Final = {"rss": "MiB"}
"""The times of all other benches are microseconds."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What `firedetect bench` says of one peer; `agreement` tells whether both do the same."""

    bench: str
    peer: str
    ratio_median: float
    ratio_p10: float
    ratio_p90: float
    ours_us: float
    peer_us: float
    agreement: str


@dataclass(frozen=True, slots=True)
class Times:
    """Microseconds of both contenders, a value per round."""

    ours_us: NDArray[np.float64]
    peer_us: NDArray[np.float64]

    def each(self, parts: int) -> "Times":
        """Return the times of one of so many parts of a call."""
        return Times(self.ours_us / parts, self.peer_us / parts)

    def comparison(self, bench: str, peer: str, agreement: str) -> Comparison:
        """Return the median and the spread of the rounds' ratios: peer over ours."""
        ratios = self.peer_us / self.ours_us
        low, middle, high = np.percentile(ratios, [10, 50, 90])
        return Comparison(
            bench,
            peer,
            float(middle),
            float(low),
            float(high),
            float(np.median(self.ours_us)),
            float(np.median(self.peer_us)),
            agreement,
        )


def in_turn(ours: Call, peer: Call, rounds: int = ROUNDS) -> Times:
    """Return the mean time of a call in every round; both are warmed up first."""
    calls = [_calls_for(call) for call in (ours, peer)]
    times = np.empty((rounds, 2))
    with _undisturbed():
        for turn in range(rounds):
            for which, call in enumerate((ours, peer)):
                started = time.perf_counter()
                for k in range(calls[which]):
                    call(k)
                times[turn, which] = (time.perf_counter() - started) / calls[which]
    return Times(times[:, 0] * 1e6, times[:, 1] * 1e6)


def spread_in_turn(ours: Call, peer: Call, rounds: int = ROUNDS) -> tuple[Times, Times]:
    """Return p50 and p99 of single calls in every round."""
    for call in (ours, peer):
        _calls_for(call)
    found = np.empty((rounds, 2, 2))
    with _undisturbed():
        for turn in range(rounds):
            for which, call in enumerate((ours, peer)):
                found[turn, which] = np.percentile(list(_single(call)), [50, 99])
    p50, p99 = found[:, :, 0] * 1e6, found[:, :, 1] * 1e6
    return Times(p50[:, 0], p50[:, 1]), Times(p99[:, 0], p99[:, 1])


def _single(call: Call) -> Iterator[float]:
    for k in range(SAMPLES):
        started = time.perf_counter()
        call(k)
        yield time.perf_counter() - started


def _calls_for(call: Call) -> int:
    """Return how many calls fill a round's share; the calls made to find out warm it up."""
    calls = 1
    while True:
        started = time.perf_counter()
        for k in range(calls):
            call(k)
        took_s = time.perf_counter() - started
        if took_s >= ROUND_S / 2:
            return max(1, round(calls * ROUND_S / took_s))
        calls *= 2


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Keep the collector of garbage out of the rounds: it would meet one of the two."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()

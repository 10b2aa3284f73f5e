"""Raw words to a score: as fast as it goes, then paced, to a second process."""

import multiprocessing
import time
from collections.abc import Callable, Iterator
from functools import cache
from multiprocessing.connection import Connection
from typing import Final

import numpy as np

from firedetect.bench.features import numpy_stack
from firedetect.bench.our_stack import OurStack
from firedetect.bench.rounds import Comparison, Times, spread_in_turn
from firedetect.bench.user_stack import UserStack

_RATE_HZ: Final = 64
_PACED_ROUNDS: Final = 8
_PACED_IMAGES: Final = 128
PEER: Final = f"Adafruit + {numpy_stack()} + XGBClassifier"


def end_to_end_p50() -> Iterator[Comparison]:
    """Compare the median time of an image: two sub-pages of raw words to a score."""
    agrees, p50, _ = _spread()
    yield p50.comparison("end_to_end_p50", PEER, agrees)


def end_to_end_p99() -> Iterator[Comparison]:
    """Compare the time that one image in a hundred exceeds, of the same run."""
    agrees, _, p99 = _spread()
    yield p99.comparison("end_to_end_p99", PEER, agrees)


@cache
def _spread() -> tuple[str, Times, Times]:
    ours, peer = OurStack(), UserStack()
    return _agreement(ours.image, peer.image), *spread_in_turn(ours.image, peer.image)


def paced_64hz_p99() -> Iterator[Comparison]:
    """Compare p99 from the last byte of an image to a second process, at 64 images a second."""
    ours, peer = OurStack(), UserStack()
    agrees = _agreement(ours.image, peer.image)
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    receiver = context.Process(target=_receive, args=(there,), daemon=True)
    receiver.start()
    try:
        found = np.array(
            [
                [_round(stack, here) for stack in (ours.image, peer.image)]
                for _ in range(_PACED_ROUNDS)
            ]
        )
    finally:
        here.send(None)
        receiver.join()
    times = Times(found[:, 0] * 1e6, found[:, 1] * 1e6)
    yield times.comparison("paced_64hz_p99", PEER, agrees)


def _round(stack: Callable[[int], float], pipe: Connection) -> float:
    """Return p99 (s) of one round: from the image's time to its arrival on the other side."""
    due = time.perf_counter()
    for k in range(_PACED_IMAGES):
        due += 1.0 / _RATE_HZ
        _sleep_until(due)
        started = time.perf_counter()
        pipe.send((started, stack(k)))
    pipe.send(())
    taken: list[float] = pipe.recv()
    return float(np.percentile(taken, 99))


def _receive(pipe: Connection) -> None:
    """Stamp what arrives, and answer the times of a round at its end; runs in its own process."""
    taken: list[float] = []
    while (message := pipe.recv()) is not None:
        if message:
            taken.append(time.perf_counter() - message[0])
        else:
            pipe.send(taken)
            taken = []


def _sleep_until(due: float) -> None:
    left = due - time.perf_counter()
    if left > 0:
        time.sleep(left)  # noqa: TID251 - the pace is the machine's own time


def _agreement(ours: Callable[[int], float], peer: Callable[[int], float]) -> str:
    """Return how far the scores differ; the flow is another one, so they do."""
    apart = [abs(ours(k) - peer(k)) for k in range(240)]
    return f"scores {np.median(apart):.3f} apart (median), {max(apart):.2f} at most: other flow"

"""A trace: all that the decision was given in one run, so that it can be judged again exactly."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from firedetect.contract.level import LATCHING_FROM, Level
from firedetect.contract.settings import DecisionSettings, HardLimits
from firedetect.decision.hard_rules import HardInputs
from firedetect.decision.judge import NS_PER_S, Judge
from firedetect.errors import TrialError
from firedetect.features.kernels import largest_region
from firedetect.features.vector import (
    CLIP_C,
    COLS,
    INVALID_ABOVE_C,
    ROWS,
)
from firedetect.readings import ThermalImage

LOWEST_LIMIT_C: Final = 80.0
"""The lowest limit for a pixel that `HardLimits` allow; colder pixels decide nothing."""

VALUES: Final = (
    "air_c",
    "air_rise_c",
    "air_rate_c_per_min",
    "co_ppm",
    "co2_ppm",
    "spot_rise_c",
)
"""Columns of `Trace.hard_values`: what a trace keeps of HardInputs as it was."""


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """One run of h events for the hard rules, n rows for the model and p hot pixels.

    Attributes
    ----------
    name, fire
        What was played, and whether it is a fire; anything else must stay below `alert`.
    hard_t_ns, hard_values, hard_image
        int64 (h,), float64 (h, 6), bool (h,): times, VALUES, whether an image came with it.
    pixel_event, pixel_at, pixel_c
        int32, int16, float32 (p,): event of each hot pixel in order, its place in the 24x32
        image, its temperature.
    row_t_ns, row_after, rows
        int64 (n,), int32 (n,), float32 (n, 27): times, how many hard events came before, columns.

    """

    name: str
    fire: bool
    hard_t_ns: NDArray[np.int64]
    hard_values: NDArray[np.float64]
    hard_image: NDArray[np.bool_]
    pixel_event: NDArray[np.int32]
    pixel_at: NDArray[np.int16]
    pixel_c: NDArray[np.float32]
    row_t_ns: NDArray[np.int64]
    row_after: NDArray[np.int32]
    rows: NDArray[np.float32]


class TraceRecorder:
    """An observer of the pipeline that keeps a trace; for images of 24x32 pixels only."""

    def __init__(self) -> None:
        self._t_ns: list[int] = []
        self._values: list[tuple[float, ...]] = []
        self._image: list[bool] = []
        self._pixels: list[tuple[NDArray[np.int64], NDArray[np.float32]]] = []
        self._row_t_ns: list[int] = []
        self._row_after: list[int] = []
        self._rows: list[NDArray[np.float32]] = []

    def hard(self, inputs: HardInputs, image: ThermalImage | None) -> None:
        """Keep what the hard rules judge."""
        self._t_ns.append(inputs.t_ns)
        self._values.append(tuple(getattr(inputs, name) for name in VALUES))
        self._image.append(image is not None)
        self._pixels.append(_hot_pixels(image))

    def row(self, t_ns: int, row: NDArray[np.float64]) -> None:
        """Keep what the model scores."""
        self._row_t_ns.append(t_ns)
        self._row_after.append(len(self._t_ns))
        self._rows.append(row.astype(np.float32))

    def trace(self, name: str, *, fire: bool) -> Trace:
        """Return what was recorded; raises TrialError when nothing was."""
        if not self._t_ns or not self._rows:
            raise TrialError(f"{name}: nothing was recorded")
        counts = [len(places) for places, _ in self._pixels]
        return Trace(
            name,
            fire,
            hard_t_ns=np.array(self._t_ns, np.int64),
            hard_values=np.array(self._values, np.float64),
            hard_image=np.array(self._image, np.bool_),
            pixel_event=np.repeat(np.arange(len(counts), dtype=np.int32), counts),
            pixel_at=np.concatenate([at for at, _ in self._pixels]).astype(np.int16),
            pixel_c=np.concatenate([temp_c for _, temp_c in self._pixels]),
            row_t_ns=np.array(self._row_t_ns, np.int64),
            row_after=np.array(self._row_after, np.int32),
            rows=np.stack(self._rows),
        )


def _hot_pixels(image: ThermalImage | None) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    if image is None:
        return np.zeros(0, np.int64), np.zeros(0, np.float32)
    if image.temp_c.shape != (ROWS, COLS):
        raise TrialError(f"a trace keeps images of {ROWS}x{COLS} pixels, not {image.temp_c.shape}")
    temp_c = image.temp_c.reshape(-1)
    # As the features see them: absurd values are invalid, hotter ones than the range clipped.
    places = np.flatnonzero((temp_c >= LOWEST_LIMIT_C) & (temp_c <= INVALID_ABOVE_C))
    return places, np.minimum(temp_c[places], np.float32(CLIP_C))


def hard_inputs(trace: Trace, limits: HardLimits) -> list[HardInputs]:
    """Return the events of a trace as the hard rules see them under other limits."""
    regions = _regions(trace, limits.pixel_alert_c)
    shares = _counts(trace, limits.pixel_emergency_c) / float(ROWS * COLS)
    clipped = _counts(trace, CLIP_C)
    found = []
    for k, (t_ns, values, image) in enumerate(
        zip(
            trace.hard_t_ns.tolist(),
            trace.hard_values.tolist(),
            trace.hard_image.tolist(),
            strict=True,
        )
    ):
        air_c, rise_c, rate, co_ppm, co2_ppm, spot_c = values
        region_px, clipped_px = (regions.get(k, 0), int(clipped[k])) if image else (None, None)
        share = float(shares[k]) if image else math.nan
        found.append(
            HardInputs(
                t_ns,
                air_c,
                rise_c,
                rate,
                region_px,
                share,
                clipped_px,
                co_ppm,
                co2_ppm,
                spot_c,
                # The library's rooms have no mask.
                share_anywhere=share,
            )
        )
    return found


def _counts(trace: Trace, limit_c: float) -> NDArray[np.int64]:
    """Return how many pixels of each event reach the limit, int64 of shape (h,)."""
    reached = trace.pixel_event[trace.pixel_c >= limit_c]
    return np.bincount(reached, minlength=len(trace.hard_t_ns))


def _regions(trace: Trace, limit_c: float) -> dict[int, int]:
    """Return the largest 8-connected region at the limit, by event with any such pixel."""
    if not len(trace.pixel_event):
        return {}
    stack = np.zeros(ROWS * COLS, np.int64)
    seen = np.zeros((ROWS, COLS), np.uint8)
    image = np.full((ROWS, COLS), np.nan)
    flat = image.reshape(-1)
    found = {}
    events, first = np.unique(trace.pixel_event, return_index=True)
    for event, places, temp_c in zip(
        events.tolist(),
        np.split(trace.pixel_at, first[1:]),
        np.split(trace.pixel_c, first[1:]),
        strict=True,
    ):
        flat[:] = math.nan
        flat[places] = temp_c
        _, found[event] = largest_region(image, limit_c, stack, seen)
    return found


def alert_s(
    trace: Trace,
    settings: DecisionSettings,
    inputs: list[HardInputs],
    scores: NDArray[np.float64],
) -> float | None:
    """Return when `alert` or more is first declared (s since the trace began), None if never.

    `inputs` are those of `hard_inputs` for the hard limits of `settings`, `scores` of shape (n,).
    """
    judge = Judge(settings)
    for t_ns in _steps(trace, judge, inputs, scores, settings.thresholds.informational):
        if judge.current >= LATCHING_FROM:
            return (t_ns - inputs[0].t_ns) / NS_PER_S
    return None


def _steps(
    trace: Trace,
    judge: Judge,
    inputs: list[HardInputs],
    scores: NDArray[np.float64],
    lowest: float,
) -> Iterator[int]:
    """Give the judge what may matter to it in the order of the run; yields the time after each."""
    done = 0
    told = zip(
        trace.row_t_ns.tolist(), trace.row_after.tolist(), scores.tolist(), trace.rows, strict=True
    )
    for t_ns, after, score, row in told:
        for event in inputs[done:after]:
            judge.hard(event)
            yield event.t_ns
        done = after
        judge.see(t_ns, row)
        # Below every threshold, while nothing is held, a score changes nothing: most are skipped.
        if score < lowest and judge.current is Level.NORMAL:
            continue
        judge.score(t_ns, score)
        yield t_ns
    for event in inputs[done:]:
        judge.hard(event)
        yield event.t_ns

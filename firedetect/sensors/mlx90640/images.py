"""Sub-pages of the MLX90640 folded into complete images, with everything untrustworthy refused."""

from collections import deque

import numpy as np
from numpy.typing import NDArray

from firedetect.errors import CalibrationError
from firedetect.readings import (
    SUBPAGE_WORDS,
    FaultKind,
    FrameRejected,
    Sensor,
    SensorFault,
    SensorOpened,
    SubPage,
    SystemTrouble,
    ThermalImage,
)
from firedetect.sensors.mlx90640 import compute, lasting, plausible
from firedetect.sensors.mlx90640.calibration import COLUMNS, ROWS
from firedetect.sensors.mlx90640.setup import TROUBLE, ChosenTerms, Setup

PAIR_MAX_S = 0.5
PAIR_MAX_PERIODS = 1.5
"""Two sub-pages make an image when they are at most so far apart (the larger of the two)."""
FAULT_EVERY_NS = 1_000_000_000
"""A fault that lasts is told again this often."""
SPIKE_K = 40.0
"""A pixel this far beyond all its neighbours, new in this image, is taken for a flipped bit.

It keeps what passes in a normal room below the lowest pixel limit that can be set (80 °C).
"""
SPIKE_WARM_K = 15.0
"""A flame that grows shows this much in the image before; noise never does."""
SPIKE_MEMORY_NS = 2_000_000_000
"""After one such pixel the next ones within this time are believed: flipped bits are rare."""

AUXILIARY_MEMORY_NS = 3_000_000_000
TA_STEP_C = 3.0
VDD_STEP_V = 0.15
GAIN_STEP = 0.02
CP_STEP_COUNTS = 100.0
"""A flipped bit in an auxiliary word would move the whole image: between two sub-pages the sensor's
own temperature, supply, gain and compensation change by less than these."""

_S = 1e-9
_FIRST_RATE_HZ = 0.5


class ImageAssembler:
    """Folds the events of one thermal array; see `feed`."""

    def __init__(self) -> None:
        self._setup: Setup | None = None
        self._chosen = ChosenTerms()
        self._broken = "no calibration was read"
        self._trouble = ""
        self._stillness = lasting.Stillness()
        self._run = lasting.Run()
        self._flips = lasting.Flips()
        self._half_frozen = lasting.Beside(lasting.FROZEN_TROUBLE, lasting.FROZEN_S)
        self._flipped = lasting.Beside(lasting.FLIPPED_TROUBLE, lasting.FLIPPED_END_S)
        self._news: deque[SystemTrouble] = deque()
        self._pending: SubPage | None = None
        self._auxiliary: dict[int, tuple[int, plausible.Auxiliary]] = {}
        self._half = _no_image()
        self._before = _no_image()
        self._spike_t_ns: int | None = None
        self._told: dict[FaultKind, int] = {}

    def feed(
        self, event: SensorOpened | SubPage
    ) -> ThermalImage | FrameRejected | SensorFault | SystemTrouble | None:
        """Take one event; return the image it completes, or what is wrong with it.

        Each sub-page is used once; an image carries the time of its second one. A sub-page of a
        chip too hot for its pixels is an image by itself, all NaN, with the air temperature. The
        commissioned EEPROM, else the first good one, is used for good: another one is a trouble
        beside the images. So are pixels of one sub-page that are frozen while the other lives, and
        bits that flip: such a trouble is told with the next sub-page that completes no image.
        """
        if isinstance(event, SensorOpened):
            return self._open(event)
        told = self._take(event)
        return self._news.popleft() if told is None and self._news else told

    def _take(self, event: SubPage) -> ThermalImage | FrameRejected | SensorFault | None:
        if self._setup is None:
            return self._fault(event.t_ns, FaultKind.CALIBRATION, self._broken)
        if event.words.shape != (SUBPAGE_WORDS,):
            return self._reject(event, f"{event.words.size} words, expected {SUBPAGE_WORDS}")
        page = int(event.words[compute.SUBPAGE_WORD]) & 1
        period_s = _period_s(event.words)
        self._stillness.seen(event.t_ns, page, event.words)
        half = self._stillness.half(event.t_ns)
        self._tell(self._half_frozen.fold(event.t_ns, seen=half is not None))
        fault = self._lasting(event, page, period_s, half)
        if fault is not None or half == page:
            self._pending = None
            return None if fault is None else self._fault(event.t_ns, *fault)
        reason = plausible.problem(event.words, self._setup.terms)
        reason = reason or self._step(event, self._setup.terms, page)
        if reason is not None:
            return self._reject(event, reason)
        if half is not None:
            return self._fold_half(event, self._setup, page)
        return self._fold(event, self._setup, page, period_s)

    def _open(self, event: SensorOpened) -> SensorFault | SystemTrouble | None:
        # What is known about stillness stays: opening a frozen sensor again does not thaw it.
        self._pending = None
        self._auxiliary.clear()
        self._run = lasting.Run()
        self._told.pop(FaultKind.CALIBRATION, None)
        try:
            self._setup, trouble = self._chosen.setup(event)
        except CalibrationError as error:
            self._broken = str(error)
            return self._fault(event.t_ns, FaultKind.CALIBRATION, self._broken)
        before, self._trouble = self._trouble, trouble
        if trouble or before:
            return SystemTrouble(event.t_ns, TROUBLE, active=bool(trouble), detail=trouble)
        return None

    def _lasting(
        self, event: SubPage, page: int, period_s: float, half: int | None
    ) -> tuple[FaultKind, str] | None:
        """Return the fault that the last sub-pages show together."""
        stuck = self._run.stuck(event.t_ns, page, period_s)
        if half is None and self._stillness.whole(page):
            return FaultKind.FROZEN, "the raw words do not change any more"
        if stuck:
            return FaultKind.STUCK_SUBPAGE, f"only sub-page {page} is measured"
        return None

    def _fold(
        self, event: SubPage, setup: Setup, page: int, period_s: float
    ) -> ThermalImage | SensorFault | None:
        # The ambient temperature of this very sub-page belongs to its pixels.
        ta_c = self._auxiliary[page][1].ta_c
        air_c = ta_c - setup.ta_shift_c
        if ta_c > plausible.TA_PIXELS_MAX_C:
            self._pending = None
            return ThermalImage(event.t_ns, _no_image(), air_c)
        first = self._pending
        if first is None or not _is_pair(first, event, page, period_s):
            first = None
            self._half = _no_image()
        compute.celsius(event.words, setup.terms, setup.emissivity, air_c, self._half)
        if first is None:
            self._pending = event
            return None
        self._pending = None
        measured, self._half = self._half, _no_image()
        return self._complete(event.t_ns, setup, measured, air_c)

    def _fold_half(self, event: SubPage, setup: Setup, page: int) -> ThermalImage:
        """Make an image of one sub-page: the pixels of the other one are frozen."""
        self._pending = None
        ta_c = self._auxiliary[page][1].ta_c
        air_c = ta_c - setup.ta_shift_c
        measured = _no_image()
        if ta_c <= plausible.TA_PIXELS_MAX_C:
            compute.celsius(event.words, setup.terms, setup.emissivity, air_c, measured)
            measured.reshape(-1)[[pixel for pixel, _ in setup.repairs]] = np.nan
            lasting.fill(measured)
        return self._complete(event.t_ns, setup, measured, air_c)

    def _complete(
        self, t_ns: int, setup: Setup, measured: NDArray[np.float32], air_c: float
    ) -> ThermalImage:
        # What is clipped stays clipped: it is evidence of fire, whatever the offset.
        np.add(measured, setup.offset_c, out=measured, where=measured < compute.LIMIT_C)
        _repair(measured, setup.repairs)
        shown = self._without_spike(t_ns, measured)
        flipped = self._flips.seen(t_ns, measured, self._before)
        self._tell(self._flipped.fold(t_ns, seen=flipped))
        self._before = measured
        return ThermalImage(t_ns, shown, air_c)

    def _tell(self, trouble: SystemTrouble | None) -> None:
        if trouble is not None:
            self._news.append(trouble)

    def _without_spike(self, t_ns: int, measured: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the image with a lone new pixel as NaN; `measured` itself is left as it is."""
        place = compute.isolated_change(measured, self._before, SPIKE_K, SPIKE_WARM_K)
        if place < 0:
            return measured
        recent = self._spike_t_ns is not None and t_ns - self._spike_t_ns <= SPIKE_MEMORY_NS
        self._spike_t_ns = t_ns
        if recent:
            return measured
        shown = measured.copy()
        shown[divmod(place, shown.shape[1])] = np.nan
        return shown

    def _step(self, event: SubPage, terms: compute.Terms, page: int) -> str | None:
        """Say which auxiliary value jumped; one that stays at its new place is believed then."""
        new = plausible.auxiliary(event.words, terms)
        held = self._auxiliary.get(page)
        self._auxiliary[page] = (event.t_ns, new)
        if held is None or event.t_ns - held[0] > AUXILIARY_MEMORY_NS:
            return None
        old = held[1]
        for name, now, then, limit in (
            ("Ta", new.ta_c, old.ta_c, TA_STEP_C),
            ("Vdd", new.vdd_v, old.vdd_v, VDD_STEP_V),
            ("gain", new.gain_ratio, old.gain_ratio, GAIN_STEP),
            ("compensation", new.cp_counts, old.cp_counts, CP_STEP_COUNTS),
        ):
            if abs(now - then) > limit:
                return f"{name} jumped from {then:.2f} to {now:.2f}"
        return None

    def _reject(self, event: SubPage, reason: str) -> FrameRejected:
        self._pending = None
        return FrameRejected(event.t_ns, Sensor.THERMAL, FaultKind.IMPLAUSIBLE, reason)

    def _fault(self, t_ns: int, kind: FaultKind, detail: str) -> SensorFault | None:
        told = self._told.get(kind)
        if told is not None and t_ns - told < FAULT_EVERY_NS:
            return None
        self._told[kind] = t_ns
        return SensorFault(t_ns, Sensor.THERMAL, kind, detail)


def _is_pair(first: SubPage, second: SubPage, page: int, period_s: float) -> bool:
    other = int(first.words[compute.SUBPAGE_WORD]) & 1
    apart_s = (second.t_ns - first.t_ns) * _S
    return other != page and apart_s <= max(PAIR_MAX_S, PAIR_MAX_PERIODS * period_s)


def _period_s(words: NDArray[np.uint16]) -> float:
    """Return the time between two sub-pages that the control register asks for."""
    rate = (int(words[compute.CONTROL_WORD]) >> 7) & 7
    return float(1 / (_FIRST_RATE_HZ * 2**rate))


def _no_image() -> NDArray[np.float32]:
    return np.full((ROWS, COLUMNS), np.nan, dtype=np.float32)


def _repair(image: NDArray[np.float32], repairs: tuple[tuple[int, NDArray[np.int64]], ...]) -> None:
    """Give each bad pixel the median of its valid neighbours, NaN if it has none."""
    flat = image.reshape(-1)
    for pixel, neighbours in repairs:
        values = flat[neighbours]
        values = values[~np.isnan(values)]
        flat[pixel] = np.median(values) if values.size else np.nan

"""The hard rules H1 to H6: judged at every event, before and without the model.

They see validated physical values only. Settings can make them more sensitive; the defaults of
`HardLimits` are the floors.
"""

import math
from collections import deque
from dataclasses import dataclass, field

from firedetect.contract.level import Level
from firedetect.contract.settings import HardLimits

NS_PER_S = 1_000_000_000

AIR_SAMPLES = 2
"""H1: readings in a row, so that one wrong reading is not an emergency."""
AIR_RATE_HOLD_S = 5.0
"""H2: keeps the rule behind the lower response times of EN 54-5 at 10 to 30 K/min."""
REGION_MIN_PX = 3
GROWTH = 1.3
GROWTH_WINDOW_S = 20.0
APPEARED_HOLD_S = 10.0
"""H3 and H4: the area grows by 30 % within 20 s, or appears and stays for 10 s."""
SHARE_EMERGENCY = 0.02
SHARE_HOLD_S = 3.0
SHARE_GRACE_S = 0.6
SHARE_GRACE_IMAGE_S = 1.2
"""A flame that flickers below 2 % for an image or two is still the same flame; of an array with one
image a second, one."""
SHARE_EMERGENCY_AT_ONCE = 0.06
SHARE_IMAGES = 2
"""H3: 2 % of the image for 3 s, or 6 % in two images in a row."""
CLIPPED_MIN_PX = 4
INPUT_GAP_S = 15.0
"""A condition seen before and after a longer gap was not seen to last."""
CO_HIGH_FACTOR = 3.0
CO_HOLD_S = 180.0
CO_HIGH_HOLD_S = 30.0
"""H5: 100 ppm for 3 min, or three times as much for 30 s (EN 50291 lies well below both)."""
CO2_WINDOW_S = 60.0
CO2_AIR_RISE_C = 2.0
CO2_SPOT_RISE_C = 5.0
"""H6: CO2 alone is a party; with warmer air or a warm spot it is a fire."""


@dataclass(frozen=True, slots=True)
class HardInputs:
    """What one event gives the rules; NaN or None where the event says nothing of it.

    Region and `emergency_share` leave out what an approved mask allows, `share_anywhere` does not;
    NaN there means that nothing is masked.
    """

    t_ns: int
    air_c: float = math.nan
    air_rise_c: float = math.nan
    air_rate_c_per_min: float = math.nan
    region_px: int | None = None
    emergency_share: float = math.nan
    clipped_px: int | None = None
    co_ppm: float = math.nan
    co2_ppm: float = math.nan
    spot_rise_c: float = math.nan
    share_anywhere: float = math.nan


@dataclass(frozen=True, slots=True)
class HardVerdict:
    """The level that the hard rules demand now, and which of them do."""

    level: Level = Level.NORMAL
    rules: tuple[str, ...] = ()


@dataclass(slots=True)
class _Held:
    """How long a condition has been true, without a break but for `grace_s`.

    A single event of a break may come as late as `single_s`.
    """

    grace_s: float = 0.0
    single_s: float = 0.0
    since_ns: int | None = None
    last_ns: int = 0
    last_true_ns: int = 0
    untrue: int = 0

    def holds(self, t_ns: int, *, true: bool, for_s: float) -> bool:
        broken = t_ns - self.last_ns > INPUT_GAP_S * NS_PER_S
        self.last_ns = t_ns
        if not true:
            self.untrue += 1
            grace_s = self.single_s if self.untrue == 1 else self.grace_s
            if t_ns - self.last_true_ns > grace_s * NS_PER_S:
                self.since_ns = None
            return False
        self.last_true_ns, self.untrue = t_ns, 0
        if self.since_ns is None or broken:
            self.since_ns = t_ns
        return t_ns - self.since_ns >= for_s * NS_PER_S


@dataclass(slots=True)
class _Growth:
    """Whether an area grew within the last 20 s.

    An area that was there and grew counts at once. One that appears counts when it has stayed for
    a while: a fire stays, what is carried past does not. What is hot from the first image on is
    not seen to grow: that is for the share and the score.
    """

    minimum: int
    seen: deque[tuple[int, int]] = field(default_factory=deque)
    without_ns: int | None = None
    since_ns: int | None = None
    appeared: bool = False

    def grows(self, t_ns: int, area: int) -> bool:
        while self.seen and t_ns - self.seen[0][0] > GROWTH_WINDOW_S * NS_PER_S:
            self.seen.popleft()
        if area < self.minimum:
            self.without_ns, self.since_ns = t_ns, None
            return False
        if self.since_ns is None:
            self.since_ns = t_ns
            before_ns = self.without_ns
            self.appeared = before_ns is not None and t_ns - before_ns <= INPUT_GAP_S * NS_PER_S
        smallest = min((known for _, known in self.seen), default=area)
        self.seen.append((t_ns, area))
        stayed_s = (t_ns - self.since_ns) / NS_PER_S
        stays = self.appeared and APPEARED_HOLD_S <= stayed_s <= GROWTH_WINDOW_S
        return stays or area >= smallest * GROWTH


@dataclass(slots=True)
class HardRules:
    """Folds inputs; `judge` returns the verdict after each.

    A rule keeps its last verdict until an event speaks of its inputs again: a lost sensor does not
    end an alarm.
    """

    limits: HardLimits = field(default_factory=HardLimits)
    _active: dict[str, Level] = field(default_factory=dict)
    _air_hot: int = 0
    _air_rate: _Held = field(default_factory=_Held)
    _region: _Growth = field(default_factory=lambda: _Growth(REGION_MIN_PX))
    _clipped: _Growth = field(default_factory=lambda: _Growth(CLIPPED_MIN_PX))
    _share: _Held = field(default_factory=lambda: _Held(SHARE_GRACE_S, SHARE_GRACE_IMAGE_S))
    _share_images: int = 0
    _co: _Held = field(default_factory=_Held)
    _co_high: _Held = field(default_factory=_Held)
    _co2: deque[tuple[int, float]] = field(default_factory=deque)

    def judge(self, inputs: HardInputs) -> HardVerdict:
        """Fold one event and return what the rules demand."""
        if not math.isnan(inputs.air_c):
            self._judge_air(inputs)
        if inputs.region_px is not None and inputs.clipped_px is not None:
            self._judge_pixels(inputs, inputs.region_px, inputs.clipped_px)
        if not math.isnan(inputs.co_ppm):
            self._judge_co(inputs)
        if not math.isnan(inputs.co2_ppm):
            self._judge_co2(inputs)
        return self.verdict

    @property
    def verdict(self) -> HardVerdict:
        """The verdict after the last event."""
        rules = tuple(sorted(rule for rule, level in self._active.items() if level))
        return HardVerdict(max(self._active.values(), default=Level.NORMAL), rules)

    def _judge_air(self, inputs: HardInputs) -> None:
        hot = inputs.air_c >= self.limits.air_emergency_c
        self._air_hot = self._air_hot + 1 if hot else 0
        self._active["H1"] = Level.EMERGENCY if self._air_hot >= AIR_SAMPLES else Level.NORMAL
        fast = inputs.air_rate_c_per_min >= self.limits.air_rate_c_per_min
        warm = fast and inputs.air_rise_c >= self.limits.air_rise_alert_c
        level = Level.NORMAL
        if self._air_rate.holds(inputs.t_ns, true=warm, for_s=AIR_RATE_HOLD_S):
            rise_c = inputs.air_rise_c
            emergency = rise_c >= self.limits.air_rise_emergency_c
            level = Level.EMERGENCY if emergency else Level.ALERT
        self._active["H2"] = level

    def _judge_pixels(self, inputs: HardInputs, region_px: int, clipped_px: int) -> None:
        grows = self._region.grows(inputs.t_ns, region_px)
        level = Level.ALERT if grows else Level.NORMAL
        share = inputs.emergency_share
        large = share >= SHARE_EMERGENCY
        if self._share.holds(inputs.t_ns, true=large, for_s=SHARE_HOLD_S):
            level = Level.EMERGENCY
        # No mask hides this much.
        anywhere = share if math.isnan(inputs.share_anywhere) else inputs.share_anywhere
        self._share_images = self._share_images + 1 if anywhere >= SHARE_EMERGENCY_AT_ONCE else 0
        if self._share_images >= SHARE_IMAGES:
            level = Level.EMERGENCY
        self._active["H3"] = level
        clipped = self._clipped.grows(inputs.t_ns, clipped_px)
        self._active["H4"] = Level.ALERT if clipped else Level.NORMAL

    def _judge_co(self, inputs: HardInputs) -> None:
        limit = self.limits.co_alert_ppm
        high = inputs.co_ppm >= limit * CO_HIGH_FACTOR
        long = self._co.holds(inputs.t_ns, true=inputs.co_ppm >= limit, for_s=CO_HOLD_S)
        short = self._co_high.holds(inputs.t_ns, true=high, for_s=CO_HIGH_HOLD_S)
        self._active["H5"] = Level.ALERT if long or short else Level.NORMAL

    def _judge_co2(self, inputs: HardInputs) -> None:
        while self._co2 and inputs.t_ns - self._co2[0][0] > CO2_WINDOW_S * NS_PER_S:
            self._co2.popleft()
        lowest = min((ppm for _, ppm in self._co2), default=inputs.co2_ppm)
        self._co2.append((inputs.t_ns, inputs.co2_ppm))
        rise = inputs.co2_ppm - lowest >= self.limits.co2_rise_ppm_per_min
        warm = inputs.air_rise_c >= CO2_AIR_RISE_C or inputs.spot_rise_c >= CO2_SPOT_RISE_C
        self._active["H6"] = Level.ALERT if rise and warm else Level.NORMAL

"""Failures of the array that show only in many sub-pages or images together."""

from collections import deque
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from firedetect.readings import FaultKind, Sensor, SystemTrouble
from firedetect.sensors.mlx90640 import compute, plausible

STUCK_S: Final = 1.0
STUCK_COUNT: Final = 3
"""So long and so often one sub-page number alone: the other half does not come any more."""
FROZEN_COUNT: Final = 5
FROZEN_S: Final = 3.0
"""Pixels' words bit-identical so often, or so long: a real converter is never that quiet."""
JUDGED_MIN: Final = compute.HALF // 8
"""Fewer pixels below `HOT_COUNTS` show no stillness: what is clipped is as still in a fire."""
LIVES_COUNT: Final = 2
LIVES_S: Final = 1.0
"""A half that changed so often, the last time so recently, lives while the other is frozen."""
COLD_C: Final = -40.0
STEP_K: Final = 20.0
"""Below the range of the sensor, and so far below itself just before and all its neighbours: one
pixel alone is never so cold, but half of all flipped bits make it so. Hot ones are not counted:
sparks, arcs, flames and people make them."""
FLIPPED_COUNT: Final = 4
FLIPPED_S: Final = 10.0
"""So many images with such a pixel within this time: a real array has none in minutes."""
FLIPPED_END_S: Final = 20.0
"""For so long there were fewer: it is over."""

FROZEN_TROUBLE: Final = f"{Sensor.THERMAL}:{FaultKind.FROZEN}"
FLIPPED_TROUBLE: Final = f"{Sensor.THERMAL}:{FaultKind.IMPLAUSIBLE}"
"""Told beside images: named as the faults, so that nobody has to know two names."""

_S = 1e-9
_OWN = [[compute.pixels_of(chess, page) for page in (0, 1)] for chess in (0, 1)]


@dataclass(slots=True, eq=False)
class _Half:
    """The last words of one sub-page's own pixels; how often in a row they were alike, or not."""

    t_ns: int
    words: NDArray[np.uint16]
    since_ns: int
    same: int = 0
    moved: int = 0

    @property
    def frozen(self) -> bool:
        lasting = self.same > 1 and (self.t_ns - self.since_ns) * _S >= FROZEN_S
        return lasting or self.same >= FROZEN_COUNT

    def lives(self, t_ns: int) -> bool:
        return self.moved >= LIVES_COUNT and (t_ns - self.t_ns) * _S <= LIVES_S


class Stillness:
    """Notices pixels whose words do not change any more, in each sub-page by itself."""

    def __init__(self) -> None:
        self._halves: dict[int, _Half] = {}

    def seen(self, t_ns: int, page: int, words: NDArray[np.uint16]) -> None:
        """Fold one sub-page of 834 words."""
        chess = int(bool(int(words[compute.CONTROL_WORD]) & compute.CHESS_BIT))
        own = words[_OWN[chess][page]]
        half = self._halves.get(page)
        if half is None:
            self._halves[page] = _Half(t_ns, own, t_ns)
            return
        judged = int(np.count_nonzero(own.view(np.int16) < plausible.HOT_COUNTS)) >= JUDGED_MIN
        if judged and np.array_equal(half.words, own):
            half.same, half.moved = half.same + 1, 0
        else:
            half.same, half.moved, half.since_ns = 0, half.moved + 1, t_ns
        half.t_ns, half.words = t_ns, own

    def half(self, t_ns: int) -> int | None:
        """Return the sub-page that is frozen while the other one lives."""
        for page, half in self._halves.items():
            other = self._halves.get(1 - page)
            if half.frozen and other is not None and other.lives(t_ns):
                return page
        return None

    def whole(self, page: int) -> bool:
        """Whether this sub-page is frozen, or both are; to be asked where no half lives."""
        half, other = self._halves[page], self._halves.get(1 - page)
        both = other is not None and min(half.same, other.same) > 1
        together = half.same + (other.same if other is not None else 0)
        return half.frozen or (both and together >= FROZEN_COUNT)


class Run:
    """Notices that one sub-page number comes alone."""

    def __init__(self) -> None:
        self._page = -1
        self._count = 0
        self._since_ns = 0
        self._last_ns = 0

    def stuck(self, t_ns: int, page: int, period_s: float) -> bool:
        """Return whether the other number has been missing for too long."""
        gap_s = (t_ns - self._last_ns) * _S
        self._last_ns = t_ns
        if page != self._page or gap_s > max(STUCK_S, STUCK_COUNT * period_s):
            self._page, self._count, self._since_ns = page, 0, t_ns
        self._count += 1
        lasting_s = (t_ns - self._since_ns) * _S
        return self._count >= STUCK_COUNT and lasting_s >= STUCK_S


class Flips:
    """Notices bits that flip again and again, by pixels that are colder than anything."""

    def __init__(self) -> None:
        self._seen_ns: deque[int] = deque(maxlen=FLIPPED_COUNT)

    def seen(self, t_ns: int, image: NDArray[np.float32], before: NDArray[np.float32]) -> bool:
        """Fold an image and the one before it (°C, NaN below all); whether there are too many."""
        # A comparison with NaN is false: what is too cold for a number is not warm.
        warm = image >= COLD_C + STEP_K
        new = ~(image >= COLD_C) & (before >= COLD_C + STEP_K)
        if new.any() and any(_is_alone(warm, *place) for place in np.argwhere(new).tolist()):
            self._seen_ns.append(t_ns)
        recent = [seen for seen in self._seen_ns if (t_ns - seen) * _S <= FLIPPED_S]
        return len(recent) >= FLIPPED_COUNT


class Beside:
    """A trouble beside images; it ends `end_s` after it was seen for the last time."""

    def __init__(self, name: str, end_s: float) -> None:
        self._name = name
        self._end_s = end_s
        self._last_ns: int | None = None

    def fold(self, t_ns: int, *, seen: bool) -> SystemTrouble | None:
        """Return the trouble when it begins or ends."""
        if seen:
            begins, self._last_ns = self._last_ns is None, t_ns
            return SystemTrouble(t_ns, self._name, active=True) if begins else None
        if self._last_ns is None or (t_ns - self._last_ns) * _S < self._end_s:
            return None
        self._last_ns = None
        return SystemTrouble(t_ns, self._name, active=False)


def fill(image: NDArray[np.float32]) -> None:
    """Give each pixel without a value the second hottest of the four beside it, else the only one.

    So an area that is hot stays one without half of its pixels, and one hot pixel stays one.
    """
    around = np.full((image.shape[0] + 2, image.shape[1] + 2), -np.inf, dtype=np.float32)
    around[1:-1, 1:-1] = np.where(np.isnan(image), -np.inf, image)
    beside = np.sort([around[:-2, 1:-1], around[2:, 1:-1], around[1:-1, :-2], around[1:-1, 2:]], 0)
    found = np.where(np.isinf(beside[-2]), beside[-1], beside[-2])
    found[np.isinf(found)] = np.nan
    np.copyto(image, found, where=np.isnan(image))


def _is_alone(warm: NDArray[np.bool_], row: int, column: int) -> bool:
    """Whether all pixels around one that is not warm are."""
    around = warm[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2]
    return int(np.count_nonzero(around)) == around.size - 1

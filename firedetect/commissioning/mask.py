"""Learns where it may be hot, and proposes a mask for a person to look at."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from string import ascii_uppercase
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from firedetect.clock import CLOCK_SET_S, NS_PER_S
from firedetect.config import MASK_MAX_SHARE, HotMask
from firedetect.features.vector import CLIP_C, COLS, ROWS

HOT_C: Final = 60.0
"""Colder places need no mask: no hard rule knows them, and people are colder."""
HOT_DAYS: Final = 2
"""Hot on fewer days is an event, no habit."""
WATCHED_DAYS: Final = 7
MARGIN_C: Final = 20.0
"""A place may be so much hotter than it was ever seen."""
GROWTH_SHARE: Final = 0.02
"""A mask that is renewed may grow by so much of the image."""
LIMIT_MAX_C: Final = 400.0
_DAY_NS: Final = 86_400 * NS_PER_S
_FREE: Final = "."


@dataclass(frozen=True, slots=True)
class Place:
    """One connected hot place: how many pixels, on how many days, how hot at most (°C)."""

    pixels: int
    days: int
    hottest_c: float

    @property
    def limit_c(self) -> float:
        """Up to which temperature it is legal."""
        return min(LIMIT_MAX_C, math.ceil(self.hottest_c + MARGIN_C))


@dataclass(frozen=True, slots=True)
class MaskProposal:
    """A picture of the places, 24 rows of 32 signs, and what is known of each by its letter."""

    rows: tuple[str, ...]
    places: Mapping[str, Place]

    @property
    def share(self) -> float:
        """How much of the image it hides."""
        return sum(place.pixels for place in self.places.values()) / (ROWS * COLS)

    @property
    def limits_c(self) -> dict[str, float]:
        """The limits (°C) by letter, as a mask file has them."""
        return {name: place.limit_c for name, place in self.places.items()}


class HotPlaces:
    """What has been hot, pixel by pixel, over days; fed by the running detector."""

    def __init__(self) -> None:
        self.watched_days = 0
        self._watched = -1
        self._hottest_c = np.full((ROWS, COLS), np.nan, np.float32)
        self._days = np.zeros((ROWS, COLS), np.int32)
        self._last_day = np.full((ROWS, COLS), -1, np.int32)
        self._before: NDArray[np.float32] | None = None

    def image(self, temp_c: NDArray[np.float32], wall_ns: int) -> None:
        """Take an image in °C of shape (24, 32); others, and times of an unset clock, are none.

        Hot counts what is so in two images in a row: noise is not.
        """
        if temp_c.shape != (ROWS, COLS) or wall_ns < CLOCK_SET_S * NS_PER_S:
            return
        day = wall_ns // _DAY_NS
        if day != self._watched:
            self._watched = day
            self.watched_days += 1
        before, self._before = self._before, temp_c
        if before is None:
            return
        lasting = np.minimum(temp_c, before)
        hot = lasting >= HOT_C
        if not hot.any():
            return
        self._days[hot & (self._last_day != day)] += 1
        self._last_day[hot] = day
        self._hottest_c[hot] = np.fmax(self._hottest_c[hot], np.minimum(lasting[hot], CLIP_C))

    def as_record(self) -> dict[str, Any]:
        """Return what is known as JSON values."""
        places = np.flatnonzero(self._days)
        return {
            "watched_days": self.watched_days,
            "watched": int(self._watched),
            "pixels": [
                [
                    int(place),
                    int(self._days.flat[place]),
                    int(self._last_day.flat[place]),
                    round(float(self._hottest_c.flat[place]), 1),
                ]
                for place in places
            ],
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> "HotPlaces":
        """Return what `as_record` told; raises KeyError, TypeError, ValueError or IndexError."""
        known = cls()
        known.watched_days = int(record["watched_days"])
        known._watched = int(record["watched"])
        for place, days, last_day, hottest_c in record["pixels"]:
            known._days.flat[place] = days
            known._last_day.flat[place] = last_day
            known._hottest_c.flat[place] = hottest_c
        return known

    def proposal(self, present: HotMask | None = None) -> MaskProposal | str:
        """Return a mask, or why there is none; `present` is the one that it would replace."""
        if self.watched_days < WATCHED_DAYS:
            return (
                f"hot places were watched on {self.watched_days} of {WATCHED_DAYS} days: let the "
                "detector run on"
            )
        hot = self._days >= HOT_DAYS
        if not hot.any():
            return f"nothing was {HOT_C:.0f} °C on {HOT_DAYS} days or more: no mask is needed"
        share = float(hot.mean())
        if share > MASK_MAX_SHARE:
            return (
                f"{share:.0%} of the image is hot, a mask hides {MASK_MAX_SHARE:.0%} at most: "
                "hang the detector where it looks elsewhere"
            )
        if present is not None:
            added = int(np.count_nonzero(hot & ~_masked(present)))
            if added > GROWTH_SHARE * ROWS * COLS:
                return (
                    f"{added} pixels more than the present mask, {GROWTH_SHARE:.0%} of the image "
                    "at most: find out what is new, remove the mask file to begin anew"
                )
        return self._drawn(hot)

    def _drawn(self, hot: NDArray[np.bool_]) -> MaskProposal:
        signs = np.full((ROWS, COLS), _FREE, dtype="<U1")
        places = {}
        # A letter each; beyond the alphabet the last one takes the rest.
        for number, pixels in enumerate(_regions(hot)):
            letter = ascii_uppercase[min(number, len(ascii_uppercase) - 1)]
            for row, column in pixels:
                signs[row, column] = letter
        for letter in np.unique(signs[hot]).tolist():
            here = signs == letter
            places[letter] = Place(
                int(np.count_nonzero(here)),
                int(self._days[here].max()),
                round(float(self._hottest_c[here].max()), 1),
            )
        return MaskProposal(tuple("".join(row) for row in signs.tolist()), places)


def limits_of(mask: HotMask) -> NDArray[np.float32]:
    """Return the limit of every pixel (°C), NaN where nothing is masked; shape (24, 32)."""
    limits = [[mask.limits_c.get(sign, math.nan) for sign in row] for row in mask.rows]
    return np.array(limits, np.float32)


def _masked(mask: HotMask) -> NDArray[np.bool_]:
    return ~np.isnan(limits_of(mask))


def _regions(hot: NDArray[np.bool_]) -> list[list[tuple[int, int]]]:
    """Return the 8-connected regions, the largest first."""
    left = {(int(row), int(column)) for row, column in np.argwhere(hot)}
    regions = []
    while left:
        region, edge = [], [left.pop()]
        while edge:
            row, column = edge.pop()
            region.append((row, column))
            around = {
                (row + down, column + right) for down in (-1, 0, 1) for right in (-1, 0, 1)
            } & left
            left -= around
            edge.extend(around)
        regions.append(region)
    return sorted(regions, key=lambda region: (-len(region), min(region)))

"""What each column adds to the margin of one row: path-dependent TreeSHAP, as xgboost defines it.

Where a column is taken as unknown, the training data's shares of both ways stand for it. What one
leaf gives to a set of known columns is then a product over the columns on its path: `one` (1 if the
row goes that way, else 0) for a known column, the share `z` for an unknown one. The Shapley value
of a column in such a product is the integral over t from 0 to 1 of (one - z) times the product over
the other columns of t * one + (1 - t) * z (Owen 1972, multilinear extensions of games): a
polynomial in t, for which Gauss-Legendre quadrature with half as many points as columns is exact.
Nothing is divided and no factor is negative, so long paths lose no digits.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from firedetect.features.jit import kernel
from firedetect.model.forest import COLUMN, LEAF, MISSING_RIGHT, Forest

MAX_WORK: Final = 1 << 23
"""Multiplications, roughly, that an explanation may take; 300 trees of depth 8 need 7.4 million."""
COVER_TOLERANCE: Final = 0.01
"""The covers of two children add up to their parent's but for rounding."""


@kernel
def _leaf(
    value: float,
    level: int,
    path: NDArray[np.float64],
    scratch: NDArray[np.float64],
    points: NDArray[np.float64],
    weights: NDArray[np.float64],
    out: NDArray[np.float64],
) -> None:
    """Add the part of a leaf; `path` (3, depth): column, share, 1.0 if the row goes that way."""
    # A column that is split several times on the path is one factor.
    found, factors, before = scratch[:3], scratch[3], scratch[4]
    count = 0
    for step in range(level):
        k = 0
        while k < count and found[0, k] != path[0, step]:
            k += 1
        if k == count:
            found[0, k], found[1, k], found[2, k] = path[0, step], 1.0, 1.0
            count += 1
        found[1, k] *= path[1, step]
        found[2, k] *= path[2, step]
    expected = value
    for k in range(count):
        expected *= found[1, k]
    out[-1] += expected
    for q in range(points.shape[0]):
        product = value * weights[q]
        for k in range(count):
            factors[k] = points[q] * found[2, k] + (1.0 - points[q]) * found[1, k]
            before[k] = product
            product *= factors[k]
        after = 1.0
        for k in range(count - 1, -1, -1):
            out[int(found[0, k])] += (found[2, k] - found[1, k]) * before[k] * after
            after *= factors[k]


@kernel
def _contributions(
    packed: NDArray[np.uint32],
    shares: NDArray[np.float64],
    points: NDArray[np.float64],
    weights: NDArray[np.float64],
    row: NDArray[np.float32],
    out: NDArray[np.float64],
) -> None:
    """Visit every leaf, depth first: the path above a node stays as long as its subtree takes."""
    values = packed.view(np.float32)
    trees, depth = int(packed[0, 0] & 0xFFFFFF), int(packed[0, 0] >> 24)
    out[:] = 0.0
    out[-1] = values[0, 1]
    path, scratch = np.empty((3, depth)), np.empty((5, depth))
    # Of each node that waits: its line, its level, the column above it, whether the row goes there.
    waiting = np.empty((4, depth + 2), np.int64)
    for tree in range(trees):
        waiting[0, 0], waiting[1, 0] = tree + 1, 0
        size = 1
        while size > 0:
            size -= 1
            line, level = waiting[0, size], waiting[1, size]
            if level > 0:
                path[0, level - 1] = waiting[2, size]
                path[1, level - 1] = shares[line]
                path[2, level - 1] = waiting[3, size]
            link = int(packed[line, 0])
            if link & LEAF != 0:
                _leaf(float(values[line, 1]), level, path, scratch, points, weights, out)
                continue
            column = link & COLUMN
            goes_right = row[column] >= values[line, 1]
            if math.isnan(row[column]):
                goes_right = link & MISSING_RIGHT != 0
            for right in range(2):
                waiting[0, size] = (link >> 8) + right
                waiting[1, size] = level + 1
                waiting[2, size] = column
                waiting[3, size] = int(goes_right == (right == 1))
                size += 1


@dataclass(frozen=True, slots=True, eq=False)
class Explainer:
    """A forest whose covers passed the checks; `shares` of shape (1 + nodes,) are of the parent."""

    forest: Forest
    shares: NDArray[np.float64]
    points: NDArray[np.float64]
    weights: NDArray[np.float64]

    def contributions(self, row: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return what each column adds to the margin (log odds) of a row, float32 of (columns,).

        The result, float64 of shape (columns + 1,), ends with the expected margin; its sum is the
        margin of the row.
        """
        columns = len(self.forest.columns)
        if row.shape != (columns,) or row.dtype != np.float32:
            raise ValueError(f"row must be float32 of shape ({columns},)")
        out = np.empty(columns + 1)
        # One memory layout only: another would be compiled anew, in the middle of an alarm.
        packed, row = self.forest.packed, np.ascontiguousarray(row)
        _contributions(packed, self.shares, self.points, self.weights, row, out)
        return out


def explainer_of(forest: Forest, max_work: int = MAX_WORK) -> Explainer | None:
    """Return what explains a forest's margins; None if its covers or its size do not allow it."""
    depth = int(forest.packed[0, 0]) >> 24
    splits = forest.splits
    width = min(depth, len(forest.columns))
    count = max((width + 1) // 2, 1)
    leaves = len(forest.packed) - 1 - len(splits)
    if leaves * width * (count + depth) > max_work:
        return None
    shares = _shares(forest, splits)
    if shares is None:
        return None
    points, weights = np.polynomial.legendre.leggauss(count)
    return Explainer(forest, shares, (points + 1.0) / 2.0, weights / 2.0)


def _shares(forest: Forest, splits: NDArray[np.intp]) -> NDArray[np.float64] | None:
    """Return each node's part of its parent's cover, None where covers are no such parts."""
    covers = forest.covers.astype(np.float64)
    if not (np.isfinite(covers[1:]) & (covers[1:] > 0.0)).all():
        return None
    left = (forest.packed[splits, 0] >> 8).astype(np.intp)
    shares = np.ones(len(covers))
    for child in (left, left + 1):
        shares[child] = covers[child] / covers[splits]
    if not (np.abs(shares[left] + shares[left + 1] - 1.0) <= COVER_TOLERANCE).all():
        return None
    return shares

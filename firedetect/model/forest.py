"""Boosted trees as one packed array, and the kernel that sums them bit-equal to xgboost.

Layout of the packed array, uint32 of shape (1 + nodes, 2): line 0 holds number of trees and depth,
then the base margin; the roots follow in lines 1 to n; every split has its children side by side.
A node is (link, bits of a float32): link = first child << 8 | place in the row, the float is a
split's threshold or a leaf's value. A leaf links to itself.

The row is laid out so that every node asks one question, "is what stands there at least my float?":
at place i stands column i as it is, whose NaN goes left; at place 64 + i the same with +inf for
NaN, which goes right; at place 128 stands NaN, for the leaves, where every walk stays.
"""

import ctypes
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from firedetect.errors import BundleError
from firedetect.features.jit import kernel
from firedetect.model.ubjson import Value, decode

OBJECTIVES: Final = ("reg:logistic", "binary:logistic")
"""Objectives whose margin is the logit of the score; both take hazards between 0 and 1."""

MAX_DEPTH: Final = 64
MAX_NODES: Final = 1 << 20
MAX_FEATURES: Final = 64
MAX_LEAF: Final = 1e6
"""Limits of the layout and of the time that one score may take."""

COLUMN: Final = 63
MISSING_RIGHT: Final = 64
LEAF: Final = 128
"""Bits of a link: the column that is asked for, whether its NaN goes right, whether nothing is."""

_LOWEST_BASE: Final = np.float32(1e-6)

_T = TypeVar("_T")


@kernel
def _margin(packed: NDArray[np.uint32], row: NDArray[np.float32]) -> np.float32:
    """All trees go down one level at a time: no branch to mispredict, and their loads overlap."""
    values = packed.view(np.float32)
    trees = packed[0, 0] & 0xFFFFFF
    depth = packed[0, 0] >> 24
    laid_out = np.empty(LEAF + 1, np.float32)
    laid_out[LEAF] = math.nan
    for i in range(row.shape[0]):
        laid_out[i] = row[i]
        laid_out[MISSING_RIGHT + i] = math.inf if math.isnan(row[i]) else row[i]
    at = np.empty(trees, np.uint32)
    for t in range(trees):
        at[t] = t + 1
    for _ in range(depth):
        for t in range(trees):
            link = packed[at[t], 0]
            at[t] = (link >> 8) + np.uint32(laid_out[link & 0xFF] >= values[at[t], 1])
    # The sum starts at the base margin and goes in order: anything else differs in the last bits.
    total: np.float32 = values[0, 1]
    for t in range(trees):
        total += values[at[t], 1]
    return total


@kernel
def _margins(
    packed: NDArray[np.uint32], rows: NDArray[np.float32], out: NDArray[np.float32]
) -> None:
    for i in range(rows.shape[0]):
        out[i] = _margin(packed, rows[i])


@dataclass(frozen=True, slots=True, eq=False)
class Forest:
    """A checked model: every index in `packed` is in range and every path ends at a leaf.

    `covers`, float32 of shape (1 + nodes,), holds what the model says of how much training data
    reached each node. No score needs it and it is not checked; NaN where nothing usable is said.
    """

    packed: NDArray[np.uint32]
    columns: tuple[str, ...]
    covers: NDArray[np.float32]

    @property
    def trees(self) -> int:
        """Number of trees."""
        return int(self.packed[0, 0]) & 0xFFFFFF

    @property
    def splits(self) -> NDArray[np.intp]:
        """The lines of `packed` that hold splits; the others below line 0 are leaves."""
        return 1 + np.flatnonzero((self.packed[1:, 0] & LEAF) == 0)

    def margin(self, row: NDArray[np.float32]) -> float:
        """Return the margin (log odds) of one row, float32 of shape (columns,), NaN = missing."""
        if row.shape != (len(self.columns),) or row.dtype != np.float32:
            raise ValueError(f"row must be float32 of shape ({len(self.columns)},)")
        return float(_margin(self.packed, row))

    def margins(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the margins of `rows`, float32 of shape (n, columns), as float32 of shape (n,)."""
        if rows.ndim != 2 or rows.shape[1] != len(self.columns) or rows.dtype != np.float32:
            raise ValueError(f"rows must be float32 of shape (n, {len(self.columns)})")
        out = np.empty(rows.shape[0], np.float32)
        _margins(self.packed, np.ascontiguousarray(rows), out)
        return out

    def thresholds(self, column: int) -> NDArray[np.float32]:
        """Return the thresholds at which this column is split, ascending."""
        splits = self.packed[self.splits]
        chosen = (splits[:, 0] & COLUMN) == column
        return np.unique(splits.view(np.float32)[chosen, 1])


def sigmoid(margin: float) -> float:
    """Return the probability of a margin; no margin overflows."""
    if margin >= 0:
        return 1.0 / (1.0 + math.exp(-margin))
    grown = math.exp(margin)
    return grown / (1.0 + grown)


def parse_forest(data: bytes, columns: Sequence[str]) -> Forest:
    """Return the forest in an xgboost model (UBJSON) for rows of `columns`; raises BundleError."""
    learner = _member(_typed(decode(data), dict, "model"), "learner", dict)
    _check_columns(learner, columns)
    parameters = _member(learner, "learner_model_param", dict)
    if _integer(parameters, "num_class") > 1 or _integer(parameters, "num_target", 1) != 1:
        raise BundleError("the model has more than one output")
    objective = _member(_member(learner, "objective", dict), "name", str)
    if objective not in OBJECTIVES:
        raise BundleError(f"objective {objective!r}; one of {', '.join(OBJECTIVES)} expected")
    booster = _member(learner, "gradient_booster", dict)
    if (name := _member(booster, "name", str)) != "gbtree":
        raise BundleError(f"booster {name!r}; gbtree expected")
    base = base_margin(_member(parameters, "base_score", str))
    trees = _trees(_member(booster, "model", dict), len(columns))
    packed, covers = _pack(trees, base)
    return Forest(packed, tuple(columns), covers)


def base_margin(base_score: str) -> np.float32:
    """Return the logit of xgboost's stored base score, computed as xgboost computes it.

    xgboost calls the C library's `logf`, which numpy and double precision miss in the last bit for
    some values. At 0.5 the logit is 0 with every library.
    """
    try:
        score = np.float32(base_score.strip("[]"))
    except ValueError as error:
        raise BundleError(f"base_score {base_score!r} is no number") from error
    if not _LOWEST_BASE < score < np.float32(1) - _LOWEST_BASE:
        raise BundleError(f"base_score {base_score} is not between 0 and 1")
    odds = np.float32(1) / score - np.float32(1)
    return np.float32(-_c_logf()(float(odds)))


def _c_logf() -> Callable[[float], float]:
    try:
        logf = ctypes.CDLL(None).logf
    except (OSError, AttributeError):
        return math.log
    logf.restype, logf.argtypes = ctypes.c_float, [ctypes.c_float]
    return logf


@dataclass(frozen=True, slots=True, eq=False)
class _Tree:
    """The arrays of one tree as xgboost stores them, all of the same length."""

    left: NDArray[np.int64]
    right: NDArray[np.int64]
    feature: NDArray[np.int64]
    default_left: NDArray[np.int64]
    value: NDArray[np.float32]
    cover: NDArray[np.float32]


def _check_columns(learner: Mapping[str, Value], columns: Sequence[str]) -> None:
    count = _integer(_member(learner, "learner_model_param", dict), "num_feature")
    if count != len(columns) or len(columns) > MAX_FEATURES:
        raise BundleError(f"the model is for {count} columns, not for {len(columns)}")
    names = learner.get("feature_names") or list(columns)
    if names != list(columns):
        raise BundleError("the model's feature names are not the columns of this program")


def _trees(model: Mapping[str, Value], columns: int) -> list[_Tree]:
    if any(group != 0 for group in _member(model, "tree_info", list)):
        raise BundleError("the model has more than one output group")
    stored = _member(model, "trees", list)
    if not stored:
        raise BundleError("the model has no trees")
    if len(stored) != _integer(_member(model, "gbtree_model_param", dict), "num_trees"):
        raise BundleError("the number of trees is not the stated one")
    return [_tree(_typed(tree, dict, f"tree {i}"), i, columns) for i, tree in enumerate(stored)]


def _tree(tree: Mapping[str, Value], number: int, columns: int) -> _Tree:
    where = f"tree {number}"
    if _integer(_member(tree, "tree_param", dict), "size_leaf_vector", 1) > 1:
        raise BundleError(f"{where}: leaves with more than one output")
    if _numbers(tree, "categories_nodes").size or _numbers(tree, "split_type").any():
        raise BundleError(f"{where}: categorical splits")
    feature = _numbers(tree, "split_indices")
    value = _member(tree, "split_conditions", np.ndarray)
    names = ("left_children", "right_children", "default_left")
    left, right, default_left = (_numbers(tree, name) for name in names)
    sizes = {array.size for array in (left, right, feature, default_left, value)}
    if sizes != {left.size} or not 0 < left.size <= MAX_NODES or value.dtype != np.float32:
        raise BundleError(f"{where}: arrays of {sorted(sizes)} nodes do not fit together")
    leaf = left == -1
    for array, least, below in ((left, 1, left.size), (right, 1, left.size), (feature, 0, columns)):
        if not ((array[~leaf] >= least) & (array[~leaf] < below)).all():
            raise BundleError(f"{where}: a node or column index is out of range")
    if np.isnan(value).any() or not (np.abs(value[leaf]) <= MAX_LEAF).all():
        raise BundleError(f"{where}: a threshold or leaf is no usable number")
    return _Tree(left, right, feature, default_left, value, _covers(tree, left.size))


def _covers(tree: Mapping[str, Value], nodes: int) -> NDArray[np.float32]:
    """Return the covers of a tree's nodes, NaN if there are none: they only explain a score."""
    found = tree.get("sum_hessian")
    if isinstance(found, np.ndarray) and found.dtype == np.float32 and found.size == nodes:
        return found.astype(np.float32, copy=False)
    return np.full(nodes, np.nan, np.float32)


def _pack(
    trees: Sequence[_Tree], base: np.float32
) -> tuple[NDArray[np.uint32], NDArray[np.float32]]:
    """Copy what the roots reach, with its covers; a node reached twice would be a loop."""
    links, values = [0] * (len(trees) + 1), [base] * (len(trees) + 1)
    covers = [np.float32(np.nan)] * (len(trees) + 1)
    deepest = 0
    for slot, tree in enumerate(trees, start=1):
        seen = {0}
        queue = [(slot, 0, 0)]
        for line, node, depth in queue:
            deepest = max(deepest, depth)
            values[line], covers[line] = tree.value[node], tree.cover[node]
            if tree.left[node] == -1:
                links[line] = line << 8 | LEAF
                continue
            pair = (int(tree.left[node]), int(tree.right[node]))
            if pair[0] == pair[1] or not seen.isdisjoint(pair) or depth == MAX_DEPTH:
                raise BundleError(f"tree {slot - 1}: nodes form a loop or are too deep")
            seen.update(pair)
            child = len(links)
            queue += [(child, pair[0], depth + 1), (child + 1, pair[1], depth + 1)]
            links += [0, 0]
            values += [np.float32(0)] * 2
            covers += [np.float32(0)] * 2
            missing = 0 if tree.default_left[node] else MISSING_RIGHT
            links[line] = child << 8 | missing | int(tree.feature[node])
    if len(links) > MAX_NODES:
        raise BundleError(f"more than {MAX_NODES} nodes")
    links[0] = deepest << 24 | len(trees)
    stacked = (np.array(links, np.uint32), np.array(values, np.float32).view(np.uint32))
    return np.ascontiguousarray(np.stack(stacked, axis=1)), np.array(covers, np.float32)


def _typed(value: Value, kind: type[_T], name: str) -> _T:
    if not isinstance(value, kind):
        raise BundleError(f"{name} is missing or of a wrong type")
    return value


def _member(section: Mapping[str, Value], name: str, kind: type[_T]) -> _T:
    return _typed(section.get(name), kind, name)


def _integer(section: Mapping[str, Value], name: str, default: int | None = None) -> int:
    """Return a number that xgboost writes as text."""
    text = section.get(name, None if default is None else str(default))
    if not isinstance(text, str) or not (text.isascii() and text.isdigit() and len(text) < 10):
        raise BundleError(f"{name} is missing or no number")
    return int(text)


def _numbers(section: Mapping[str, Value], name: str) -> NDArray[np.int64]:
    found = _member(section, name, np.ndarray)
    if not np.issubdtype(found.dtype, np.integer):
        raise BundleError(f"{name} holds no whole numbers")
    return found.astype(np.int64)

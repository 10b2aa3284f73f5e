"""The forest against xgboost bit for bit, and its reader against damaged models."""

import json
import math
import struct

import numba
import numpy as np
import pytest
import xgboost
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from firedetect.errors import BundleError
from firedetect.features.vector import COLUMNS
from firedetect.model import forest as forest_module
from firedetect.model.forest import base_margin, parse_forest, sigmoid
from firedetect.model.probes import probe_rows
from firedetect.model.ubjson import decode

JIT = not numba.config.DISABLE_JIT
ROWS = 10_000 if JIT else 100
WIDTH = len(COLUMNS)

MODELS = {
    "usual": ({"max_depth": 5, "eta": 0.1, "base_score": 0.5}, 60),
    "many": ({"max_depth": 5, "eta": 0.1, "base_score": 0.3}, 200),
    "stump": ({"max_depth": 1, "base_score": 0.1}, 20),
    "one-tree": ({"max_depth": 3, "base_score": 0.9}, 1),
    "no-split": ({"max_depth": 3, "gamma": 1e9, "base_score": 0.25}, 3),
    "deep": ({"max_depth": 14, "min_child_weight": 0, "base_score": 0.0123}, 10),
    "lossguide": ({"grow_policy": "lossguide", "max_depth": 0, "max_leaves": 40}, 10),
    "exact": ({"tree_method": "exact", "max_depth": 4}, 10),
    "pruned": ({"max_depth": 6, "gamma": 0.2, "tree_method": "exact"}, 10),
    "binary": ({"objective": "binary:logistic", "max_depth": 4, "base_score": 1e-5}, 10),
    "parallel": ({"num_parallel_tree": 3, "subsample": 0.5, "max_depth": 3}, 5),
}


def boost(parameters, rounds, *, rows=3000, seed=0, names=None):
    rng = np.random.default_rng(seed)
    x = rng.normal(scale=10, size=(rows, WIDTH)).astype(np.float32)
    x[rng.random(x.shape) < 0.15] = np.nan
    z = np.nan_to_num(x) / 10
    y = (1 / (1 + np.exp(-3 * z[:, 0] - 2 * z[:, 3] * z[:, 4]))).astype(np.float32)
    chosen = {"objective": "reg:logistic", "nthread": 1, "seed": seed} | parameters
    return xgboost.train(chosen, xgboost.DMatrix(x, y, feature_names=names, nthread=1), rounds)


def raw(booster):
    return bytes(booster.save_raw("ubj"))


def bits(values):
    return np.asarray(values, np.float32).view(np.uint32)


@pytest.fixture(scope="module")
def small():
    return raw(boost({"max_depth": 2}, 2, rows=300))


@pytest.fixture(scope="module")
def trees():
    return json.loads(boost({"max_depth": 2}, 2, rows=300).save_raw("json"))


def naive_margin(model, row):
    """Walk every tree of xgboost's own JSON."""
    parameters = model["learner"]["learner_model_param"]
    total = base_margin(parameters["base_score"])
    for tree in model["learner"]["gradient_booster"]["model"]["trees"]:
        node = 0
        while tree["left_children"][node] != -1:
            value = row[tree["split_indices"][node]]
            threshold = np.float32(tree["split_conditions"][node])
            left = tree["default_left"][node] if math.isnan(value) else value < threshold
            node = tree["left_children" if left else "right_children"][node]
        total = np.float32(total + np.float32(tree["split_conditions"][node]))
    return total


@pytest.mark.parametrize("name", MODELS)
def test_margins_equal_xgboost_bit_for_bit(name):
    parameters, rounds = MODELS[name]
    booster = boost(parameters, rounds if JIT else min(rounds, 20))
    forest = parse_forest(raw(booster), COLUMNS)
    rows = probe_rows(forest, ROWS, seed=1)
    assert np.isnan(rows).mean() == pytest.approx(0.15, abs=0.03)
    expected = booster.predict(xgboost.DMatrix(rows, nthread=1), output_margin=True)
    assert (bits(forest.margins(rows)) == bits(expected)).sum() == ROWS
    single = [forest.margin(row) for row in rows[:50]]
    assert (bits(single) == bits(expected[:50])).all()


def test_infinities_equal_xgboost_bit_for_bit():
    booster = boost({"max_depth": 5}, 30 if JIT else 5)
    forest = parse_forest(raw(booster), COLUMNS)
    rows = probe_rows(forest, ROWS, seed=2)
    places = np.random.default_rng(3).random(rows.shape)
    rows[places < 0.05] = np.inf
    rows[places > 0.95] = -np.inf
    expected = booster.inplace_predict(rows, predict_type="margin")
    assert (bits(forest.margins(rows)) == bits(expected)).all()


def test_margins_equal_the_naive_walk():
    booster = boost({"max_depth": 6}, 20)
    forest = parse_forest(raw(booster), COLUMNS)
    model = json.loads(booster.save_raw("json"))
    rows = probe_rows(forest, 100, seed=4)
    expected = [naive_margin(model, row) for row in rows]
    assert (bits(forest.margins(rows)) == bits(expected)).all()


def test_missing_values_follow_the_default_direction(trees):
    forest = parse_forest(raw(boost({"max_depth": 2}, 2, rows=300)), COLUMNS)
    row = np.full(WIDTH, np.nan, np.float32)
    assert bits([forest.margin(row)]) == bits([naive_margin(trees, row)])


@pytest.mark.parametrize("shape", [(WIDTH - 1,), (WIDTH + 1,), (1, WIDTH)])
def test_a_row_of_another_shape_or_type_is_refused(small, shape):
    forest = parse_forest(small, COLUMNS)
    with pytest.raises(ValueError, match="row must be"):
        forest.margin(np.zeros(shape, np.float32))
    with pytest.raises(ValueError, match="row must be"):
        forest.margin(np.zeros(WIDTH, np.float64))
    with pytest.raises(ValueError, match="rows must be"):
        forest.margins(np.zeros(WIDTH, np.float32))


def test_rows_need_not_be_contiguous(small):
    forest = parse_forest(small, COLUMNS)
    rows = np.random.default_rng(0).normal(size=(WIDTH, 20)).astype(np.float32)
    expected = forest.margins(rows.T.copy())
    assert (bits(forest.margins(rows.T)) == bits(expected)).all()
    assert (bits([forest.margin(row) for row in rows.T]) == bits(expected)).all()


def test_base_margins_equal_xgboost_bit_for_bit():
    data = xgboost.DMatrix(np.zeros((2, WIDTH), np.float32), [0.0, 1.0], nthread=1)
    rng = np.random.default_rng(5)
    for score in [0.5, 1e-5, 0.9999, *rng.uniform(1e-4, 1 - 1e-4, 60)]:
        parameters = {"objective": "reg:logistic", "nthread": 1, "base_score": float(score)}
        booster = xgboost.train(parameters | {"eta": 0.0}, data, 1)
        forest = parse_forest(raw(booster), COLUMNS)
        expected = booster.predict(data, output_margin=True)[:1]
        assert bits([forest.margin(np.zeros(WIDTH, np.float32))]) == bits(expected), score


@pytest.mark.parametrize(
    "text", ["", "[0]", "1", "[1E0]", "nan", "inf", "-0.5", "1e-9", "x", "[[]"]
)
def test_a_base_score_outside_of_0_to_1_is_refused(text):
    with pytest.raises(BundleError, match="base_score"):
        base_margin(text)


def test_sigmoid_never_overflows():
    assert sigmoid(0.0) == 0.5
    assert [sigmoid(m) for m in (-1e30, -800.0, 800.0, 1e30)] == [0.0, 0.0, 1.0, 1.0]
    assert sigmoid(-2.0) == pytest.approx(1 - sigmoid(2.0))


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [
        ({"objective": "reg:squarederror"}, "objective"),
        ({"objective": "binary:logitraw"}, "objective"),
        ({"booster": "dart"}, "booster 'dart'"),
        ({"booster": "gblinear"}, "booster 'gblinear'"),
    ],
)
def test_other_kinds_of_models_are_refused(parameters, reason):
    with pytest.raises(BundleError, match=reason):
        parse_forest(raw(boost(parameters, 2, rows=100)), COLUMNS)


def test_more_than_one_output_is_refused():
    x = np.random.default_rng(0).normal(size=(90, WIDTH)).astype(np.float32)
    several = {"objective": "multi:softprob", "num_class": 3, "nthread": 1}
    classes = xgboost.train(several, xgboost.DMatrix(x, np.arange(90) % 3, nthread=1), 1)
    with pytest.raises(BundleError, match="more than one output"):
        parse_forest(raw(classes), COLUMNS)
    targets = xgboost.DMatrix(x, (x[:, :2] > 0).astype(np.float32), nthread=1)
    for strategy in ("one_output_per_tree", "multi_output_tree"):
        chosen = {"objective": "reg:logistic", "multi_strategy": strategy, "nthread": 1}
        with pytest.raises(BundleError, match="more than one output"):
            parse_forest(raw(xgboost.train(chosen, targets, 1)), COLUMNS)


def test_categorical_splits_are_refused():
    rng = np.random.default_rng(0)
    x = rng.integers(0, 6, size=(300, WIDTH)).astype(np.float32)
    y = (x[:, 0] % 2).astype(np.float32)
    data = xgboost.DMatrix(x, y, feature_types=["c"] * WIDTH, enable_categorical=True, nthread=1)
    booster = xgboost.train({"objective": "reg:logistic", "nthread": 1}, data, 2)
    with pytest.raises(BundleError, match="categorical"):
        parse_forest(raw(booster), COLUMNS)


def test_other_columns_are_refused(small):
    with pytest.raises(BundleError, match="27 columns, not for 26"):
        parse_forest(small, COLUMNS[:-1])
    swapped = [COLUMNS[1], COLUMNS[0], *COLUMNS[2:]]
    named = raw(boost({"max_depth": 1}, 1, rows=100, names=swapped))
    with pytest.raises(BundleError, match="feature names"):
        parse_forest(named, COLUMNS)
    own = raw(boost({"max_depth": 1}, 1, rows=100, names=list(COLUMNS)))
    assert parse_forest(own, COLUMNS).trees == 1


def encode(value):
    """Write what the reader reads, for models that xgboost would never write."""
    if isinstance(value, dict):
        inner = b"".join(encode(key)[1:] + encode(item) for key, item in value.items())
        return b"{" + inner + b"}"
    if isinstance(value, np.ndarray):
        kind = {"i1": b"i", "u1": b"U", "i4": b"l", "i8": b"L", "f4": b"d"}[value.dtype.str[1:]]
        stored = value.astype(value.dtype.newbyteorder(">")).tobytes()
        return b"[$" + kind + b"#L" + struct.pack(">q", value.size) + stored
    if isinstance(value, list):
        return b"[#L" + struct.pack(">q", len(value)) + b"".join(map(encode, value))
    if isinstance(value, str):
        return b"SL" + struct.pack(">q", len(value.encode())) + value.encode()
    return b"L" + struct.pack(">q", value)


def test_the_own_writer_of_this_test_agrees(small):
    assert parse_forest(encode(decode(small)), COLUMNS).trees == 2


CORRUPTIONS = {
    "loop": lambda tree: tree["left_children"].__setitem__(1, 1),
    "loop to another branch": lambda tree: tree["left_children"].__setitem__(2, 3),
    "both children the same": lambda tree: tree["right_children"].__setitem__(0, 1),
    "back to the root": lambda tree: tree["left_children"].__setitem__(0, 0),
    "negative child": lambda tree: tree["left_children"].__setitem__(0, -2),
    "no right child": lambda tree: tree["right_children"].__setitem__(0, -1),
    "child out of range": lambda tree: tree["right_children"].__setitem__(0, 2**31 - 1),
    "column out of range": lambda tree: tree["split_indices"].__setitem__(0, WIDTH),
    "negative column": lambda tree: tree["split_indices"].__setitem__(0, -1),
    "leaf is NaN": lambda tree: tree["split_conditions"].__setitem__(-1, np.nan),
    "leaf is infinite": lambda tree: tree["split_conditions"].__setitem__(-1, np.inf),
    "threshold is NaN": lambda tree: tree["split_conditions"].__setitem__(0, np.nan),
    "short array": lambda tree: tree.update(left_children=tree["left_children"][:-1]),
    "empty tree": lambda tree: tree.update({k: v[:0] for k, v in tree.items() if k in ARRAYS}),
    "floats for indices": lambda tree: tree.update(left_children=tree["split_conditions"]),
    "no array": lambda tree: tree.update(left_children="x"),
    "array missing": lambda tree: tree.pop("default_left"),
    "categorical": lambda tree: tree["split_type"].__setitem__(0, 1),
    "vector leaf": lambda tree: tree["tree_param"].update(size_leaf_vector="2"),
    "no number": lambda tree: tree["tree_param"].update(size_leaf_vector="²"),
}
ARRAYS = ("left_children", "right_children", "split_indices", "default_left", "split_conditions")


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_corrupt_tree_is_refused(small, name):
    model = decode(small)
    CORRUPTIONS[name](model["learner"]["gradient_booster"]["model"]["trees"][1])
    with pytest.raises(BundleError):
        parse_forest(encode(model), COLUMNS)


def test_trees_missing_or_of_another_group_are_refused(small):
    for change in (
        {"trees": []},
        {"trees": [{}]},
        {"trees": ["x", "y"]},
        {"tree_info": [0, 1]},
        {"tree_info": "x"},
        {"gbtree_model_param": {"num_trees": "3"}},
    ):
        model = decode(small)
        model["learner"]["gradient_booster"]["model"].update(change)
        with pytest.raises(BundleError):
            parse_forest(encode(model), COLUMNS)


def chain(length):
    """A tree that is one long path."""
    nodes = 2 * length + 1
    even = np.arange(0, nodes - 1, 2)
    left, right = np.full(nodes, -1, np.int32), np.full(nodes, -1, np.int32)
    left[even], right[even] = even + 1, even + 2
    return {
        "left_children": left,
        "right_children": right,
        "split_indices": np.zeros(nodes, np.int32),
        "split_conditions": np.ones(nodes, np.float32),
        "default_left": np.zeros(nodes, np.uint8),
    }


def test_the_depth_of_a_tree_is_bounded(small):
    model = decode(small)
    tree = model["learner"]["gradient_booster"]["model"]["trees"][0]
    tree.update(split_type=np.zeros(0, np.uint8), **chain(forest_module.MAX_DEPTH))
    assert parse_forest(encode(model), COLUMNS).margin(np.zeros(WIDTH, np.float32)) > 0
    tree.update(chain(forest_module.MAX_DEPTH + 1))
    with pytest.raises(BundleError, match="too deep"):
        parse_forest(encode(model), COLUMNS)


def test_every_truncation_is_refused(small):
    for length in range(0, len(small), 7):
        with pytest.raises(BundleError):
            parse_forest(small[:length], COLUMNS)
    with pytest.raises(BundleError, match="1 bytes too many"):
        parse_forest(small + b"}", COLUMNS)


QUIET = settings(
    max_examples=300 if JIT else 60,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@QUIET
@given(st.data())
def test_a_mutated_model_is_refused_or_scores(small, data):
    damaged = bytearray(small)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(damaged) - 1))
        damaged[at] ^= data.draw(st.integers(1, 255))
    try:
        forest = parse_forest(bytes(damaged), COLUMNS)
    except BundleError:
        return
    for value in (0.0, np.nan, np.inf, -np.inf, 3e38):
        assert math.isfinite(forest.margin(np.full(WIDTH, value, np.float32)))


@pytest.mark.fault("F73")
@QUIET
@given(st.binary(max_size=200))
def test_random_bytes_never_raise_anything_else(data):
    for prefix in (b"", b"{", b"[#L", b"[$d#", b"{L\x00\x00\x00\x00\x00\x00\x00\x01a"):
        try:
            decode(prefix + data)
        except BundleError:
            continue


MARKERS = st.lists(
    st.sampled_from([bytes([c]) for c in b"{}[#$iUlLdDSTFZ\0\x01\x7f\xff"] + [b"\0" * 7 + b"\x02"]),
    max_size=60,
).map(b"".join)


@QUIET
@given(MARKERS)
def test_random_markers_never_raise_anything_else(data):
    try:
        decode(data)
    except BundleError:
        return


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b"i\xff", -1),
        (b"U\xff", 255),
        (b"I\x01\x00", 256),
        (b"l\x00\x01\x00\x00", 65536),
        (b"L" + struct.pack(">q", -5), -5),
        (b"d" + struct.pack(">f", 1.5), 1.5),
        (b"D" + struct.pack(">d", 0.1), 0.1),
        (b"T", True),
        (b"F", False),
        (b"Z", None),
        (b"Si\x03\xc3\xa9a", "éa"),
        (b"{}", {}),
        (b"{i\x01aTi\x01b[#i\x02FZ}", {"a": True, "b": [False, None]}),
    ],
)
def test_values_are_read(data, value):
    assert decode(data) == value


@pytest.mark.parametrize(("kind", "stored"), [(b"i", ">i1"), (b"I", ">i2"), (b"D", ">f8")])
def test_typed_arrays_come_in_native_order(kind, stored):
    values = np.array([1, -2, 3], stored)
    found = decode(b"[$" + kind + b"#i\x03" + values.tobytes())
    assert found.dtype.isnative
    assert found.tolist() == [1, -2, 3]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"x",
        b"TT",
        b"Sd\x00\x00\x00\x00",
        b"Si\xff",
        b"Si\x01\xff",
        b"SL\x7f\xff\xff\xff\xff\xff\xff\xff",
        b"[]",
        b"[#i\xff",
        b"[#L\x7f\xff\xff\xff\xff\xff\xff\xff",
        b"[$d#L\x7f\xff\xff\xff\xff\xff\xff\xff",
        b"[$d#L\xff\xff\xff\xff\xff\xff\xff\xff",
        b"[$S#i\x01",
        b"[$d",
        b"{i\x01aTi\x01aT}",
        b"{i\x01aT",
        b"[#i\x01" * 200,
        b"{i\x01a" * 200,
    ],
)
def test_malformed_values_are_refused(data):
    with pytest.raises(BundleError):
        decode(data)

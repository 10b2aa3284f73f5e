"""Explanations against their definition and against xgboost, and models that explain nothing."""

import json
import math

import numba
import numpy as np
import pytest
import xgboost
from hypothesis import given
from hypothesis import strategies as st

from firedetect.errors import BundleError
from firedetect.features.vector import COLUMNS
from firedetect.model.bundle import MODEL_FILE, default_bundle_path, load_bundle
from firedetect.model.explain import explainer_of
from firedetect.model.forest import parse_forest
from firedetect.model.manifest import from_rows
from firedetect.model.probes import probe_rows
from firedetect.model.scorer import Scorer
from firedetect.model.ubjson import decode
from tests import naive
from tests.core.test_forest import MODELS, QUIET, WIDTH, boost, encode, raw

JIT = not numba.config.DISABLE_JIT
ROWS = 1000 if JIT else 20


def matrix(rows, booster):
    return xgboost.DMatrix(rows, nthread=1, feature_names=booster.feature_names)


def explained(explainer, rows):
    return np.array([explainer.contributions(row) for row in rows])


def compare(booster, forest, rows):
    """Hold explanations against xgboost's, which are summed in float32, and against the margins."""
    found = explained(explainer_of(forest), rows)
    expected = booster.predict(matrix(rows, booster), pred_contribs=True)
    assert found.dtype == np.float64
    assert found.shape == expected.shape == (len(rows), WIDTH + 1)
    # Where the margins themselves are large, float32 has fewer digits behind the point.
    size = np.abs(expected).max()
    np.testing.assert_allclose(found, expected, rtol=0, atol=max(1e-4, 4e-6 * size))
    margins = forest.margins(rows)
    # The margin is a float32 sum of hundreds of leaves: exact shares differ by its rounding.
    np.testing.assert_allclose(found.sum(axis=1), margins, rtol=0, atol=max(3e-5, 1e-6 * size))


@pytest.mark.parametrize("name", MODELS)
def test_contributions_equal_xgboosts(name):
    parameters, rounds = MODELS[name]
    booster = boost(parameters, rounds if JIT else min(rounds, 20), seed=3)
    forest = parse_forest(raw(booster), COLUMNS)
    compare(booster, forest, probe_rows(forest, ROWS, seed=5))


def test_contributions_of_the_default_bundle_equal_xgboosts():
    bundle = load_bundle(default_bundle_path())
    booster = xgboost.Booster(model_file=str(default_bundle_path() / MODEL_FILE))
    canary = bundle.manifest.canary
    rows = from_rows((canary.fire, canary.quiet, *bundle.manifest.golden.rows), WIDTH)
    compare(booster, bundle.forest, rows[:ROWS])
    compare(booster, bundle.forest, probe_rows(bundle.forest, ROWS, seed=6))
    scorer = Scorer(bundle)
    found = explained(scorer, rows[:2])
    assert (found == explained(explainer_of(bundle.forest), rows[:2])).all()
    # The fire is told from the quiet room by its columns; what is expected is the same.
    assert found[0, :-1].sum() > found[1, :-1].sum()
    assert found[0, -1] == found[1, -1]


def few_columns(parameters, rounds, *, columns, seed):
    """Train on data of which only some columns vary: few enough for every subset of them."""
    rng = np.random.default_rng(seed)
    x = np.zeros((500, WIDTH), np.float32)
    chosen = rng.choice(WIDTH, columns, replace=False)
    z = rng.normal(size=(500, columns)).astype(np.float32)
    x[:, chosen] = np.where(rng.random(z.shape) < 0.2, np.nan, z)
    y = (1 / (1 + np.exp(-2 * z[:, 0] * z[:, 1] - z.sum(axis=1)))).astype(np.float32)
    usual = {"objective": "reg:logistic", "base_score": 0.4, "nthread": 1, "seed": seed}
    return xgboost.train(usual | parameters, xgboost.DMatrix(x, y, nthread=1), rounds)


@pytest.mark.parametrize(
    ("parameters", "rounds", "columns"),
    [
        ({"max_depth": 1}, 3, 2),
        ({"max_depth": 3}, 3, 5),
        ({"max_depth": 5, "subsample": 0.5}, 2, 7),
        # Long paths that come back to the same columns, and hardly any training data at their ends.
        ({"max_depth": 16, "min_child_weight": 0, "lambda": 0}, 1, 3),
    ],
)
@pytest.mark.parametrize("seed", [0, 1])
def test_contributions_equal_their_definition(parameters, rounds, columns, seed):
    booster = few_columns(parameters, rounds, columns=columns, seed=seed)
    forest = parse_forest(raw(booster), COLUMNS)
    trees = json.loads(booster.save_raw("json"))["learner"]["gradient_booster"]["model"]["trees"]
    rows = probe_rows(forest, 4, seed=seed)
    rows[0] = np.nan
    base = float(forest.packed.view(np.float32)[0, 1])
    expected = [naive.contributions(trees, row, base) for row in rows]
    found = explained(explainer_of(forest), rows)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6 * max(1, np.abs(found).max()))


@pytest.fixture(scope="module")
def small():
    return raw(boost({"max_depth": 3}, 4, rows=300))


def test_columns_without_a_split_add_nothing(small):
    forest = parse_forest(small, COLUMNS)
    used = [column for column in range(WIDTH) if forest.thresholds(column).size]
    assert 0 < len(used) < WIDTH
    found = explained(explainer_of(forest), probe_rows(forest, 20, seed=1))
    idle = np.delete(found[:, :-1], used, axis=1)
    assert (idle == 0.0).all()


def test_infinities_are_explained(small):
    forest = parse_forest(small, COLUMNS)
    rows = np.full((2, WIDTH), np.inf, np.float32)
    rows[1] = -np.inf
    found = explained(explainer_of(forest), rows)
    np.testing.assert_allclose(found.sum(axis=1), forest.margins(rows), rtol=0, atol=3e-5)


@pytest.mark.parametrize("shape", [(WIDTH - 1,), (WIDTH + 1,), (1, WIDTH)])
def test_a_row_of_another_shape_or_type_is_refused(small, shape):
    explainer = explainer_of(parse_forest(small, COLUMNS))
    with pytest.raises(ValueError, match="row must be"):
        explainer.contributions(np.zeros(shape, np.float32))
    with pytest.raises(ValueError, match="row must be"):
        explainer.contributions(np.zeros(WIDTH, np.float64))


def test_a_row_need_not_be_contiguous_and_is_left_alone(small):
    explainer = explainer_of(parse_forest(small, COLUMNS))
    rows = np.random.default_rng(0).normal(size=(WIDTH, 5)).astype(np.float32)
    before = rows.copy()
    expected = explained(explainer, rows.T.copy())
    assert (explained(explainer, rows.T) == expected).all()
    assert (rows == before).all()


COVERS = {
    "missing": lambda tree: tree.pop("sum_hessian"),
    "short": lambda tree: tree.update(sum_hessian=tree["sum_hessian"][:-1]),
    "long": lambda tree: tree.update(sum_hessian=np.append(tree["sum_hessian"], np.float32(1))),
    "empty": lambda tree: tree.update(sum_hessian=tree["sum_hessian"][:0]),
    "no numbers": lambda tree: tree.update(sum_hessian="x"),
    "a list": lambda tree: tree.update(sum_hessian=[1, 2]),
    "whole numbers": lambda tree: tree.update(sum_hessian=tree["sum_hessian"].astype(np.int32)),
    "not a number": lambda tree: tree["sum_hessian"].__setitem__(1, np.nan),
    "infinite": lambda tree: tree["sum_hessian"].__setitem__(0, np.inf),
    "all infinite": lambda tree: tree["sum_hessian"].__setitem__(slice(None), np.inf),
    "zero": lambda tree: tree["sum_hessian"].__setitem__(-1, 0.0),
    "negative": lambda tree: tree["sum_hessian"].__setitem__(2, -1.0),
    "child above parent": lambda tree: tree["sum_hessian"].__setitem__(1, 1e30),
    "too small": lambda tree: tree["sum_hessian"].__setitem__(0, 1e-30),
    "do not add up": lambda tree: tree["sum_hessian"].__setitem__(0, tree["sum_hessian"][0] * 1.1),
}


@pytest.mark.parametrize("name", COVERS)
def test_covers_that_cannot_be_explain_nothing_and_change_no_margin(small, name):
    model = decode(small)
    COVERS[name](model["learner"]["gradient_booster"]["model"]["trees"][1])
    forest, sound = parse_forest(encode(model), COLUMNS), parse_forest(small, COLUMNS)
    assert explainer_of(forest) is None
    assert (forest.packed == sound.packed).all()
    rows = probe_rows(sound, 20, seed=0)
    assert (forest.margins(rows) == sound.margins(rows)).all()


def test_covers_of_nodes_that_no_root_reaches_do_not_matter(small):
    model = decode(small)
    tree = model["learner"]["gradient_booster"]["model"]["trees"][1]
    for name in ("left_children", "right_children"):
        tree[name] = np.append(tree[name], np.int32(-1))
    tree["split_indices"] = np.append(tree["split_indices"], np.int32(0))
    tree["default_left"] = np.append(tree["default_left"], np.uint8(0))
    tree["split_conditions"] = np.append(tree["split_conditions"], np.float32(0))
    tree["sum_hessian"] = np.append(tree["sum_hessian"], np.float32(np.nan))
    assert explainer_of(parse_forest(encode(model), COLUMNS)) is not None


def test_a_model_that_would_take_too_long_explains_nothing(small):
    forest = parse_forest(small, COLUMNS)
    leaves = len(forest.packed) - 1 - len(forest.splits)
    work = leaves * 3 * (2 + 3)
    assert explainer_of(forest, max_work=work) is not None
    assert explainer_of(forest, max_work=work - 1) is None


@QUIET
@given(st.data())
def test_a_mutated_model_explains_nothing_or_what_it_scores(small, data):
    damaged = bytearray(small)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(damaged) - 1))
        damaged[at] ^= data.draw(st.integers(1, 255))
    try:
        forest = parse_forest(bytes(damaged), COLUMNS)
    except BundleError:
        return
    explainer = explainer_of(forest)
    if explainer is None:
        return
    for value in (0.0, np.nan, np.inf, -np.inf, 3e38):
        row = np.full(WIDTH, value, np.float32)
        found = explainer.contributions(row)
        assert np.isfinite(found).all()
        size = np.abs(found).max()
        assert math.isclose(found.sum(), forest.margin(row), abs_tol=max(3e-5, 1e-6 * size))

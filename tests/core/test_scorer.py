"""The scorer: hazard between 0 and 1, and no score where nothing was measured."""

import math

import numpy as np
import pytest
import xgboost

from firedetect.features.vector import COLUMNS, N_FEATURES, SCHEMA_ID
from firedetect.model.bundle import write_bundle
from firedetect.model.forest import parse_forest
from firedetect.model.manifest import Canary, Golden, Manifest, to_row
from firedetect.model.scorer import Scorer

WIDTH = len(COLUMNS)
T_MAX = COLUMNS.index("t_max")


@pytest.fixture(scope="module")
def scorer(tmp_path_factory):
    rng = np.random.default_rng(0)
    x = rng.uniform(0, 300, size=(500, WIDTH)).astype(np.float32)
    y = (x[:, T_MAX] > 60).astype(np.float32)
    constraints = tuple(int(i == T_MAX) for i in range(WIDTH))
    parameters = {"objective": "reg:logistic", "nthread": 1, "monotone_constraints": constraints}
    booster = xgboost.train(parameters, xgboost.DMatrix(x, y, nthread=1), 20)
    fire, quiet = np.full((2, WIDTH), np.nan, np.float32)
    fire[T_MAX], quiet[T_MAX] = 200, 20
    margin = booster.predict(xgboost.DMatrix(fire[None], nthread=1), output_margin=True)[0]
    manifest = Manifest(
        name="test",
        version="4.5.6",
        schema_id=SCHEMA_ID,
        features=COLUMNS,
        training_data_sha256="0" * 64,
        golden=Golden(rows=(to_row(fire),), margins=(float(margin),)),
        canary=Canary(fire=to_row(fire), quiet=to_row(quiet)),
    )
    folder = tmp_path_factory.mktemp("scorer") / "bundle"
    return Scorer(write_bundle(folder, bytes(booster.save_raw("ubj")), manifest))


def row(**values):
    filled = np.full(WIDTH, np.nan, np.float32)
    for name, value in values.items():
        filled[COLUMNS.index(name)] = value
    return filled


def test_the_version_is_the_bundles(scorer):
    assert scorer.version == "4.5.6"


def test_the_score_is_the_logistic_of_the_margin(scorer):
    fire = row(t_max=200.0)
    margin = scorer._forest.margin(fire)
    assert scorer.score(fire) == pytest.approx(1 / (1 + math.exp(-margin)), rel=1e-12)
    assert scorer.score(fire) > 0.8
    assert scorer.score(row(t_max=20.0)) < 0.1


def test_contributions_add_up_to_the_margin(scorer):
    fire = row(t_max=200.0)
    parts = scorer.contributions(fire)
    assert parts.shape == (WIDTH + 1,)
    assert parts.sum() == pytest.approx(scorer._forest.margin(fire), abs=1e-5)
    assert parts[:-1].argmax() == T_MAX


def test_without_any_feature_there_is_no_score(scorer):
    assert math.isnan(scorer.score(row()))
    context_only = row(**dict.fromkeys(COLUMNS[N_FEATURES:], 1.0))
    assert math.isnan(scorer.score(context_only))


@pytest.mark.parametrize("name", COLUMNS[:N_FEATURES])
def test_one_feature_is_enough_for_a_score(scorer, name):
    assert 0.0 <= scorer.score(row(**{name: 1.0})) <= 1.0


@pytest.mark.parametrize("value", [math.inf, -math.inf, 3e38, -3e38, 0.0])
def test_no_value_raises(scorer, value):
    assert 0.0 <= scorer.score(row(t_max=value, gas_val=value)) <= 1.0


def test_hotter_is_never_judged_lower(scorer):
    scores = [scorer.score(row(t_max=t)) for t in np.linspace(-40, 400, 200)]
    assert scores == sorted(scores)


def test_a_row_of_another_form_is_refused(scorer):
    with pytest.raises(ValueError, match="row must be"):
        scorer.score(np.zeros(WIDTH - 1, np.float32))


def test_the_same_row_always_scores_the_same(scorer):
    fire = row(t_max=150.0, gas_delta=10.0)
    before = fire.copy()
    assert len({scorer.score(fire) for _ in range(10)}) == 1
    assert np.array_equal(fire, before, equal_nan=True)


def test_margins_of_the_bundle_are_those_of_its_model_file(scorer, tmp_path_factory):
    folders = list(tmp_path_factory.getbasetemp().glob("scorer*/bundle/model.ubj"))
    forest = parse_forest(folders[0].read_bytes(), COLUMNS)
    assert forest.margin(row(t_max=99.0)) == scorer._forest.margin(row(t_max=99.0))

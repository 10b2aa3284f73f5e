"""The guarded model: whatever the scorer does, the pipeline gets a number or NaN and a reason."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firedetect.features.vector import COLUMNS, N_FEATURES
from firedetect.model.guard import PUNCTUAL_SCORES, STRIKES, GuardedModel

ROW = np.full(len(COLUMNS), 21.0)


class Scripted:
    """A scorer that gives its answers in order, then 0.5."""

    version = "scripted"

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = 0

    def score(self, _row):
        self.asked += 1
        answer = self.answers.pop(0) if self.answers else 0.5
        if isinstance(answer, BaseException):
            raise answer
        return answer


def scores(model, count):
    return [model.score(ROW) for _ in range(count)]


def test_without_a_model_there_is_no_score_and_a_trouble():
    model = GuardedModel(None)
    assert math.isnan(model.score(ROW))
    assert (model.version, model.trouble) == (None, "model:none")
    model.late()
    assert model.trouble == "model:none"


def test_a_good_model_has_no_trouble():
    model = GuardedModel(Scripted(0.0, 1.0, 0.25))
    assert scores(model, 3) == [0.0, 1.0, 0.25]
    assert (model.version, model.trouble) == ("scripted", "")


def test_nothing_known_is_not_even_asked():
    scorer = Scripted()
    row = ROW.copy()
    row[:N_FEATURES] = np.nan
    assert math.isnan(GuardedModel(scorer).score(row))
    assert scorer.asked == 0
    row[N_FEATURES - 1] = 1.0
    assert GuardedModel(scorer).score(row) == 0.5


@pytest.mark.fault("F29")
@pytest.mark.parametrize("bad", [math.nan, 1.0001, -1e-9, math.inf, ValueError(), None, "x", [0.5]])
def test_three_strikes_set_the_model_aside_for_good(bad):
    scorer = Scripted(*[bad] * STRIKES)
    model = GuardedModel(scorer)
    assert all(math.isnan(score) for score in scores(model, 10))
    assert scorer.asked == STRIKES
    assert model.version is None
    assert model.trouble.endswith(", set aside")
    last = model.trouble
    model.late()
    assert model.trouble == last


def test_a_good_score_forgives_the_strikes():
    model = GuardedModel(Scripted(math.nan, math.nan, 0.5, math.nan, math.nan, 0.5))
    for bad in (True, True, False, True, True, False):
        assert math.isnan(model.score(ROW)) is bad
        assert bool(model.trouble) is bad


def test_an_interrupt_is_not_swallowed():
    with pytest.raises(KeyboardInterrupt):
        GuardedModel(Scripted(KeyboardInterrupt())).score(ROW)


def test_three_late_scores_in_a_row_set_the_model_aside():
    model = GuardedModel(scorer := Scripted())
    for _ in range(STRIKES):
        model.score(ROW)
        model.late()
    assert (model.version, model.trouble) == (None, "model:set aside, too slow")
    model.score(ROW)
    assert scorer.asked == STRIKES


def test_late_scores_with_punctual_ones_between_them_are_a_trouble_only():
    model = GuardedModel(Scripted())
    for _ in range(10):
        scores(model, 2)
        model.late()
        assert model.trouble == "model:slow"
    assert model.version == "scripted"


def test_a_minute_of_punctual_scores_ends_the_trouble():
    model = GuardedModel(Scripted())
    model.score(ROW)
    model.late()
    scores(model, PUNCTUAL_SCORES)
    assert model.trouble == "model:slow"
    model.score(ROW)
    assert model.trouble == ""


@pytest.mark.fault("F29")
@settings(max_examples=200, deadline=None)
@given(
    answers=st.lists(
        st.one_of(st.floats(), st.none(), st.text(), st.just(RuntimeError("x")), st.integers())
    ),
    late=st.sets(st.integers(0, 30)),
)
def test_no_answer_ever_raises_and_a_score_is_always_between_0_and_1(answers, late):
    model = GuardedModel(Scripted(*answers))
    for number in range(len(answers)):
        score = model.score(ROW)
        assert math.isnan(score) or 0.0 <= score <= 1.0
        if number in late:
            model.late()
        assert (model.version is None) <= bool(model.trouble)


class Explaining(Scripted):
    """A scorer that can say what its score is made of, or fails to."""

    def __init__(self, answer):
        super().__init__()
        self.answer = answer
        self.rows = []

    def contributions(self, row):
        self.rows.append(row)
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


def test_an_explanation_names_the_columns_that_add_something():
    parts = np.zeros(len(COLUMNS) + 1)
    parts[[2, 16, -1]] = 1.5, -0.25, -3.0
    scorer = Explaining(parts)
    found = GuardedModel(scorer).explain(ROW)
    assert found == {"t_max": 1.5, "gas_delta": -0.25}
    assert (scorer.rows[0].dtype, scorer.rows[0].shape) == (np.float32, ROW.shape)
    assert {type(value) for value in found.values()} == {float}


@pytest.mark.parametrize(
    "bad",
    [
        None,
        "x",
        [0.5],
        np.zeros(len(COLUMNS)),
        np.zeros(len(COLUMNS) + 2),
        np.zeros((2, len(COLUMNS) + 1)),
        np.full(len(COLUMNS) + 1, np.nan),
        np.append(np.zeros(len(COLUMNS)), np.inf),
        ValueError(),
        MemoryError(),
    ],
    ids=repr,
)
def test_what_is_no_explanation_is_none_and_no_fault_of_the_model(bad):
    model = GuardedModel(Explaining(bad))
    for _ in range(STRIKES + 1):
        assert model.explain(ROW) == {}
    assert (model.version, model.trouble) == ("scripted", "")
    assert model.score(ROW) == 0.5


def test_a_model_that_cannot_explain_is_not_asked():
    assert GuardedModel(Scripted()).explain(ROW) == {}
    assert GuardedModel(None).explain(ROW) == {}
    with pytest.raises(KeyboardInterrupt):
        GuardedModel(Explaining(KeyboardInterrupt())).explain(ROW)

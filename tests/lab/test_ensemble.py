"""The second opinion: it knows quiet rows alone, raises what is unlike them, and nothing else."""

import numpy as np

from firedetect.features.vector import COLUMNS
from firedetect.lab.dataset import Dataset
from firedetect.lab.ensemble import USUAL, Anomaly


def dataset(rows, family):
    count = len(rows)
    number, nothing = np.zeros(count, np.int32), np.zeros(count, np.float32)
    return Dataset(
        rows=rows.astype(np.float32),
        label=nothing,
        episode=number,
        family=np.full(count, family),
        room=number,
        board=number,
        t_s=nothing,
        heat_kw=nothing,
        co_ppm=nothing,
        hard=np.zeros(count, np.int8),
    )


def quiet(count=4000, known=20):
    rows = np.random.default_rng(1).normal(10.0, 2.0, (count, len(COLUMNS)))
    rows[:, known:] = np.nan
    return rows


def test_quiet_rows_stay_as_they_are():
    rows = quiet()
    second = Anomaly.of(dataset(rows, "quiet-room"))
    scores = np.full(len(rows), 0.3)
    raised = second.raised(scores, rows.astype(np.float32))
    assert np.mean(raised > 0.3 + 1e-9) <= 1.0 - USUAL + 1e-3
    assert raised.min() >= 0.3 - 1e-9


def test_a_strange_row_counts_more_and_never_less():
    rows = quiet()
    second = Anomaly.of(dataset(rows, "quiet-room"))
    strange = (rows[:3] + 60.0).astype(np.float32)
    raised = second.raised(np.array([0.0, 0.3, 1.0]), strange)
    assert raised[1] > 0.6
    assert (raised >= [0.0, 0.3, 1.0 - 1e-5]).all()


def test_columns_that_no_quiet_row_knows_say_nothing():
    rows = quiet()
    second = Anomaly.of(dataset(rows, "people"))
    told = rows[:5].copy()
    told[:, 20:] = 1e6
    same = second.raised(np.full(5, 0.3), rows[:5].astype(np.float32))
    assert np.array_equal(second.raised(np.full(5, 0.3), told.astype(np.float32)), same)
    unknown = np.full((1, len(COLUMNS)), np.nan, np.float32)
    np.testing.assert_allclose(second.raised(np.array([0.3]), unknown), 0.3)


def test_without_a_quiet_row_nothing_is_raised():
    second = Anomaly.of(dataset(quiet(), "flaming"))
    raised = second.raised(np.array([0.3]), quiet(1).astype(np.float32) + 100.0)
    np.testing.assert_allclose(raised, 0.3)

"""Training: the same bytes every time, no leak over episodes, and a model that can do without."""

import numpy as np
import pytest
import xgboost

from firedetect.contract.settings import Confirmation
from firedetect.errors import BundleError, DatasetError
from firedetect.features.vector import COLUMNS, GAS_COLUMNS, THERMAL_COLUMNS
from firedetect.lab.boost import COPIED_SHARE, MONOTONE, ROUNDS, drop_modalities
from firedetect.lab.dataset import Dataset, content_hash, read_dataset, write_dataset
from firedetect.lab.episodes import alarmed_episodes, episode_figures
from firedetect.lab.train import split_episodes, train
from firedetect.model.bundle import load_bundle
from firedetect.model.scorer import Scorer

ROWS = 60


def make(episodes=24, seed=0):
    """Every second episode is a fire that heats and smokes in its second half."""
    rng = np.random.default_rng(seed)
    count = episodes * ROWS
    episode = np.repeat(np.arange(episodes, dtype=np.int32), ROWS)
    t_s = np.tile(np.arange(ROWS, dtype=np.float32) / 4, episodes)
    label = np.where((episode % 2 == 0) & (t_s >= 8), 1.0, 0.0).astype(np.float32)
    rows = rng.normal(size=(count, len(COLUMNS))).astype(np.float32)
    for name in ("t_max", "tproxy_val", "gas_delta", "g_co_lr", "air_delta_c"):
        rows[:, COLUMNS.index(name)] += 10 * label
    return Dataset(
        rows=rows,
        label=label,
        episode=episode,
        family=np.where(episode % 2 == 0, "flaming", "kettle"),
        room=episode % 3,
        board=episode % 5,
        t_s=t_s,
        heat_kw=10.0 * label,
        co_ppm=100.0 * label,
        hard=np.zeros(count, np.int8),
    )


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dataset") / "set"
    write_dataset(folder, make(), seed=0)
    return folder


@pytest.fixture(scope="module")
def bundle(dataset, tmp_path_factory):
    return load_bundle(train(dataset, tmp_path_factory.mktemp("trained") / "bundle", seed=5))


def row(value, names):
    values = np.full(len(COLUMNS), np.nan, np.float32)
    for name in names:
        strong = name in ("t_max", "tproxy_val", "gas_delta", "g_co_lr")
        values[COLUMNS.index(name)] = value if strong else 0.0
    return values


def test_training_twice_gives_the_same_hash(dataset, bundle, tmp_path):
    parts = tmp_path / "parts"
    write_dataset(parts, read_dataset(dataset), seed=0, part_rows=333)
    told = []
    train(parts, tmp_path / "again", seed=5, progress=lambda *step: told.append(step))
    assert load_bundle(tmp_path / "again").hash == bundle.hash
    assert told[0] == ("read", 0.0)
    assert told[-1] == ("check", 1.0)
    assert ("train", 1.0) in told


def test_the_manifest_tells_where_the_model_comes_from(dataset, bundle):
    manifest = bundle.manifest
    assert manifest.training_data_sha256 == content_hash(read_dataset(dataset))
    assert manifest.seed == 5
    assert manifest.hyper_parameters["max_depth"] == 5
    assert manifest.hyper_parameters["nthread"] == 1
    assert manifest.hyper_parameters["monotone_constraints"].split(",") == list(MONOTONE)
    assert len(manifest.golden.rows) == 64
    assert bundle.forest.trees == ROUNDS
    assert manifest.metrics["fires"] == manifest.metrics["fires_detected"] == 3
    assert manifest.metrics["quiet"] == 3
    assert manifest.metrics["false_alarm_rate"] == 0.0
    assert manifest.metrics["detection_rate"] == 1.0
    assert manifest.metrics["brier"] < 0.01


def test_the_model_opens_in_xgboost_with_its_names(bundle):
    booster = xgboost.Booster({"nthread": 1})
    booster.load_model(bundle.path / "model.ubj")
    assert booster.feature_names == list(COLUMNS)


def test_the_model_does_without_gas_or_without_the_array(bundle):
    scorer = Scorer(bundle)
    for names in (THERMAL_COLUMNS, GAS_COLUMNS, (*GAS_COLUMNS, "g_co_lr"), COLUMNS):
        assert scorer.score(row(10.0, names)) > 0.6, names
        assert scorer.score(row(0.0, names)) < 0.4, names


@pytest.mark.parametrize("name", MONOTONE)
def test_more_of_a_monotone_column_is_never_judged_lower(bundle, name):
    rng = np.random.default_rng(0)
    rows = np.repeat(rng.normal(4, 5, (20, 1, len(COLUMNS))), 40, axis=1).astype(np.float32)
    rows[:, :, COLUMNS.index(name)] = np.linspace(-20, 30, 40)
    margins = bundle.forest.margins(rows.reshape(-1, len(COLUMNS))).reshape(20, 40)
    # The float32 sum over the trees may differ in its last bits.
    assert (np.diff(margins.astype(np.float64)) >= -1e-5).all()


def test_whole_episodes_of_every_family_are_held_out():
    data = make()
    held_out = split_episodes(data, np.random.default_rng(0))
    tested, learned = set(data.episode[held_out]), set(data.episode[~held_out])
    assert not tested & learned
    for family in ("flaming", "kettle"):
        chosen = data.family == family
        assert len(set(data.episode[chosen & held_out])) == 3
    again = split_episodes(data, np.random.default_rng(0))
    assert (held_out == again).all()


def test_too_few_episodes_are_refused():
    data = make(episodes=2)
    with pytest.raises(DatasetError, match="too few episodes"):
        split_episodes(data, np.random.default_rng(0))


def test_dropped_modalities_are_copies_with_whole_sensors_missing():
    data = make()
    grown = drop_modalities(data, np.random.default_rng(0))
    assert np.array_equal(grown.rows[: len(data)], data.rows)
    assert 1.4 < len(grown) / len(data) < 1 + COPIED_SHARE
    copies = grown.rows[len(data) :]
    thermal = np.isnan(copies[:, [COLUMNS.index(n) for n in THERMAL_COLUMNS]])
    gas = np.isnan(copies[:, [COLUMNS.index(n) for n in GAS_COLUMNS]])
    assert (thermal.all(axis=1) == thermal.any(axis=1)).all()
    assert (gas.all(axis=1) == gas.any(axis=1)).all()
    assert not (thermal.all(axis=1) & gas.all(axis=1)).any()
    assert not np.isnan(data.rows).any()


def test_a_danger_that_the_sensors_left_do_not_show_is_not_taught():
    data = make(episodes=8)
    data.rows[:] = 0.0
    data.rows[:, COLUMNS.index("gas_delta")] = 80.0
    data.label[:] = 0.8
    copies = drop_modalities(data, np.random.default_rng(0)).rows[len(data) :]
    # What only the gas tells is never taught without gas; with it, it is.
    assert len(copies) > len(data) * COPIED_SHARE * 0.5
    assert (copies[:, COLUMNS.index("gas_delta")] == 80.0).all()
    data.label[:] = 0.0
    harmless = drop_modalities(data, np.random.default_rng(0)).rows[len(data) :]
    assert np.isnan(harmless[:, COLUMNS.index("gas_delta")]).any()


def test_data_that_teaches_nothing_gives_no_bundle(tmp_path):
    data = make(episodes=8)
    data.label[:] = 0.0
    write_dataset(tmp_path / "set", data, seed=0)
    with pytest.raises(DatasetError, match="0 fire rows"):
        train(tmp_path / "set", tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


def test_a_foreign_target_is_not_overwritten(dataset, tmp_path):
    (tmp_path / "precious.txt").touch()
    with pytest.raises(BundleError, match="no bundle"):
        train(dataset, tmp_path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["precious.txt"]


def test_an_episode_alarms_when_k_of_n_seconds_reach_the_threshold():
    data = make(episodes=4)
    score = np.zeros(len(data))
    second = np.floor(data.t_s)

    def raise_in(episode, seconds):
        score[(data.episode == episode) & np.isin(second, seconds)] = 0.7

    raise_in(0, [3, 5, 7])
    raise_in(1, [3, 5, 8])
    raise_in(2, [13, 14])
    raise_in(3, [0])
    score[data.episode == 3] = np.where(second[data.episode == 3] == 0, 0.7, np.nan)
    confirm = Confirmation(k=3, n=5)
    raised = alarmed_episodes(data, score, threshold=0.6, confirm=confirm)
    assert raised.tolist() == [0]
    figures = episode_figures(data, score, threshold=0.6, confirm=confirm)
    assert (figures.fires, figures.fires_detected) == (2, 1)
    assert (figures.quiet, figures.false_alarms) == (2, 0)
    assert 0 < figures.brier < 1


def test_figures_without_any_episode_of_a_kind_have_no_rate():
    data = make(episodes=1)
    score = np.full(len(data), np.nan)
    figures = episode_figures(data, score, threshold=0.6, confirm=Confirmation())
    assert figures.as_metrics() == {
        "fires": 1,
        "fires_detected": 0,
        "quiet": 0,
        "false_alarms": 0,
        "brier": 0.0,
        "detection_rate": 0.0,
    }

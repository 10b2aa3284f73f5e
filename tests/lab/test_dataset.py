"""Data sets: what is written is read, whatever the files; what is not ours is refused."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from firedetect.errors import DatasetError
from firedetect.features.vector import COLUMNS, SCHEMA_ID
from firedetect.lab.dataset import (
    Dataset,
    content_hash,
    read_dataset,
    write_dataset,
    write_part,
    write_summary,
)


def make(episodes=6, rows=20, seed=0):
    rng = np.random.default_rng(seed)
    count = episodes * rows
    x = rng.normal(size=(count, len(COLUMNS))).astype(np.float32)
    x[rng.random(x.shape) < 0.1] = np.nan
    episode = np.repeat(np.arange(episodes, dtype=np.int32), rows)
    return Dataset(
        rows=x,
        label=rng.random(count).astype(np.float32),
        episode=episode,
        family=np.array(["flaming", "kettle", "smoulder-é"])[episode % 3],
        room=(episode % 2).astype(np.int32),
        board=(episode % 4).astype(np.int32),
        t_s=np.tile(np.arange(rows, dtype=np.float32) / 4, episodes),
        heat_kw=rng.random(count).astype(np.float32),
        co_ppm=rng.random(count).astype(np.float32),
        hard=rng.integers(0, 5, count).astype(np.int8),
    )


def equal(a, b):
    names = (
        "rows",
        "label",
        "episode",
        "family",
        "room",
        "board",
        "t_s",
        "heat_kw",
        "co_ppm",
        "hard",
    )
    return all(np.array_equal(getattr(a, n), getattr(b, n), equal_nan=n == "rows") for n in names)


@pytest.fixture
def folder(tmp_path):
    write_dataset(tmp_path / "set", make(), seed=3)
    return tmp_path / "set"


def refuse(folder, *evidence):
    with pytest.raises(DatasetError) as caught:
        read_dataset(folder)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    for part in (str(folder), *evidence):
        assert part in message


def change(folder, **fields):
    path = folder / "dataset.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def rewrite(folder, **columns):
    """Replace columns of the only part; None removes one."""
    path = folder / "data-00000.parquet"
    table = pq.read_table(path)
    arrays = {name: table[name] for name in table.column_names} | columns
    pq.write_table(pa.table({k: v for k, v in arrays.items() if v is not None}), path)


def test_a_data_set_survives_writing_and_reading(folder):
    data = read_dataset(folder)
    assert equal(data, make())
    assert data.rows.dtype == data.label.dtype == data.t_s.dtype == np.float32
    assert data.episode.dtype == data.room.dtype == data.board.dtype == np.int32
    summary = json.loads((folder / "dataset.json").read_text())
    assert summary == {
        "format": 2,
        "schema_id": SCHEMA_ID,
        "seed": 3,
        "episodes": 6,
        "rows": 120,
    }


def test_content_and_hash_do_not_depend_on_the_files(tmp_path):
    data = make()
    write_dataset(tmp_path / "parts", data, seed=0, part_rows=17)
    assert len(list((tmp_path / "parts").glob("data-*.parquet"))) == 8
    shuffled = np.random.default_rng(1).permutation(len(data))
    for part, chosen in enumerate(np.array_split(shuffled, 3)):
        write_part(tmp_path / "shuffled", part, data.take(chosen))
    write_summary(tmp_path / "shuffled", seed=9, episodes=6, rows=len(data))
    for name in ("parts", "shuffled"):
        found = read_dataset(tmp_path / name)
        assert equal(found, data)
        assert content_hash(found) == content_hash(data)
    assert content_hash(data.take(shuffled)) == content_hash(data)


@pytest.mark.parametrize(
    "name",
    ["rows", "label", "episode", "family", "room", "board", "t_s", "heat_kw", "co_ppm", "hard"],
)
def test_every_column_is_part_of_the_hash(name):
    data, other = make(), make()
    before = content_hash(data)
    values = getattr(other, name)
    if name == "family":
        values[5] = "other"
    elif name == "rows":
        values[5, 5] = 7.0
    else:
        values[5] += 1
    assert content_hash(other) != before


def test_the_bits_of_a_missing_value_do_not_count():
    data, other = make(), make()
    bits = other.rows.view(np.uint32)
    bits[np.isnan(other.rows)] = 0xFFC00001
    assert content_hash(data) == content_hash(other)


def test_a_folder_that_is_no_data_set_is_refused(tmp_path):
    refuse(tmp_path, "dataset.json is missing")
    refuse(tmp_path / "none", "dataset.json is missing")
    write_summary(tmp_path, seed=0, episodes=1, rows=1)
    refuse(tmp_path, "holds no data-*.parquet")


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '"x"', "{}", '{"format": 2}'])
def test_a_foreign_summary_is_refused(folder, text):
    (folder / "dataset.json").write_text(text)
    refuse(folder, "dataset.json")


def test_another_schema_is_refused_with_both_names(folder):
    change(folder, schema_id="feedbeef")
    refuse(folder, "feedbeef", SCHEMA_ID)


def test_counts_that_do_not_fit_are_refused(folder):
    change(folder, rows=None)
    refuse(folder, "rows is missing")
    change(folder, rows=121)
    refuse(folder, "120 rows", "says 121")
    change(folder, rows=120, episodes=7)
    refuse(folder, "6 episodes", "says 7")


def test_a_missing_part_is_refused(tmp_path):
    write_dataset(tmp_path / "set", make(), seed=0, part_rows=50)
    (tmp_path / "set" / "data-00001.parquet").unlink()
    refuse(tmp_path / "set", "70 rows")


@pytest.mark.parametrize("content", [b"", b"PAR1", b"x" * 1000])
def test_a_part_that_is_no_parquet_is_refused(folder, content):
    (folder / "data-00000.parquet").write_bytes(content)
    refuse(folder, "data-00000.parquet", "cannot be read as Parquet")


def test_a_truncated_part_is_refused(folder):
    path = folder / "data-00000.parquet"
    path.write_bytes(path.read_bytes()[:-100])
    refuse(folder, "data-00000.parquet")


@pytest.mark.parametrize(
    ("columns", "evidence"),
    [
        ({"t_max": None}, "columns"),
        ({"surprise": [1] * 120}, "columns"),
        ({"t_max": ["x"] * 120}, "cannot be read"),
        ({"episode": [None] * 120}, "episode has empty cells"),
        ({"episode": [0.5] * 120}, "cannot be read"),
        ({"label": pa.array([None] * 120, pa.float32())}, "label"),
        ({"label": np.full(120, 1.5, np.float32)}, "label"),
        ({"label": np.full(120, np.nan, np.float32)}, "label"),
        ({"t_mean": np.full(120, np.inf, np.float32)}, "infinite"),
        ({"t_s": np.full(120, np.nan, np.float32)}, "time"),
    ],
)
def test_columns_that_do_not_fit_are_refused(folder, columns, evidence):
    rewrite(folder, **columns)
    refuse(folder, evidence)


def test_an_empty_cell_of_a_feature_is_a_missing_value(folder):
    rewrite(folder, t_max=pa.array([None] * 120, pa.float32()))
    assert np.isnan(read_dataset(folder).rows[:, COLUMNS.index("t_max")]).all()


def test_a_data_set_without_rows_is_refused(tmp_path):
    nothing = make().take(np.arange(0))
    with pytest.raises(DatasetError, match="no rows"):
        write_dataset(tmp_path / "set", nothing, seed=0)
    write_part(tmp_path / "set", 0, nothing)
    write_summary(tmp_path / "set", seed=0, episodes=0, rows=0)
    refuse(tmp_path / "set", "no rows")


def test_nothing_is_overwritten(folder, tmp_path):
    with pytest.raises(DatasetError, match="not empty"):
        write_dataset(folder, make(), seed=0)
    (tmp_path / "file").touch()
    with pytest.raises(DatasetError, match="not empty"):
        write_dataset(tmp_path / "file", make(), seed=0)
    with pytest.raises(DatasetError, match="cannot be written"):
        write_part(tmp_path / "file", 0, make())

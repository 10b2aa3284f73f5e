"""A bundle is refused for every kind of damage, in one clear line that names the file."""

import hashlib
import json
import os
import shutil
import subprocess
import sys

import numba
import numpy as np
import pytest
import xgboost
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from firedetect.errors import BundleError
from firedetect.features.vector import COLUMNS, SCHEMA_ID
from firedetect.model import verify
from firedetect.model.bundle import (
    MAX_FILE_BYTES,
    check_canaries,
    default_bundle_path,
    load_bundle,
    write_bundle,
)
from firedetect.model.forest import parse_forest
from firedetect.model.manifest import Canary, Golden, Manifest, from_rows, parse_manifest, to_row
from firedetect.model.probes import probe_rows
from firedetect.model.verify import CHECKS, verify_bundle

JIT = not numba.config.DISABLE_JIT
WIDTH = len(COLUMNS)


def train():
    """A model that is sure: hot in the first column is fire."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(600, WIDTH)).astype(np.float32)
    x[:, 1:][rng.random((600, WIDTH - 1)) < 0.15] = np.nan
    y = (x[:, 0] > 0).astype(np.float32)
    parameters = {"objective": "reg:logistic", "base_score": 0.5, "max_depth": 3, "nthread": 1}
    data = xgboost.DMatrix(x, y, feature_names=list(COLUMNS), nthread=1)
    return xgboost.train(parameters, data, 15)


def row(first):
    return tuple([first] + [None] * (WIDTH - 1))


def describe(booster, model):
    rows = probe_rows(parse_forest(model, COLUMNS), 64, seed=0)
    matrix = xgboost.DMatrix(rows, feature_names=list(COLUMNS), nthread=1)
    margins = booster.predict(matrix, output_margin=True)
    return Manifest(
        name="test",
        version="1.2.3",
        schema_id=SCHEMA_ID,
        features=COLUMNS,
        training_data_sha256="0" * 64,
        metrics={"brier": 0.1},
        seed=7,
        hyper_parameters={"max_depth": 3, "learning_rate": 0.3, "objective": "reg:logistic"},
        golden=Golden(
            rows=tuple(to_row(row) for row in rows), margins=tuple(float(m) for m in margins)
        ),
        canary=Canary(fire=row(2.0), quiet=row(-2.0)),
    )


@pytest.fixture(scope="module")
def parts():
    booster = train()
    model = bytes(booster.save_raw("ubj"))
    return model, describe(booster, model)


@pytest.fixture(scope="module")
def pristine(parts, tmp_path_factory):
    return write_bundle(tmp_path_factory.mktemp("pristine") / "bundle", *parts)


@pytest.fixture
def folder(pristine, tmp_path):
    return shutil.copytree(pristine.path, tmp_path / "bundle")


def change(folder, **fields):
    """Change fields of the manifest and keep the rest valid."""
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def refuse(folder, *evidence):
    with pytest.raises(BundleError) as caught:
        load_bundle(folder)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 500
    for part in evidence:
        assert part in message


def test_a_bundle_survives_writing_and_loading(pristine, folder):
    bundle = load_bundle(folder)
    assert bundle.manifest == pristine.manifest
    assert bundle.hash == pristine.hash
    assert bundle.hash == hashlib.sha256((folder / "manifest.json").read_bytes()).hexdigest()
    assert (bundle.forest.packed == pristine.forest.packed).all()
    assert parse_manifest(bundle.manifest.to_bytes()) == bundle.manifest


def test_the_hash_leaves_the_signature_out(pristine, folder):
    (folder / "signature").write_bytes(b"x" * 64)
    assert load_bundle(folder).hash == pristine.hash


def test_golden_rows_are_stored_exactly(pristine, parts):
    rows = probe_rows(parse_forest(parts[0], COLUMNS), 64, seed=0)
    stored = from_rows(pristine.manifest.golden.rows, WIDTH)
    assert (stored.view(np.uint32) == rows.view(np.uint32)).all()
    assert np.isnan(stored[0]).all()


def test_writing_twice_gives_the_same_bytes(parts, pristine, tmp_path):
    assert write_bundle(tmp_path / "again", *parts).hash == pristine.hash


def test_the_default_bundle_lies_inside_the_package():
    assert default_bundle_path().parent.name == "model"


@pytest.mark.parametrize("name", ["model.ubj", "manifest.json"])
def test_a_missing_file_is_refused(folder, name):
    (folder / name).unlink()
    refuse(folder, str(folder / name), "No such file")


def test_a_missing_folder_is_refused(tmp_path):
    refuse(tmp_path / "none", "manifest.json", "No such file")
    (tmp_path / "file").touch()
    refuse(tmp_path / "file", "Not a directory")


@pytest.mark.fault("F28")
def test_another_schema_is_refused_with_both_names(folder):
    change(folder, schema_id="feedbeef")
    refuse(folder, "manifest.json", "feedbeef", SCHEMA_ID)


@pytest.mark.fault("F28")
@pytest.mark.parametrize(
    "features", [COLUMNS[::-1], COLUMNS[:-1], (*COLUMNS, "more"), (), ("x", *COLUMNS[1:])]
)
def test_other_features_are_refused(folder, features):
    change(folder, features=features)
    refuse(folder, "manifest.json", "features")


@pytest.mark.parametrize(
    ("fields", "evidence"),
    [
        ({"format": 2}, "format"),
        ({"surprise": 1}, "surprise: unknown key"),
        ({"version": "1.0"}, "version"),
        ({"version": "1.0.0\n"}, "version"),
        ({"name": "../x"}, "name"),
        ({"training_data_sha256": "abc"}, "training_data_sha256"),
        ({"files": {}}, "model.ubj"),
        ({"files": {"../model.ubj": "0" * 64}}, "files"),
        ({"files": {"/etc/passwd": "0" * 64}}, "files"),
        ({"files": {"..": "0" * 64}}, "files"),
        ({"thresholds": {"alert": 0.1}}, "thresholds"),
        ({"golden": {"rows": [], "margins": []}}, "golden"),
        ({"seed": "7"}, "seed"),
        ({"golden": None}, "golden"),
    ],
)
def test_an_invalid_manifest_is_refused(folder, fields, evidence):
    change(folder, **fields)
    refuse(folder, "manifest.json", evidence)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"null", b"\xff", b'"' + b"x" * 100_000, b"[" * 100_000]
)
def test_a_manifest_that_is_no_json_object_is_refused(folder, content):
    (folder / "manifest.json").write_bytes(content)
    refuse(folder, "manifest.json")


@pytest.mark.fault("F27")
def test_a_model_of_another_hash_is_refused(folder):
    with (folder / "model.ubj").open("ab") as file:
        file.write(b"x")
    refuse(folder, "model.ubj", "sha256")


def test_a_file_of_another_hash_is_refused(folder):
    (folder / "notes.txt").write_text("x")
    files = json.loads((folder / "manifest.json").read_text())["files"]
    change(folder, files=files | {"notes.txt": "0" * 64})
    refuse(folder, "notes.txt", "sha256")


def replace_model(folder, model):
    (folder / "model.ubj").write_bytes(model)
    change(folder, files={"model.ubj": hashlib.sha256(model).hexdigest()})


def test_a_model_that_cannot_be_read_is_refused_though_its_hash_is_right(folder):
    replace_model(folder, b"{}")
    refuse(folder, "model.ubj", "learner")


def test_another_model_with_a_right_hash_fails_on_the_golden_rows(folder, parts):
    values = parts[0].rindex(b"split_conditions") + len(b"split_conditions[$d#L") + 8
    damaged = bytearray(parts[0])
    for leaf in range(values + 3, parts[0].rindex(b"L", 0, parts[0].rindex(b"split_indices")), 4):
        damaged[leaf] ^= 1
    replace_model(folder, bytes(damaged))
    refuse(folder, "model.ubj", "golden margins differ")


def test_one_bit_of_a_golden_margin_is_enough_to_refuse(folder, pristine):
    margins = np.array(pristine.manifest.golden.margins, np.float32)
    margins[5] = np.nextafter(margins[5], np.float32(np.inf))
    golden = json.loads(pristine.manifest.golden.model_dump_json())
    change(folder, golden=golden | {"margins": margins.astype(float).tolist()})
    refuse(folder, "1 of 64 golden margins differ, first in row 5")


@pytest.mark.parametrize(
    ("part", "evidence"),
    [
        ({"margins": [0.0]}, "64 golden rows but 1 margins"),
        ({"rows": [[0.0]]}, "27 values"),
        ({"rows": [[0.1] * WIDTH], "margins": [0.0]}, "float32"),
        ({"rows": [[1e300] * WIDTH], "margins": [0.0]}, "float32"),
    ],
)
def test_golden_rows_of_a_wrong_form_are_refused(folder, pristine, part, evidence):
    golden = json.loads(pristine.manifest.golden.model_dump_json())
    change(folder, golden=golden | part)
    refuse(folder, evidence)


@pytest.mark.fault("F31")
def test_a_model_that_misses_its_canaries_is_refused(folder, pristine):
    quiet, fire = row(-2.0), row(2.0)
    change(folder, canary={"fire": quiet, "quiet": quiet})
    refuse(folder, "canary fire", "at least 0.8")
    change(folder, canary={"fire": fire, "quiet": fire})
    refuse(folder, "quiet canary", "at most 0.1")
    check_canaries(pristine)


def test_links_and_pipes_are_refused(folder, tmp_path):
    for name in ("model.ubj", "manifest.json"):
        away = tmp_path / name
        (folder / name).rename(away)
        (folder / name).symlink_to(away)
        refuse(folder, name, "is a link")
        (folder / name).unlink()
        os.mkfifo(folder / name)
        refuse(folder, name, "no regular file")
        (folder / name).unlink()
        (folder / name).mkdir()
        refuse(folder, name)
        (folder / name).rmdir()
        away.rename(folder / name)
    assert load_bundle(folder)


def test_the_folder_itself_may_be_a_link(folder, tmp_path):
    (tmp_path / "current").symlink_to(folder)
    assert load_bundle(tmp_path / "current")


def test_a_huge_file_is_refused_unread(folder):
    os.truncate(folder / "model.ubj", MAX_FILE_BYTES + 1)
    refuse(folder, "model.ubj", "at most")


@pytest.fixture(scope="module")
def victim(pristine, tmp_path_factory):
    return shutil.copytree(pristine.path, tmp_path_factory.mktemp("victim") / "bundle")


@pytest.mark.fault("F27")
@settings(
    max_examples=100 if JIT else 30,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.sampled_from(["model.ubj", "manifest.json"]), st.data())
def test_any_flipped_bit_or_cut_is_refused_or_harmless(victim, pristine, name, data):
    original = (pristine.path / name).read_bytes()
    damaged = bytearray(original)
    if data.draw(st.booleans()):
        del damaged[data.draw(st.integers(0, len(damaged) - 1)) :]
    else:
        damaged[data.draw(st.integers(0, len(damaged) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    (victim / name).write_bytes(damaged)
    try:
        bundle = load_bundle(victim)
    except BundleError as error:
        message = str(error)
        assert message.startswith(str(victim))
        assert len(message.splitlines()) == 1
    else:
        # Some digits of the manifest are only told to people; the hash shows that they changed.
        assert name == "manifest.json"
        assert bundle.hash != pristine.hash
        assert bundle.manifest.schema_id == SCHEMA_ID
    finally:
        (victim / name).write_bytes(original)


def test_a_bundle_replaces_a_bundle_or_nothing(parts, tmp_path):
    model, manifest = parts
    target = tmp_path / "deep" / "bundle"
    first = write_bundle(target, model, manifest)
    (target / "signature").touch()
    newer = manifest.model_copy(update={"version": "2.0.0"})
    second = write_bundle(target, model, newer)
    assert second.hash != first.hash
    assert load_bundle(target).manifest.version == "2.0.0"
    assert sorted(entry.name for entry in target.iterdir()) == ["manifest.json", "model.ubj"]
    assert [entry.name for entry in target.parent.iterdir()] == ["bundle"]
    empty = tmp_path / "empty"
    empty.mkdir()
    assert write_bundle(empty, model, manifest).hash == first.hash


@pytest.mark.parametrize("content", ["file", "link", "foreign", "almost"])
def test_nothing_else_is_overwritten(parts, tmp_path, content):
    target = tmp_path / "target"
    if content == "file":
        target.write_text("precious")
    elif content == "link":
        target.symlink_to(tmp_path)
    else:
        target.mkdir()
        (target / "manifest.json").write_text("precious")
        if content == "almost":
            (target / "model.ubj").touch()
            (target / "photo.jpg").touch()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(BundleError, match=str(target)):
        write_bundle(target, *parts)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_bundle_that_would_be_refused_is_not_written(parts, tmp_path):
    model, manifest = parts
    bad = manifest.model_copy(update={"canary": Canary(fire=row(-2.0), quiet=row(-2.0))})
    with pytest.raises(BundleError, match=f"^{tmp_path}/bundle: model.ubj: the canary fire"):
        write_bundle(tmp_path / "bundle", model, bad)
    assert list(tmp_path.iterdir()) == []


def test_verification_passes_for_a_good_bundle(pristine):
    report = verify_bundle(pristine.path)
    assert [check.name for check in report.checks] == list(CHECKS)
    assert report.passed, report


def test_verification_reports_a_bad_bundle(folder):
    (folder / "model.ubj").write_bytes(b"x")
    report = verify_bundle(folder)
    assert not report.passed
    assert [check.passed for check in report.checks] == [False] * 4
    assert "sha256" in report.checks[0].reason
    assert {check.reason for check in report.checks[1:]} == {"not tried"}


def test_verification_ends_in_time(pristine):
    report = verify_bundle(pristine.path, timeout_s=0.01)
    assert not report.passed
    assert "within 0.01 s" in report.checks[0].reason


def test_verification_finds_margins_that_xgboost_does_not_give(pristine):
    other = train()
    other.set_attr(x="y")
    rows = np.zeros((3, WIDTH), np.float32)
    margins = verify._margins(other, rows)
    verify._compare(margins, margins.copy())
    with pytest.raises(BundleError, match="1 of 3 margins differ, first in row 2"):
        verify._compare(margins, margins + np.array([0, 0, 1], np.float32))
    with pytest.raises(BundleError):
        verify._open(pristine.path / "manifest.json")


def test_the_scorer_does_not_import_xgboost():
    code = (
        "import sys, firedetect.model.scorer, firedetect.model.verify;"
        "sys.exit('xgboost' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False)
    assert done.returncode == 0

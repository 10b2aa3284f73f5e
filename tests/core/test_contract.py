"""What device and cloud say to each other: limits, jobs, shadows and batches judge all input."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firedetect.contract.contributions import WORDS, in_words, strongest, to_send
from firedetect.contract.jobs import Calibrate, InstallModel, job_document
from firedetect.contract.limits import (
    BATCH_MAX_BYTES,
    PAYLOAD_MAX_BYTES,
    depth_of,
    refused_publish,
    refused_state,
)
from firedetect.contract.names import beat_topic, defender_topic, telemetry_topic
from firedetect.contract.problems import Problem
from firedetect.contract.settings import RemoteSettings
from firedetect.contract.shadow import DesiredAlarm, desired_alarm, desired_settings
from firedetect.contract.telemetry import STEP, TelemetryBatch, packed, unpacked
from firedetect.features.vector import COLUMNS


@pytest.mark.fault("F55")
@pytest.mark.parametrize(
    ("topic", "payload", "why"),
    [
        ("a/b", b"", ""),
        ("a", b"x" * PAYLOAD_MAX_BYTES, ""),
        ("a", b"x" * (PAYLOAD_MAX_BYTES + 1), "131073 bytes"),
        ("a/b/c/d/e/f/g/h", b"", ""),
        ("a/b/c/d/e/f/g/h/i", b"", "8 slashes"),
        ("t" * 256, b"", ""),
        ("t" * 257, b"", "257 bytes"),
        ("Ж" * 129, b"", "258 bytes"),
        ("a/+/b", b"", "wildcard"),
        ("a/#", b"", "wildcard"),
        ("$aws/rules/rule/a/b/c/d/e/f/g/h", b"", ""),
        ("$aws/rules/rule/a/b/c/d/e/f/g/h/i", b"", "8 slashes"),
        ("$aws/rules/" + "r" * 300 + "/a", b"", ""),
        (telemetry_topic("x" * 64), b"", ""),
        (beat_topic("x" * 64), b"", ""),
        (defender_topic("x" * 64), b"", ""),
    ],
)
def test_a_publish_is_refused_as_aws_would(topic, payload, why):
    refused = refused_publish(topic, payload)
    assert why in refused
    assert bool(refused) == bool(why)


@pytest.mark.parametrize(
    ("value", "depth"),
    [(1, 0), ({}, 1), ([], 1), ({"a": {}}, 2), ({"a": [{"b": []}]}, 4), ([[[[[[]]]]]], 6)],
)
def test_depth_counts_objects_and_lists(value, depth):
    assert depth_of(value, 9) == depth
    assert depth_of(value, 3) == min(depth, 3)


def test_depth_of_what_recursion_could_not_walk():
    value = 1
    for _ in range(100_000):
        value = [value]
    assert depth_of(value, 5) == 5
    assert "deeper" in refused_state(value)
    while isinstance(value, list):
        value = value[0]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=10,
)


@pytest.mark.fault("F73")
@given(JSON)
def test_no_document_raises(document):
    assert isinstance(refused_state(document), str)
    assert isinstance(desired_settings(RemoteSettings(), document), RemoteSettings | Problem)
    assert isinstance(desired_alarm(document), DesiredAlarm | Problem)
    if isinstance(document, dict):
        found = job_document(document)
        assert not isinstance(found, Problem) or str(found)


@pytest.mark.fault("F73")
@given(JSON, st.sampled_from(["install-model", "calibrate", "collect-recording", "drill"]))
def test_no_job_raises(value, op):
    for key in ("duration_s", "url", "what", "sha256", "upload_url", "v"):
        found = job_document({"op": op, key: value})
        if isinstance(found, Problem):
            assert found.reason


INSTALL = {
    "op": "install-model",
    "version": "1.0.0",
    "url": "https://example.com/m.zip",
    "sha256": "0" * 64,
    "size_bytes": 1000,
}


def test_good_jobs_are_understood():
    assert job_document(INSTALL) == InstallModel(**INSTALL)
    assert job_document({"op": "calibrate"}) == Calibrate(duration_s=60)


@pytest.mark.parametrize(
    ("changed", "path"),
    [
        ({"size_bytes": 0}, "size_bytes"),
        ({"size_bytes": (16 << 20) + 1}, "size_bytes"),
        ({"size_bytes": 1.5}, "size_bytes"),
        ({"size_bytes": math.nan}, "size_bytes"),
        ({"sha256": "0" * 63}, "sha256"),
        ({"sha256": "A" * 64}, "sha256"),
        ({"sha256": "0" * 64 + "\n"}, "sha256"),
        ({"url": "ftp://x/"}, "url"),
        ({"url": "https://" + "x" * 4096}, "url"),
        ({"version": "1" * 65}, "version"),
        ({"version": None}, "version"),
        ({"v": 2}, "v"),
        ({"force": True}, "force"),
    ],
)
def test_a_bad_installation_is_refused_with_its_path(changed, path):
    found = job_document(INSTALL | changed)
    assert isinstance(found, Problem)
    assert found.path == f"install-model.{path}"


def test_a_problem_reads_as_path_and_reason():
    assert str(Problem("a.b", "is wrong")) == "a.b: is wrong"
    assert str(Problem("", "is wrong")) == "is wrong"


# Telemetry


@given(
    st.lists(st.floats(-1e6, 1e6) | st.just(math.nan), max_size=70),
    st.sampled_from(sorted(set(STEP.values()))),
)
def test_a_column_comes_back_within_half_a_step(values, step):
    back = unpacked(json.loads(json.dumps(packed(values, step))), step)
    assert len(back) == len(values)
    for value, found in zip(values, back, strict=True):
        if math.isnan(value):
            assert math.isnan(found)
        else:
            assert abs(found - value) <= 0.5 * step * (1 + 1e-9) + 1e-9 * abs(value)


@given(st.lists(st.floats(), max_size=20))
def test_wild_values_are_none_and_never_raise(values):
    for step in set(STEP.values()):
        deltas = packed(values, step)
        assert all(delta is None or abs(delta) <= 2**54 for delta in deltas)
        assert len(unpacked(deltas, step)) == len(values)


def test_every_column_of_the_model_has_a_step():
    assert set(COLUMNS) <= set(STEP)


def test_a_usual_minute_has_room_in_a_batch():
    wave = [20.0 + 0.37 * math.sin(second / 7.0) for second in range(60)]
    batch = TelemetryBatch(
        device="d" * 64,
        batch_id="d" * 64 + "-1000-t100000",
        start="2026-01-01T00:00:00.000Z",
        seconds=tuple(range(60)),
        columns={name: packed(wave, step) for name, step in STEP.items()},
        model="1.0.0",
    )
    assert len(batch.model_dump_json()) <= 1.5 * BATCH_MAX_BYTES


def test_every_column_of_the_model_has_a_plain_name_of_its_own():
    assert tuple(WORDS) == COLUMNS
    assert len(set(WORDS.values())) == len(WORDS)
    assert not any("_" in words or "(" in words for words in WORDS.values())


def test_what_has_raised_the_score_is_told_in_words_strongest_first():
    assert in_words({}) == in_words({"t_max": -2.0, "gas_val": 0.0}) == ""
    parts = {"gas_vel": 1.34, "t_max": -9.0, "t_hot_area_pct": 2.06, "new_thing": 0.5, "t_std": 0.4}
    assert in_words(parts) == "hot area (+2.1), rise of the gas (+1.3), new thing (+0.5)"


@given(st.dictionaries(st.sampled_from(COLUMNS), st.floats()))
def test_any_contributions_are_ordered_and_can_be_sent(parts):
    sizes = [abs(value) for value in strongest(parts).values()]
    assert sizes == sorted(sizes, reverse=True)
    assert all(map(math.isfinite, sizes))
    few = to_send(parts)
    assert len(few) <= 5
    assert all(few.values())
    json.dumps(few, allow_nan=False)
    in_words(parts)

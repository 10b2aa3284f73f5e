"""The second opinion: asked by an unmodified boto3, equal to the edge, clear about bad input."""

import json
import math
import os
import signal
import statistics
import subprocess
import sys
import time
import urllib.request

import boto3
import numpy as np
import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from firedetect.cloudbox.broker import free_port
from firedetect.contract.opinion import combined
from firedetect.endpoint.app import load_scorer
from firedetect.endpoint.request import ROWS_MAX, BadRequestError, answer_of, rows_of
from firedetect.errors import SignatureError
from firedetect.features.vector import COLUMNS, N_FEATURES
from firedetect.model.bundle import default_bundle_path, load_bundle
from firedetect.model.probes import probe_rows
from firedetect.model.scorer import Scorer

NAME = "fire-mvp-xgb-endpoint"
FEATURES = dict.fromkeys(COLUMNS[:N_FEATURES], 1.0)


def body(**changes):
    return json.dumps({"features": FEATURES | changes}).encode()


@pytest.fixture(scope="module")
def endpoint():
    """The server as the container starts it, and boto3's client of it."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "firedetect.endpoint", "serve"],
        env=os.environ | {"SAGEMAKER_BIND_TO_PORT": str(port)},
    )
    address = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                urllib.request.urlopen(f"{address}/ping", timeout=5)  # noqa: S310 - our own server
                break
            except OSError:
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.05)
        yield boto3.client(
            "sagemaker-runtime", endpoint_url=address, region_name="eu-central-1",
            aws_access_key_id="x", aws_secret_access_key="x",  # noqa: S106 - nobody's
        )  # fmt: skip
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0


def invoke(client, content, kind="application/json"):
    answer = client.invoke_endpoint(EndpointName=NAME, ContentType=kind, Body=content)
    return json.loads(answer["Body"].read())


@pytest.mark.slow
def test_a_thousand_vectors_score_as_at_the_edge(endpoint, say):
    scorer = Scorer(load_bundle(default_bundle_path()))
    rows = probe_rows(load_bundle(default_bundle_path()).forest, 1000, seed=4)
    took = []
    for row in rows:
        features = {
            name: None if math.isnan(value) else value
            for name, value in zip(COLUMNS, row.tolist(), strict=True)
        }
        begin = time.perf_counter()
        said = invoke(endpoint, json.dumps({"features": features}).encode())
        took.append(1000.0 * (time.perf_counter() - begin))
        expected = scorer.score(row)
        assert said == {
            "model": scorer.version, "score": None if math.isnan(expected) else expected,
        }  # fmt: skip
    p50, p99 = statistics.median(took), statistics.quantiles(took, n=100)[98]
    say(f"invoke_endpoint: p50 {p50:.2f} ms, p99 {p99:.2f} ms, 1000 of 1000 scores equal")


@pytest.mark.slow
def test_a_batch_and_bad_input_through_boto3(endpoint):
    said = invoke(endpoint, json.dumps({"instances": [{"features": FEATURES}] * 3}).encode())
    assert len(said["predictions"]) == 3
    for content, kind, status, words in (
        (b"{", "application/json", 400, "no JSON"),
        (body(t_max="hot"), "application/json", 400, "features.t_max must be a number or null"),
        (b"1,2,3", "text/csv", 415, "Content-Type must be application/json"),
    ):
        with pytest.raises(ClientError) as refused:
            invoke(endpoint, content, kind)
        assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == status
        assert words in str(refused.value)


BAD = {
    "no object": (b"[1]", "the body must be an object"),
    "nothing": (b"{}", "either features or instances"),
    "both": (b'{"features": {}, "instances": []}', "either features or instances"),
    "surprise": (b'{"features": {}, "x": 1}', "the body.x is not known"),
    "no mapping": (b'{"features": [1]}', "features must be an object of names"),
    "missing": (b'{"features": {"t_mean": 1}}', "features.t_std is missing"),
    "unknown": (body(t_maximum=1), "features.t_maximum is not known"),
    "text": (body(t_max="1"), "features.t_max must be a number or null"),
    "truth": (body(t_max=True), "features.t_max must be a number or null"),
    "infinite": (body(t_max=math.inf), "four bytes can hold"),
    "no number": (body(t_max=math.nan), "four bytes can hold"),
    "huge": (body(t_max=1e300), "four bytes can hold"),
    "no list": (b'{"instances": {}}', "a list of 1 to"),
    "empty": (b'{"instances": []}', "a list of 1 to"),
    "no instance": (b'{"instances": [1]}', "instances[0] must be an object"),
    "bad instance": (
        b'{"instances": [{"features": {}}]}',
        "instances[0].features.t_mean is missing",
    ),
    "deep": (b"[" * 100_000, "no JSON"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_refused_and_the_field_named(name):
    content, words = BAD[name]
    with pytest.raises(BadRequestError) as refused:
        rows_of(content)
    assert words in str(refused.value)


def test_too_many_rows_are_refused():
    with pytest.raises(BadRequestError, match="1 to 1000"):
        rows_of(json.dumps({"instances": [{}] * (ROWS_MAX + 1)}).encode())


def test_context_is_optional_and_null_is_unknown():
    rows, single = rows_of(body(t_max=None, co2_excess_ppm=12.0))
    assert single
    assert rows.shape == (1, len(COLUMNS))
    assert math.isnan(rows[0, COLUMNS.index("t_max")])
    assert rows[0, COLUMNS.index("co2_excess_ppm")] == 12.0
    assert np.isnan(rows[0, N_FEATURES:]).sum() == len(COLUMNS) - N_FEATURES - 1


def test_a_row_without_anything_has_no_score():
    scorer = load_scorer(None, None)
    rows, _ = rows_of(json.dumps({"features": dict.fromkeys(FEATURES)}).encode())
    assert json.loads(answer_of(scorer.scores(rows).tolist(), "1", single=True))["score"] is None


def test_a_bundle_that_nobody_trusted_signed_is_not_served(tmp_path):
    with pytest.raises(SignatureError):
        load_scorer(default_bundle_path(), tmp_path)


@given(st.floats(0, 1), st.none() | st.floats(0, 1) | st.just(math.nan))
def test_a_second_opinion_never_lowers_what_the_edge_says(edge, cloud):
    score = combined(edge, cloud)
    known = 0.0 if cloud is None or math.isnan(cloud) else cloud
    assert edge <= score <= max(edge, known)

"""The second opinion: after everything else, into the row alone, and never in anybody's way."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import boto3
import pytest
from aws_lambda_powertools.utilities.idempotency import DynamoDBPersistenceLayer

from firedetect.contract.names import INCIDENTS_TABLE
from firedetect.lambdas.escalate import Escalation
from firedetect.lambdas.rows import client
from firedetect.lambdas.second_opinion import SHORT
from firedetect.lambdas.settings import EscalateSettings
from tests.lambdas.helpers import T0, Down, context, environment, message, rows

ENDPOINT = "fire-mvp-xgb-endpoint"
FEATURES = {"t_max": 91.25, "gas_val": None}


class Endpoint:
    """SageMaker's runtime over HTTP: keeps what it was asked and what people knew by then."""

    def __init__(self, people, down):
        self.answer, self.status, self.wait_s = {"model": "1.0.0", "score": 0.95}, 200, 0.0
        self.asked = []
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                # Taken here: whatever comes later was not told before.
                endpoint.asked.append((self.path, body, len(people.told()), down.kinds()))
                time.sleep(endpoint.wait_s)
                said = endpoint.answer
                content = said if isinstance(said, bytes) else json.dumps(said).encode()
                self.send_response(endpoint.status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format, *args):  # noqa: A002 - of the base
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)


@pytest.fixture
def down():
    return Down()


@pytest.fixture
def endpoint(people, down):
    made = Endpoint(people, down)
    yield made
    made.close()


@pytest.fixture
def cloud(endpoint, down):
    return told_of(endpoint, down)


def told_of(endpoint, down, name=ENDPOINT):
    """The handler, with the endpoint that its environment names."""
    settings = EscalateSettings.read(environment() | {"SECOND_OPINION_ENDPOINT": name})
    runtime = boto3.client("sagemaker-runtime", endpoint_url=endpoint.url, config=SHORT)
    done = DynamoDBPersistenceLayer(settings.idempotency_table, boto3_client=client("dynamodb"))
    return Escalation(
        settings,
        client("dynamodb"),
        client("sns"),
        down,
        done,
        lambda: T0,
        states=client("stepfunctions"),
        events=client("events"),
        kms=client("kms"),
        sagemaker=runtime,
    )


def opinion():
    (row,) = rows(INCIDENTS_TABLE)
    return row["opinion"]


def test_it_is_asked_when_people_and_the_device_know_and_is_kept_in_the_row(cloud, endpoint):
    said = cloud.handle(message(features=FEATURES, score=0.75), context())
    assert said["told"]
    ((path, body, told, receipts),) = endpoint.asked
    assert path == f"/endpoints/{ENDPOINT}/invocations"
    assert body == {"features": FEATURES}
    assert (told, receipts) == (1, ["receipt"])
    assert opinion() == {
        "event_id": "thing-1-1-1", "model": "1.0.0",
        "edge": 0.75, "cloud": 0.95, "combined": pytest.approx(0.85),
    }  # fmt: skip


def test_it_can_only_raise(cloud, endpoint, people):
    endpoint.answer = {"model": "1.0.0", "score": 0.1}
    cloud.handle(message(features=FEATURES, score=0.75), context())
    assert (opinion()["combined"], opinion()["cloud"]) == (0.75, 0.1)
    (row,) = rows(INCIDENTS_TABLE)
    assert row["level"] == "alert"
    # The next one of the same incident is kept if it is the higher one.
    endpoint.answer = {"model": "1.0.0", "score": 0.9}
    cloud.handle(message(seq=2, level="emergency", features=FEATURES, score=0.8), context())
    assert opinion()["event_id"] == "thing-1-1-2"
    endpoint.answer = {"model": "1.0.0", "score": None}
    cloud.handle(message(seq=3, level="emergency", features=FEATURES, score=0.7), context())
    assert opinion()["event_id"] == "thing-1-1-2"
    assert people.told() == []


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        ({"model": "1.0.0", "score": 7.0}, 200),
        ({"model": "1.0.0", "score": "high"}, 200),
        ({"error": "no"}, 200),
        ([], 200),
        (b"<html>", 200),
        ({"message": "model failed"}, 500),
    ],
)
def test_an_answer_that_is_none_changes_nothing_and_is_counted(
    cloud, endpoint, down, capsys, answer, status
):
    endpoint.answer, endpoint.status = answer, status
    assert cloud.handle(message(features=FEATURES), context())["told"]
    assert len(endpoint.asked) == 1, "asked once, not again"
    assert opinion() is None
    assert down.kinds() == ["receipt"]
    assert '"SecondOpinionFailed":[1.0]' in capsys.readouterr().out.replace(" ", "")


def test_an_endpoint_that_hangs_is_left_after_two_seconds(cloud, endpoint, down, say):
    endpoint.wait_s = 20.0
    begun = time.monotonic()
    assert cloud.handle(message(features=FEATURES), context())["told"]
    took_s = time.monotonic() - begun
    say(f"an alarm with an endpoint that hangs: {took_s:.1f} s, the receipt came before")
    assert took_s < 10.0
    assert down.kinds() == ["receipt"]
    assert opinion() is None


def test_nobody_is_asked_about_what_is_no_alarm_or_without_an_endpoint(cloud, endpoint, down):
    for number, changes in enumerate(
        (
            {"kind": "event"},
            {"kind": "trouble", "troubles": ["disk"]},
            {"features": {}},
            {"features": "nonsense"},
            {"score": None},
        ),
        1,
    ):
        cloud.handle(message(seq=number, **({"features": FEATURES} | changes)), context())
    told_of(endpoint, down, name="").handle(message(seq=9, features=FEATURES), context())
    assert endpoint.asked == []

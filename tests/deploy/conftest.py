"""An account without detectors: moto's server, with the types that the box adds to it."""

import json
import logging
import urllib.request

import pytest
from moto.server import ThreadedMotoServer

from deploy.session import account_clients
from firedetect.cloudbox import moto_parts
from firedetect.cloudbox.tier import REGION
from firedetect.errors import BoxError


class Account:
    """The server, and what its functions answer: a value by name, or an exception."""

    def __init__(self, endpoint):
        self.endpoint = endpoint
        self.client_of = account_clients()
        self.answers = {}
        self.invoked = []

    def reset(self):
        """Forget everything that is in the account."""
        address = f"{self.endpoint}/moto-api/reset"
        reset = urllib.request.Request(address, method="POST")  # noqa: S310 - our own server
        urllib.request.urlopen(reset, timeout=10).close()  # noqa: S310 - our own server

    def invoke(self, name, payload):
        self.invoked.append((name, json.loads(payload)))
        answer = self.answers.get(name, {"devices": 0})
        if callable(answer):
            answer = answer(json.loads(payload))
        if isinstance(answer, Exception):
            raise BoxError(str(answer))
        return json.dumps(answer).encode()


@pytest.fixture(scope="session")
def moto_server():
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def account(moto_server, monkeypatch, tmp_path):
    for name in ("AWS_DEFAULT_REGION", "AWS_PROFILE", "AWS_SESSION_TOKEN", "CODE_BUCKET"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {
        "AWS_ENDPOINT_URL": moto_server,
        "AWS_REGION": REGION,
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
        "AWS_CONFIG_FILE": str(tmp_path / "none"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none"),
        "NO_PROXY": "127.0.0.1",
    }.items():
        monkeypatch.setenv(name, value)
    made = Account(moto_server)
    made.reset()
    moto_parts.extend_types(made.client_of, lambda name: f"http://127.0.0.1/{name}/")
    moto_parts.run_functions(made.invoke)
    return made

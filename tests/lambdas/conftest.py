"""AWS in this process for the handlers' tests."""

import pytest
from moto import mock_aws

from tests.lambdas.helpers import People, environment


@pytest.fixture
def people(monkeypatch):
    """Tables, the topic for people and a queue that listens to it."""
    for name, value in environment().items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    # A box that ran before in this process has state machines executed: here they are only started.
    with mock_aws(config={"stepfunctions": {"execute_state_machine": False}}):
        yield People.make()

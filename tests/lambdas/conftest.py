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
    with mock_aws():
        yield People.make()

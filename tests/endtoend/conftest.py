"""One box for all tests of a worker."""

import pytest

from tests.endtoend.world import BoxProcess


@pytest.fixture(scope="session")
def box(tmp_path_factory):
    with BoxProcess(tmp_path_factory.mktemp("endtoend") / "box") as running:
        yield running

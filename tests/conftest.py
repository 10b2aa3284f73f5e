"""Fixtures that every test may use."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

_ENV = "FIREDETECT_SHARED_DATA"
_FIGURE = "figure"
_DEFAULT = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture
def shared_data() -> Callable[[str], Path]:
    """Find a folder of data kept outside the repository.

    Where the environment names the place, a missing folder fails; elsewhere the test is skipped.
    """

    def find(name: str) -> Path:
        given = os.environ.get(_ENV)
        folder = Path(given) / name if given else _DEFAULT / name
        if folder.is_dir():
            return folder
        if given:
            pytest.fail(f"{_ENV} is set, but {folder} does not exist")
        pytest.skip(f"needs the data set {name!r}; set {_ENV} to the folder that holds it")

    return find


@pytest.fixture
def say(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Say a measured figure: all of them stand at the end of the run, whoever ran the test."""
    return lambda line: record_property(_FIGURE, line)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what the tests measured."""
    figures = [
        f"{report.nodeid.rpartition('::')[2]}: {value}"
        for report in terminalreporter.getreports("passed")
        for name, value in report.user_properties
        if name == _FIGURE and report.when == "call"
    ]
    if figures:
        terminalreporter.section("measured")
        for figure in figures:
            terminalreporter.line(figure)

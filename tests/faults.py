"""The fault catalogue: a plugin for `make fault` that ends with one line for each fault.

A fault is shown by the tests that carry its number, `@pytest.mark.fault("F07")`. It is NOT SHOWN
without one that passed: none has it, all were skipped, or one states what does not hold yet.
"""

import re
from collections import Counter
from pathlib import Path

import pytest

CATALOGUE = Path(__file__).parent.parent / "docs" / "faults.md"
_ROW = re.compile(r"^\| (F\d\d) \| (.+?) \|", flags=re.MULTILINE)
_FAULT, _FIGURE = "fault", "figure"
_PASSED, _FAILED, _NOT_SHOWN = "passed", "failed", "NOT SHOWN"


def read_catalogue() -> dict[str, str]:
    """Return every fault of the page in few words, by its number."""
    return dict(_ROW.findall(CATALOGUE.read_text()))


def pytest_configure(config: pytest.Config) -> None:
    """Watch this run, unless it only lists its tests or is one process of several."""
    if not config.option.collectonly and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Catalogue(read_catalogue()))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let every report carry the faults of its test, from whichever process it comes."""
    for item in items:
        faults = {fault for mark in item.iter_markers(_FAULT) for fault in mark.args}
        item.user_properties += [(_FAULT, fault) for fault in sorted(faults)]


class Catalogue:
    """What became of the tests of each fault, and what they measured."""

    def __init__(self, faults: dict[str, str]) -> None:
        self._faults = faults
        self._ends: dict[str, dict[str, str]] = {fault: {} for fault in faults}
        self._figures: dict[str, list[str]] = {fault: [] for fault in faults}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note how a test ended; what fails before or after it counts too."""
        if report.when != "call" and report.passed:
            return
        end = _NOT_SHOWN if hasattr(report, "wasxfail") else report.outcome
        figures = [said for name, said in report.user_properties if name == _FIGURE]
        for name, fault in report.user_properties:
            if name == _FAULT and fault in self._faults:
                self._ends[str(fault)][report.nodeid] = end
                self._figures[str(fault)] += map(str, figures if report.passed else ())

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Fail if a fault is not shown."""
        whole = all(self._state(fault) == _PASSED for fault in self._faults)
        if session.exitstatus == pytest.ExitCode.OK and not whole:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    @pytest.hookimpl(trylast=True)
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print one line for each fault, and how many there are of each kind."""
        terminalreporter.section("faults")
        for fault, words in self._faults.items():
            tests = len(self._ends[fault])
            figures = "; ".join(self._figures[fault])
            line = f"{fault}  {words:<49} {self._state(fault):<9} {tests:>3}  {figures}"
            terminalreporter.line(line.rstrip())
        states = Counter(self._state(fault) for fault in self._faults)
        terminalreporter.line(", ".join(f"{count} {state}" for state, count in states.items()))

    def _state(self, fault: str) -> str:
        ends = set(self._ends[fault].values())
        if _FAILED in ends:
            return _FAILED
        return _PASSED if _PASSED in ends and _NOT_SHOWN not in ends else _NOT_SHOWN

"""Records the built-in library: every scenario of the simulation through the pipeline."""

from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path

from firedetect.pipeline import Pipeline
from firedetect.readings import Event
from firedetect.simulation.events import NS_PER_S, episode_events
from firedetect.simulation.scenarios import SCENARIOS, Scenario
from firedetect.trial.library import library_path, write_library
from firedetect.trial.trace import Trace, TraceRecorder


def record_library(target: Path) -> None:
    """Write the traces of all scenarios; the same bytes every time."""
    write_library(target, tuple(record_scenario(scenario) for scenario in SCENARIOS.values()))


def record_scenario(scenario: Scenario) -> Trace:
    """Return the trace of a scenario; one in which something burns is a fire.

    It is recorded without a model, so that it does not depend on the one that it is to judge: the
    clean-air baseline is learnt and then stands still, as in the training data.
    """
    recorder = TraceRecorder()
    for _ in Pipeline(None, observer=recorder).run(scenario_events(scenario)):
        pass
    return recorder.trace(scenario.name, fire=scenario.build().happening.fire)


def scenario_events(scenario: Scenario) -> Iterator[Event]:
    """Return what the detector is told while a scenario is worth watching."""
    events = episode_events(scenario.build())
    return takewhile(lambda event: event.t_ns < scenario.duration_s * NS_PER_S, events)


if __name__ == "__main__":
    record_library(library_path())

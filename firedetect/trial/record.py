"""Records the built-in library: every scenario of the simulation through the pipeline."""

from collections.abc import Iterator
from pathlib import Path

from firedetect.pipeline import Pipeline
from firedetect.readings import (
    Event,
    GasCounts,
    Restored,
    Sensor,
    SensorOpened,
    Started,
    Stream,
    ThermalImage,
    Tick,
)
from firedetect.simulation.episodes import TA_SHIFT_C
from firedetect.simulation.scenarios import SCENARIOS, Scenario
from firedetect.trial.library import library_path, write_library
from firedetect.trial.trace import Trace, TraceRecorder

NS_PER_S = 1_000_000_000
IMAGES_PER_S = 4
STREAMS = (Stream(Sensor.THERMAL, 5.0), Stream(Sensor.GAS, 10.0))
LONG_POWERED_S = 1e6


def record_library(target: Path) -> None:
    """Write the traces of all scenarios; the same bytes every time."""
    write_library(target, tuple(record_scenario(scenario) for scenario in SCENARIOS.values()))


def record_scenario(scenario: Scenario) -> Trace:
    """Return the trace of a scenario; one in which something burns is a fire.

    It is recorded without a model, so that it does not depend on the one that it is to judge: the
    clean-air baseline is learnt and then stands still, as in the training data.
    """
    recorder = TraceRecorder()
    for _ in Pipeline(None, observer=recorder).run(_events(scenario)):
        pass
    return recorder.trace(scenario.name, fire=scenario.build().fire is not None)


def _events(scenario: Scenario) -> Iterator[Event]:
    episode = scenario.build()
    yield Started(0, "library", 0, 0, STREAMS)
    yield Restored(0)
    yield SensorOpened(0, Sensor.GAS, LONG_POWERED_S)
    for step in range(int(scenario.duration_s * IMAGES_PER_S)):
        t_s, t_ns = step / IMAGES_PER_S, step * NS_PER_S // IMAGES_PER_S
        if step % IMAGES_PER_S == 0:
            yield Tick(t_ns)
            yield GasCounts(t_ns, *episode.board.counts(t_s))
        image = episode.scene.image_c(t_s).astype("float32")
        yield ThermalImage(t_ns, image, episode.array_c(t_s) - TA_SHIFT_C)


if __name__ == "__main__":
    record_library(library_path())

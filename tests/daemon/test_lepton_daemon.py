"""The whole daemon with a Lepton instead of the MLX90640, in virtual time."""

import json

import numpy as np
import pytest

from firedetect.clock import ManualClock, run_virtual
from firedetect.commissioning.thermal import ThermalReference
from firedetect.config import Settings
from firedetect.contract.level import Health
from firedetect.daemon.app import run_daemon
from firedetect.daemon.calibration.gas import listen
from firedetect.daemon.calibration.mask import propose_mask
from firedetect.daemon.calibration.thermal import calibrate_thermal
from firedetect.daemon.commands import play
from firedetect.daemon.emulation import emulated_lepton, emulated_port, find_episode
from firedetect.daemon.models.choose import load_scorer
from firedetect.daemon.parts import Surroundings
from firedetect.daemon.replay import Overrides, replay
from firedetect.daemon.sources import wires_of
from firedetect.errors import FiredetectError, SimulationError
from firedetect.readings import FrameRejected, Sensor, SensorFault, SensorOpened, ThermalImage
from firedetect.sensors.recording import read_events
from tests.daemon.helpers import invoke

NS = 1_000_000_000
FAULT_LIMIT_S = 5.0
BACK_LIMIT_S = 10.0


def settings(folder, **more):
    return Settings(
        device={"data_dir": folder / "var"},
        thermal={"enabled": False},
        lepton={"enabled": True},
        **more,
    )


class Site:
    """A daemon whose Lepton sees a quiet room; `at` maps seconds to what happens to the board."""

    def __init__(self, folder):
        self.clock = ManualClock()
        self.settings = settings(folder)
        episode = find_episode("quiet-room", self.settings)
        self.bus = emulated_port(episode, self.settings, self.clock)
        self.board = emulated_lepton(episode, self.settings, self.clock)
        self.outcomes = []

    def run(self, seconds, at=None, record=None):
        due = sorted((at or {}).items())

        def hear(outcome):
            self.outcomes.append(outcome)
            while due and outcome.t_s >= due[0][0]:
                due.pop(0)[1](self.board)

        around = Surroundings(
            clock=self.clock,
            open_port=lambda _number: self.bus,
            open_frames=lambda *_device: self.board,
            powered_s=lambda: 1e9,
            listeners=(hear,),
            duration_s=seconds,
            record=record,
            served=False,
        )
        run_virtual(run_daemon(self.settings, around), self.clock)
        return self.outcomes

    def told_s(self, trouble):
        """Return when a trouble was first told."""
        return next(o.t_s for o in self.outcomes if trouble in o.troubles)

    def back_s(self, since_s):
        """Return when the array was first in no trouble any more."""
        return next(
            o.t_s
            for o in self.outcomes
            if o.t_s > since_s and not any("thermal" in trouble for trouble in o.troubles)
        )


def fault(**values):
    def change(board):
        for name, value in values.items():
            setattr(board.faults, name, value)

    return change


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lepton")
    path, live = folder / "run.mcap", []
    play(
        settings(folder),
        "waste-bin",
        duration_s=32.0,
        record=path,
        hear=lambda outcome: live.append(outcome.as_json()),
    )
    return path, live


def test_a_scenario_plays_through_the_lepton(recorded):
    path, live = recorded
    events = list(read_events(path))
    opened = [e for e in events if isinstance(e, SensorOpened) and e.sensor is Sensor.THERMAL]
    assert len(opened) == 1
    assert opened[0].images
    images = [event for event in events if isinstance(event, ThermalImage)]
    assert {image.temp_c.shape for image in images} == {(120, 160)}
    assert 4.0 <= len(images) / 32.0 <= 4.5
    last = json.loads(live[-1])
    assert last["level"] in ("alert", "emergency")
    assert last["features"]["t_max"] > 60.0
    assert not any("thermal" in trouble for trouble in last["troubles"])


def test_the_recording_replays_byte_for_byte(recorded):
    path, live = recorded
    lines = []
    summary = replay(
        path, load_scorer(None), Overrides(), lambda outcome: lines.append(outcome.as_json())
    )
    assert lines == live
    assert summary.images == pytest.approx(4.35 * 32.0, abs=3)


def test_a_correction_is_no_trouble(tmp_path):
    site = Site(tmp_path)
    site.run(15.0, at={5.0: lambda board: board.correct(1.0)}, record=tmp_path / "r.mcap")
    rejected = [e for e in read_events(tmp_path / "r.mcap") if isinstance(e, FrameRejected)]
    assert 7 <= len(rejected) <= 9
    after = [o for o in site.outcomes if o.t_s > 5.0]
    assert not any("thermal" in trouble for o in after for trouble in o.troubles)


@pytest.mark.parametrize(
    ("broken", "mended", "trouble"),
    [
        (fault(unplugged=True), fault(unplugged=False), "thermal:no-answer"),
        (fault(stalled=True), fault(stalled=False), "thermal:no-frame"),
        (fault(frozen=True), fault(frozen=False), "thermal:frozen"),
        (fault(size=1000), fault(size=None), "thermal:no-frame"),
        (fault(word=0), fault(word=None), "thermal:frozen"),
    ],
    ids=["unplugged", "stalled", "frozen", "cut", "empty"],
)
def test_a_lost_lepton_is_told_in_time_and_comes_back(tmp_path, broken, mended, trouble):
    site = Site(tmp_path)
    site.run(30.0, at={5.0: broken, 15.0: mended})
    assert 5.0 <= site.told_s(trouble) <= 5.0 + FAULT_LIMIT_S
    assert site.back_s(15.0) <= 15.0 + BACK_LIMIT_S
    lost = [o for o in site.outcomes if 10.5 < o.t_s < 14.5]
    assert lost
    assert Health.OK not in {o.health for o in lost}


def test_a_call_that_hangs_ends_in_a_named_fault(tmp_path):
    site = Site(tmp_path)
    site.run(15.0, at={5.0: fault(block_s=30.0)}, record=tmp_path / "r.mcap")
    faults = [e for e in read_events(tmp_path / "r.mcap") if isinstance(e, SensorFault)]
    assert [f.kind.value for f in faults if f.sensor is Sensor.THERMAL] == ["bus-stuck"]


def test_an_episode_for_the_other_array_is_refused_by_name(tmp_path):
    episode = find_episode("quiet-room")
    with pytest.raises(SimulationError, match=r"32x24 pixels, a Lepton has 160x120"):
        emulated_lepton(episode, settings(tmp_path), ManualClock())


def test_without_telemetry_a_scenario_plays_too(tmp_path):
    plain = settings(tmp_path)
    plain = plain.model_copy(
        update={"lepton": plain.lepton.model_copy(update={"telemetry": False})}
    )
    live = []
    play(plain, "quiet-room", duration_s=5.0, record=None, hear=live.append)
    assert sum(not np.isnan(o.features.get("t_mean", np.nan)) for o in live) > 15


def test_the_array_of_another_maker_is_not_calibrated_here(tmp_path):
    with pytest.raises(FiredetectError, match="the array is a Lepton") as error:
        calibrate_thermal(
            settings(tmp_path),
            ThermalReference(),
            simulate="quiet-room",
            steady_s=10.0,
            show=lambda _session: None,
        )
    assert "\n" not in str(error.value)
    with pytest.raises(FiredetectError, match="the array is a Lepton"):
        propose_mask(settings(tmp_path))


def test_the_gas_board_is_calibrated_beside_it(tmp_path):
    clock, chosen = ManualClock(), settings(tmp_path)
    wires = wires_of(chosen, "quiet-room", clock)
    found = run_virtual(listen(chosen, wires, 20.0, lambda _session: None, clock), clock)
    assert found.baseline.co > 0


def test_the_program_records_from_it_in_real_time(tmp_path):
    env = {"FIREDETECT_THERMAL__ENABLED": "false", "FIREDETECT_LEPTON__ENABLED": "true"}
    words = ("record", "-o", "r.mcap", "--simulate", "quiet-room", "--duration", "1")
    done = invoke(*words, cwd=tmp_path, env=env)
    assert done.returncode == 0, done.stderr
    images = [e for e in read_events(tmp_path / "r.mcap") if isinstance(e, ThermalImage)]
    assert 3 <= len(images) <= 7
    assert images[0].temp_c.shape == (120, 160)

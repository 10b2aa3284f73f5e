"""The gas board's baseline, taken at the device: from emulated chips to the file."""

import io
import json
import socket
import sys
import threading

import pytest

from firedetect.clock import ManualClock, run_virtual
from firedetect.commissioning.session import Proposal
from firedetect.config import GasBaseline, Settings, load_gas_baseline
from firedetect.daemon.calibration.found import sparkline
from firedetect.daemon.calibration.gas import calibrate_gas, listen, too_far, write
from firedetect.daemon.sources import wires_of
from firedetect.errors import FiredetectError
from tests.daemon.helpers import invoke

FAR = GasBaseline(no2=36.0, c2h5oh=400.0, voc=172.0, co=742.0)


def taken(scenario, steady_s=60.0):
    clock, shown = ManualClock(), []
    wires = wires_of(Settings(), scenario, clock)
    found = run_virtual(
        listen(Settings(), wires, steady_s, lambda s: shown.append(s.share), clock), clock
    )
    return found, shown


def test_a_quiet_room_gives_its_baseline():
    found, shown = taken("quiet-room")
    assert isinstance(found, Proposal)
    assert found.baseline.co == pytest.approx(742.0, abs=2.0)
    assert shown[0] == 0.0
    assert shown[-1] == 1.0


def test_a_fire_is_no_clean_air():
    found, _ = taken("waste-bin")
    assert isinstance(found, str)
    assert found.startswith(("the level was", "no2", "c2h5oh", "voc", "co"))


def test_what_was_before_stays_beside_it_with_the_curve_of_the_film(tmp_path):
    path = tmp_path / "new" / "gas.toml"
    found, _ = taken("quiet-room")
    write(path, found)
    text = path.read_text()
    assert "[taken]" in text
    assert "co_uncertainty = " in text
    path.write_text(text.replace("[gas]\n", "[gas]\nco_a = 100.0\nco_beta = 0.4\n"))
    write(path, found)
    assert load_gas_baseline(path).co_a == 100.0
    assert "co_a" in path.with_name("gas.toml.before").read_text()


def test_far_from_the_present_baseline_is_said():
    found, _ = taken("quiet-room")
    assert "c2h5oh 400.0 -> " in too_far(found, FAR)
    assert too_far(found, found.baseline) == ""
    assert too_far(found, None) == ""


def test_without_a_gas_board_there_is_nothing_to_calibrate():
    settings = Settings(gas={"enabled": False})
    with pytest.raises(FiredetectError, match="there is no gas board"):
        calibrate_gas(settings, simulate=None, steady_s=60.0, show=lambda _session: None)


def test_a_detector_that_does_not_answer_still_holds_the_sensors(tmp_path):
    settings = Settings(device={"data_dir": tmp_path})
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(tmp_path / "control.sock"))
        listener.listen()

        def hang_up():
            caller, _ = listener.accept()
            caller.close()

        ended = threading.Thread(target=hang_up)
        ended.start()
        with pytest.raises(FiredetectError, match="the detector is running and holds"):
            calibrate_gas(settings, simulate=None, steady_s=60.0, show=lambda _session: None)
        ended.join()


def test_a_course_is_a_row_of_bars():
    assert sparkline([0.0, 1.0]) == "▁█"
    assert sparkline([5.0] * 100) == "▁" * 40
    assert sparkline(list(range(80)))[::13] == "▁▃▆█"


def test_a_bus_that_is_not_there_is_not_waited_for(tmp_path):
    done = invoke("calibrate", "gas", "--yes", cwd=tmp_path)
    assert done.returncode == 1
    assert "no baseline: the gas board does not answer: /dev/i2c-1" in done.stderr
    assert done.stdout == ""


@pytest.mark.slow
def test_the_command_asks_writes_and_speaks_json(tmp_path, monkeypatch):
    words = ("calibrate", "gas", "--simulate", "quiet-room", "--duration", "20")
    monkeypatch.setattr(sys, "stdin", io.StringIO("n\n"))
    refused = invoke(*words, cwd=tmp_path)
    assert refused.returncode == 1
    assert refused.stderr.endswith("firedetect: nothing was written; it takes a y, or --yes\n")
    assert not (tmp_path / "var" / "gas.toml").exists()
    done = invoke(*words, "--yes", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert lines[0]["problem"] == "taking air, 0 of 20 readings"
    assert set(lines[-1]["baseline"]) == {"no2", "c2h5oh", "voc", "co"}
    assert load_gas_baseline(tmp_path / "var" / "gas.toml").co == lines[-1]["baseline"]["co"]

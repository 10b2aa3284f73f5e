"""The doctor itself: it never hangs, never breaks off, and asks nothing harmful."""

import asyncio
import json
import re
import struct
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from firedetect.clock import SystemClock
from firedetect.config import Settings, ThermalSettings
from firedetect.doctor.array import unevenness_k
from firedetect.doctor.buses import examine_rate, examine_speed, line_for
from firedetect.doctor.checks import examine
from firedetect.doctor.finding import guarded
from firedetect.doctor.host import Host, run_command, this_machine
from firedetect.doctor.machine import examine_board, examine_kernel, examine_power
from firedetect.doctor.model import Kernel, examine_kernels, loaded_kernels
from firedetect.doctor.scan import PROBES, BusLook, known_addresses
from firedetect.emulator.lepton import LeptonBoard
from firedetect.sensors.catalog import configured
from firedetect.sensors.mlx90640 import rate
from firedetect.sensors.mlx90640.driver import EEPROM, RAM
from firedetect.storage.folder import DataFolder
from tests.doctor.machine import DATA, Pi
from tests.drivers.rig import room_of_lepton

WIRING = (Path(__file__).parents[2] / "docs" / "wiring.md").read_text()
SECONDS = 20.0
"""Generous: what is tested is that it ends."""


class Hanging:
    """A port whose transfers never end."""

    def __init__(self):
        self.free = threading.Event()

    def i2c_rdwr(self, *_messages):
        self.free.wait(60.0)

    def close(self):
        pass


def test_a_hung_bus_does_not_hang_the_doctor(tmp_path):
    port = Hanging()
    pi = Pi(tmp_path)
    host = replace(pi.host(), clock=SystemClock(), open_i2c=lambda _number: port, play=asyncio.run)
    start = time.monotonic()
    found = {f.name: f for f in examine(Settings(**pi.settings), host=host)}
    port.free.set()
    assert time.monotonic() - start < SECONDS
    assert "no end of the transfer" in found["bus i2c-1"].detail
    assert "no end of the transfer" in found["bus i2c-2"].detail
    assert not any(name.startswith("sensor ") for name in found)
    assert found["disk"].state == "ok"


def test_a_check_that_breaks_is_a_finding_and_the_others_go_on(tmp_path):
    def broken(*_):
        raise ZeroDivisionError("planted")

    host = replace(
        Pi(tmp_path).host(), run=broken, open_i2c=broken, free_bytes=broken, find_chip=broken
    )
    settings = Settings(**Pi(tmp_path / "other").settings)
    found = list(examine(settings, broken, None, host))
    by_name = {finding.name: finding for finding in found}
    for name in ("power", "kernel log", "bus i2c-1", "bus i2c-2", "model", "disk", "outputs"):
        assert by_name[name].failed, name
        assert "ZeroDivisionError: planted" in by_name[name].detail
        assert "\n" not in by_name[name].detail
    assert by_name["clock battery"].state == "ok"
    assert found[-1].name == "cloud"


def test_findings_before_the_break_are_kept():
    def check():
        yield from []
        raise LookupError("late")

    (finding,) = guarded("late one", check)
    assert (finding.name, finding.state) == ("late one", "fail")


def test_the_doctor_changes_no_address_and_persists_nothing(tmp_path):
    pi = Pi(tmp_path)
    pi.findings()
    assert pi.gas.refused == []
    assert pi.gas.heating
    assert pi.co2.persisted == 0


def test_a_folder_that_this_user_cannot_see_breaks_nothing(tmp_path):
    pi = Pi(tmp_path)
    # Even to ask whether it exists is an error, as below the private folder of a service.
    pi.settings["device"] = {"data_dir": "/var/lib/" + 300 * "x"}
    pi.denied.add("/var/lib")
    found = {finding.name: finding for finding in pi.findings()}
    assert found["data folder"].failed
    assert found["disk"].state == "ok"
    assert found["sensor gas at 0x08"].state == "ok"
    pi.commands["systemctl"] = "active\n"
    found = {finding.name: finding for finding in pi.findings()}
    assert "running detector" in found["sensors"].detail
    assert "sensor gas at 0x08" not in found


def test_the_sensors_of_a_running_detector_are_left_alone(tmp_path):
    pi = Pi(tmp_path)
    with DataFolder(tmp_path / DATA.lstrip("/")):
        names = [finding.name for finding in pi.findings()]
    assert "sensors" in names
    assert not any("i2c" in name for name in names)


def test_every_sensor_that_can_be_configured_is_asked_at_its_own_address():
    addresses = {"thermal": 0x34, "gas": 0x09, "air": 0x77}
    settings = Settings(
        co2={"enabled": True},
        **{name: {"enabled": True, "address": at} for name, at in addresses.items()},
    )
    known = known_addresses(settings)
    for spec in configured(settings):
        assert known[spec.address] is spec.sensor
        assert spec.sensor in PROBES


def test_every_finding_is_one_json_object(tmp_path):
    for finding in Pi(tmp_path).findings():
        record = json.loads(json.dumps(finding.as_record(), allow_nan=False))
        assert set(record) == {"name", "state", "detail", "advice"}


def test_this_machine_answers_every_check_without_an_error(tmp_path):
    settings = Settings(device={"data_dir": tmp_path / "var"})
    for finding in examine(settings):
        assert "check itself failed" not in finding.detail, finding


def test_a_command_that_is_missing_fails_or_does_not_end_gives_none():
    assert run_command(("/nonexistent/vcgencmd", "get_throttled")) is None
    assert run_command(("false",)) is None
    assert run_command(("sleep", "60"), limit_s=0.05) is None
    assert run_command(("echo", "throttled=0x0")) == "throttled=0x0\n"


def test_this_machine_is_described():
    host = this_machine()
    assert host.bits == 8 * struct.calcsize("P")
    assert host.user
    assert host.at("/proc/mounts").exists()
    assert host.number("/proc/mounts") is None


@pytest.mark.parametrize(
    ("flags", "state", "words"),
    [
        ("0x0", "ok", "no under-voltage"),
        ("0x1", "fail", "under-voltage now"),
        ("0x50005", "fail", "under-voltage now, throttled now"),
        ("0x50000", "warn", "under-voltage since boot, throttled since boot"),
        ("0x10004", "warn", "under-voltage since boot, throttled now"),
        ("0x8", "warn", "throttled now"),
    ],
)
def test_the_flags_of_the_supply(flags, state, words):
    finding = examine_power(Host(run=lambda _command: f"throttled={flags}\n"))
    assert finding.state == state
    assert finding.detail.startswith(words)


@pytest.mark.parametrize("answer", [None, "", "VCHI initialization failed\n", "throttled=?"])
def test_no_answer_about_the_supply_is_no_failure(answer):
    finding = examine_power(Host(run=lambda _command: answer))
    assert finding.state == "ok"
    assert "not available" in finding.detail


@pytest.mark.parametrize(
    ("release", "state"),
    [("6.6.19+rpt", "warn"), ("6.6.20", "ok"), ("6.12", "ok"), ("6.1.0-rpi7", "warn"), ("", "ok")],
)
def test_kernels_that_lose_transfers_are_named(tmp_path, release, state):
    pi = Pi(tmp_path)
    pi.write("/proc/sys/kernel/osrelease", release)
    assert examine_kernel(pi.host()).state == state
    pi.write("/proc/device-tree/model", "Raspberry Pi 4 Model B Rev 1.4\0")
    assert examine_kernel(pi.host()).state == "ok"


def test_another_computer_is_said_and_no_failure(tmp_path):
    finding = examine_board(Host(root=tmp_path, machine="riscv64"))
    assert finding.state == "ok"
    assert "riscv64, not a Raspberry Pi" in finding.detail


@pytest.mark.parametrize(
    ("hertz", "largest"), [(50_000, 2), (100_000, 4), (400_000, 16), (1_000_000, 32), (10_000, 0)]
)
def test_the_largest_rate_that_fits_a_bus(hertz, largest):
    assert rate.largest_refresh_hz(hertz) == largest


def test_the_arithmetic_knows_the_rates_and_lengths_of_the_driver():
    assert get_args(ThermalSettings.model_fields["refresh_hz"].annotation) == rate.REFRESH_HZ
    assert 2 * EEPROM.words == 2 * RAM.words == rate.READ_BYTES


def test_the_page_on_wiring_states_the_same_rates():
    rows = re.findall(r"^\| (\d+) ([kM])Hz \| (\d+) ms \| (\d+) \|$", WIRING, flags=re.MULTILINE)
    assert len(rows) == 3
    for number, unit, took_ms, largest in rows:
        hertz = int(number) * {"k": 1_000, "M": 1_000_000}[unit]
        assert round(1e3 * rate.read_s(hertz)) == int(took_ms)
        assert rate.largest_refresh_hz(hertz) == int(largest)


def test_a_measured_read_gives_the_speed_back():
    assert rate.read_s(100_000) == pytest.approx(0.15015)
    assert rate.bus_hz(rate.read_s(123_456)) == pytest.approx(123_456)


def speeds(hertz, **sections):
    values = {"thermal": {"enabled": False}, "gas": {"enabled": False}} | sections
    return examine_speed(Settings(**values), BusLook(1, set_hz=hertz)).state


def test_each_bus_is_as_fast_as_its_own_sensors_want():
    slow = {"gas": {}, "co2": {"enabled": True}}
    both = {"gas": {}, "thermal": {}}
    assert speeds(100_000, **slow) == "ok"
    assert speeds(400_000, **slow) == "ok"
    assert speeds(1_000_000, **slow) == "warn"
    assert speeds(100_000, thermal={}) == "warn"
    assert speeds(400_000, thermal={}) == "ok"
    assert speeds(1_000_000, thermal={}) == "warn"
    assert speeds(400_000, **both) == "ok"
    assert speeds(100_000, air={"enabled": True}) == "ok"
    assert speeds(1_000_000, air={"enabled": True}) == "ok"
    assert speeds(None, **both) == "ok"


def test_a_bus_that_is_far_too_slow_has_no_rate_at_all():
    (finding,) = examine_rate(Settings(), (BusLook(1, set_hz=10_000),))
    assert finding.failed
    assert "no rate fits" in finding.detail
    assert finding.advice == "set the bus to 400 kHz"


def test_a_rate_beyond_a_fast_bus_is_lowered_not_the_bus():
    settings = Settings(thermal={"refresh_hz": 32})
    (finding,) = examine_rate(settings, (BusLook(1, set_hz=400_000),))
    assert finding.failed
    assert finding.advice == "set thermal.refresh_hz = 16"


def test_the_lines_of_the_boot_configuration():
    assert line_for(1, 400_000) == "dtparam=i2c_arm=on,i2c_arm_baudrate=400000"
    assert line_for(2, 100_000) == "dtoverlay=i2c2-pi5,pins_12_13,baudrate=100000"


def test_a_pattern_of_the_sensor_is_told_from_a_scene():
    rng = np.random.default_rng(3)
    rows, columns = np.indices((24, 32))
    scene = 20.0 + 0.3 * rows + 0.2 * columns + rng.normal(0, 0.3, (24, 32))
    scene[5:15, 10:14] = 34.0
    scene[20, 20] = 300.0
    assert max(unevenness_k(scene.astype(np.float32))) < 0.3
    checked, striped = unevenness_k((scene + 2.0 * ((rows + columns) % 2)).astype(np.float32))
    assert checked == pytest.approx(2.0, abs=0.3)
    assert striped < 0.5
    checked, striped = unevenness_k((scene + 2.0 * (rows % 2)).astype(np.float32))
    assert striped == pytest.approx(2.0, abs=0.3)
    assert checked < 0.5


def test_kernels_without_a_place_or_switched_off_are_said(tmp_path):
    host = Host()
    homeless = Kernel("f", None, "f*.nbi")
    assert "no place" in examine_kernels(host, lambda: (homeless,)).detail
    assert "switched off" in examine_kernels(host, tuple).detail
    cold = Kernel("f", tmp_path, "f*.nbi")
    assert examine_kernels(host, lambda: (cold,)).advice.startswith("type  firedetect warmup")


def test_the_kernels_of_the_detector_are_known():
    names = {kernel.name for kernel in loaded_kernels()}
    if names:  # none when they run as plain Python
        assert {"flow_magnitude", "_celsius"} <= names


def with_lepton(pi, board):
    """Put a Lepton in place of the MLX90640."""
    del pi.devices[1][0x33]
    pi.settings["thermal"] = {"enabled": False}
    pi.settings["lepton"] = {"enabled": True}
    pi.groups |= {"video"}
    pi.board = board
    return {finding.name: finding for finding in pi.findings()}


def lepton_board(pi):
    return LeptonBoard(pi.clock, room_of_lepton)


def test_a_lepton_is_opened_and_read_at_its_device(tmp_path):
    pi = Pi(tmp_path)
    found = with_lepton(pi, lepton_board(pi))
    assert found["sensor thermal at /dev/video0"].state == "ok"
    assert found["sensor air at 0x76"].state == "ok"
    # It hangs on no bus, and has neither rate nor EEPROM nor calibration of ours.
    assert "thermal" not in found["bus i2c-1"].detail
    assert not {"thermal rate", "thermal eeprom", "thermal image"} & set(found)
    assert found["user"].detail == "pi, in i2c and video and gpio"
    assert not any("check itself failed" in finding.detail for finding in found.values())


def test_a_lepton_alone_needs_no_bus(tmp_path):
    pi = Pi(tmp_path)
    for section in ("gas", "co2", "air"):
        pi.settings[section] = {"enabled": False}
    found = with_lepton(pi, lepton_board(pi))
    assert found["sensor thermal at /dev/video0"].state == "ok"
    assert not any(name.startswith("bus ") for name in found)


def test_a_lepton_behind_its_shutter_is_waited_for(tmp_path):
    pi = Pi(tmp_path)
    board = lepton_board(pi)
    board.correct(1.5)
    assert with_lepton(pi, board)["sensor thermal at /dev/video0"].state == "ok"


@pytest.mark.parametrize(
    ("spoil", "said", "advised"),
    [
        (lambda board: setattr(board.faults, "unplugged", True), "does not exist", "group video"),
        (lambda board: setattr(board.faults, "stalled", True), "no frame comes", "cable"),
        (lambda board: setattr(board, "tlinear", False), "TLinear is off", "docs/wiring.md"),
    ],
    ids=["gone", "silent", "raw"],
)
def test_a_lepton_that_does_not_deliver_is_explained(tmp_path, spoil, said, advised):
    pi = Pi(tmp_path)
    board = lepton_board(pi)
    spoil(board)
    finding = with_lepton(pi, board)["sensor thermal at /dev/video0"]
    assert finding.failed
    assert said in finding.detail
    assert advised in finding.advice


def test_a_lepton_that_cannot_see_hot_enough_is_told(tmp_path):
    pi = Pi(tmp_path)
    board = lepton_board(pi)
    board.gain = 0
    finding = with_lepton(pi, board)["sensor thermal at /dev/video0"]
    assert (finding.state, finding.failed) == ("warn", False)
    assert "automatic or low" in finding.detail


def test_a_user_without_the_camera_is_told(tmp_path):
    pi = Pi(tmp_path)
    pi.groups = frozenset({"i2c", "gpio"})
    pi.settings["thermal"], pi.settings["lepton"] = {"enabled": False}, {"enabled": True}
    finding = next(finding for finding in pi.findings() if finding.name == "user")
    assert finding.detail == "pi is not in video: cameras stay closed"

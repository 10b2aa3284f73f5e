"""The array's calibration, taken at the device: from the emulated chip to the file in use."""

import hashlib
import json

import numpy as np
import pytest

from firedetect.clock import ManualClock, run_virtual
from firedetect.commissioning.thermal import ThermalProposal, ThermalReference
from firedetect.config import Settings, ThermalSettings, load_thermal_calibration
from firedetect.daemon.calibration.found import picture
from firedetect.daemon.calibration.thermal import (
    calibrate_thermal,
    listen,
    present_thermal,
    write_thermal,
)
from firedetect.daemon.sources import wires_of
from firedetect.errors import ConfigError, FiredetectError
from firedetect.sensors.mlx90640.setup import DAMAGED, TROUBLE
from tests.daemon.helpers import invoke
from tests.drivers.rig import Thermal


def found_in(scenario, steady_s=20.0, **reference):
    clock, settings = ManualClock(), Settings()
    wires = wires_of(settings, scenario, clock)
    known = ThermalReference(**reference)
    return run_virtual(listen(settings, known, wires, steady_s, lambda _s: None, clock), clock)


def test_a_quiet_room_gives_a_calibration_that_the_driver_uses(tmp_path):
    found = found_in("quiet-room", air_c=21.0)
    assert isinstance(found, ThermalProposal)
    path = tmp_path / "kept" / "thermal.toml"
    write_thermal(path, found, ManualClock())
    kept = load_thermal_calibration(path)
    assert kept.eeprom_bytes == found.calibration.eeprom_bytes
    assert kept.ta_shift_c == found.calibration.ta_shift_c
    rig = Thermal(settings=ThermalSettings(calibration=path))
    opened = rig.open()
    # The rig has another array than the scenario: its own terms are used, and that is told.
    assert (rig.events[0].name, rig.events[0].active) == (TROUBLE, True)
    assert opened.ta_shift_c == kept.ta_shift_c
    assert np.nanmax(np.abs(rig.run(1.0)[-1].temp_c - 22.0)) < 0.5


def test_an_array_whose_memory_cannot_be_read_goes_on_with_the_copy(tmp_path):
    path = tmp_path / "thermal.toml"
    rig = Thermal()
    words = rig.open().eeprom.astype(">u2").tobytes()
    found = found_in("quiet-room")
    own = found.calibration.model_copy(
        update={"eeprom": words.hex(), "eeprom_sha256": hashlib.sha256(words).hexdigest()}
    )
    write_thermal(path, ThermalProposal(own, found.image_c, 0.28, {}))
    damaged = Thermal(settings=ThermalSettings(calibration=path))
    damaged.chip.eeprom[70:80] ^= 0x0F00
    damaged.open()
    assert [(e.name, e.detail) for e in damaged.events] == [(TROUBLE, DAMAGED)]
    assert np.nanmax(np.abs(damaged.run(1.0)[-1].temp_c - 22.0)) < 0.5


@pytest.mark.parametrize("damage", [("eeprom = ", "eeprom = 1 #"), ("00ae", "00af"), ("[", "[[")])
def test_a_damaged_file_is_told_and_the_array_works_without_it(tmp_path, damage):
    path = tmp_path / "thermal.toml"
    write_thermal(path, found_in("quiet-room"))
    path.write_text(path.read_text().replace(*damage))
    with pytest.raises(ConfigError, match=r"thermal\.toml"):
        present_thermal(path)
    rig = Thermal(settings=ThermalSettings(calibration=path))
    rig.open()
    assert "thermal.toml" in rig.events[0].detail
    assert rig.run(1.0)


@pytest.mark.parametrize(
    "text", ["[thermal]\nx = " + "[" * 5000, "\x00", '[thermal]\neeprom = "zz"']
)
def test_no_content_of_the_file_ends_the_start(tmp_path, text):
    path = tmp_path / "thermal.toml"
    path.write_text(text)
    rig = Thermal(settings=ThermalSettings(calibration=path))
    assert rig.open().problem


def test_a_copy_of_another_length_is_refused(tmp_path):
    path, found = tmp_path / "thermal.toml", found_in("quiet-room")
    short = found.calibration.eeprom_bytes[:-2]
    values = found.calibration.model_dump() | {
        "eeprom": short.hex(), "eeprom_sha256": hashlib.sha256(short).hexdigest(),
    }  # fmt: skip
    cut = found.calibration.model_construct(**values)
    write_thermal(path, ThermalProposal(cut, found.image_c, 0.28, {}))
    with pytest.raises(ConfigError, match="1662 bytes, 1664 are expected"):
        load_thermal_calibration(path)


def test_a_fire_is_no_scene_to_calibrate_by():
    assert isinstance(found_in("waste-bin", 60.0), str)


def test_without_an_array_there_is_nothing_to_calibrate():
    settings = Settings(thermal={"enabled": False})
    with pytest.raises(FiredetectError, match="there is no array"):
        calibrate_thermal(settings, ThermalReference(), simulate=None, steady_s=20.0, show=print)


def test_a_picture_has_shades_and_its_range():
    image = np.array([[20.0, 30.0], [25.0, np.nan]], np.float32)
    assert picture(image) == ["  @@", "++?", "20.0 to 30.0 °C"]


@pytest.mark.slow
def test_the_command_shows_the_scene_and_writes_the_file(tmp_path):
    words = ("calibrate", "thermal", "--simulate", "quiet-room", "--duration", "10", "--yes")
    done = invoke(*words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "bad pixels  none but those of the maker" in done.stdout
    assert "set  calibration = " in done.stderr
    again = invoke(*words, "--json", cwd=tmp_path)
    line = json.loads(again.stdout.splitlines()[-1])
    assert line["present"]["eeprom_sha256"] == line["thermal"]["eeprom_sha256"]
    assert (tmp_path / "var" / "thermal.toml.before").exists()

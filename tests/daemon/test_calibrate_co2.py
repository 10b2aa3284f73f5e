"""A forced recalibration of the SCD41: from the emulated chip to the record."""

import tomllib

import pytest

from firedetect.clock import ManualClock, run_virtual
from firedetect.config import Settings
from firedetect.daemon.calibration.co2 import calibrate_co2, recalibrate, record_path, write_record
from firedetect.daemon.sources import Wires
from firedetect.emulator.bme280 import Bme280Chip
from firedetect.emulator.bus import EmulatedBus
from firedetect.emulator.scd41 import Scd41Chip
from firedetect.errors import FiredetectError
from tests.daemon.helpers import invoke

SETTINGS = Settings(co2={"enabled": True}, air={"enabled": True})


class Bench:
    """An SCD41 that reads 45 ppm too much, beside a BME280 at 960 hPa."""

    def __init__(self, co2_ppm=lambda _t_s: 470.0, *, present=True):
        self.clock = ManualClock()
        self.chip = Scd41Chip(self.clock, co2_ppm)
        chips = {0x62: self.chip} if present else {}
        chips[0x76] = Bme280Chip(self.clock, lambda _t_s: (21.0, 40.0, 960.0))
        self.bus = EmulatedBus(self.clock, chips, baud=100_000)
        self.shown = []
        self.asked = []

    def recalibrate(self, target_ppm=425, agree=None):
        wires = Wires(lambda _number: self.bus, lambda: 1000.0)
        return run_virtual(
            recalibrate(
                SETTINGS,
                target_ppm,
                wires,
                lambda session: self.shown.append(session.problem),
                agree or (lambda session: self.asked.append(session.far)),
                self.clock,
            ),
            self.clock,
        )


def test_steady_air_corrects_the_sensor_and_the_record_says_so(tmp_path):
    bench = Bench()
    done = bench.recalibrate()
    assert (done.measured_ppm, done.correction_ppm) == (470.0, -45)
    assert bench.shown[0] == "settling, 180 s left"
    assert bench.asked == [""]
    assert bench.chip.pressure_hpa == 960
    path = record_path(Settings(device={"data_dir": tmp_path}))
    write_record(path, done, ManualClock())
    assert tomllib.loads(path.read_text())["co2"] == {
        "at": "2026-01-01T00:00:00Z",
        "serial": f"{done.serial:012x}",
        "measured_ppm": 470.0,
        "target_ppm": 425,
        "correction_ppm": -45,
    }


@pytest.mark.parametrize(
    ("air", "told"),
    [
        (lambda t_s: 430.0 + 0.6 * t_s, "the air still changes"),
        (lambda t_s: 430.0 + 60.0 * (t_s % 10 < 5), "the air is not steady"),
    ],
)
def test_air_that_changes_is_no_reference(air, told):
    bench = Bench(air)
    with pytest.raises(FiredetectError, match=f"not recalibrated: {told}"):
        bench.recalibrate()
    assert bench.asked == []


def test_a_large_correction_is_for_a_person_to_decide():
    bench = Bench(lambda _t_s: 900.0)

    def refuse(session):
        raise FiredetectError(session.far)

    with pytest.raises(FiredetectError, match="reads 900 ppm where 425 ppm should be"):
        bench.recalibrate(agree=refuse)
    assert bench.chip.measuring


def test_a_sensor_that_is_not_there_is_not_waited_for():
    with pytest.raises(FiredetectError, match="the sensor does not answer"):
        Bench(present=False).recalibrate()


def test_without_a_sensor_there_is_nothing_to_calibrate(tmp_path):
    with pytest.raises(FiredetectError, match=r"co2\.enabled is false"):
        calibrate_co2(Settings(), 425, simulate=None, show=print, agree=print)
    done = invoke("calibrate", "co2", "--ppm", "399", cwd=tmp_path)
    assert done.returncode == 2

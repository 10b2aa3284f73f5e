"""One check-list over every sensor that exists."""

import inspect

import numpy as np
import pytest

from firedetect.clock import ManualClock, run_virtual
from firedetect.config import (
    AirSettings,
    Co2Settings,
    GasSettings,
    LeptonSettings,
    Settings,
    ThermalSettings,
)
from firedetect.emulator.bme280 import Bme280Chip
from firedetect.emulator.bus import EmulatedBus
from firedetect.emulator.eeprom import encode_eeprom, typical_terms
from firedetect.emulator.grove import GroveBoard
from firedetect.emulator.lepton import LeptonBoard
from firedetect.emulator.mlx90640 import Mlx90640Chip, SceneSource
from firedetect.emulator.scd41 import Scd41Chip
from firedetect.errors import BusError, BusStuckError, SensorError
from firedetect.readings import Sensor, SensorOpened
from firedetect.sensors.catalog import configured
from firedetect.sensors.wiring import Wiring

ALL = Settings(co2=Co2Settings(enabled=True), air=AirSettings(enabled=True))
OTHER_ARRAY = Settings(
    thermal=ThermalSettings(enabled=False),
    gas=GasSettings(enabled=False),
    lepton=LeptonSettings(enabled=True),
)
ON_I2C = configured(ALL)
SPECS = (*ON_I2C, *configured(OTHER_ARRAY))


def emulated(clock):
    eeprom = encode_eeprom(typical_terms())
    room = SceneSource(eeprom, lambda _t_s: np.full((24, 32), 22.0))
    return EmulatedBus(
        clock,
        {
            0x33: Mlx90640Chip(clock, eeprom, room),
            0x08: GroveBoard(clock, lambda _t_s: (41, 70, 95, 764)),
            0x62: Scd41Chip(clock, lambda _t_s: 612.0),
            0x76: Bme280Chip(clock, lambda _t_s: (21.4, 47.0, 1003.2)),
        },
    )


class OneSensor:
    """A sensor of the catalog with its driver, behind emulated buses and an emulated camera."""

    def __init__(self, spec):
        self.spec = spec
        self.clock = ManualClock(monotonic_ns=5_000_000_000)
        self.wire = emulated(self.clock)
        self.board = LeptonBoard(self.clock, lambda _t_s: np.full((120, 160), 22.0))
        self.wiring = Wiring(lambda _number: self.wire, lambda *_device: self.board)
        self.driver = spec.factory(self.wiring, self.clock)

    def run(self, main):
        return run_virtual(main, self.clock)

    def lose(self):
        self.wire.faults(self.spec.address).fail()
        self.board.faults.unplugged = True

    def find(self):
        self.wire.faults(self.spec.address).clear()
        self.board.faults.unplugged = False

    def block(self, seconds):
        self.wire.faults(self.spec.address).block(seconds, times=1)
        self.board.faults.block_s = seconds

    def undrive(self):
        self.wire.faults(self.spec.address).all_ones()
        self.board.faults.word = 0xFFFF


@pytest.fixture(params=SPECS, ids=[spec.section for spec in SPECS])
def sensor(request):
    return OneSensor(request.param)


def test_catalog_follows_the_settings():
    assert [s.sensor for s in configured(Settings())] == [Sensor.THERMAL, Sensor.GAS]
    assert [s.sensor for s in ON_I2C] == [Sensor.THERMAL, Sensor.GAS, Sensor.CO2, Sensor.AIR]
    assert [s.stale_s for s in ON_I2C] == [3.0, 8.0, 20.0, 8.0]
    assert [s.interval_s for s in ON_I2C] == [0.0, 1.0, 5.0, 2.0]
    alone = configured(Settings(thermal=ThermalSettings(enabled=False)))
    assert [s.sensor for s in alone] == [Sensor.GAS]
    assert configured(Settings(thermal=ThermalSettings(enabled=False),
                               gas=GasSettings(enabled=False))) == ()  # fmt: skip
    moved = configured(Settings(gas=GasSettings(bus=3, address=0x09, interval_s=2.0)))[1]
    assert (moved.bus, moved.address, moved.interval_s) == (3, 0x09, 2.0)
    assert moved.place == "0x09"


def test_the_other_array_is_a_thermal_sensor_without_a_bus():
    (lepton,) = configured(OTHER_ARRAY)
    assert (lepton.sensor, lepton.stale_s, lepton.interval_s) == (Sensor.THERMAL, 4.0, 0.0)
    assert (lepton.bus, lepton.address, lepton.place) == (None, None, "/dev/video0")


def test_section_exists_and_agrees(sensor):
    spec = sensor.spec
    section = getattr(OTHER_ARRAY if spec.bus is None else ALL, spec.section)
    assert section.enabled
    if spec.bus is None:
        assert str(section.device) == spec.device
    else:
        assert (section.bus, section.address) == (spec.bus, spec.address)
    assert sensor.driver.sensor is spec.sensor


def test_has_the_driver_interface(sensor):
    names = ("open", "read", "close")
    assert all(inspect.iscoroutinefunction(getattr(sensor.driver, n)) for n in names)


def test_opens_and_reads_with_rising_time(sensor):
    opened = sensor.run(sensor.driver.open())
    assert isinstance(opened, SensorOpened)
    warm = sensor.spec.factory(sensor.wiring, sensor.clock, powered_s=lambda: 77.0)
    assert sensor.run(warm.open()).powered_s == 77.0
    assert opened.sensor is sensor.spec.sensor
    assert opened.powered_s > 0
    times = [opened.t_ns] + [sensor.run(sensor.driver.read()).t_ns for _ in range(5)]
    assert times == sorted(times)
    assert times[-1] <= sensor.clock.monotonic_ns()
    assert len(set(times)) == len(times)
    sensor.run(sensor.driver.close())


def test_opens_again_after_being_open(sensor):
    sensor.run(sensor.driver.open())
    sensor.run(sensor.driver.read())
    sensor.run(sensor.driver.open())
    sensor.run(sensor.driver.read())


@pytest.mark.parametrize("spec", ON_I2C, ids=[spec.section for spec in ON_I2C])
def test_one_failed_transfer_is_invisible(spec):
    sensor = OneSensor(spec)
    sensor.run(sensor.driver.open())
    sensor.wire.faults(spec.address).fail(times=1)
    sensor.run(sensor.driver.read())
    assert sensor.wiring.retries == 1


def test_absence_is_a_bus_error_and_heals(sensor):
    sensor.lose()
    with pytest.raises(BusError):
        sensor.run(sensor.driver.open())
    sensor.find()
    sensor.run(sensor.driver.open())
    sensor.lose()
    with pytest.raises(BusError):
        sensor.run(sensor.driver.read())


def test_blocked_transfer_ends_at_a_deadline(sensor):
    sensor.run(sensor.driver.open())
    sensor.block(60.0)
    with pytest.raises(BusStuckError):
        sensor.run(sensor.driver.read())


def test_undriven_bus_is_an_error_in_bounded_time(sensor):
    sensor.run(sensor.driver.open())
    sensor.undrive()
    begin = sensor.clock.monotonic_ns()
    with pytest.raises(SensorError):
        sensor.run(sensor.driver.read())
    assert (sensor.clock.monotonic_ns() - begin) / 1e9 < 5

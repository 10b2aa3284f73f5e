"""One check-list over every sensor that exists."""

import inspect

import numpy as np
import pytest

from firedetect.clock import ManualClock, run_virtual
from firedetect.config import AirSettings, Co2Settings, GasSettings, Settings, ThermalSettings
from firedetect.emulator.bme280 import Bme280Chip
from firedetect.emulator.bus import EmulatedBus
from firedetect.emulator.eeprom import encode_eeprom, typical_terms
from firedetect.emulator.grove import GroveBoard
from firedetect.emulator.mlx90640 import Mlx90640Chip, SceneSource
from firedetect.emulator.scd41 import Scd41Chip
from firedetect.errors import BusError, BusStuckError, SensorError
from firedetect.readings import Sensor, SensorOpened
from firedetect.sensors.bus import I2cBus
from firedetect.sensors.catalog import configured

ALL = Settings(co2=Co2Settings(enabled=True), air=AirSettings(enabled=True))
SPECS = configured(ALL)


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


@pytest.fixture(params=SPECS, ids=[spec.section for spec in SPECS])
def sensor(request):
    clock = ManualClock(monotonic_ns=5_000_000_000)
    wire = emulated(clock)
    bus = I2cBus("i2c-1", lambda: wire)
    spec = request.param
    return spec, spec.factory(bus, clock), wire, clock


def test_catalog_follows_the_settings():
    assert [s.sensor for s in configured(Settings())] == [Sensor.THERMAL, Sensor.GAS]
    assert [s.sensor for s in SPECS] == [Sensor.THERMAL, Sensor.GAS, Sensor.CO2, Sensor.AIR]
    assert [s.stale_s for s in SPECS] == [3.0, 8.0, 20.0, 8.0]
    assert [s.interval_s for s in SPECS] == [0.0, 1.0, 5.0, 2.0]
    alone = configured(Settings(thermal=ThermalSettings(enabled=False)))
    assert [s.sensor for s in alone] == [Sensor.GAS]
    assert configured(Settings(thermal=ThermalSettings(enabled=False),
                               gas=GasSettings(enabled=False))) == ()  # fmt: skip
    moved = configured(Settings(gas=GasSettings(bus=3, address=0x09, interval_s=2.0)))[1]
    assert (moved.bus, moved.address, moved.interval_s) == (3, 0x09, 2.0)


def test_section_exists_and_agrees(sensor):
    spec, driver, _, _ = sensor
    section = getattr(ALL, spec.section)
    assert (section.bus, section.address) == (spec.bus, spec.address)
    assert driver.sensor is spec.sensor


def test_has_the_driver_interface(sensor):
    _, driver, _, _ = sensor
    assert all(inspect.iscoroutinefunction(getattr(driver, n)) for n in ("open", "read", "close"))


def test_opens_and_reads_with_rising_time(sensor):
    spec, driver, wire, clock = sensor
    opened = run_virtual(driver.open(), clock)
    assert isinstance(opened, SensorOpened)
    warm = spec.factory(I2cBus("i2c-1", lambda: wire), clock, powered_s=lambda: 77.0)
    assert run_virtual(warm.open(), clock).powered_s == 77.0
    assert opened.sensor is spec.sensor
    assert opened.powered_s > 0
    times = [opened.t_ns] + [run_virtual(driver.read(), clock).t_ns for _ in range(5)]
    assert times == sorted(times)
    assert times[-1] <= clock.monotonic_ns()
    assert len(set(times)) == len(times)
    run_virtual(driver.close(), clock)


def test_opens_again_after_being_open(sensor):
    _, driver, _, clock = sensor
    run_virtual(driver.open(), clock)
    run_virtual(driver.read(), clock)
    run_virtual(driver.open(), clock)
    run_virtual(driver.read(), clock)


def test_one_failed_transfer_is_invisible(sensor):
    spec, driver, wire, clock = sensor
    run_virtual(driver.open(), clock)
    wire.faults(spec.address).fail(times=1)
    run_virtual(driver.read(), clock)


def test_absence_is_a_bus_error_and_heals(sensor):
    spec, driver, wire, clock = sensor
    wire.faults(spec.address).fail()
    with pytest.raises(BusError):
        run_virtual(driver.open(), clock)
    wire.faults(spec.address).clear()
    run_virtual(driver.open(), clock)
    wire.faults(spec.address).fail()
    with pytest.raises(BusError):
        run_virtual(driver.read(), clock)


def test_blocked_transfer_ends_at_a_deadline(sensor):
    spec, driver, wire, clock = sensor
    run_virtual(driver.open(), clock)
    wire.faults(spec.address).block(60.0, times=1)
    with pytest.raises(BusStuckError):
        run_virtual(driver.read(), clock)


def test_undriven_bus_is_an_error_in_bounded_time(sensor):
    spec, driver, wire, clock = sensor
    run_virtual(driver.open(), clock)
    wire.faults(spec.address).all_ones()
    begin = clock.monotonic_ns()
    with pytest.raises(SensorError):
        run_virtual(driver.read(), clock)
    assert (clock.monotonic_ns() - begin) / 1e9 < 5

"""The BME280: Bosch's example, calibration words, emulated air there and back, what is refused."""

import contextlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firedetect.clock import run_virtual
from firedetect.emulator.bme280 import (
    Trim,
    encode,
    fine_temperature,
    integer_humidity,
    integer_pressure,
    random_trim,
    trim_memory,
)
from firedetect.emulator.bus import Transfer
from firedetect.errors import (
    BusError,
    CalibrationError,
    FrameRejectedError,
    FrozenError,
    NoFrameError,
    SensorError,
)
from firedetect.readings import AirReading, Sensor
from firedetect.sensors.bme280 import (
    Calibration,
    compensate_humidity,
    compensate_pressure,
    compensate_temperature,
    decode,
    parse_calibration,
)
from tests.drivers.rig import Air

NS = 1_000_000_000
TEMP_TOLERANCE_C, RH_TOLERANCE_PCT, PRESSURE_TOLERANCE_HPA = 0.005, 0.02, 0.01
"""Between the formulas in double precision and the rounding integer ones."""

# Bosch BST-BMP280-DS001, section 3.12: both sensors compute temperature and pressure alike.
BOSCH = Calibration(
    27504, 26435, -1000, 36477, -10685, 3024, 2855, 140, -7, 15500, -14600, 6000, 0, 0, 0, 0, 0, 0
)
BOSCH_T, BOSCH_P = 519888, 415148
# A sensor whose words and results pimoroni/bme280-python publishes (tests/test_compensation.py).
PUBLISHED = Trim(
    28009, 25654, 50, 39145, -10750, 3024, 5667, -120, -7, 15500, -14600, 6000,
    75, 376, 0, 286, 50, 30,
)  # fmt: skip
PUBLISHED_T, PUBLISHED_P, PUBLISHED_H = 529191, 326816, 30281


def parsed(trim):
    memory = trim_memory(trim)
    return parse_calibration(memory[0x88], memory[0xE1])


def registers(adc_p, adc_t, adc_h):
    return (
        (adc_p << 4).to_bytes(3, "big") + (adc_t << 4).to_bytes(3, "big") + adc_h.to_bytes(2, "big")
    )


def opened(*args, **kwargs):
    rig = Air(*args, **kwargs)
    run_virtual(rig.driver.open(), rig.clock)
    return rig


def read(rig):
    return run_virtual(rig.driver.read(), rig.clock)


def test_the_example_of_the_data_sheet():
    t_fine, temp_c = compensate_temperature(BOSCH, BOSCH_T)
    assert t_fine == 128422
    assert round(temp_c, 2) == 25.08
    # 25767236 / 256 Pa is printed there for 64 bits.
    pascal = 100.0 * compensate_pressure(BOSCH, BOSCH_P, t_fine)
    assert pascal == pytest.approx(25767236 / 256, abs=0.05)


def test_the_integer_formulas_of_the_emulator_give_the_example_too():
    trim = Trim()
    assert tuple(trim)[:12] == (27504, 26435, -1000, 36477, -10685, 3024, 2855, 140, -7, 15500,
                                -14600, 6000)  # fmt: skip
    assert fine_temperature(trim, BOSCH_T) == 128422
    assert integer_pressure(trim, BOSCH_P, 128422) == pytest.approx(25767236, abs=10)


def test_a_sensor_with_published_results():
    words = parsed(PUBLISHED)
    t_fine, temp_c = compensate_temperature(words, PUBLISHED_T)
    assert temp_c == pytest.approx(24.7894877676, abs=1e-6)
    pressure_hpa = compensate_pressure(words, PUBLISHED_P, t_fine)
    assert pressure_hpa == pytest.approx(1006.61517564, abs=1e-3)
    rh_pct = compensate_humidity(words, PUBLISHED_H, t_fine)
    assert rh_pct == pytest.approx(68.66996648709039, abs=1e-4)
    integer = integer_humidity(PUBLISHED, PUBLISHED_H, t_fine) / 1024
    assert rh_pct == pytest.approx(integer, abs=RH_TOLERANCE_PCT)


def test_the_nibbles_of_h4_and_h5():
    low = bytes(range(1, 27))
    # E1/E2 H2, E3 H3, E4 and the low nibble of E5 H4, its high nibble and E6 H5, E7 H6.
    words = parse_calibration(low, bytes.fromhex("780102124ff3e2"))
    assert (words.h1, words.h2, words.h3) == (26, 0x178, 2)
    assert (words.h4, words.h5, words.h6) == (0x12F, 0xF34 - 0x1000, 0xE2 - 0x100)
    assert (words.t1, words.p9) == (0x0201, 0x1817)


@given(st.builds(
    Trim,
    *[st.integers(1, 65535), st.integers(-32768, 32767), st.integers(-32768, 32767)],
    *[st.integers(1, 65535)] + [st.integers(-32768, 32767)] * 8,
    *[st.integers(0, 255), st.integers(-32768, 32767), st.integers(0, 255)],
    *[st.integers(-2048, 2047), st.integers(-2048, 2047), st.integers(-128, 127)],
))  # fmt: skip
def test_every_word_survives_the_memory(trim):
    words = parsed(trim)
    assert tuple(getattr(words, name) for name in trim._fields) == tuple(trim)


@pytest.mark.fault("F73")
@given(st.binary(min_size=26, max_size=26), st.binary(min_size=7, max_size=7),
       st.binary(min_size=8, max_size=8))  # fmt: skip
def test_any_bytes_are_a_reading_in_range_or_a_stated_failure(low, high, data):
    with contextlib.suppress(CalibrationError, FrameRejectedError):
        reading = decode(parse_calibration(low, high), data, 0)
        assert -40.0 <= reading.temp_c <= 125.0
        assert 0.0 <= reading.rh_pct <= 100.0
        assert 300.0 <= reading.pressure_hpa <= 1100.0


def test_emulated_air_comes_back_for_every_calibration():
    rng = np.random.default_rng(280)
    for _ in range(150):
        wanted = (rng.uniform(-39.9, 84.9), rng.uniform(1.0, 99.0), rng.uniform(301.0, 1099.0))
        rig = opened(wanted, trim=random_trim(rng))
        reading = read(rig)
        assert reading.temp_c == pytest.approx(wanted[0], abs=TEMP_TOLERANCE_C)
        assert reading.rh_pct == pytest.approx(wanted[1], abs=RH_TOLERANCE_PCT)
        assert reading.pressure_hpa == pytest.approx(wanted[2], abs=PRESSURE_TOLERANCE_HPA)


def test_humidity_ends_at_its_bounds():
    words, trim = parsed(PUBLISHED), PUBLISHED
    t_fine, _ = compensate_temperature(words, PUBLISHED_T)
    assert compensate_humidity(words, 0, t_fine) == integer_humidity(trim, 0, t_fine) == 0
    assert compensate_humidity(words, 60000, t_fine) == 100.0
    assert integer_humidity(trim, 60000, t_fine) == 102400


def test_transcript_of_one_reading():
    rig = opened()
    rig.wire.log.clear()
    reading = read(rig)
    assert isinstance(reading, AirReading)
    assert reading.t_ns == rig.clock.monotonic_ns()
    assert list(rig.wire.log) == [
        # Humidity before the rest, then forced mode.
        Transfer(0x76, b"\xf2\x01\xf4\x25", 0),
        Transfer(0x76, b"\xf3", 0), Transfer(0x76, b"", 2),
        Transfer(0x76, b"\xf7", 0), Transfer(0x76, b"", 8),
    ]  # fmt: skip


def test_a_reading_takes_the_longest_time_that_a_measurement_may_take():
    rig = opened()
    begin = rig.clock.monotonic_ns()
    read(rig)
    # 1.25 + 2.3 + 2 * (2.3 + 0.575) ms, a millisecond more, and the wire.
    assert 0.0093 < (rig.clock.monotonic_ns() - begin) / NS < 0.012


def test_it_sleeps_between_readings():
    rig = opened()
    for _ in range(3):
        read(rig)
        assert rig.chip.memory[0xF4] & 0x03 == 0
    rig.air = (22.0, 40.0, 990.0)
    assert read(rig).temp_c == pytest.approx(22.0, abs=TEMP_TOLERANCE_C)


def test_opening_resets_and_says_how_long_power_is_on():
    rig = Air()
    said = run_virtual(rig.driver.open(), rig.clock)
    assert (said.sensor, said.powered_s) == (Sensor.AIR, 1000.0)
    assert rig.chip.resets == 1
    assert rig.chip.memory[0xF5] == 0


@pytest.mark.parametrize(
    ("identity", "name"), [(0x58, "BMP280"), (0x61, "BME680"), (0x00, "unknown sensor")]
)
def test_another_chip_is_refused_with_its_name(identity, name):
    rig = Air()
    rig.chip.memory[0xD0] = identity
    with pytest.raises(SensorError, match=rf"0x{identity:02X} is a.* {name}, a BME280 \(0x60\)"):
        run_virtual(rig.driver.open(), rig.clock)
    assert rig.chip.resets == 0


def test_an_undriven_bus_is_no_chip_and_no_reading():
    rig = Air()
    rig.faults.all_ones()
    with pytest.raises(BusError, match="nothing drives the bus"):
        run_virtual(rig.driver.open(), rig.clock)
    rig.faults.clear()
    run_virtual(rig.driver.open(), rig.clock)
    rig.faults.all_ones()
    with pytest.raises(BusError, match="nothing drives the bus"):
        read(rig)


@pytest.mark.parametrize("byte", [0xFF, 0x00])
def test_a_calibration_that_nobody_wrote_is_refused(byte):
    rig = Air()
    for address, words in trim_memory(Trim()).items():
        rig.chip.memory[address : address + len(words)] = bytes((byte,)) * len(words)
    with pytest.raises(CalibrationError, match=f"reads 0x{byte:02X} everywhere"):
        run_virtual(rig.driver.open(), rig.clock)
    with pytest.raises(SensorError, match="not open"):
        read(rig)


@pytest.mark.parametrize("address", [0x88, 0x8E])
def test_a_calibration_to_divide_by_is_refused(address):
    rig = Air()
    rig.chip.memory[address : address + 2] = b"\0\0"
    with pytest.raises(CalibrationError, match="neither can be 0"):
        run_virtual(rig.driver.open(), rig.clock)


def test_a_calibration_must_read_the_same_twice():
    rig = Air((21.4, 47.0, 1003.2))
    # The first dump is damaged, the next two agree.
    rig.faults.flip(20, 0x04, times=1)
    run_virtual(rig.driver.open(), rig.clock)
    assert read(rig).pressure_hpa == pytest.approx(1003.2, abs=PRESSURE_TOLERANCE_HPA)
    unsteady = Air()
    for mask in (1, 2, 4):
        unsteady.faults.flip(20, mask, times=mask)
    with pytest.raises(CalibrationError, match="3 reads of the calibration in a row differ"):
        run_virtual(unsteady.driver.open(), unsteady.clock)


def test_a_start_that_does_not_end_is_refused():
    rig = Air()
    # Bit 0 of the status says "copying"; the identity's is prepared to be right once it is flipped.
    rig.faults.flip(0, 0x01)
    rig.chip.memory[0xD0] = 0x61
    with pytest.raises(SensorError, match="does not start up"):
        run_virtual(rig.driver.open(), rig.clock)


@pytest.mark.parametrize("channel", ["t", "p", "h"])
def test_what_was_not_measured_is_rejected(channel):
    rig = opened()
    rig.chip.skipped = channel
    with pytest.raises(FrameRejectedError, match="was not measured"):
        read(rig)
    rig.chip.skipped = ""
    read(rig)


def test_a_measurement_that_does_not_end_in_time_is_no_reading():
    rig = opened()
    rig.chip.extra_s = 0.05
    with pytest.raises(NoFrameError, match=r"measures still after 10\.3 ms"):
        read(rig)
    rig.chip.extra_s = 0.0
    rig.clock.advance(0.1)
    run_virtual(rig.driver.open(), rig.clock)
    read(rig)


def test_a_restart_between_readings_changes_nothing():
    rig = opened()
    rig.chip.restart()
    rig.clock.advance(2.0)
    assert read(rig).rh_pct == pytest.approx(47.0, abs=RH_TOLERANCE_PCT)


def test_a_control_register_that_was_not_written_is_found_out():
    rig = opened()
    rig.faults.flip(1, 0x24, times=1)
    with pytest.raises(SensorError, match="control register is 0x00"):
        read(rig)


def test_a_sensor_that_measures_nothing_new_is_frozen_also_when_it_is_opened_again():
    rig = opened()
    end_ns = rig.clock.monotonic_ns() + 600 * NS
    while rig.clock.monotonic_ns() < end_ns:
        read(rig)
        rig.clock.advance(2.0)
    with pytest.raises(FrozenError, match="air: the raw words do not change"):
        read(rig)
    run_virtual(rig.driver.open(), rig.clock)
    with pytest.raises(FrozenError):
        read(rig)
    rig.air = (21.5, 47.0, 1003.2)
    assert read(rig).temp_c == pytest.approx(21.5, abs=TEMP_TOLERANCE_C)


@pytest.mark.parametrize(
    ("air", "shown"),
    [
        ((125.1, 50.0, 1000.0), "125.1 °C"),
        ((-40.1, 50.0, 1000.0), "-40.1 °C"),
        ((20.0, 50.0, 1100.2), "1100.2 hPa"),
        ((20.0, 50.0, 299.8), "299.8 hPa"),
    ],
)
def test_impossible_air_is_rejected(air, shown):
    with pytest.raises(FrameRejectedError, match=shown):
        read(opened(air))


@pytest.mark.parametrize("air", [(84.9, 0.0, 1099.9), (-39.9, 100.0, 300.1), (124.9, 20.0, 1000.0)])
def test_the_ends_of_the_range_are_air(air):
    reading = read(opened(air))
    assert reading.temp_c == pytest.approx(air[0], abs=TEMP_TOLERANCE_C)
    assert reading.rh_pct == pytest.approx(air[1], abs=0.1)


def test_raw_words_grow_with_heat_and_damp_and_fall_with_pressure():
    trim = Trim()
    cool, warm = encode(trim, 20.0, 40.0, 1000.0), encode(trim, 21.0, 41.0, 1000.0)
    assert warm[1] > cool[1]
    assert warm[2] > cool[2]
    assert encode(trim, 20.0, 40.0, 1001.0)[0] < cool[0]


def test_the_emulated_chip_takes_humidity_over_with_the_control_register():
    rig = Air()
    rig.clock.advance(0.01)
    run_virtual(rig.bus.transfer(0x76, b"\xf4\x25\xf2\x01"), rig.clock)
    rig.clock.advance(0.01)
    assert run_virtual(rig.bus.transfer(0x76, b"\xfd", 2), rig.clock) == b"\x80\0"
    run_virtual(rig.bus.transfer(0x76, b"\xf4\x25"), rig.clock)
    assert run_virtual(rig.bus.transfer(0x76, b"\xf3", 1), rig.clock) == b"\x08"
    rig.clock.advance(0.01)
    assert run_virtual(rig.bus.transfer(0x76, b"\xfd", 2), rig.clock) != b"\x80\0"

"""The SCD41: words with their checksums, the states it is found in, what is refused."""

import asyncio
import contextlib
import errno
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firedetect.clock import run_virtual
from firedetect.emulator.bus import Transfer
from firedetect.emulator.scd41 import DATA_SHEET_SERIAL, checksum
from firedetect.errors import (
    BusError,
    BusStuckError,
    FrameRejectedError,
    FrozenError,
    NoFrameError,
    SensorError,
)
from firedetect.readings import Co2Reading, Sensor
from firedetect.sensors.scd41.wire import (
    MEASUREMENT,
    RECALIBRATE,
    SERIAL,
    SET_PRESSURE,
    crc8,
    decode_co2,
    decode_words,
)
from tests.drivers.rig import Co2

NS = 1_000_000_000
# The answer to MEASUREMENT in the data sheet: 500 ppm, 25 °C, 37 % RH.
DATA_SHEET_MEASUREMENT = bytes.fromhex("01f4336667a25eb93c")


def opened(*args):
    rig = Co2(*args)
    run_virtual(rig.driver.open(), rig.clock)
    return rig


def read(rig):
    return run_virtual(rig.driver.read(), rig.clock)


def seconds(rig, since_ns):
    return (rig.clock.monotonic_ns() - since_ns) / NS


@pytest.mark.parametrize(
    ("word", "crc"),
    # 0xBEEF is the maker's example; the others stand in the examples of the commands.
    [
        (0xBEEF, 0x92), (0x01F4, 0x33), (0x6667, 0xA2), (0x5EB9, 0x3C), (0xF896, 0x31),
        (0x9F07, 0xC2), (0x3BBE, 0x89), (0x01E0, 0xB4), (0x7FCE, 0x7B), (0x03DB, 0x42),
    ],
)  # fmt: skip
def test_checksums_of_the_data_sheet(word, crc):
    assert crc8(word.to_bytes(2, "big")) == crc


def test_the_emulated_checksum_is_found_another_way_and_agrees():
    assert all(crc8(word.to_bytes(2, "big")) == checksum(word) for word in range(0x10000))


def test_the_measurement_of_the_data_sheet():
    words = decode_words(MEASUREMENT, DATA_SHEET_MEASUREMENT)
    assert words == (500, 0x6667, 0x5EB9)
    assert decode_co2(words) == 500.0


def test_commands_of_the_data_sheet():
    assert RECALIBRATE.send(480) == bytes.fromhex("362f01e0b4")
    assert SET_PRESSURE.send(987) == bytes.fromhex("e00003db42")
    assert MEASUREMENT.send() == bytes.fromhex("ec05")
    serial = decode_words(SERIAL, bytes.fromhex("f896319f07c23bbe89"))
    assert int.from_bytes(b"".join(w.to_bytes(2, "big") for w in serial), "big") == (
        273_325_796_834_238
    )


@pytest.mark.fault("F73")
@given(st.binary(min_size=9, max_size=9))
def test_any_bytes_are_a_reading_or_a_stated_failure(reply):
    with contextlib.suppress(FrameRejectedError, BusError):
        assert 0 < decode_co2(decode_words(MEASUREMENT, reply)) <= 40_000


@pytest.mark.fault("F24")
@given(st.integers(0, 8), st.integers(1, 255))
def test_every_flipped_bit_of_a_byte_is_seen(byte, mask):
    reply = bytearray(DATA_SHEET_MEASUREMENT)
    reply[byte] ^= mask
    with pytest.raises(FrameRejectedError, match="checksum"):
        decode_words(MEASUREMENT, bytes(reply))


def test_transcript_of_opening_and_the_first_reading():
    rig = opened()
    assert rig.sent() == [
        0x36F6, 0x3F86, 0x3646, 0x3682, 0x202F, 0x2313, 0x2416, 0x2313, 0x21B1,
    ]  # fmt: skip
    rig.wire.log.clear()
    reading = read(rig)
    assert isinstance(reading, Co2Reading)
    assert reading.co2_ppm == 612.0
    assert reading.t_ns == rig.clock.monotonic_ns()
    asked = [Transfer(0x62, b"\xe4\xb8", 0), Transfer(0x62, b"", 3)]
    taken = [Transfer(0x62, b"\xec\x05", 0), Transfer(0x62, b"", 9)]
    # Once at once, once when the value is due.
    assert list(rig.wire.log) == 2 * asked + taken


def test_opening_says_how_long_power_is_on_and_keeps_the_serial_number():
    rig = Co2()
    assert rig.driver.serial is None
    begin = rig.clock.monotonic_ns()
    said = run_virtual(rig.driver.open(), rig.clock)
    assert (said.sensor, said.powered_s) == (Sensor.CO2, 1000.0)
    assert rig.driver.serial == DATA_SHEET_SERIAL
    assert rig.chip.measuring
    # The missing acknowledge of the wake-up is expected and no failure.
    assert rig.bus.retries == 0
    # Wake-up, stop and re-initialisation are waited for, nothing else takes long.
    assert seconds(rig, begin) == pytest.approx(0.03 + 0.5 + 0.03, abs=0.02)


def test_every_value_is_read_once_five_seconds_apart():
    rig = opened(lambda t_s: 400.0 + t_s)
    begin = rig.clock.monotonic_ns()
    values = [read(rig) for _ in range(6)]
    assert [b.co2_ppm - a.co2_ppm for a, b in pairwise(values)] == [5.0] * 5
    assert seconds(rig, begin) == pytest.approx(30.0, abs=0.1)
    assert rig.chip.refused == []


def test_waiting_asks_a_few_times_a_second_at_most():
    rig = opened()
    rig.chip.has_stopped = True
    rig.wire.log.clear()
    with pytest.raises(NoFrameError, match="no new value for 8"):
        read(rig)
    assert len(rig.sent()) < 20


def test_a_late_caller_gets_a_value_at_once_and_no_value_is_told_soon():
    rig = opened()
    rig.clock.advance(3600.0)
    begin = rig.clock.monotonic_ns()
    read(rig)
    assert seconds(rig, begin) < 0.01
    rig.chip.has_stopped = True
    rig.clock.advance(3600.0)
    begin = rig.clock.monotonic_ns()
    with pytest.raises(NoFrameError):
        read(rig)
    assert seconds(rig, begin) < 1.5


@pytest.mark.parametrize("state", ["measuring", "asleep", "stopping", "new"])
def test_opens_from_every_state_that_it_may_be_found_in(state):
    rig = Co2()
    if state in {"measuring", "stopping"}:
        run_virtual(rig.driver.open(), rig.clock)
    if state == "asleep":
        run_virtual(rig.bus.transfer(0x62, b"\x36\xe0"), rig.clock)
        rig.clock.advance(0.01)
    if state == "stopping":
        # Somebody stopped it just before: it is silent for half a second.
        run_virtual(rig.bus.transfer(0x62, b"\x3f\x86"), rig.clock)
    run_virtual(rig.driver.open(), rig.clock)
    assert read(rig).co2_ppm == 612.0
    assert rig.chip.refused == []


def test_a_busy_sensor_is_asked_again_after_its_longest_silence():
    rig = opened()
    rig.chip.busy_for(0.45)
    read(rig)
    rig.chip.busy_for(2.0)
    with pytest.raises(BusError, match="EREMOTEIO"):
        read(rig)


def test_a_blocked_bus_is_not_asked_again():
    rig = Co2()
    rig.faults.block(60.0)
    with pytest.raises(BusStuckError):
        run_virtual(rig.driver.open(), rig.clock)
    assert rig.sent() == [0x36F6, 0x3F86]


@pytest.mark.parametrize(("word", "name"), [(0x0440, "SCD40"), (0x5441, "SCD43"), (0xF000, "unk")])
def test_another_variant_is_refused(word, name):
    rig = Co2()
    rig.chip.variant = word
    with pytest.raises(SensorError, match=f"variant word 0x{word:04X} is an {name}.*SCD41 is exp"):
        run_virtual(rig.driver.open(), rig.clock)
    assert not rig.chip.measuring


def test_self_calibration_is_off_and_nothing_is_stored():
    rig = Co2()
    for _ in range(3):
        assert rig.chip.self_calibration
        run_virtual(rig.driver.open(), rig.clock)
        assert not rig.chip.self_calibration
        rig.chip.restart()
    assert rig.chip.persisted == 0


def test_self_calibration_that_is_off_already_is_left_alone():
    rig = Co2()
    for command in (bytes.fromhex("2416000081"), bytes.fromhex("3615")):
        run_virtual(rig.bus.transfer(0x62, command), rig.clock)
        rig.clock.advance(1.0)
    run_virtual(rig.driver.open(), rig.clock)
    assert rig.sent().count(0x2416) == 1
    assert rig.chip.persisted == 1


def test_self_calibration_that_stays_on_is_refused():
    rig = Co2()
    rig.chip.stuck_on = True
    with pytest.raises(SensorError, match="self-calibration stays on"):
        run_virtual(rig.driver.open(), rig.clock)


def test_one_wrong_checksum_while_opening_is_asked_again_and_two_are_refused():
    rig = Co2()
    rig.chip.wrong_checksums = 1
    run_virtual(rig.driver.open(), rig.clock)
    rig.chip.wrong_checksums = 2
    with pytest.raises(FrameRejectedError, match="0x3682 answered"):
        run_virtual(rig.driver.open(), rig.clock)


@pytest.mark.fault("F24")
def test_a_damaged_reading_is_rejected_and_the_second_in_a_row_means_lost():
    rig = opened()
    read(rig)
    rig.faults.flip(5, 0x10, times=1)
    with pytest.raises(FrameRejectedError, match=r"0xEC05 answered.*checksum"):
        read(rig)
    assert read(rig).co2_ppm == 612.0
    rig.faults.flip(5, 0x10)
    with pytest.raises(FrameRejectedError):
        read(rig)
    with pytest.raises(SensorError, match="second in a row") as caught:
        read(rig)
    assert not isinstance(caught.value, FrameRejectedError)
    rig.faults.clear()
    run_virtual(rig.driver.open(), rig.clock)
    assert read(rig).co2_ppm == 612.0


@pytest.mark.parametrize("ppm", [0.0, 40_001.0, 65_535.0])
def test_impossible_air_is_rejected(ppm):
    rig = opened(lambda _t_s: ppm)
    with pytest.raises(FrameRejectedError, match=f"{ppm:.0f} ppm, expected 1 to 40000"):
        read(rig)


@pytest.mark.parametrize("ppm", [1.0, 40_000.0])
def test_the_ends_of_the_range_are_air(ppm):
    assert read(opened(lambda _t_s: ppm)).co2_ppm == ppm


def test_a_sensor_that_measures_nothing_new_is_frozen_also_when_it_is_opened_again():
    rig = opened()
    read(rig)
    begin_ns = rig.clock.monotonic_ns()
    while seconds(rig, begin_ns) < 590.0:
        read(rig)
    rig.clock.advance(10.0)
    with pytest.raises(FrozenError, match="co2: the raw words do not change"):
        read(rig)
    run_virtual(rig.driver.open(), rig.clock)
    with pytest.raises(FrozenError):
        read(rig)


def test_an_undriven_bus_is_no_reading():
    rig = opened()
    rig.faults.all_ones()
    with pytest.raises(BusError, match="nothing drives the bus"):
        read(rig)


def test_a_sensor_that_lost_power_is_found_out_and_opened_again():
    rig = opened()
    read(rig)
    rig.chip.restart()
    with pytest.raises(NoFrameError):
        read(rig)
    run_virtual(rig.driver.open(), rig.clock)
    assert not rig.chip.self_calibration
    assert read(rig).co2_ppm == 612.0


def test_pressure_is_told_while_measuring_and_again_after_opening():
    rig = opened()
    run_virtual(rig.driver.set_pressure(949.6), rig.clock)
    assert rig.chip.pressure_hpa == 950
    read(rig)
    rig.chip.restart()
    assert rig.chip.pressure_hpa == 1013
    run_virtual(rig.driver.open(), rig.clock)
    assert rig.chip.pressure_hpa == 950
    assert rig.chip.refused == []


@pytest.mark.parametrize("hpa", [699.9, 1200.1, float("nan")])
def test_a_pressure_out_of_range_is_never_sent(hpa):
    rig = opened()
    with pytest.raises(SensorError, match="takes 700 to 1200"):
        run_virtual(rig.driver.set_pressure(hpa), rig.clock)
    assert 0xE000 not in rig.sent()


def test_a_pressure_that_comes_during_a_reading_waits_for_its_end():
    rig = opened()

    async def both():
        async with asyncio.TaskGroup() as group:
            reading = group.create_task(rig.driver.read())
            await asyncio.sleep(1.0)
            group.create_task(rig.driver.set_pressure(960.0))
        return reading.result()

    assert run_virtual(both(), rig.clock).co2_ppm == 612.0
    assert rig.sent()[-2:] == [0xEC05, 0xE000]


def test_forced_recalibration_returns_the_correction_and_goes_on():
    rig = opened(lambda _t_s: 470.0)
    rig.clock.advance(181.0)
    assert run_virtual(rig.driver.recalibrate(420), rig.clock) == -50
    assert rig.chip.measuring
    assert read(rig).co2_ppm == 420.0
    assert rig.chip.refused == []
    assert rig.chip.persisted == 0


def test_forced_recalibration_that_fails_is_one_clear_error_and_goes_on():
    rig = opened()
    rig.clock.advance(181.0)
    rig.chip.fails = True
    with pytest.raises(SensorError, match="forced recalibration to 420 ppm failed"):
        run_virtual(rig.driver.recalibrate(420), rig.clock)
    assert read(rig).co2_ppm == 612.0


def test_forced_recalibration_is_sent_once():
    rig = opened()
    rig.clock.advance(181.0)
    rig.wire.log.clear()
    rig.chip.wrong_checksums = 1
    with pytest.raises(FrameRejectedError):
        run_virtual(rig.driver.recalibrate(420), rig.clock)
    assert rig.sent() == [0x3F86, 0x362F, 0x21B1]


@pytest.mark.parametrize("measured_s", [0.0, 178.0])
def test_forced_recalibration_needs_settled_air(measured_s):
    rig = opened()
    rig.clock.advance(measured_s)
    with pytest.raises(SensorError, match=f"measured for {measured_s:.0f} s"):
        run_virtual(rig.driver.recalibrate(420), rig.clock)
    assert rig.chip.measuring
    closed = Co2()
    with pytest.raises(SensorError, match="measured for 0 s"):
        run_virtual(closed.driver.recalibrate(420), closed.clock)


@pytest.mark.parametrize("target", [399, 5001, 0xFFFF])
def test_a_target_out_of_range_is_never_sent(target):
    rig = opened()
    with pytest.raises(SensorError, match="range is 400 to 5000"):
        run_virtual(rig.driver.recalibrate(target), rig.clock)
    assert 0x362F not in rig.sent()


def test_closing_leaves_it_measuring():
    rig = opened()
    run_virtual(rig.driver.close(), rig.clock)
    assert rig.chip.measuring


def test_the_emulated_chip_takes_only_what_the_true_one_takes():
    rig = opened()
    for refused in (b"\x36\x82", b"\x12\x34", b"\x24\x16\0\0\x81"):
        with pytest.raises(BusError):
            run_virtual(rig.bus.transfer(0x62, refused), rig.clock)
    assert rig.chip.refused == [0x3682, 0x1234, 0x2416]
    with pytest.raises(BusError):
        run_virtual(rig.bus.transfer(0x62, b"\xe0\x00\x03\xdb\x43"), rig.clock)
    assert rig.chip.pressure_hpa == 1013
    # Its buffer is empty until the next value.
    read(rig)
    run_virtual(rig.bus.transfer(0x62, b"\xec\x05"), rig.clock)
    rig.clock.advance(0.01)
    with pytest.raises(BusError) as caught:
        run_virtual(rig.bus.transfer(0x62, b"", 9), rig.clock)
    assert errno.errorcode[errno.EREMOTEIO] in str(caught.value)

"""The gas board: bytes on the wire, golden decode, what is refused."""

import errno

import pytest

from firedetect.clock import run_virtual
from firedetect.config import load_gas_baseline
from firedetect.emulator.bus import Transfer
from firedetect.emulator.grove import recorded_counts
from firedetect.errors import BusError, ConfigError, FrameRejectedError
from firedetect.readings import GasCounts, Sensor
from firedetect.sensors.grove_gas import CO, NO2, decode_counts
from tests.drivers.rig import Gas


def test_transcript_of_one_reading():
    rig = Gas((41, 70, 95, 764))
    reading = run_virtual(rig.driver.read(), rig.clock)
    assert isinstance(reading, GasCounts)
    assert (reading.no2, reading.c2h5oh, reading.voc, reading.co) == (41, 70, 95, 764)
    assert reading.t_ns == rig.clock.monotonic_ns()
    expected = []
    for command in (b"\x01", b"\x03", b"\x05", b"\x07"):
        expected += [Transfer(8, command, 0), Transfer(8, b"", 4)]
    assert list(rig.wire.log) == expected


def test_command_and_reply_are_a_millisecond_apart():
    rig = Gas()
    run_virtual(rig.driver.read(), rig.clock)
    wire_s = 4 * (20 + 47) / 400_000
    assert rig.clock.monotonic_ns() / 1e9 == pytest.approx(0.004 + wire_s, rel=0.03)


@pytest.mark.parametrize(
    ("reply", "counts"),
    [(b"\xfc\x02\0\0", 764.0), (b"\0\0\0\0", 0.0), (b"\xff\x03\0\0", 1023.0)],
)
def test_golden_decode(reply, counts):
    assert decode_counts(CO, reply) == counts


@pytest.mark.parametrize("reply", [b"\xff\xff\xff\xff", b"\x00\x04\0\0", b"\0\0\0\x01"])
def test_more_than_ten_bits_is_rejected(reply):
    with pytest.raises(FrameRejectedError, match="expected at most 1023"):
        decode_counts(NO2, reply)


def test_undriven_bus_is_rejected_not_read_as_gas():
    rig = Gas()
    rig.faults.all_ones(times=1)
    with pytest.raises(FrameRejectedError, match="0xffffffff"):
        run_virtual(rig.driver.read(), rig.clock)
    run_virtual(rig.driver.read(), rig.clock)


def test_opening_heats_and_says_how_long_power_is_on():
    rig = Gas()
    rig.board.heating = False
    opened = run_virtual(rig.driver.open(), rig.clock)
    assert (opened.sensor, opened.powered_s) == (Sensor.GAS, 1000.0)
    assert rig.board.heating


def test_address_change_is_never_sent():
    rig = Gas()
    run_virtual(rig.driver.open(), rig.clock)
    for _ in range(50):
        run_virtual(rig.driver.read(), rig.clock)
    run_virtual(rig.driver.close(), rig.clock)
    assert not any(b"\x55" in t.written for t in rig.wire.log)
    assert rig.board.refused == []


def test_board_refuses_the_address_change():
    rig = Gas()
    with pytest.raises(BusError):
        run_virtual(rig.bus.transfer(8, b"\x55"), rig.clock)
    assert rig.board.refused == [0x55]


@pytest.mark.fault("F15")
def test_one_failure_is_retried_and_a_lasting_one_raised():
    rig = Gas()
    rig.faults.fail(errno.EIO, times=1)
    run_virtual(rig.driver.read(), rig.clock)
    assert rig.bus.retries == 1
    rig.faults.fail()
    with pytest.raises(BusError):
        run_virtual(rig.driver.read(), rig.clock)


def test_recorded_counts_repeat():
    counts = recorded_counts([(1, 2, 3, 4), (5, 6, 7, 8)])
    assert [counts(t)[0] for t in (0.0, 0.9, 1.0, 2.5)] == [1, 1, 5, 1]


def span(path, **curve):
    """Write a calibration file of the board with the user's curve of CO."""
    lines = ["[gas]", "no2 = 40", "c2h5oh = 70", "voc = 95", "co = 760"]
    path.write_text("\n".join([*lines, *(f"{name} = {value}" for name, value in curve.items())]))
    return path


@pytest.mark.parametrize(
    ("co_a", "co_beta"),
    [(0.3, 0.26), (1.6, 0.32), (0.1, 0.5), (3.5, 0.8), (10.0, 0.5), (100.0, 0.4), (1000.0, 1.9)],
)
def test_a_curve_of_carbon_monoxide_that_a_film_can_have_is_taken(tmp_path, co_a, co_beta):
    taken = load_gas_baseline(span(tmp_path / "gas.toml", co_a=co_a, co_beta=co_beta))
    assert (taken.co_a, taken.co_beta) == (co_a, co_beta)


@pytest.mark.parametrize(
    ("curve", "reason"),
    [
        ({"co_a": 1e-300, "co_beta": 0.3}, "gas.co_a: .*0.1"),
        ({"co_a": 0.09, "co_beta": 0.3}, "gas.co_a: .*0.1"),
        ({"co_a": 1001.0, "co_beta": 0.3}, "gas.co_a: .*1000"),
        ({"co_a": 1.0, "co_beta": 0.04}, "gas.co_beta: .*0.05"),
        ({"co_a": 1.0, "co_beta": 2.0}, "gas.co_beta: .*2"),
        ({"co_a": 0.1, "co_beta": 0.6}, "gas.co_beta: .* R0/Rs = 63.1 .* at most 0.57"),
        ({"co_a": 1.0}, "gas.co_beta: is missing"),
        ({"co_beta": 0.3}, "gas.co_a: is missing"),
    ],
)
def test_a_curve_that_makes_the_board_deaf_is_refused_and_the_field_named(tmp_path, curve, reason):
    with pytest.raises(ConfigError, match=reason) as caught:
        load_gas_baseline(span(tmp_path / "gas.toml", **curve))
    assert "\n" not in str(caught.value)

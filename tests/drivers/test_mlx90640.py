"""The thermal driver against the emulated chip, with everything that goes wrong on a wire."""

import errno

import numpy as np
import pytest

from firedetect.clock import run_virtual
from firedetect.config import ThermalSettings
from firedetect.errors import (
    BusError,
    BusSlowError,
    BusStuckError,
    CalibrationError,
    NoFrameError,
    SensorError,
    TornFrameError,
)
from firedetect.readings import (
    FaultKind,
    FrameRejected,
    Sensor,
    SensorFault,
    SensorOpened,
    SubPage,
    ThermalImage,
)
from tests.drivers.rig import EEPROM, ROOM_C, Thermal

CONTROL = b"\x80\x0d"
STATUS = b"\x80\x00"


class Wrapped:
    """A chip with something between it and the wire."""

    def __init__(self, chip):
        self.chip = chip

    def write(self, data):
        self.chip.write(data)

    def read(self, count):
        return self.chip.read(count)


class DeafControl(Wrapped):
    """Acknowledges writes to the control register and forgets them."""

    def write(self, data):
        self.chip.write(data[:2] if data[:2] == CONTROL else data)


class NoisyMemory(Wrapped):
    """Every read of many words comes out differently."""

    def __init__(self, chip):
        super().__init__(chip)
        self.rng = np.random.default_rng(0)

    def read(self, count):
        data = bytearray(self.chip.read(count))
        if count > 2:
            data[int(self.rng.integers(count))] ^= 0xFF
        return bytes(data)


def faults_of(rig):
    return [e.kind for e in rig.events if isinstance(e, SensorFault)]


def test_eight_subpages_a_second_are_four_images():
    rig = Thermal()
    opened = rig.open()
    assert isinstance(opened, SensorOpened)
    assert (opened.sensor, opened.powered_s) == (Sensor.THERMAL, 1000.0)
    assert np.array_equal(opened.eeprom, EEPROM)
    images = rig.run(10.0)
    assert 39 <= len(images) <= 41
    assert rig.errors == []
    assert faults_of(rig) == []
    gaps_s = np.diff([i.t_ns for i in images]) / 1e9
    assert gaps_s == pytest.approx(0.25, abs=0.01)
    assert abs(images[-1].temp_c - ROOM_C).max() < 0.3


@pytest.mark.parametrize("pattern", ["chess", "interleaved"])
@pytest.mark.parametrize("refresh_hz", [2, 4, 8, 16])
def test_every_rate_and_pattern(refresh_hz, pattern):
    scene = ROOM_C + np.linspace(0, 100, 768).reshape(24, 32)
    rig = Thermal(
        lambda _t_s: scene, settings=ThermalSettings(refresh_hz=refresh_hz, pattern=pattern)
    )
    rig.open()
    images = rig.run(12.0 if refresh_hz < 4 else 4.0)
    rate = len(images) / (12.0 if refresh_hz < 4 else 4.0)
    assert rate == pytest.approx(refresh_hz / 2, abs=0.3)
    assert abs(images[-1].temp_c - scene).max() < 0.3
    assert faults_of(rig) == []
    assert rig.errors == []


def test_reading_leaves_the_bus_to_others():
    # Defect 2: the package polls without a pause.
    rig = Thermal()
    rig.open()
    rig.wire.log.clear()
    rig.run(4.0)
    status_reads = sum(1 for t in rig.wire.log if t.written == STATUS)
    assert status_reads < 4 * 8 * 15
    bytes_on_wire = sum(len(t.written) + t.read_bytes for t in rig.wire.log)
    assert bytes_on_wire * 9 / 400_000 < 0.4 * 4.0


def test_set_up_keeps_the_resolution_and_is_verified():
    rig = Thermal()
    rig.open()
    rig.wire.log.clear()
    rig.open()
    (sent,) = [t.written for t in rig.wire.log if t.written[:2] == CONTROL and len(t.written) == 4]
    value = int.from_bytes(sent[2:], "big")
    assert value >> 7 & 7 == 4
    assert value >> 10 & 3 == 2
    assert value & 0x1000
    # Defect 6: the package overlooks a write that had no effect.
    deaf = Thermal(device=DeafControl)
    with pytest.raises(SensorError, match="control register reads 0x1901 after 0x1A01"):
        deaf.open()


@pytest.mark.fault("F02")
def test_absent_sensor_is_a_bus_error():
    rig = Thermal()
    rig.faults.fail()
    with pytest.raises(BusError, match="0x33: EREMOTEIO"):
        rig.open()
    rig.faults.clear()
    rig.open()
    assert rig.run(1.0)


@pytest.mark.fault("F01")
@pytest.mark.parametrize("number", [errno.EREMOTEIO, errno.EIO, errno.EAGAIN, errno.ETIMEDOUT])
def test_one_failed_transfer_costs_no_frame(number):
    rig = Thermal()
    rig.open()
    rig.run(1.0)
    rig.faults.fail(number, times=1)
    images = rig.run(4.0)
    assert rig.bus.retries == 1
    assert len(images) >= 15
    assert rig.errors == []


def test_questions_that_the_bus_loses_are_asked_again_until_there_is_data():
    rig = Thermal()
    rig.open()
    rig.run(1.0)
    before = rig.bus.retries
    images = 0
    for _ in range(8):
        # The next transfer and its repetition are lost, so is one question more.
        rig.faults.fail(errno.EREMOTEIO, times=3)
        images += len(rig.run(0.5))
    assert images >= 16
    assert rig.bus.retries > before
    assert len(rig.opened) == 0


def test_questions_that_are_all_lost_end_within_the_deadline():
    rig = Thermal()
    rig.open()
    rig.run(1.0)
    begin_ns = rig.clock.monotonic_ns()
    rig.faults.fail(errno.EREMOTEIO)
    with pytest.raises(BusError, match="EREMOTEIO"):
        rig.run(10.0)
    assert 1.0 <= (rig.clock.monotonic_ns() - begin_ns) / 1e9 < 1.5


@pytest.mark.fault("F03")
def test_blocked_bus_is_stuck_and_comes_back():
    rig = Thermal()
    rig.open()
    rig.faults.block(60.0, times=1)
    with pytest.raises(BusStuckError):
        run_virtual(rig.driver.read(), rig.clock)
    rig.open()
    assert rig.run(1.0)


@pytest.mark.fault("F04")
def test_data_that_never_gets_ready_has_a_deadline():
    rig = Thermal()
    rig.open()
    rig.run(1.0)
    rig.chip.faults.silent = True
    begin = rig.clock.monotonic_ns()
    with pytest.raises(NoFrameError, match="no new sub-page within 1 s"):
        run_virtual(rig.driver.read(), rig.clock)
    assert (rig.clock.monotonic_ns() - begin) / 1e9 < 1.2
    rig.chip.faults.silent = False
    assert rig.run(1.0)


@pytest.mark.fault("F07")
def test_frame_overwritten_while_it_is_read_is_torn():
    # Defect 10: at 100 kHz a frame takes longer than the next one needs to come.
    rig = Thermal()
    rig.open()
    rig.wire.baud = 100_000
    with pytest.raises(TornFrameError, match="status"):
        run_virtual(rig.driver.read(), rig.clock)


@pytest.mark.parametrize(
    ("baud", "refresh_hz"),
    [(1_000_000, 8), (400_000, 8), (175_000, 8), (168_000, 4), (100_000, 4), (60_000, 2)],
)
def test_the_rate_fits_the_bus_as_measured_at_the_opening(baud, refresh_hz):
    rig = Thermal(baud=baud)
    opened = rig.open()
    assert opened.refresh_hz == refresh_hz
    images = rig.run(8.0)
    assert len(images) == pytest.approx(4.0 * refresh_hz, abs=2)
    assert (rig.errors, rig.opened, faults_of(rig)) == ([], [], [])
    assert abs(images[-1].temp_c - ROOM_C).max() < 0.3
    assert bool(opened.slow) == (refresh_hz < 8)
    if baud == 100_000:
        assert opened.slow == (
            "4 Hz instead of 8 Hz: the bus was measured at 100 kHz, 8 Hz needs 172 kHz: "
            "set the bus to 400 kHz, or set thermal.refresh_hz = 4"
        )


def test_a_bus_on_which_no_rate_fits_is_refused_with_the_reason():
    rig = Thermal(baud=40_000)
    with pytest.raises(BusSlowError) as refused:
        rig.open()
    assert str(refused.value) == (
        "thermal: the bus was measured at 40 kHz, even 2 Hz needs 43 kHz: set the bus to 400 kHz"
    )
    rig.wire.baud = 400_000
    assert rig.open().refresh_hz == 8


@pytest.mark.parametrize("late", [1, 2, 4])
def test_reads_that_are_late_for_another_reason_lower_no_rate(late):
    rig = Thermal()
    rig.faults.block(0.3, times=late)
    assert (rig.open().refresh_hz, rig.faults.pending) == (8, 0)
    rig.run(2.0)
    # Now and then a machine has no time for four reads in a row.
    rig.faults.block(0.2, times=4)
    images = rig.run(4.0)
    assert len(images) >= 12
    assert rig.opened == []


def test_a_bus_that_gets_slower_and_faster_is_followed():
    rig = Thermal()
    rig.open()
    rig.run(2.0)
    rig.wire.baud = 100_000
    rig.run(3.0)
    assert [one.refresh_hz for one in rig.opened] == [4]
    assert rig.opened[0].slow
    assert len(rig.run(4.0)) >= 7
    rig.wire.baud = 400_000
    rig.run(3.5)
    assert [(one.refresh_hz, one.slow) for one in rig.opened[1:]] == [(8, "")]
    assert len(rig.run(4.0)) >= 15
    assert faults_of(rig) == []


def test_a_bus_at_its_limit_does_not_change_the_rate_all_the_time():
    rig = Thermal()
    rig.open()
    changes = []
    for _ in range(8):
        rig.wire.baud = 160_000
        rig.run(4.0)
        rig.wire.baud = 400_000
        rig.run(4.0)
        changes.append(len(rig.opened))
    # Each way back takes twice as many good reads as the one before.
    assert changes[-1] - changes[-4] <= 1
    assert changes[-1] <= 8


def test_restarted_sensor_is_noticed():
    rig = Thermal()
    rig.open()
    rig.run(1.0)
    rig.chip.power_up()
    with pytest.raises(SensorError, match="the sensor has restarted"):
        rig.run(2.0)
    rig.open()
    assert rig.run(1.0)


@pytest.mark.fault("F11")
def test_one_damaged_dump_is_read_again():
    rig = Thermal()
    rig.faults.flip(200, 0x10, times=1)
    assert np.array_equal(rig.open().eeprom, EEPROM)
    noisy = Thermal(device=NoisyMemory)
    with pytest.raises(CalibrationError, match="3 reads in a row differ"):
        noisy.open()


@pytest.mark.fault("F11")
def test_broken_memory_gives_a_fault_and_no_image():
    rig = Thermal()
    rig.chip.eeprom[:] = 0xFFFF
    with pytest.raises(CalibrationError, match="all 832 words are 0xFFFF"):
        rig.open()


@pytest.mark.fault("F05")
def test_frozen_chip():
    rig = Thermal()
    rig.open()
    rig.run(1.0)
    rig.chip.faults.frozen = True
    # Up to the fifth identical sub-page nothing is wrong yet.
    rig.run(1.0)
    assert faults_of(rig) == [FaultKind.FROZEN]
    assert rig.run(2.0) == []
    rig.chip.faults.frozen = False
    assert len(rig.run(2.0)) >= 7


@pytest.mark.fault("F06")
def test_stuck_subpage():
    rig = Thermal()
    rig.open()
    rig.run(1.0)
    rig.chip.faults.only_page = 0
    assert len(rig.run(3.0)) <= 1
    assert set(faults_of(rig)) == {FaultKind.STUCK_SUBPAGE}
    rig.chip.faults.only_page = None
    assert len(rig.run(2.0)) >= 7


@pytest.mark.fault("F08")
def test_flipped_bit_on_the_chip_never_shows():
    rig = Thermal()
    rig.open()
    rig.run(1.0)
    rig.chip.faults.flips[32 * 10 + 10] = 1 << 14
    images = rig.run(1.0)
    assert sum(int(np.isnan(i.temp_c).sum()) for i in images) == 1
    assert max(float(np.nanmax(i.temp_c)) for i in images) < ROOM_C + 1


@pytest.mark.fault("F08")
def test_flipped_bit_on_the_wire_never_shows():
    rig = Thermal()
    rig.open()
    rig.run(1.0)
    rig.faults.flip(2 * (32 * 10 + 10), 0x20, times=1)
    images = rig.run(1.0)
    assert max(float(np.nanmax(i.temp_c)) for i in images) < ROOM_C + 1


def test_undriven_bus_is_a_bus_error():
    rig = Thermal()
    rig.open()
    rig.run(1.0)
    rig.faults.all_ones(times=1)
    with pytest.raises(BusError, match="nothing drives the bus"):
        rig.run(1.0)
    assert rig.run(1.0)


@pytest.mark.fault("F10")
def test_frame_of_ones_is_rejected():
    rig = Thermal()
    rig.open()
    ones = SubPage(1, np.full(834, 0xFFFF, np.uint16))
    assert isinstance(rig.images.feed(ones), FrameRejected)


@pytest.mark.fault("F14")
def test_fire_that_clips_is_hot():
    fire = np.full((24, 32), ROOM_C)
    fire[8:12, 8:12] = 900.0
    rig = Thermal(lambda t_s: fire if t_s > 1.5 else np.full((24, 32), ROOM_C))
    rig.open()
    rig.run(1.0)
    images = [i for i in rig.run(2.0) if isinstance(i, ThermalImage)]
    assert np.all(images[-1].temp_c[8:12, 8:12] == 300.0)


def test_settings_reach_the_images():
    # Defect 9: the package fixes emissivity and shift.
    rig = Thermal(settings=ThermalSettings(emissivity=0.9, ta_shift_c=5.0))
    opened = rig.open()
    assert (opened.emissivity, opened.ta_shift_c) == (0.9, 5.0)
    assert rig.run(1.0)[-1].air_c == pytest.approx(28.0, abs=0.05)

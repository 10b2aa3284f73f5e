"""The bus: one transfer, one thread, one deadline."""

import errno
import subprocess
import sys
import threading
import time

import pytest

from firedetect.clock import ManualClock, run_virtual
from firedetect.emulator.bus import EmulatedBus, Transfer
from firedetect.errors import BusError, BusStuckError
from firedetect.sensors.bus import CONTROLLER_TIME_OUT_S, DaemonExecutor, I2cBus, open_i2c
from tests.drivers.rig import Gas, Thermal

STUCK_S = 0.03


class Echo:
    """Answers with the last bytes written."""

    def __init__(self):
        self.data = b""

    def write(self, data):
        self.data = data

    def read(self, count):
        return self.data.ljust(count, b"\0")[:count]


class BlockingPort:
    """A port whose transfers hang until they are released."""

    def __init__(self, *, hang):
        self.free = threading.Event()
        self.closed = threading.Event()
        self.thread = None
        if not hang:
            self.free.set()

    def i2c_rdwr(self, *_messages):
        self.thread = threading.current_thread()
        self.free.wait(10)

    def close(self):
        self.closed.set()


def emulated(devices=None):
    clock = ManualClock()
    wire = EmulatedBus(clock, {0x10: Echo()} if devices is None else devices)
    return clock, wire, I2cBus("i2c-7", lambda: wire)


def test_write_and_read_are_one_transfer():
    clock, wire, bus = emulated()
    assert run_virtual(bus.transfer(0x10, b"\x24\x00", 4), clock) == b"\x24\x00\0\0"
    assert list(wire.log) == [Transfer(0x10, b"\x24\x00", 0), Transfer(0x10, b"", 4)]
    # 39 bits and 9 a byte, as computed for a read with a repeated start.
    assert clock.monotonic_ns() == pytest.approx((39 + 9 * 4) / 400_000 * 1e9, rel=0.02)


def test_read_alone_writes_nothing():
    clock, wire, bus = emulated()
    run_virtual(bus.transfer(0x10, b"", 2), clock)
    assert list(wire.log) == [Transfer(0x10, b"", 2)]


def test_a_frame_costs_what_the_wire_costs():
    rig = Thermal()
    rig.open()
    begin = rig.clock.monotonic_ns()
    run_virtual(rig.bus.transfer(0x33, b"\x04\x00", 1664), rig.clock)
    assert (rig.clock.monotonic_ns() - begin) / 1e6 == pytest.approx(37.54, abs=0.1)


def test_absent_device_is_named():
    clock, _, bus = emulated({})
    with pytest.raises(BusError, match=r"i2c-7 0x10: EREMOTEIO"):
        run_virtual(bus.transfer(0x10, b"\x00"), clock)


@pytest.mark.fault("F01")
def test_one_failure_is_retried_and_counted():
    clock, wire, bus = emulated()
    wire.faults(0x10).fail(errno.EIO, times=1)
    assert run_virtual(bus.transfer_again(0x10, b"\x01", 1), clock) == b"\x01"
    assert bus.retries == 1


def test_lasting_failure_is_raised_after_one_retry():
    clock, wire, bus = emulated()
    wire.faults(0x10).fail(errno.ENXIO)
    with pytest.raises(BusError, match="ENXIO"):
        run_virtual(bus.transfer_again(0x10, b"\x01", 1), clock)
    assert len(wire.log) == 2


def test_a_lost_device_is_asked_once_until_it_answers_and_no_other_one_with_it():
    clock, wire, bus = emulated({0x10: Echo(), 0x11: Echo()})
    faults = wire.faults(0x10)
    faults.fail(errno.ETIMEDOUT)
    for asked in (2, 3, 4):
        with pytest.raises(BusError, match="ETIMEDOUT"):
            run_virtual(bus.transfer_again(0x10, b"\x01", 1), clock)
        assert len(wire.log) == asked
    wire.faults(0x11).fail(errno.EIO, times=1)
    assert run_virtual(bus.transfer_again(0x11, b"\x02", 1), clock) == b"\x02"
    faults.clear()
    assert run_virtual(bus.transfer_again(0x10, b"\x03", 1), clock) == b"\x03"
    faults.fail(errno.EIO, times=1)
    assert run_virtual(bus.transfer_again(0x10, b"\x04", 1), clock) == b"\x04"


def test_lost_port_is_opened_again():
    clock, wire, bus = emulated()
    wire.faults(0x10).fail(errno.ENODEV, times=1)
    assert run_virtual(bus.transfer_again(0x10, b"\x01", 1), clock) == b"\x01"
    assert wire.closed == 1


@pytest.mark.fault("F03")
def test_blocked_transfer_in_virtual_time_is_stuck():
    clock, wire, bus = emulated()
    wire.faults(0x10).block(60.0, times=1)
    with pytest.raises(BusStuckError, match=r"no end of the transfer within 1\.25 s"):
        run_virtual(bus.transfer_again(0x10, b"\x01"), clock)
    assert run_virtual(bus.transfer(0x10, b"\x02", 1), clock) == b"\x02"


async def test_transfer_that_the_kernel_gives_up_is_repeated_and_leaves_no_thread():
    class TimesOutOnce(BlockingPort):
        def i2c_rdwr(self, *messages):
            first = self.thread is None
            super().i2c_rdwr(*messages)
            if first:
                # What it needs to notice comes on top.
                threading.Event().wait(CONTROLLER_TIME_OUT_S + 0.05)
                raise TimeoutError(errno.ETIMEDOUT, "Connection timed out")

    ports = []
    bus = I2cBus("i2c-1", lambda: ports.append(TimesOutOnce(hang=False)) or ports[-1])
    await bus.transfer_again(0x10, b"\x01")
    assert (bus.retries, len(ports)) == (1, 1)
    await bus.close()


@pytest.mark.fault("F03")
async def test_stuck_thread_is_left_behind_once():
    ports = []

    def open_port():
        ports.append(BlockingPort(hang=len(ports) < 2))
        return ports[-1]

    bus = I2cBus("i2c-1", open_port)
    try:
        with pytest.raises(BusStuckError):
            await bus.transfer(0x10, b"\x01", deadline_s=STUCK_S)
        with pytest.raises(BusStuckError):
            await bus.transfer(0x10, b"\x01", deadline_s=STUCK_S)
        assert len(ports) == 2
        assert ports[0].thread is not ports[1].thread

        begin = time.monotonic()
        with pytest.raises(BusStuckError, match="two transfers are stuck"):
            await bus.transfer(0x10, b"\x01", deadline_s=5.0)
        assert time.monotonic() - begin < 1.0
        assert len(ports) == 2

        ports[0].free.set()
        assert ports[0].closed.wait(5)
        ports[0].thread.join(5)
        assert not ports[0].thread.is_alive()
        await bus.transfer(0x10, b"\x01")
        assert len(ports) == 3
    finally:
        for port in ports:
            port.free.set()
        await bus.close()


async def test_thread_that_comes_free_is_used_on():
    ports = []

    def open_port():
        ports.append(BlockingPort(hang=True))
        return ports[-1]

    bus = I2cBus("i2c-1", open_port)
    for _ in range(2):
        with pytest.raises(BusStuckError):
            await bus.transfer(0x10, b"\x01", deadline_s=STUCK_S)
    ports[1].free.set()
    ports[1].thread.join(0.05)
    await bus.transfer(0x10, b"\x01")
    assert len(ports) == 2
    ports[0].free.set()
    await bus.close()


async def test_transfers_take_turns_in_one_thread():
    port = BlockingPort(hang=False)
    bus = I2cBus("i2c-1", lambda: port)
    await bus.transfer(0x10, b"\x01")
    first = port.thread
    await bus.transfer(0x11, b"\x01")
    assert port.thread is first
    await bus.close()
    assert port.closed.is_set()
    await bus.transfer(0x11, b"\x01")
    await bus.close()


@pytest.mark.fault("F38")
async def test_thread_that_cannot_start_leaves_the_bus_usable(monkeypatch):
    real, left = threading.Thread.start, [2]

    def start(thread):
        if thread.name.startswith("i2c:") and left[0]:
            left[0] -= 1
            raise RuntimeError("can't start new thread")
        real(thread)

    monkeypatch.setattr(threading.Thread, "start", start)
    port = BlockingPort(hang=False)
    bus = I2cBus("i2c-1", lambda: port)
    for _ in range(2):
        with pytest.raises(BusError, match="no thread for the transfer: can't start"):
            await bus.transfer(0x10, b"\x01")
    await bus.transfer(0x10, b"\x01")
    await bus.close()
    assert port.closed.is_set()


async def test_bus_closes_without_a_thread(monkeypatch):
    def start(_thread):
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", start)
        executor = DaemonExecutor("i2c:i2c-1")
        for _ in range(2):
            with pytest.raises(RuntimeError):
                executor.submit(print)
        assert not executor.busy
        executor.shutdown()
        await I2cBus("i2c-1", lambda: BlockingPort(hang=False)).close()


def test_stuck_thread_does_not_hold_up_the_end_of_the_program():
    program = """
import asyncio, threading
from firedetect.errors import BusStuckError
from firedetect.sensors.bus import I2cBus

class Port:
    def i2c_rdwr(self, *messages): threading.Event().wait()
    def close(self): pass

async def main():
    try:
        await I2cBus("i2c-1", Port).transfer(8, b"a", deadline_s=0.01)
    except BusStuckError:
        print("stuck")

asyncio.run(main())
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stdout == "stuck\n"
    assert done.stderr == ""


def test_missing_bus_says_what_to_do():
    with pytest.raises(BusError, match="/dev/i2c-254 does not exist: enable I2C"):
        open_i2c(254)


def test_devices_on_one_bus_have_their_own_faults():
    gas = Gas()
    gas.wire.faults(0x33).fail()
    run_virtual(gas.driver.open(), gas.clock)

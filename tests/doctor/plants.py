"""What goes wrong in the field, planted one by one into a healthy Pi; each has a golden text."""

import errno
import os
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from firedetect.emulator.bus import EmulatedDevice
from firedetect.emulator.eeprom import encode_eeprom, typical_terms
from firedetect.emulator.mlx90640 import Mlx90640Chip, SceneSource
from tests.doctor.machine import CACHE, DATA, GAS_FILE, RTC, THERMAL_FILE, ZONE, Pi
from tests.drivers.rig import EEPROM, room

CHESS = (np.indices((24, 32)).sum(axis=0) % 2).astype(float)


class Unsteady:
    """An array whose EEPROM reads otherwise every time, as over a bad cable."""

    def __init__(self, chip: Mlx90640Chip) -> None:
        self._chip = chip
        self._reads = 0

    def write(self, data: bytes) -> None:
        if data == b"\x24\x00":
            self._reads += 1
            self._chip.eeprom[300] = self._reads
        self._chip.write(data)

    def read(self, count: int) -> bytes:
        return self._chip.read(count)


class Failing:
    """A chip every transfer to which fails with this number."""

    def __init__(self, number: int) -> None:
        self._number = number

    def write(self, _data: bytes) -> None:
        raise OSError(self._number, os.strerror(self._number))

    def read(self, _count: int) -> bytes:
        raise OSError(self._number, os.strerror(self._number))


class Zeros:
    """A chip that acknowledges everything and is none of ours."""

    def write(self, data: bytes) -> None:
        pass

    def read(self, count: int) -> bytes:
        return bytes(count)


def healthy(_pi: Pi) -> None:
    pass


def slow_bus(pi: Pi) -> None:
    pi.bauds[1] = 100_000
    pi.tell_speed(1, 100_000)


def slower_than_set(pi: Pi) -> None:
    pi.bauds[1] = 250_000


def under_voltage(pi: Pi) -> None:
    pi.commands["vcgencmd"] = "throttled=0x50005\n"
    pi.commands["journalctl"] = "hwmon hwmon4: Undervoltage detected!\n" * 3


def under_voltage_once(pi: Pi) -> None:
    pi.commands["vcgencmd"] = "throttled=0x50000\n"


def hot(pi: Pi) -> None:
    pi.commands["vcgencmd"] = "throttled=0xe0000\n"
    pi.write(ZONE, "84100\n")


def no_answer(pi: Pi) -> None:
    del pi.devices[1][0x33]


def other_bus(pi: Pi) -> None:
    pi.devices[1][0x08] = pi.devices[2].pop(0x08)
    pi.devices[1][0x77] = pi.devices[1].pop(0x76)


def input_output_errors(pi: Pi) -> None:
    pi.spoil.append(lambda ports: ports[1].faults(0x33).fail(errno.EIO, times=4))


def input_output_error_for_good(pi: Pi) -> None:
    array(pi, Failing(errno.EIO))


def eeprom_all_ones(pi: Pi) -> None:
    pi.settings["thermal"] = {}
    array(pi, pi.mlx90640(np.full(832, 0xFFFF, dtype=np.uint16)))


def eeprom_unsteady(pi: Pi) -> None:
    pi.settings["thermal"] = {}
    array(pi, Unsteady(pi.mlx90640(EEPROM)))


def eeprom_damaged(pi: Pi) -> None:
    words = EEPROM.copy()
    words[[100, 200]] ^= 0x0400
    array(pi, pi.mlx90640(words))


def other_array(pi: Pi) -> None:
    words = encode_eeprom(typical_terms(7))
    array(pi, Mlx90640Chip(pi.clock, words, SceneSource(words, room)))


def bad_pixels(pi: Pi) -> None:
    outlier = np.zeros((24, 32), dtype=np.bool_)
    outlier[2:23:4, 5] = True
    pi.settings["thermal"] = {}
    array(pi, pi.mlx90640(encode_eeprom(replace(typical_terms(), outlier=outlier))))


def fast_buses(pi: Pi) -> None:
    for bus in pi.bauds:
        pi.bauds[bus] = 1_000_000
        pi.tell_speed(bus, 1_000_000)


def controller_timed_out(pi: Pi) -> None:
    pi.write("/proc/sys/kernel/osrelease", "6.6.15+rpt-rpi-2712\n")
    pi.commands["journalctl"] = "i2c_designware 1f00074000.i2c: controller timed out\n" * 12
    array(pi, Failing(errno.ETIMEDOUT))


def held_low(pi: Pi) -> None:
    pi.commands["journalctl"] = "i2c_designware 1f00074000.i2c: lost arbitration\n"
    array(pi, Failing(errno.EAGAIN))


def hung_bus(pi: Pi) -> None:
    pi.spoil.append(lambda ports: ports[2].faults(0x08).block(5.0))


def half_frames(pi: Pi) -> None:
    pi.array.faults.only_page = 0


def checkerboard(pi: Pi) -> None:
    array(pi, pi.mlx90640(EEPROM, lambda t_s: room(t_s) + 3.0 * CHESS))


def wrong_temperature(pi: Pi) -> None:
    pi.settings["thermal"] = {"ta_shift_c": 0.0}


def bmp280(pi: Pi) -> None:
    pi.air.memory[0xD0] = 0x58


def no_mlx90640(pi: Pi) -> None:
    array(pi, Zeros())


def sleeping_scd41(pi: Pi) -> None:
    pi.co2.asleep = True


def damaged_files(pi: Pi) -> None:
    pi.write(GAS_FILE, "[gas]\nno2 = 41\n")
    pi.write(THERMAL_FILE, "[thermal]\nemissivity = 2\n")
    pi.settings["thermal"]["mask"] = "/etc/firedetect/mask.toml"


def silent_array(pi: Pi) -> None:
    pi.array.faults.silent = True


def floating_gas_board(pi: Pi) -> None:
    pi.gas.reply = b"\xff\xff\xff\xff"


def mlx90641(pi: Pi) -> None:
    words = EEPROM.copy()
    words[10] |= 0x0040
    pi.settings["thermal"] = {}
    array(pi, pi.mlx90640(words))


def clock_unset(pi: Pi) -> None:
    pi.remove("/run/systemd/timesync/synchronized")
    pi.write(f"{RTC}/battery_voltage", "14000\n")
    pi.write(f"{RTC}/charging_voltage", "0\n")


def worn_card(pi: Pi) -> None:
    pi.write("/sys/block/mmcblk0/device/life_time", "0x09 0x0a\n")
    pi.write("/proc/mounts", f"/dev/root / ext4 rw 0 0\n/dev/mmcblk0p3 {DATA} ext4 ro 0 0\n")
    pi.free = 90_000_000


def cold_kernels(pi: Pi) -> None:
    pi.remove(f"{CACHE}/compute.celsius-181.py311.nbi")
    pi.denied.add(CACHE)


def closed_doors(pi: Pi) -> None:
    pi.groups = frozenset({"pi"})
    pi.denied |= {"/dev/i2c-1", "/dev/i2c-2", DATA}
    pi.chips.clear()
    for path in (GAS_FILE, THERMAL_FILE):
        (pi.root / path.lstrip("/")).chmod(0o600)


def old_system(pi: Pi) -> None:
    pi.machine, pi.bits = "armv7l", 32


def no_pi(pi: Pi) -> None:
    pi.machine = "x86_64"
    pi.remove("/proc/device-tree/model")
    for path in ("/dev/i2c-1", "/dev/i2c-2", ZONE, f"{RTC}/battery_voltage"):
        pi.remove(path)
    pi.commands.clear()
    pi.devices.clear()
    pi.settings["outputs"] = {}


def array(pi: Pi, device: EmulatedDevice) -> None:
    pi.devices[1][0x33] = device


PLANTS: dict[str, Callable[[Pi], None]] = {
    plant.__name__.replace("_", "-"): plant
    for plant in (
        healthy, slow_bus, slower_than_set, under_voltage, under_voltage_once, hot, no_answer,
        other_bus, input_output_errors, input_output_error_for_good, eeprom_all_ones,
        eeprom_unsteady, eeprom_damaged, other_array, bad_pixels, fast_buses,
        controller_timed_out, held_low, hung_bus, half_frames,
        checkerboard, wrong_temperature, bmp280, no_mlx90640, mlx90641, clock_unset, worn_card,
        cold_kernels, closed_doors, sleeping_scd41, damaged_files,
        silent_array, floating_gas_board, old_system, no_pi,
    )
}  # fmt: skip

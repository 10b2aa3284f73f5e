"""A Raspberry Pi 5 in a folder, with emulated buses: healthy until a plant spoils it."""

import hashlib
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np

from firedetect.clock import CLOCK_SET_S, NS_PER_S, ManualClock, run_virtual
from firedetect.config import Settings
from firedetect.doctor.checks import examine
from firedetect.doctor.finding import Finding
from firedetect.doctor.host import Host
from firedetect.doctor.model import Kernel
from firedetect.emulator.bme280 import Bme280Chip
from firedetect.emulator.bus import EmulatedBus, EmulatedDevice
from firedetect.emulator.grove import GroveBoard
from firedetect.emulator.mlx90640 import Mlx90640Chip, SceneSource
from firedetect.emulator.scd41 import Scd41Chip
from firedetect.errors import BusError
from firedetect.model.bundle import write_bundle
from firedetect.sensors.frames import FrameSource, V4l2Frames
from tests.core.bundles import trained
from tests.drivers.rig import EEPROM, room

GAS_FILE = "/etc/firedetect/gas.toml"
THERMAL_FILE = "/etc/firedetect/thermal.toml"
DATA = "/var/lib/firedetect"
CACHE = "/var/cache/firedetect"
PLENTY = 20_000_000_000
ZONE = "/sys/class/thermal/thermal_zone0/temp"
RTC = "/sys/class/rtc/rtc0"


class Pi:
    """What a plant may change before `findings` is asked for.

    `settings` are values by section, `devices` chips by bus and address, `bauds` the true speed of
    each bus; `commands` are answers by the name of the program, `denied` what this user may not
    write, `spoil` faults to inject into the finished buses.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.clock = ManualClock(wall_ns=(CLOCK_SET_S + 86_400) * NS_PER_S)
        self.machine, self.bits = "aarch64", 64
        self.user, self.groups = "pi", frozenset({"pi", "i2c", "gpio"})
        self.commands = {"vcgencmd": "throttled=0x0\n", "journalctl": "Booting Linux\n"}
        self.denied: set[str] = set()
        self.free = PLENTY
        self.chips = {"pinctrl-rp1"}
        self.array = self.mlx90640(EEPROM)
        self.air = Bme280Chip(self.clock, lambda _t_s: (24.0, 45.0, 1008.0))
        self.gas = GroveBoard(self.clock, lambda _t_s: (41, 70, 95, 764))
        self.co2 = Scd41Chip(self.clock, lambda _t_s: 612.0)
        self.devices: dict[int, dict[int, EmulatedDevice]] = {
            1: {0x33: self.array, 0x76: self.air},
            2: {0x08: self.gas, 0x62: self.co2},
        }
        self.board: FrameSource | None = None
        self.bauds = {1: 400_000, 2: 100_000}
        self.spoil: list[Callable[[dict[int, EmulatedBus]], object]] = []
        self.settings: dict[str, dict[str, object]] = {
            "device": {"data_dir": DATA},
            "thermal": {"calibration": THERMAL_FILE},
            "gas": {"bus": 2, "calibration": GAS_FILE},
            "co2": {"enabled": True, "bus": 2},
            "air": {"enabled": True},
            "outputs": {"enabled": True},
        }
        self._fill()

    def mlx90640(self, eeprom: np.ndarray, scene: Callable[[float], np.ndarray] = room):
        """Return an array that sees `scene`; what its memory says does not change the words."""
        return Mlx90640Chip(self.clock, eeprom, SceneSource(EEPROM, scene))

    def write(self, path: str, content: str | bytes) -> Path:
        real = self.root / path.lstrip("/")
        real.parent.mkdir(parents=True, exist_ok=True)
        real.write_bytes(content.encode() if isinstance(content, str) else content)
        return real

    def remove(self, path: str) -> None:
        (self.root / path.lstrip("/")).unlink()

    def tell_speed(self, bus: int, hertz: int) -> None:
        """Let the device tree state a speed."""
        place = f"/sys/bus/i2c/devices/i2c-{bus}/of_node/clock-frequency"
        self.write(place, struct.pack(">I", hertz))

    def host(self) -> Host:
        ports = {
            number: EmulatedBus(self.clock, devices, baud=self.bauds[number])
            for number, devices in self.devices.items()
        }
        for spoil in self.spoil:
            spoil(ports)

        def open_i2c(number: int) -> EmulatedBus:
            if f"/dev/i2c-{number}" in self.denied:
                raise BusError(f"/dev/i2c-{number}: no permission: add this user to the group i2c")
            if number not in ports:
                raise BusError(
                    f"/dev/i2c-{number} does not exist: enable I2C on this machine or correct the "
                    "bus number"
                )
            return ports[number]

        def find_chip(label: str) -> str:
            if label not in self.chips:
                raise OSError(f"no GPIO chip with label {label}")
            return "/dev/gpiochip0"

        return Host(
            root=self.root,
            clock=self.clock,
            machine=self.machine,
            bits=self.bits,
            user=self.user,
            groups=self.groups,
            run=self._run,
            may=lambda path, _mode: str(path).removeprefix(str(self.root)) not in self.denied,
            free_bytes=lambda _path: self.free,
            open_i2c=open_i2c,
            open_frames=lambda *_device: self.board or V4l2Frames(self.root / "dev/video0", 122),
            find_chip=find_chip,
            play=lambda main: run_virtual(main, self.clock),
        )

    def findings(self) -> list[Finding]:
        kernels = (
            Kernel("flow", self.root / CACHE.lstrip("/"), "kernels.flow-30.py311*.nbi"),
            Kernel("celsius", self.root / CACHE.lstrip("/"), "compute.celsius-181.py311*.nbi"),
        )
        settings = Settings(**self.settings)
        bundle = self.root / "usr/share/model"
        return list(examine(settings, bundle, None, self.host(), lambda: kernels))

    def text(self) -> str:
        """Return what `firedetect doctor` prints, with names as this machine knows them."""
        lines = "\n".join(finding.text for finding in self.findings())
        return lines.replace(str(self.root), "") + "\n"

    def _run(self, command: tuple[str, ...]) -> str | None:
        return self.commands.get(command[0])

    def _fill(self) -> None:
        self.write("/proc/device-tree/model", "Raspberry Pi 5 Model B Rev 1.0\0")
        self.write("/proc/sys/kernel/osrelease", "6.12.25+rpt-rpi-2712\n")
        self.write("/proc/mounts", "/dev/mmcblk0p2 / ext4 rw,noatime 0 0\n")
        self.write(ZONE, "52300\n")
        self.write("/run/systemd/timesync/synchronized", "")
        self.write(f"{RTC}/battery_voltage", "3052764\n")
        self.write(f"{RTC}/charging_voltage", "3000000\n")
        self.write("/sys/block/mmcblk0/device/life_time", "0x01 0x02\n")
        for bus, baud in self.bauds.items():
            self.write(f"/dev/i2c-{bus}", "")
            self.tell_speed(bus, baud)
        for index in ("kernels.flow-30.py311.nbi", "compute.celsius-181.py311.nbi"):
            self.write(f"{CACHE}/{index}", "")
        (self.root / DATA.lstrip("/")).mkdir(parents=True)
        self.write(GAS_FILE, "[gas]\nno2 = 41\nc2h5oh = 70\nvoc = 95\nco = 764\n").chmod(0o644)
        self.write(THERMAL_FILE, commissioned(EEPROM)).chmod(0o644)
        model, manifest = trained()
        named = manifest.model_copy(update={"name": "firedetect"})
        write_bundle(self.root / "usr/share/model", model, named)


def commissioned(eeprom: np.ndarray) -> str:
    words = eeprom.astype(">u2").tobytes()
    return (
        "[thermal]\nemissivity = 0.95\nta_shift_c = 8.0\nnoise_c = 0.1\nspread_c = 0.5\n"
        f'eeprom_sha256 = "{hashlib.sha256(words).hexdigest()}"\neeprom = "{words.hex()}"\n'
    )

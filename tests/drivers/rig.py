"""An emulated sensor with its driver, on a clock moved by hand."""

import asyncio
from collections.abc import Callable

import numpy as np

from firedetect.clock import NS_PER_S, ManualClock, run_virtual
from firedetect.config import (
    AirSettings,
    Co2Settings,
    GasSettings,
    LeptonSettings,
    ThermalSettings,
)
from firedetect.emulator.bme280 import Bme280Chip, Trim
from firedetect.emulator.bus import EmulatedBus, EmulatedDevice
from firedetect.emulator.eeprom import encode_eeprom, typical_terms
from firedetect.emulator.grove import GroveBoard
from firedetect.emulator.lepton import LeptonBoard
from firedetect.emulator.mlx90640 import Mlx90640Chip, SceneSource, Source
from firedetect.emulator.scd41 import Scd41Chip
from firedetect.errors import FrameRejectedError, SensorError
from firedetect.readings import SensorOpened, ThermalImage
from firedetect.sensors.bme280 import Bme280
from firedetect.sensors.bus import I2cBus
from firedetect.sensors.frames import Camera, FrameSource
from firedetect.sensors.grove_gas import GroveGas
from firedetect.sensors.lepton.driver import Lepton
from firedetect.sensors.mlx90640.driver import Mlx90640
from firedetect.sensors.mlx90640.images import ImageAssembler
from firedetect.sensors.scd41.driver import Scd41

ROOM_C = 22.0
EEPROM = encode_eeprom(typical_terms())
NOISE_K = 0.1
"""Pixels of a real array are never still; no test looks so closely that this much matters."""


def room(_t_s: float = 0.0) -> np.ndarray:
    return np.full((24, 32), ROOM_C)


def noisy(scene: Callable[[float], np.ndarray]) -> Callable[[float], np.ndarray]:
    """Return the scene as a real array sees it: no two images are alike."""
    rng = np.random.default_rng(7)
    return lambda t_s: scene(t_s) + rng.uniform(-NOISE_K, NOISE_K, (24, 32))


class Thermal:
    """Chip, bus, driver and assembler; `events` collects what the assembler says.

    `opened` are the openings that reads have led to.
    """

    def __init__(
        self,
        scene: Callable[[float], np.ndarray] = room,
        *,
        eeprom: np.ndarray = EEPROM,
        source: Source | None = None,
        settings: ThermalSettings | None = None,
        device: Callable[[Mlx90640Chip], EmulatedDevice] = lambda chip: chip,
        baud: int = 400_000,
    ) -> None:
        self.clock = ManualClock()
        self.settings = settings or ThermalSettings()
        self.chip = Mlx90640Chip(self.clock, eeprom, source or SceneSource(eeprom, noisy(scene)))
        self.wire = EmulatedBus(self.clock, {self.settings.address: device(self.chip)}, baud=baud)
        self.faults = self.wire.faults(self.settings.address)
        self.bus = I2cBus("i2c-1", lambda: self.wire)
        self.driver = Mlx90640(self.bus, self.settings, self.clock, powered_s=lambda: 1000.0)
        self.images = ImageAssembler()
        self.events: list[object] = []
        self.errors: list[SensorError] = []
        self.opened: list[SensorOpened] = []

    def open(self) -> SensorOpened:
        opened = run_virtual(self.driver.open(), self.clock)
        self._keep(self.images.feed(opened))
        return opened

    def run(self, seconds: float) -> list[ThermalImage]:
        """Read for `seconds`; return the images of this run."""
        before = len(self.events)
        run_virtual(self._read_for(seconds), self.clock)
        return [e for e in self.events[before:] if isinstance(e, ThermalImage)]

    async def _read_for(self, seconds: float) -> None:
        end = asyncio.get_running_loop().time() + seconds
        while asyncio.get_running_loop().time() < end:
            try:
                page = await self.driver.read()
            except FrameRejectedError as error:
                self.errors.append(error)
            else:
                if isinstance(page, SensorOpened):
                    self.opened.append(page)
                self._keep(self.images.feed(page))

    def _keep(self, event: object) -> None:
        if event is not None:
            self.events.append(event)


class Gas:
    """Board, bus and driver."""

    def __init__(self, counts: tuple[float, float, float, float] = (41, 70, 95, 764)) -> None:
        self.clock = ManualClock()
        self.board = GroveBoard(self.clock, lambda _t_s: counts)
        self.wire = EmulatedBus(self.clock, {0x08: self.board})
        self.faults = self.wire.faults(0x08)
        self.bus = I2cBus("i2c-1", lambda: self.wire)
        self.driver = GroveGas(self.bus, GasSettings(), self.clock, powered_s=lambda: 1000.0)


class Co2:
    """SCD41, bus and driver."""

    def __init__(self, co2_ppm: Callable[[float], float] = lambda _t_s: 612.0) -> None:
        self.clock = ManualClock(monotonic_ns=7_000_000_123)
        self.chip = Scd41Chip(self.clock, co2_ppm)
        self.wire = EmulatedBus(self.clock, {0x62: self.chip}, baud=100_000)
        self.faults = self.wire.faults(0x62)
        self.bus = I2cBus("i2c-1", lambda: self.wire)
        self.driver = Scd41(self.bus, Co2Settings(), self.clock, powered_s=lambda: 1000.0)

    def sent(self) -> list[int]:
        """Return the codes on the wire, in order."""
        return [int.from_bytes(t.written[:2], "big") for t in self.wire.log if t.written]


class Air:
    """BME280, bus and driver."""

    def __init__(
        self,
        air: tuple[float, float, float] = (21.4, 47.0, 1003.2),
        trim: Trim | None = None,
    ) -> None:
        self.clock = ManualClock(monotonic_ns=7_000_000_123)
        self.air = air
        self.chip = Bme280Chip(self.clock, lambda _t_s: self.air, trim)
        self.wire = EmulatedBus(self.clock, {0x76: self.chip})
        self.faults = self.wire.faults(0x76)
        self.bus = I2cBus("i2c-1", lambda: self.wire)
        self.driver = Bme280(self.bus, AirSettings(), self.clock, powered_s=lambda: 1000.0)


def room_of_lepton(_t_s: float = 0.0) -> np.ndarray:
    return np.linspace(18.0, 26.0, 120 * 160).reshape(120, 160)


class LeptonCamera:
    """PureThermal board, camera and driver; `errors` are what reads refused, with their times."""

    def __init__(
        self,
        scene: Callable[[float], np.ndarray] = room_of_lepton,
        *,
        telemetry: bool = True,
        noise_steps: int = 1,
        source: Callable[[LeptonBoard], FrameSource] = lambda board: board,
    ) -> None:
        self.clock = ManualClock(monotonic_ns=7_000_000_123)
        self.board = LeptonBoard(self.clock, scene, telemetry=telemetry, noise_steps=noise_steps)
        self.faults = self.board.faults
        self.camera = Camera("/dev/video0", lambda: source(self.board))
        self.settings = LeptonSettings(enabled=True, telemetry=telemetry)
        self.driver = Lepton(self.camera, self.settings, self.clock, powered_s=lambda: 1000.0)
        self.errors: list[tuple[float, SensorError]] = []

    @property
    def now_s(self) -> float:
        return self.clock.monotonic_ns() / NS_PER_S

    def open(self) -> SensorOpened:
        return run_virtual(self.driver.open(), self.clock)

    def read(self) -> ThermalImage:
        return run_virtual(self.driver.read(), self.clock)

    def run(self, seconds: float) -> list[ThermalImage]:
        """Read for `seconds`; return the images, keep what was rejected."""
        images = []
        end_s = self.now_s + seconds
        while self.now_s < end_s:
            try:
                images.append(self.read())
            except FrameRejectedError as error:
                self.errors.append((self.now_s, error))
        return images

"""What drivers reach their sensors through: buses and cameras, shared and closed together."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from firedetect.clock import Clock
from firedetect.sensors.bus import I2cBus, I2cPort, open_i2c
from firedetect.sensors.frames import Camera, OpenFrames, frames_of


class Wiring:
    """Makes each bus and camera when it is first asked for; nothing is opened yet then."""

    def __init__(
        self,
        open_port: Callable[[int], I2cPort] = open_i2c,
        open_frames: OpenFrames = frames_of,
    ) -> None:
        self._open_port = open_port
        self._open_frames = open_frames
        self._buses: dict[int, I2cBus] = {}
        self._cameras: dict[Path, Camera] = {}

    @property
    def retries(self) -> int:
        """How many transfers had to be repeated."""
        return sum(self.retries_by_bus.values())

    @property
    def retries_by_bus(self) -> dict[str, int]:
        """How many transfers had to be repeated, by the name of the bus."""
        return {bus.name: bus.retries for bus in self._buses.values()}

    def bus(self, number: int) -> I2cBus:
        """Return the I2C bus of this number."""
        if number not in self._buses:
            self._buses[number] = I2cBus(f"i2c-{number}", partial(self._open_port, number))
        return self._buses[number]

    def camera(self, device: Path, rows: int, clock: Clock) -> Camera:
        """Return the camera at a device, with frames of so many rows."""
        if device not in self._cameras:
            make = partial(self._open_frames, device, rows, clock)
            self._cameras[device] = Camera(str(device), make)
        return self._cameras[device]

    async def close(self) -> None:
        """Close everything, each within its deadline."""
        for bus in self._buses.values():
            await bus.close()
        for camera in self._cameras.values():
            await camera.end()

"""The sequence of the Lepton: opened anew, it gives images that are new, due, of a scene.

What has to be set in the camera: `docs/wiring.md`.
"""

from collections.abc import Callable
from typing import Final

from firedetect.clock import NS_PER_S, Clock
from firedetect.config import LeptonSettings
from firedetect.errors import FrameRejectedError, FrozenError, NoFrameError
from firedetect.readings import Sensor, SensorOpened, ThermalImage
from firedetect.sensors.base import since_boot_s
from firedetect.sensors.frames import Camera
from firedetect.sensors.lepton.frame import (
    ROWS,
    TELEMETRY_ROWS,
    Frame,
    celsius,
    expect_scene,
    expect_temperatures,
    is_same,
    parse,
)

STALL_S: Final = 3.0
"""No new, usable frame for so long: a lost array must be told within five seconds. The longest
correction with the shutter takes about one."""
WAIT_S: Final = 0.25
"""A read blocks no longer: shutting down and a stall are noticed in between."""
IMAGE_NS: Final = round(NS_PER_S / 4.5)
"""The camera gives 8.7 images a second, at most 4.5 are used, which is every second one: features
and model are made for four images a second, and an image of this size costs 25 times the pixels of
the MLX90640's. None is used twice, none is averaged."""
JITTER_NS: Final = NS_PER_S // 20
"""An image that comes late moves the next one by no more than this."""
RANGE: Final = (
    "the Lepton's gain is high: its range ends at about 140 °C, the rules H3 and H4 cannot be "
    "reached: set it to automatic or low (GetThermal)"
)
SILENT: Final = "no frame comes"
REPEATED: Final = "the last frame comes again and again"


class Lepton:
    """Delivers images; the temperatures are the camera's own, with the emissivity set in it."""

    sensor = Sensor.THERMAL

    def __init__(
        self,
        camera: Camera,
        settings: LeptonSettings,
        clock: Clock,
        powered_s: Callable[[], float] = since_boot_s,
    ) -> None:
        self._camera = camera
        self._settings = settings
        self._clock = clock
        self._powered_s = powered_s
        self._last: Frame | None = None
        self._good_ns = 0
        self._due_ns = 0
        self._why = ""

    async def open(self) -> SensorOpened:
        """Open the device anew and see that it delivers temperatures.

        Raises BusError when there is no device, NoFrameError or SensorError when it delivers
        nothing, or something else than temperatures.
        """
        await self._camera.close()
        await self._camera.open()
        self._last = None
        self._why = ""
        self._good_ns = self._due_ns = self._clock.monotonic_ns()
        while (first := await self._answers()) is None:
            pass
        self._good_ns = now_ns = self._clock.monotonic_ns()
        limited = first.telemetry is not None and first.telemetry.high_gain
        return SensorOpened(
            now_ns,
            self.sensor,
            self._powered_s(),
            images=True,
            problem=RANGE if limited else "",
        )

    async def read(self) -> ThermalImage:
        """Return the next image that is new and due.

        Raises BusError when the device is gone, FrameRejectedError for a frame that is none (the
        shutter is closed, a part is missing), NoFrameError without a good one for STALL_S,
        FrozenError if the last one came again and again, SensorError when the pixels are no
        temperatures.
        """
        while True:
            try:
                frame = await self._frame()
                if frame is None or self._is_repeated(frame):
                    continue
                expect_scene(frame)
            except FrameRejectedError as error:
                self._why = str(error)
                raise
            now_ns = self._clock.monotonic_ns()
            self._good_ns, self._why = now_ns, ""
            if now_ns >= self._due_ns:
                self._due_ns = max(self._due_ns, now_ns - JITTER_NS) + IMAGE_NS
                return ThermalImage(now_ns, celsius(frame))

    async def close(self) -> None:
        """Stop the stream; the camera goes on correcting itself."""
        await self._camera.close()

    async def _answers(self) -> Frame | None:
        """Return the next frame, None if it is not whole; after a start it often is not."""
        try:
            return await self._frame()
        except FrameRejectedError as error:
            self._why = str(error)
            return None

    async def _frame(self) -> Frame | None:
        """Return the next frame with temperatures, None if none came in a moment."""
        # Only what was looked for and not found counts: a caller that comes late finds frames.
        if self._why and self._clock.monotonic_ns() - self._good_ns > STALL_S * NS_PER_S:
            kind = FrozenError if self._why == REPEATED else NoFrameError
            raise kind(f"thermal: no new image for {STALL_S:g} s: {self._why}")
        data = await self._camera.read(WAIT_S)
        if data is None:
            self._why = SILENT
            return None
        frame = parse(data, telemetry=self._settings.telemetry)
        expect_temperatures(frame)
        return frame

    def _is_repeated(self, frame: Frame) -> bool:
        before, self._last = self._last, frame
        if before is None or not is_same(before, frame):
            return False
        self._why = REPEATED
        return True


def frame_rows(settings: LeptonSettings) -> int:
    """Return how many rows the frames have, telemetry included."""
    return ROWS + (TELEMETRY_ROWS if settings.telemetry else 0)

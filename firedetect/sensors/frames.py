"""Raw Y16 frames of a camera: sources that block, and a thread of its own around one of them."""

import asyncio
import contextlib
import errno
import select
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO, Final, Protocol, TypeVar

from firedetect.clock import NS_PER_S, Clock
from firedetect.errors import BusError, BusStuckError, SensorError
from firedetect.sensors.bus import DaemonExecutor

_T = TypeVar("_T")

COLUMNS: Final = 160
FRAMES_PER_S: Final = 8.7
"""What the camera delivers; export rules keep it below 9."""
OPEN_DEADLINE_S: Final = 3.0
SLACK_S: Final = 1.0
"""So much later than it promised a read counts as stuck."""
CLOSE_DEADLINE_S: Final = 1.0

_Y16: Final = "Y16 "
_BUFFERS: Final = 3
_BYTES_PER_WORD: Final = 2


class FrameSource(Protocol):
    """Delivers raw frames; every call blocks, and raises OSError or a SensorError."""

    def open(self) -> None:
        """Begin to deliver, also when it was open before."""

    def read(self, wait_s: float) -> bytes | None:
        """Return the next frame, None if none comes within `wait_s`."""

    def close(self) -> None:
        """Give the device back; raises nothing."""


class OpenFrames(Protocol):
    """Makes the source of a device; nothing is opened yet."""

    def __call__(self, device: Path, rows: int, clock: Clock) -> FrameSource:
        """Return a source of frames with so many rows."""


def frames_of(device: Path, rows: int, clock: Clock) -> FrameSource:
    """Return the recorded frames where `device` is a file, else those of the video device."""
    return Y16File(device, rows, clock) if device.is_file() else V4l2Frames(device, rows)


class V4l2Frames:
    """A video device that streams Y16."""

    def __init__(self, device: Path, rows: int) -> None:
        self._path = device
        self._rows = rows
        self._device: Any = None
        self._capture: Any = None

    def open(self) -> None:
        """Set the format and begin to stream; raises BusError that says what to do."""
        self.close()
        video = _linuxpy()
        self._device = video.Device(self._path)
        try:
            self._device.open()
            self._capture = video.VideoCapture(self._device, size=_BUFFERS)
            self._begin()
        except OSError as error:
            self.close()
            raise BusError(_explained(self._path, error)) from error
        except (video.V4L2Error, ValueError) as error:
            # What the library says of a device that is no camera, or one with unknown formats.
            self.close()
            raise SensorError(f"{self._path} is no camera that streams Y16: {error}") from error
        except BaseException:
            self.close()
            raise

    def read(self, wait_s: float) -> bytes | None:
        """Return the next frame as the driver filled it, None after `wait_s` without one."""
        if self._capture is None:
            raise OSError(errno.EBADF, "not open")
        ready, _, _ = select.select([self._device.fileno()], [], [], wait_s)
        if not ready:
            return None
        try:
            return bytes(self._capture.buffer.raw_read().data)
        except BlockingIOError:
            return None

    def close(self) -> None:
        """Stop the stream and close the device, also one that is gone."""
        capture, device, self._capture, self._device = self._capture, self._device, None, None
        if capture is not None and not device.closed:
            with contextlib.suppress(OSError):
                capture.close()
        if device is not None:
            with contextlib.suppress(OSError):
                device.close()

    def _begin(self) -> None:
        self._capture.set_format(COLUMNS, self._rows, _Y16)
        given = self._capture.get_format()
        if (given.width, given.height, given.pixel_format.name) != (COLUMNS, self._rows, "Y16"):
            raise SensorError(
                f"{self._path} gives {given.width}x{given.height} {given.pixel_format.name}, "
                f"{COLUMNS}x{self._rows} Y16 is expected: correct lepton.device or lepton.telemetry"
            )
        self._capture.open()


class Y16File:
    """Recorded frames of a file, one after the other, played over and over at the camera's rate."""

    def __init__(self, path: Path, rows: int, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._size = rows * COLUMNS * _BYTES_PER_WORD
        self._file: BinaryIO | None = None
        self._due_ns = 0

    def open(self) -> None:
        """Begin with the first frame; raises SensorError unless whole frames are in the file."""
        self.close()
        count = self._path.stat().st_size
        if count == 0 or count % self._size:
            raise SensorError(
                f"{self._path}: {count} bytes, whole frames of {self._size} are expected: another "
                "file, or lepton.telemetry is not as it was recorded"
            )
        self._file = self._path.open("rb")
        self._due_ns = self._clock.monotonic_ns()

    def read(self, wait_s: float) -> bytes | None:
        """Return the next frame when it is due."""
        if self._file is None:
            raise OSError(errno.EBADF, "not open")
        due_s = (self._due_ns - self._clock.monotonic_ns()) / NS_PER_S
        self._clock.block(min(due_s, wait_s))
        if due_s > wait_s:
            return None
        self._due_ns = max(self._due_ns, self._clock.monotonic_ns()) + round(
            NS_PER_S / FRAMES_PER_S
        )
        frame = self._file.read(self._size)
        if not frame:
            self._file.seek(0)
            frame = self._file.read(self._size)
        return frame

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
        self._file = None


class Camera:
    """Runs the calls of one source in a thread, each with a deadline.

    A call stuck in the kernel cannot be cancelled. Its thread is left behind with its source, and a
    fresh source is made; while that first one is still stuck nothing more is tried.
    """

    def __init__(self, name: str, make: Callable[[], FrameSource]) -> None:
        self.name = name
        self._make = make
        self._turn = asyncio.Lock()
        self._lane = _Lane(name, make)
        self._abandoned: _Lane | None = None

    async def open(self) -> None:
        """Begin to deliver, also when it was open before; raises BusError, SensorError."""
        await self._run(lambda source: source.open(), OPEN_DEADLINE_S)

    async def read(self, wait_s: float) -> bytes | None:
        """Return the next frame, None if none comes within `wait_s`; raises BusError."""
        return await self._run(lambda source: source.read(wait_s), wait_s + SLACK_S)

    async def close(self) -> None:
        """Give the device back, or leave it after a deadline; `open` takes it again."""
        with contextlib.suppress(SensorError):
            await self._run(lambda source: source.close(), CLOSE_DEADLINE_S)

    async def end(self) -> None:
        """Give the device back for good."""
        await self.close()
        self._lane.executor.shutdown(wait=False)

    async def _run(self, call: Callable[[FrameSource], _T], deadline_s: float) -> _T:
        async with self._turn:
            lane = self._usable_lane()
            loop = asyncio.get_running_loop()

            def work() -> tuple[_T, float]:
                # Timed here: a loop that is late itself must not make a call late.
                started = loop.time()
                return call(lane.source), loop.time() - started

            try:
                future = loop.run_in_executor(lane.executor, work)
            except RuntimeError as error:
                raise BusError(f"{self.name}: no thread for it: {error}") from error
            try:
                done, _ = await asyncio.wait({future}, timeout=deadline_s)
                if done:
                    result, took_s = future.result()
                    if took_s <= deadline_s:
                        return result
            except OSError as error:
                raise BusError(_explained(Path(self.name), error)) from error
            finally:
                future.cancel()
            lane.stuck = not done
            raise BusStuckError(f"{self.name}: no answer within {deadline_s:g} s")

    def _usable_lane(self) -> "_Lane":
        """Return the lane, a fresh one if it is stuck; raises BusStuckError if two would be."""
        if not self._lane.stuck:
            return self._lane
        if not self._lane.executor.busy:
            self._lane.stuck = False
            return self._lane
        if self._abandoned is not None and self._abandoned.executor.busy:
            raise BusStuckError(
                f"{self.name}: two calls are stuck; it is left alone until one ends"
            )
        self._abandoned = self._lane
        # The old thread closes its own source once it is free: nobody else may touch it before.
        self._abandoned.executor.submit(self._abandoned.source.close)
        self._abandoned.executor.shutdown(wait=False)
        self._lane = _Lane(self.name, self._make)
        return self._lane


class _Lane:
    """A thread and the source that only it touches."""

    def __init__(self, name: str, make: Callable[[], FrameSource]) -> None:
        self.executor = DaemonExecutor(f"frames:{name}")
        self.source = make()
        self.stuck = False


def _linuxpy() -> ModuleType:
    try:
        from linuxpy.video import device  # noqa: PLC0415 - an optional extra
    except ImportError as error:
        raise SensorError(
            "the Lepton needs the library linuxpy: pip install 'firedetect[lepton]'"
        ) from error
    module: ModuleType = device
    return module


_ADVICE: Final = {
    errno.ENOENT: "does not exist: plug the board in, or correct lepton.device",
    errno.ENODEV: "is gone: plug the board in again",
    errno.EACCES: "no permission: add this user to the group video",
    errno.EBUSY: "is in use by another program",
    errno.ENOTTY: "is no video device: correct lepton.device",
    errno.EINVAL: "does not stream Y16: correct lepton.device",
}


def _explained(path: Path, error: OSError) -> str:
    """Return what is wrong with a device and what to do, as one line."""
    return f"{path}: {_ADVICE.get(error.errno or 0, error.strerror or str(error))}"

"""The Lepton: words to temperatures, the emulated board through the driver, and what goes wrong."""

import asyncio
import dataclasses
import errno
import os
import struct
import sys
import threading
from itertools import pairwise

import numpy as np
import pytest

from firedetect.clock import ManualClock, SystemClock, run_virtual
from firedetect.config import LeptonSettings
from firedetect.errors import (
    BusError,
    BusStuckError,
    FrameRejectedError,
    FrozenError,
    NoFrameError,
    SensorError,
)
from firedetect.readings import Sensor, SensorOpened, ThermalImage
from firedetect.sensors.decode import Decoder
from firedetect.sensors.frames import Camera, V4l2Frames, Y16File, frames_of
from firedetect.sensors.lepton.driver import frame_rows
from firedetect.sensors.lepton.frame import Ffc, celsius, parse, parse_telemetry
from tests.drivers.rig import LeptonCamera, room_of_lepton

SIZE = 160 * 122 * 2
PIXELS = 160 * 120
STALL_S = 3.0
FAULT_LIMIT_S = 5.0
NS = 1_000_000_000


def said(changed=None):
    """Return the telemetry rows of the data sheet, by hand: word by word, the low byte first."""
    words = [0] * 320
    words[0] = 0x0E0E
    words[1], words[2] = 0x9A40, 0x0001  # 105 024 ms
    words[3], words[4] = 0x0038, 0x0000  # correction desired, complete
    words[20], words[21] = 0x0007, 0x0002  # 131 079
    words[24], words[26] = 30815, 30615  # 308.15 K, 306.15 K
    words[208], words[209] = 1, 1
    for place, value in (changed or {}).items():
        words[place] = value
    return struct.pack("<320H", *words)


def frame(changed=None, pixels=None):
    """Return a frame whose first pixels are given and whose others are 295.15 K, 22 °C."""
    values = [29515] * PIXELS
    values[: len(pixels or [])] = pixels or []
    return struct.pack(f"<{PIXELS}H", *values) + said(changed)


# Decoding


def test_words_are_hundredths_of_a_kelvin():
    taken = parse(frame(pixels=[29515, 27315, 37315, 57315, 0, 65535]), telemetry=True)
    image = celsius(taken)
    assert (image.dtype, image.shape) == (np.float32, (120, 160))
    assert image[0, :4] == pytest.approx([22.0, 0.0, 100.0, 300.0], abs=1e-4)
    assert np.isnan(image[0, 4])
    # A saturated word would be 382 °C.
    assert image[0, 5] == 300.0
    assert image[119, 159] == np.float32(22.0)


def test_the_low_byte_comes_first_and_rows_follow_each_other():
    data = bytearray(frame())
    data[2 * 160 : 2 * 160 + 2] = b"\x4b\x73"
    taken = parse(bytes(data), telemetry=True)
    assert taken.pixels[1, 0] == 0x734B
    assert celsius(taken)[1, 0] == pytest.approx(22.0, abs=1e-4)


def test_tenths_of_a_kelvin_where_the_telemetry_says_so():
    taken = parse(frame({209: 0}, pixels=[2952, 6732]), telemetry=True)
    assert celsius(taken)[0, :2] == pytest.approx([22.05, 300.0], abs=1e-4)


def test_telemetry_is_read_word_by_word():
    telemetry = parse(frame(), telemetry=True).telemetry
    assert dataclasses.asdict(telemetry) == {
        "revision": 0x0E0E,
        "uptime_ms": 105_024,
        "ffc_desired": True,
        "ffc": Ffc.COMPLETE,
        "agc": False,
        "counter": 131_079,
        "sensor_c": pytest.approx(35.0),
        "housing_c": pytest.approx(33.0),
        "tlinear": True,
        "steps_per_k": 100,
        "high_gain": True,
    }
    for gain in (1, 2):
        assert not parse(frame({165: gain}), telemetry=True).telemetry.high_gain


@pytest.mark.parametrize(
    ("status", "state"),
    [(0x00, Ffc.NEVER), (0x10, Ffc.IMMINENT), (0x20, Ffc.IN_PROGRESS), (0x30, Ffc.COMPLETE)],
)
def test_the_state_of_the_shutter_is_bits_four_and_five(status, state):
    words = np.frombuffer(said({3: status | 0x8000, 4: 0xFFFF}), "<u2").astype(np.uint16)
    assert parse_telemetry(words).ffc is state
    assert not parse_telemetry(words).ffc_desired


@pytest.mark.parametrize("size", [0, 2, SIZE - 1, SIZE + 2, 38_400])
def test_a_frame_of_another_size_is_refused_by_name(size):
    with pytest.raises(FrameRejectedError, match=rf"{size} bytes, 39040 are expected \(160x122\)"):
        parse(bytes(size), telemetry=True)
    assert frame_rows(LeptonSettings(telemetry=False)) == 120
    if size != 38_400:
        with pytest.raises(FrameRejectedError, match=r"38400 are expected \(160x120\)"):
            parse(bytes(size), telemetry=False)


@pytest.mark.parametrize(
    "changed", [{24: 0}, {26: 0}, {24: 65_535}, {26: 20_000}, {208: 29_515}, {209: 2}]
)
def test_rows_that_are_no_telemetry_are_refused_by_name(changed):
    with pytest.raises(FrameRejectedError, match=r"no telemetry.*footer"):
        parse(frame(changed), telemetry=True)


# From the emulated board to images


def test_what_the_board_sees_comes_out_as_it_was():
    rig = LeptonCamera(noise_steps=0, scene=lambda t_s: room_of_lepton() + 0.1 * (int(t_s) % 2))
    opened = rig.open()
    assert (opened.sensor, opened.powered_s, opened.images) == (Sensor.THERMAL, 1000.0, True)
    image = rig.read()
    assert (image.temp_c.dtype, image.temp_c.shape) == (np.float32, (120, 160))
    assert np.abs(image.temp_c - room_of_lepton()).max() <= 0.1 + 0.006
    assert np.isnan(image.air_c)


def test_coarse_steps_are_told_by_the_telemetry():
    rig = LeptonCamera()
    rig.board.coarse = True
    rig.open()
    # Half a step and one of noise.
    assert np.abs(rig.read().temp_c - room_of_lepton()).max() <= 0.1 + 0.051


def test_a_flame_beyond_the_range_is_300():
    fire = room_of_lepton()
    fire[40:60, 60:90] = 900.0
    rig = LeptonCamera(scene=lambda _t_s: fire)
    rig.open()
    image = rig.read().temp_c
    assert (image[40:60, 60:90] == 300.0).all()
    assert image[:40].max() < 30.0


def test_it_works_without_telemetry_too():
    rig = LeptonCamera(telemetry=False)
    rig.open()
    images = rig.run(3.0)
    assert len(images) >= 12
    assert np.abs(images[-1].temp_c - room_of_lepton()).max() < 0.02


def test_every_second_frame_is_an_image_and_never_more_than_four_and_a_half_a_second():
    rig = LeptonCamera()
    rig.open()
    images = rig.run(60.0)
    assert 4.0 <= len(images) / 60.0 <= 4.5
    gaps = [(after.t_ns - before.t_ns) / NS for before, after in pairwise(images)]
    assert min(gaps) == pytest.approx(2 / 8.7, abs=1e-6)
    assert max(gaps) == pytest.approx(2 / 8.7, abs=1e-6)
    assert not rig.errors


def test_a_late_image_does_not_slow_the_next_ones_down():
    rig = LeptonCamera()
    rig.open()
    images = []
    for number in range(80):
        images.append(rig.read())
        # A loop that is busy for longer than a frame takes, now and then.
        rig.clock.advance(0.13 if number % 4 == 0 else 0.0)
    took_s = (images[-1].t_ns - images[0].t_ns) / NS
    assert 79 / took_s == pytest.approx(4.35, abs=0.2)


def test_a_caller_that_comes_late_finds_an_image():
    rig = LeptonCamera()
    rig.open()
    rig.read()
    rig.clock.advance(10.0)
    late_s = rig.now_s
    assert rig.read().t_ns / NS - late_s < 0.2
    assert len(rig.run(3.0)) <= 14


def test_the_images_need_no_calibration_of_ours():
    rig = LeptonCamera()
    decoder = Decoder()
    opened, image = rig.open(), rig.read()
    assert decoder.feed(opened) == (opened,)
    assert decoder.feed(image) == (image,)
    # An MLX90640 without its EEPROM is still refused.
    assert len(decoder.feed(SensorOpened(0, Sensor.THERMAL, 0.0))) == 2


# What goes wrong


def test_a_gain_in_which_no_hard_limit_can_be_reached_is_a_trouble_until_it_is_another():
    rig, decoder = LeptonCamera(), Decoder()
    assert len(decoder.feed(rig.open())) == 1
    rig.board.gain = 0
    _, told = decoder.feed(rig.open())
    assert (told.name, told.active) == ("thermal-range", True)
    assert "set it to automatic or low" in told.detail
    assert rig.read().temp_c.shape == (120, 160)
    assert len(decoder.feed(rig.open())) == 1
    rig.board.gain = 1
    _, over = decoder.feed(rig.open())
    assert (over.name, over.active) == ("thermal-range", False)
    # Without telemetry nobody knows.
    bare = LeptonCamera(telemetry=False)
    bare.board.gain = 0
    assert bare.open().problem == ""


def test_a_correction_is_rejected_frame_by_frame_and_told_as_one():
    for shows_shutter in (False, True):
        rig = LeptonCamera()
        rig.open()
        rig.run(1.0)
        rig.board.correct(1.0, shows_shutter=shows_shutter)
        begin_s = rig.now_s
        images = rig.run(3.0)
        assert {str(error) for _, error in rig.errors} == {
            "thermal: flat-field correction: the shutter is closed"
        }
        assert 7 <= len(rig.errors) <= 9
        assert all((image.t_ns / NS) - begin_s > 1.0 for image in images)
        assert all(np.abs(image.temp_c - room_of_lepton()).max() < 0.1 for image in images)


def test_a_shutter_that_stays_closed_is_a_lost_array():
    rig = LeptonCamera()
    rig.open()
    rig.read()
    rig.board.correct(60.0)
    begin_s = rig.now_s
    with pytest.raises(NoFrameError, match="the shutter is closed"):
        rig.run(10.0)
    assert STALL_S <= rig.now_s - begin_s <= FAULT_LIMIT_S


def test_a_correction_at_the_start_does_not_keep_it_from_opening():
    rig = LeptonCamera()
    rig.board.correct(1.0)
    rig.open()
    assert len(rig.run(3.0)) >= 7


def test_repeated_frames_are_skipped():
    for telemetry in (True, False):
        rig = LeptonCamera(telemetry=telemetry)
        rig.open()
        before = rig.read()
        rig.faults.repeats = 8
        after = rig.read()
        assert (after.t_ns - before.t_ns) / NS > 8 / 8.7
        assert not rig.errors


@pytest.mark.parametrize("telemetry", [True, False])
def test_frozen_pixels_are_a_fault_in_time_even_if_the_numbers_go_on(telemetry):
    rig = LeptonCamera(telemetry=telemetry)
    rig.open()
    rig.read()
    rig.faults.frozen = True
    begin_s = rig.now_s
    with pytest.raises(FrozenError, match="again and again"):
        rig.run(10.0)
    assert STALL_S <= rig.now_s - begin_s <= FAULT_LIMIT_S
    rig.faults.frozen = False
    rig.open()
    rig.read()


def test_a_repeated_number_is_frozen_too():
    rig = LeptonCamera()
    rig.open()
    rig.read()
    rig.faults.repeats = 1000
    with pytest.raises(FrozenError):
        rig.run(10.0)


def test_a_stall_is_a_fault_in_time_and_opening_again_heals_it():
    rig = LeptonCamera()
    rig.open()
    rig.read()
    rig.faults.stalled = True
    begin_s = rig.now_s
    with pytest.raises(NoFrameError, match="no frame comes") as error:
        rig.run(10.0)
    assert not isinstance(error.value, FrozenError)
    assert STALL_S <= rig.now_s - begin_s <= FAULT_LIMIT_S
    with pytest.raises(NoFrameError):
        rig.open()
    rig.faults.stalled = False
    rig.open()
    rig.read()
    assert rig.board.opened == 3


def test_a_board_that_is_pulled_out_and_put_back_delivers_again():
    rig = LeptonCamera()
    rig.open()
    rig.read()
    rig.faults.unplugged = True
    with pytest.raises(BusError, match="/dev/video0: is gone: plug the board in again"):
        rig.read()
    with pytest.raises(BusError, match=r"does not exist: plug the board in, or correct lepton\."):
        rig.open()
    rig.faults.unplugged = False
    # The stream of before is over, even if the node is back.
    with pytest.raises(BusError, match="is gone"):
        rig.read()
    rig.open()
    assert len(rig.run(2.0)) >= 7


@pytest.mark.parametrize("size", [0, 20_000, 38_400])
def test_frames_of_the_wrong_size_are_rejected_then_a_fault(size):
    rig = LeptonCamera()
    rig.open()
    rig.read()
    rig.faults.size = size
    begin_s = rig.now_s
    with pytest.raises(NoFrameError, match=f"a frame of {size} bytes, 39040 are expected"):
        rig.run(10.0)
    assert len(rig.errors) > 20
    assert rig.now_s - begin_s <= FAULT_LIMIT_S
    with pytest.raises(NoFrameError, match=f"a frame of {size} bytes"):
        rig.open()


def test_one_torn_frame_costs_nothing():
    rig = LeptonCamera()
    rig.faults.size = 1000
    source = rig.board.read

    def torn_once(wait_s):
        data = source(wait_s)
        rig.faults.size = None
        return data

    rig.board.read = torn_once
    rig.open()
    rig.read()


@pytest.mark.parametrize("word", [0, 29_515, 65_535])
def test_an_image_without_contrast_is_none(word):
    for telemetry in (True, False):
        rig = LeptonCamera(telemetry=telemetry)
        rig.open()
        rig.faults.word = word
        with pytest.raises(FrameRejectedError, match=f"every pixel is {word}"):
            rig.read()


@pytest.mark.parametrize("telemetry", [True, False])
def test_raw_counts_are_refused_by_name(telemetry):
    rig = LeptonCamera(telemetry=telemetry)
    rig.board.tlinear = False
    with pytest.raises(SensorError, match=r"TLinear is off.*switch it on"):
        rig.open()
    rig.board.tlinear = True
    rig.open()
    # Somebody changes it while it runs.
    rig.board.tlinear = False
    with pytest.raises(SensorError, match="TLinear is off"):
        rig.run(1.0)


def test_shades_are_refused_by_name():
    rig = LeptonCamera()
    rig.board.agc = True
    with pytest.raises(SensorError, match="AGC is on"):
        rig.open()


def test_telemetry_above_the_image_is_refused_by_name():
    rig = LeptonCamera()
    rig.faults.header = True
    with pytest.raises(NoFrameError, match="footer"):
        rig.open()


def test_a_call_that_hangs_ends_at_a_deadline():
    rig = LeptonCamera()
    rig.faults.block_s = 60.0
    with pytest.raises(BusStuckError, match="no answer within 3 s"):
        rig.open()
    rig.open()
    rig.faults.block_s = 60.0
    with pytest.raises(BusStuckError, match=r"no answer within 1\.25 s"):
        rig.read()


# The thread around a source


class Hanging:
    """A source whose reads hang until told to end."""

    def __init__(self, hang):
        self._hang = hang
        self.closed = threading.Event()

    def open(self):
        pass

    def read(self, _wait_s):
        if self._hang is not None:
            self._hang.wait()
        return b"frame"

    def close(self):
        self.closed.set()


async def stuck(camera):
    with pytest.raises(BusStuckError) as error:
        # The deadline of a read counts from how long it may wait.
        await camera.read(-0.99)
    return str(error.value)


async def test_a_stuck_call_is_left_behind_once_and_a_fresh_source_goes_on():
    first, second = threading.Event(), threading.Event()
    sources = [Hanging(first), Hanging(second), Hanging(None)]
    left = iter(sources)
    camera = Camera("/dev/video9", lambda: next(left))
    await camera.open()
    assert "no answer" in await stuck(camera)
    # The source that hangs is left behind, another one is opened; it hangs, too.
    await camera.open()
    assert "no answer" in await stuck(camera)
    assert "two calls are stuck" in await stuck(camera)
    first.set()
    await asyncio.to_thread(sources[0].closed.wait)
    while True:
        try:
            await camera.open()
            break
        except BusStuckError:
            # The thread of the first one is just ending.
            await asyncio.sleep(0)
    assert await camera.read(1.0) == b"frame"
    second.set()
    await asyncio.to_thread(sources[1].closed.wait)
    await camera.end()


async def test_a_source_that_was_only_slow_is_used_on():
    slow = threading.Event()
    camera = Camera("/dev/video9", lambda: Hanging(slow))
    await stuck(camera)
    slow.set()
    while camera._lane.executor.busy:
        await asyncio.sleep(0)
    assert await camera.read(1.0) == b"frame"
    await camera.end()


# Sources


def recorded(tmp_path, count, *, telemetry=True):
    """Return a file of so many frames from the emulated board, and the frames."""
    clock = ManualClock()
    rig = LeptonCamera(telemetry=telemetry)
    rig.board.open()
    frames = [rig.board.read(1.0) for _ in range(count)]
    path = tmp_path / "lepton.y16"
    path.write_bytes(b"".join(frames))
    return path, frames, clock


def test_a_file_plays_its_frames_over_and_over_at_the_rate_of_the_camera(tmp_path):
    path, frames, clock = recorded(tmp_path, 3)
    source = frames_of(path, 122, clock)
    assert isinstance(source, Y16File)
    with pytest.raises(OSError, match="not open"):
        source.read(1.0)
    source.open()
    played = [source.read(1.0) for _ in range(7)]
    assert played == [*frames, *frames, frames[0]]
    assert clock.monotonic_ns() / NS == pytest.approx(6 / 8.7, abs=1e-6)
    assert source.read(0.01) is None
    source.open()
    assert source.read(1.0) == frames[0]
    source.close()
    source.close()


def test_a_file_of_frames_feeds_the_driver(tmp_path):
    path, _, _ = recorded(tmp_path, 20)
    rig = LeptonCamera(source=lambda board: Y16File(path, 122, board._clock))
    rig.open()
    assert 17 <= len(rig.run(4.0)) <= 18
    run_virtual(rig.camera.end(), rig.clock)


@pytest.mark.parametrize(("size", "rows"), [(0, 122), (1000, 122), (SIZE, 120), (38_400, 122)])
def test_a_file_of_something_else_is_refused_by_name(tmp_path, size, rows):
    path = tmp_path / "other.y16"
    path.write_bytes(bytes(size))
    with pytest.raises(SensorError, match=rf"other\.y16: {size} bytes, whole frames of"):
        Y16File(path, rows, ManualClock()).open()


def test_what_is_not_there_or_no_camera_says_what_to_do(tmp_path):
    missing = frames_of(tmp_path / "video0", 122, SystemClock())
    assert isinstance(missing, V4l2Frames)
    with pytest.raises(BusError, match="does not exist: plug the board in"):
        missing.open()
    with pytest.raises(OSError, match="not open"):
        missing.read(0.0)
    plain = tmp_path / "plain"
    plain.write_bytes(b"")
    with pytest.raises(BusError, match="is no video device"):
        V4l2Frames(plain, 122).open()
    missing.close()


def test_a_missing_library_is_named_with_its_extra(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "linuxpy.video", None)
    with pytest.raises(SensorError, match=r"linuxpy: pip install 'firedetect\[lepton\]'"):
        V4l2Frames(tmp_path / "video0", 122).open()


class Kernel:
    """The calls of V4L2 on a file that stands for the device: formats, buffers, frames in order.

    `frames` are what is to come, None where nothing is ready; `given` is the format that it has.
    """

    PAGES = 40_960

    def __init__(self, path, given=(160, 122, b"Y16 ")):
        self.path = path
        self.given = given
        self.frames = []
        self.queued = []
        self.streams = False
        self.asked = None
        path.write_bytes(bytes(4 * self.PAGES))

    def ioctl(self, _fd, request, argument):
        getattr(self, request.name.lower())(argument)

    def querycap(self, capability):
        capability.device_caps = 0x04000001

    def s_fmt(self, wanted):
        self.asked = (wanted.fmt.pix.width, wanted.fmt.pix.height, wanted.fmt.pix.pixelformat)

    def g_fmt(self, wanted):
        width, height, code = self.given
        wanted.fmt.pix.width, wanted.fmt.pix.height = width, height
        wanted.fmt.pix.pixelformat = int.from_bytes(code, "little")
        wanted.fmt.pix.sizeimage = 2 * width * height

    def reqbufs(self, _request):
        pass

    def querybuf(self, buffer):
        buffer.length, buffer.m.offset = self.PAGES, buffer.index * self.PAGES

    def qbuf(self, buffer):
        self.queued.append(buffer.index)

    def dqbuf(self, buffer):
        assert self.streams
        data = self.frames.pop(0) if self.frames else OSError(errno.ENODEV, "No such device")
        if data is None:
            raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")
        if isinstance(data, OSError):
            raise data
        buffer.index = self.queued.pop(0)
        with self.path.open("r+b") as file:
            os.pwrite(file.fileno(), data, buffer.index * self.PAGES)
        buffer.bytesused = len(data)

    def streamon(self, _kind):
        self.streams = True

    def streamoff(self, _kind):
        self.streams = False


@pytest.fixture
def kernel(tmp_path, monkeypatch):
    made = Kernel(tmp_path / "video0")
    monkeypatch.setattr("linuxpy.ioctl.fcntl", made)
    return made


def test_v4l2_streams_y16_through_its_buffers(kernel):
    source = V4l2Frames(kernel.path, 122)
    source.open()
    assert kernel.asked == (160, 122, int.from_bytes(b"Y16 ", "little"))
    first, second = frame(pixels=[1, 2, 3]), frame(pixels=[4, 5, 6])
    kernel.frames = [first, None, second, first[:100], first, second]
    got = [source.read(0.0) for _ in range(6)]
    assert got == [first, None, second, first[:100], first, second]
    # Every buffer has gone back to the driver.
    assert sorted(kernel.queued) == [0, 1, 2]
    source.close()
    assert not kernel.streams


def test_a_node_that_vanishes_ends_the_stream_and_can_be_opened_again(kernel):
    camera = Camera(str(kernel.path), lambda: V4l2Frames(kernel.path, 122))
    clock = ManualClock()
    run_virtual(camera.open(), clock)
    kernel.frames = [frame()]
    assert run_virtual(camera.read(0.0), clock) == frame()
    with pytest.raises(BusError, match="is gone: plug the board in again"):
        run_virtual(camera.read(0.0), clock)
    run_virtual(camera.open(), clock)
    kernel.frames = [frame()]
    assert run_virtual(camera.read(0.0), clock) == frame()
    run_virtual(camera.end(), clock)


@pytest.mark.parametrize(
    "given", [(160, 120, b"Y16 "), (80, 60, b"Y16 "), (160, 122, b"UYVY"), (640, 480, b"????")]
)
def test_another_format_is_refused_by_name(kernel, given):
    kernel.given = given
    with pytest.raises(SensorError, match=r"video0 (gives|is no camera)"):
        V4l2Frames(kernel.path, 122).open()


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.EBUSY, "in use by another program"),
        (errno.EINVAL, "does not stream Y16"),
        (errno.EPROTO, "Protocol error"),
    ],
)
def test_a_device_that_refuses_says_why(kernel, number, said):
    def refuse(_wanted):
        raise OSError(number, os.strerror(number))

    kernel.s_fmt = refuse
    with pytest.raises(BusError, match=said):
        V4l2Frames(kernel.path, 122).open()


def test_images_are_events_of_their_own_arrays():
    rig = LeptonCamera()
    rig.open()
    first = rig.read()
    kept = first.temp_c.copy()
    rig.run(2.0)
    assert isinstance(first, ThermalImage)
    assert np.array_equal(first.temp_c, kept)

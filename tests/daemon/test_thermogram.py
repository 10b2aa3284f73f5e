"""The picture of an alarm: decoded again, it says what the array saw."""

import struct
import zlib

import numpy as np
import pytest

from firedetect.daemon.remote.thermogram import HIGH_C, LOW_C, hottest, thermogram

WHITE, GREY = (255, 255, 255), (128, 128, 128)


def decoded(png):
    """Return colours (height, width, 3) and texts of a PNG with a palette, by the standard."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    at, chunks, texts = 8, {}, {}
    while at < len(png):
        (size,) = struct.unpack(">I", png[at : at + 4])
        kind, content = png[at + 4 : at + 8], png[at + 8 : at + 8 + size]
        (check,) = struct.unpack(">I", png[at + 8 + size : at + 12 + size])
        assert check == zlib.crc32(kind + content)
        chunks[kind] = content
        if kind == b"tEXt":
            name, _, text = content.partition(b"\0")
            texts[name.decode("latin-1")] = text.decode("latin-1")
        at += 12 + size
    width, height, *rest = struct.unpack(">IIBBBBB", chunks[b"IHDR"])
    assert rest == [8, 3, 0, 0, 0]
    rows = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(height, width + 1)
    assert not rows[:, 0].any()
    palette = np.frombuffer(chunks[b"PLTE"], np.uint8).reshape(-1, 3)
    assert chunks[b"IEND"] == b""
    return palette[rows[:, 1:]], texts


def room(shape=(24, 32), fill=21.0):
    return np.full(shape, fill, np.float32)


def light(colours, row, column, size):
    """How bright the middle of a pixel is."""
    middle = colours[row * size + size // 2, column * size + size // 2]
    return int(middle.astype(int).sum())


@pytest.mark.parametrize("shape", [(24, 32), (120, 160)])
def test_the_hot_spot_is_bright_framed_and_said_in_words(shape):
    image = room(shape)
    image[10, 20] = 214.4
    image[3, 5] = np.nan
    colours, texts = decoded(thermogram(image, {"Title": "thing-1-1-1"}))
    size = 640 // shape[1]
    assert colours.shape[1] == 640
    assert texts == {
        "Title": "thing-1-1-1",
        "Maximum": "214.4 C at row 10, column 20 from top left",
        "Scale": "0 to 150 C",
    }
    assert light(colours, 10, 20, size) > 600
    assert light(colours, 0, 0, size) < 200
    assert tuple(colours[10 * size - 2, 20 * size]) == WHITE
    assert tuple(colours[10 * size, 21 * size + 1]) == WHITE
    assert tuple(colours[3 * size, 5 * size]) == GREY


def test_a_temperature_has_the_same_colour_in_every_picture():
    """Above its end and below its begin the scale stays what it is."""
    hot, cold = room(), room(fill=-30.0)
    hot[0, 0], hot[12, 12] = 60.0, 400.0
    cold[0, 0], cold[12, 12] = 60.0, 61.0
    first, _ = decoded(thermogram(hot, {}))
    second, _ = decoded(thermogram(cold, {}))
    assert (first[5, 5] == second[5, 5]).all()
    steps = np.linspace(LOW_C, HIGH_C, 32 * 24).astype(np.float32).reshape(24, 32)
    colours, _ = decoded(thermogram(steps, {}))
    # Inferno: the hotter, the brighter.
    seen = [light(colours, row, column, 20) for row in range(24) for column in range(32)]
    assert (np.diff(seen) >= -3).all()


def test_a_place_at_the_edge_is_framed_too():
    for row, column in ((0, 0), (23, 31)):
        image = room()
        image[row, column] = 100.0
        colours, texts = decoded(thermogram(image, {}))
        assert f"row {row}, column {column}" in texts["Maximum"]
        assert light(colours, row, column, 20) > light(colours, 12, 12, 20)


def test_an_image_without_a_valid_pixel_is_grey_and_says_so():
    colours, texts = decoded(thermogram(room(fill=np.nan), {"Source": "d at Küche"}))
    assert (colours[:480] == 128).all()
    assert texts["Maximum"] == "unknown"
    assert texts["Source"] == "d at Küche"
    assert hottest(room(fill=np.nan)) is None


def test_what_latin_cannot_say_breaks_no_picture():
    _, texts = decoded(thermogram(room(), {"Source": "台所"}))
    assert texts["Source"] == "??"


@pytest.mark.parametrize("max_c", [-40.0, -0.4, 7.0, 1234.0])
def test_every_temperature_can_be_written(max_c):
    colours, _ = decoded(thermogram(room(fill=max_c), {}))
    assert (colours[480:] == 255).any()

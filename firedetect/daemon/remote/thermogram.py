"""Draws an image of the array for people: fixed colours, the hottest place framed, as a PNG.

Written with zlib alone: the daemon needs no library for pictures.
"""

import math
import struct
import zlib
from collections.abc import Mapping
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

LOW_C: Final = 0.0
HIGH_C: Final = 150.0
"""The colours always mean the same: a fire is bright in every picture, a warm room dark."""
WIDTH: Final = 640
_INFERNO: Final = (
    "000004 040312 0b0724 150b37 210c4a 2f0a5b 3d0965 4a0c6b 57106e 64156e 71196e 7d1e6d 8a226a "
    "972766 a32c61 b0315b bc3754 c73e4c d24644 db503b e45a31 eb6628 f1731d f68013 f98e09 fb9d07 "
    "fcac11 fbbc21 f9cb35 f5db4c f2ea69 f3f68a fcffa4"
)
"""The colours of the local page."""
_COLOURS: Final = 254
_WHITE: Final = 254
_GREY: Final = 255
"""A pixel of which nothing is known: no colour of the scale."""
_GLYPHS: Final[Mapping[str, str]] = {
    # Seven rows of five, as octets of a picture: 1 is drawn.
    "0": "01110 10001 10011 10101 11001 10001 01110",
    "1": "00100 01100 00100 00100 00100 00100 01110",
    "2": "01110 10001 00001 00110 01000 10000 11111",
    "3": "11110 00001 00001 01110 00001 00001 11110",
    "4": "00010 00110 01010 10010 11111 00010 00010",
    "5": "11111 10000 11110 00001 00001 10001 01110",
    "6": "00110 01000 10000 11110 10001 10001 01110",
    "7": "11111 00001 00010 00100 01000 01000 01000",
    "8": "01110 10001 10001 01110 10001 10001 01110",
    "9": "01110 10001 10001 01111 00001 00010 01100",
    "-": "00000 00000 00000 11111 00000 00000 00000",
    "?": "01110 10001 00001 00110 00100 00000 00100",
    "A": "01110 10001 10001 11111 10001 10001 10001",
    "C": "01110 10001 10000 10000 10000 10001 01110",
    "M": "10001 11011 10101 10101 10001 10001 10001",
    "X": "10001 10001 01010 00100 01010 10001 10001",
    " ": "00000 00000 00000 00000 00000 00000 00000",
}
_ZOOM: Final = 4
_MARGIN: Final = 8
_STRIP: Final = 7 * _ZOOM + 2 * _MARGIN
_BAR: Final = 180

_Indices = NDArray[np.uint8]


def thermogram(temp_c: NDArray[np.float32], about: Mapping[str, str]) -> bytes:
    """Return the PNG of an image in °C, NaN for invalid; `about` (Latin-1) is written into it.

    Below the image stand its highest temperature and the scale.
    """
    drawn = _drawn(temp_c)
    found = hottest(temp_c)
    if found is None:
        words = "MAX ? C"
        maximum = "unknown"
    else:
        row, column, max_c = found
        _frame(drawn, row, column, WIDTH // temp_c.shape[1])
        words = f"MAX {max_c:.0f} C"
        maximum = f"{max_c:.1f} C at row {row}, column {column} from top left"
    texts = {"Maximum": maximum, "Scale": f"{LOW_C:.0f} to {HIGH_C:.0f} C", **about}
    return _png(np.vstack([drawn, _strip(words, drawn.shape[1])]), texts)


def hottest(temp_c: NDArray[np.float32]) -> tuple[int, int, float] | None:
    """Return row, column and temperature of the hottest valid pixel, None without a valid one."""
    valid = np.isfinite(temp_c)
    if not valid.any():
        return None
    at = int(np.argmax(np.where(valid, temp_c, -math.inf)))
    row, column = divmod(at, temp_c.shape[1])
    return row, column, float(temp_c[row, column])


def _drawn(temp_c: NDArray[np.float32]) -> _Indices:
    """Return the image as indices of the palette, each pixel a square."""
    valid = np.isfinite(temp_c)
    share = (np.where(valid, temp_c, LOW_C) - LOW_C) / (HIGH_C - LOW_C)
    indices = np.round(np.clip(share, 0.0, 1.0) * (_COLOURS - 1)).astype(np.uint8)
    indices[~valid] = _GREY
    size = WIDTH // temp_c.shape[1]
    return np.repeat(np.repeat(indices, size, axis=0), size, axis=1)


def _frame(drawn: _Indices, row: int, column: int, size: int) -> None:
    """Draw a white frame around a pixel, so that it is found whatever its colour."""
    top, left = max(0, row * size - 3), max(0, column * size - 3)
    bottom, right = (row + 1) * size + 3, (column + 1) * size + 3
    inner = drawn[row * size : (row + 1) * size, column * size : (column + 1) * size].copy()
    drawn[top:bottom, left:right] = _WHITE
    drawn[row * size : (row + 1) * size, column * size : (column + 1) * size] = inner


def _strip(words: str, width: int) -> _Indices:
    """Return what stands below: words on the left, the scale on the right."""
    strip = np.zeros((_STRIP, width), np.uint8)
    _write(strip, words, _MARGIN)
    end = _written(f"{HIGH_C:.0f} C")
    at = width - _MARGIN - end.shape[1]
    _write(strip, f"{HIGH_C:.0f} C", at)
    bar = np.linspace(0, _COLOURS - 1, _BAR).astype(np.uint8)
    strip[_MARGIN:-_MARGIN, at - _MARGIN - _BAR : at - _MARGIN] = bar
    begin = f"{LOW_C:.0f}"
    _write(strip, begin, at - 2 * _MARGIN - _BAR - _written(begin).shape[1])
    return strip


def _write(strip: _Indices, words: str, at: int) -> None:
    written = _written(words)
    strip[_MARGIN : _MARGIN + written.shape[0], at : at + written.shape[1]] = written


def _written(words: str) -> _Indices:
    rows = [
        "0".join(_GLYPHS[letter].split()[number] for letter in words)
        for number in range(len(_GLYPHS["0"].split()))
    ]
    dots = np.array([[int(dot) for dot in row] for row in rows], np.uint8) * _WHITE
    return np.repeat(np.repeat(dots, _ZOOM, axis=0), _ZOOM, axis=1)


def _palette() -> bytes:
    anchors = [tuple(bytes.fromhex(colour)) for colour in _INFERNO.split()]
    colours = bytearray()
    for index in range(_COLOURS):
        at = index / (_COLOURS - 1) * (len(anchors) - 1)
        place = min(int(at), len(anchors) - 2)
        below, above = list(pairwise(anchors))[place]
        colours += bytes(
            round(low + (at - place) * (high - low)) for low, high in zip(below, above, strict=True)
        )
    return bytes(colours) + b"\xff\xff\xff" + b"\x80\x80\x80"


def _png(indices: _Indices, texts: Mapping[str, str]) -> bytes:
    """Return a PNG (ISO/IEC 15948) of indices into the palette."""
    height, width = indices.shape
    # Depth 8, colour type 3 (palette), no interlace; each row begins with its filter, none.
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    rows = np.hstack([np.zeros((height, 1), np.uint8), indices]).tobytes()
    said = [
        _chunk(b"tEXt", name.encode("latin-1") + b"\0" + text.encode("latin-1", "replace"))
        for name, text in texts.items()
    ]
    return b"".join(
        [
            b"\x89PNG\r\n\x1a\n",
            _chunk(b"IHDR", header),
            _chunk(b"PLTE", _palette()),
            *said,
            _chunk(b"IDAT", zlib.compress(rows, 6)),
            _chunk(b"IEND", b""),
        ]
    )


def _chunk(kind: bytes, content: bytes) -> bytes:
    check = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)

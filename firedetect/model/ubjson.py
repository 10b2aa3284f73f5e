"""Reader for the part of UBJSON in which xgboost writes its models.

Big-endian values; objects without counts; arrays with a count, those of numbers with a type too.
The input is not trusted: every count is checked against the bytes left, so work and memory stay
in proportion to the input.
"""

import struct
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from firedetect.errors import BundleError

Value: TypeAlias = (
    "bool | int | float | str | list[Value] | dict[str, Value] | NDArray[np.generic] | None"
)

MAX_DEPTH: Final = 32
"""Nesting that is still read; a model of xgboost has nine levels."""

_INTEGERS: Final = {b"i": ">b", b"U": ">B", b"I": ">h", b"l": ">i", b"L": ">q"}
_NUMBERS: Final = _INTEGERS | {b"d": ">f", b"D": ">d"}
_CONSTANTS: Final[dict[bytes, bool | None]] = {b"T": True, b"F": False, b"Z": None}
_DTYPES: Final = {
    b"i": "i1",
    b"U": "u1",
    b"I": ">i2",
    b"l": ">i4",
    b"L": ">i8",
    b"d": ">f4",
    b"D": ">f8",
}


def decode(data: bytes) -> Value:
    """Return the one value in `data`, typed arrays as numpy arrays in native byte order.

    Raises BundleError for anything cut short, malformed, nested too deep or followed by more.
    """
    reader = _Reader(data)
    value = reader.value(reader.take(1), depth=0)
    if reader.left:
        raise BundleError(f"{reader.left} bytes too many after the end at byte {reader.position}")
    return value


class _Reader:
    """A position in the bytes that can only move forward."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.position = 0

    @property
    def left(self) -> int:
        """Bytes not read yet."""
        return len(self._data) - self.position

    def take(self, count: int) -> bytes:
        """Return the next `count` bytes."""
        if not 0 <= count <= self.left:
            raise BundleError(f"cut short at byte {self.position}: {count} more bytes expected")
        start = self.position
        self.position += count
        return self._data[start : self.position]

    def value(self, marker: bytes, depth: int) -> Value:
        """Return the value that follows its marker."""
        if marker in _NUMBERS:
            return self._number(_NUMBERS[marker])
        if marker in _CONSTANTS:
            return _CONSTANTS[marker]
        if marker == b"S":
            return self._text()
        if marker not in (b"{", b"["):
            raise BundleError(f"unknown marker {marker!r} at byte {self.position - 1}")
        if depth == MAX_DEPTH:
            raise BundleError(f"nested deeper than {MAX_DEPTH} at byte {self.position - 1}")
        return self._object(depth + 1) if marker == b"{" else self._array(depth + 1)

    def _number(self, form: str) -> int | float:
        (number,) = struct.unpack(form, self.take(struct.calcsize(form)))
        return number  # type: ignore[no-any-return]

    def _count(self, marker: bytes) -> int:
        """Return the length that follows; take() refuses one that is negative or too large."""
        if marker not in _INTEGERS:
            raise BundleError(f"length expected, {marker!r} found at byte {self.position - 1}")
        return int(self._number(_INTEGERS[marker]))

    def _text(self, marker: bytes | None = None) -> str:
        raw = self.take(self._count(marker or self.take(1)))
        try:
            return raw.decode()
        except UnicodeDecodeError as error:
            raise BundleError(f"text before byte {self.position} is not UTF-8") from error

    def _object(self, depth: int) -> dict[str, Value]:
        found: dict[str, Value] = {}
        while (marker := self.take(1)) != b"}":
            key = self._text(marker)
            if key in found:
                raise BundleError(f"key {key!r} twice before byte {self.position}")
            found[key] = self.value(self.take(1), depth)
        return found

    def _array(self, depth: int) -> Value:
        marker = self.take(1)
        kind = b""
        if marker == b"$":
            kind, marker = self.take(1), self.take(1)
        if marker != b"#":
            raise BundleError(f"array without a count at byte {self.position - 1}")
        count = self._count(self.take(1))
        if kind:
            return self._numbers(kind, count)
        # Every element takes at least its marker.
        if not 0 <= count <= self.left:
            raise BundleError(f"array of {count} at byte {self.position}, {self.left} bytes left")
        return [self.value(self.take(1), depth) for _ in range(count)]

    def _numbers(self, kind: bytes, count: int) -> NDArray[np.generic]:
        if kind not in _DTYPES:
            raise BundleError(f"array of unknown type {kind!r} at byte {self.position}")
        stored = np.dtype(_DTYPES[kind])
        raw = self.take(count * stored.itemsize)
        return np.frombuffer(raw, dtype=stored).astype(stored.newbyteorder("="))

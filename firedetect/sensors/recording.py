"""Recordings: everything that entered the pipeline, in order, as an MCAP file.

One channel per type of event with JSON messages, which Foxglove and other MCAP tools open; the
array's EEPROM lies in a metadata record. A recording that was cut off is readable up to the cut.
"""

import dataclasses
import hashlib
import json
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import zstandard
from mcap.exceptions import InvalidMagic, McapError
from mcap.records import Channel, Footer, Message, Metadata
from mcap.stream_reader import StreamReader
from mcap.writer import Writer

from firedetect import __version__
from firedetect.errors import RecordingError
from firedetect.readings import Event, SensorOpened, Started
from firedetect.sensors.codec import EVENT_TYPES, decode, encode, json_schema

FORMAT = "1"
_METADATA = "firedetect"
_EEPROM = "mlx90640-eeprom"
_TOPIC = "/events/"
_OUTCOMES = "/outcomes"
_CHUNK_BYTES = 48 * 1024
"""About two seconds of raw frames: what a power cut may take from a recording."""
_RECORD_LIMIT = 64 * 1024 * 1024
_BROKEN = (
    McapError,
    struct.error,
    zstandard.ZstdError,
    RuntimeError,
    EOFError,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    IndexError,
    OverflowError,
    MemoryError,
)
"""What the reader raises on bytes that are no recording."""


class RecordingWriter:
    """Writes events and outcomes; raises RecordingError if the file exists or cannot be made."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._file = path.open("xb")
        except FileExistsError as error:
            raise RecordingError(f"{path}: exists already; choose another name") from error
        except OSError as error:
            raise RecordingError(f"{path}: cannot be written: {error.strerror}") from error
        self._writer = Writer(self._file, chunk_size=_CHUNK_BYTES, enable_data_crcs=True)
        self._writer.start(profile="", library=f"firedetect {__version__}")
        self._writer.add_metadata(_METADATA, {"format": FORMAT, "program": __version__})
        self._channels: dict[str, int] = {}
        self._wall_offset_ns = 0
        self._written = 0

    def write(self, event: Event) -> None:
        """Append one event."""
        values = encode(event)
        if isinstance(event, Started):
            self._wall_offset_ns = event.wall_ns - event.t_ns
        if isinstance(event, SensorOpened) and event.eeprom is not None:
            words = event.eeprom.astype(">u2").tobytes().hex()
            digest = hashlib.sha256(words.encode()).hexdigest()
            self._writer.add_metadata(_EEPROM, {"sha256": digest, "words_hex": words})
            values["eeprom"] = digest
        name = type(event).__name__
        self._append(_TOPIC + name, event.t_ns, json.dumps(values), lambda: json_schema(name))

    def write_outcome(self, t_ns: int, line: str) -> None:
        """Append what was concluded, as one JSON object."""
        self._append(_OUTCOMES, t_ns, line, lambda: {"type": "object"})

    def flush(self) -> None:
        """Hand finished chunks to the file system."""
        self._file.flush()

    def close(self) -> None:
        """Finish the file; raises RecordingError if the disk does not take its end."""
        if self._file.closed:
            return
        try:
            with self._file:
                self._writer.finish()  # type: ignore[no-untyped-call]
        except OSError as error:
            raise RecordingError(f"{self._path}: cannot be finished: {error.strerror}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _append(
        self, topic: str, t_ns: int, text: str, schema: Callable[[], dict[str, Any]]
    ) -> None:
        if topic not in self._channels:
            schema_id = self._writer.register_schema(
                topic.rsplit("/", 1)[-1], "jsonschema", json.dumps(schema()).encode()
            )
            self._channels[topic] = self._writer.register_channel(topic, "json", schema_id)
        stamp = max(t_ns + self._wall_offset_ns, 0)
        self._writer.add_message(self._channels[topic], stamp, text.encode(), stamp, self._written)
        self._written += 1


def read_events(path: Path) -> Iterator[Event]:
    """Yield the recorded events in order.

    Raises RecordingError for anything that is no recording, before the first event; for one that
    is cut off or damaged, after the last event that is whole.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise RecordingError(f"{path}: cannot be read: {error.strerror}") from error
    with file:
        reader = _Reader(path)
        try:
            for record in StreamReader(
                file, validate_crcs=True, record_size_limit=_RECORD_LIMIT
            ).records:
                event = reader.fold(record)
                if event is not None:
                    yield event
        except InvalidMagic as error:
            if reader.seen_s is None:
                raise RecordingError(f"{path}: is no recording (not an MCAP file)") from error
            raise RecordingError(reader.cut_off()) from error
        except _BROKEN as error:
            raise RecordingError(reader.cut_off()) from error
        reader.finish()


class _Reader:
    """Folds MCAP records to events."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._ours = False
        self._complete = False
        self._channels: dict[int, str] = {}
        self._eeprom: dict[str, np.ndarray] = {}
        self._first_ns: int | None = None
        self._messages = 0
        self.seen_s: float | None = None

    def fold(self, record: object) -> Event | None:
        if isinstance(record, Metadata):
            self._fold_metadata(record)
        elif isinstance(record, Channel):
            self._channels[record.id] = record.topic
        elif isinstance(record, Footer):
            self._complete = True
        elif isinstance(record, Message):
            return self._event(record)
        return None

    def finish(self) -> None:
        if not self._ours:
            raise RecordingError(f"{self._path}: is an MCAP file, but no firedetect recording")
        if not self._complete:
            raise RecordingError(self.cut_off())
        if self.seen_s is None:
            raise RecordingError(f"{self._path}: holds no event")

    def cut_off(self) -> str:
        if self.seen_s is None:
            return f"{self._path}: is damaged or cut off before the first event"
        return (
            f"{self._path}: is cut off or damaged after {self.seen_s:.1f} s; "
            "everything before that was read"
        )

    def _fold_metadata(self, record: Metadata) -> None:
        if record.name == _METADATA:
            self._ours = True
            if record.metadata.get("format") != FORMAT:
                raise RecordingError(
                    f"{self._path}: has format {record.metadata.get('format')}, "
                    f"this program reads format {FORMAT}"
                )
        elif record.name == _EEPROM:
            text, digest = record.metadata["words_hex"], record.metadata["sha256"]
            if hashlib.sha256(text.encode()).hexdigest() != digest:
                raise ValueError("the check sum of a calibration is wrong")
            words = np.frombuffer(bytes.fromhex(text), dtype=">u2")
            self._eeprom[digest] = words.astype(np.uint16)

    def _event(self, record: Message) -> Event | None:
        topic = self._channels[record.channel_id]
        name = topic.removeprefix(_TOPIC)
        if not self._ours:
            return None
        # A lost chunk leaves no trace but this: its neighbours are whole.
        if record.sequence != self._messages:
            raise ValueError(f"message {self._messages} is missing")
        self._messages += 1
        if name == topic:
            return None
        if name not in EVENT_TYPES:
            msg = f"unknown event {name}"
            raise ValueError(msg)
        values = json.loads(record.data)
        digest = values.pop("eeprom", None)
        event = decode(name, values)
        if digest is not None and isinstance(event, SensorOpened):
            event = dataclasses.replace(event, eeprom=self._eeprom[digest])
        if self._first_ns is None:
            self._first_ns = event.t_ns
        self.seen_s = (event.t_ns - self._first_ns) / 1e9
        return event

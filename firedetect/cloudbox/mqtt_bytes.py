"""As much of MQTT 3.1.1 by hand as it takes to measure a broker and not a client library."""

import struct
from collections.abc import Iterator
from typing import Final

CONNECT: Final = 0x10
CONNACK: Final = 0x20
PUBLISH: Final = 0x30
PUBLISH_ACKNOWLEDGED: Final = 0x32
PUBACK: Final = 0x40
SUBSCRIBE: Final = 0x82
SUBACK: Final = 0x90
PINGREQ: Final = b"\xc0\x00"
DISCONNECT: Final = b"\xe0\x00"


def packet(kind: int, body: bytes) -> bytes:
    """Return a packet with its length."""
    length, rest = bytearray(), len(body)
    while True:
        rest, low = divmod(rest, 128)
        length.append(low | 0x80 if rest else low)
        if not rest:
            return bytes([kind]) + bytes(length) + body


def text(said: str) -> bytes:
    """Return a text with its length."""
    encoded = said.encode()
    return struct.pack("!H", len(encoded)) + encoded


def connect(client_id: str, keep_alive_s: int) -> bytes:
    """Return the first packet of a client, for a new session."""
    header = b"\x00\x04MQTT\x04\x02" + struct.pack("!H", keep_alive_s)
    return packet(CONNECT, header + text(client_id))


def publish(topic: bytes, number: int, payload: bytes) -> bytes:
    """Return a message at QoS 1; `topic` is a `text`."""
    return packet(PUBLISH_ACKNOWLEDGED, topic + struct.pack("!H", number) + payload)


class Inbox:
    """Makes packets of the bytes that arrive."""

    def __init__(self) -> None:
        self._rest = b""

    def packets(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Yield first byte and body of every packet that is complete now."""
        held, at = self._rest + data, 0
        while (found := _body(held, at)) is not None:
            start, end = found
            yield held[at], held[start:end]
            at = end
        self._rest = held[at:]


def _body(held: bytes, at: int) -> tuple[int, int] | None:
    """Return where the body of the packet at a place begins and ends, None if it is not whole."""
    length, shift, place = 0, 0, at + 1
    while place < len(held):
        length |= (held[place] & 0x7F) << shift
        shift += 7
        place += 1
        if not held[place - 1] & 0x80:
            return (place, place + length) if place + length <= len(held) else None
    return None

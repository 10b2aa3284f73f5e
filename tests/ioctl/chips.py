"""The chips of one bus in a process of their own: `python -m tests.ioctl.chips FOLDER`.

Serves /dev/i2c-1 as `i2c_shim.c` wants it (socket `i2c-1` in the folder), and a second socket,
`control`, by which a test breaks and mends things: one JSON object each way per line, `do` names
one of the `do_` methods of `Bench` and the rest are its arguments. Ends when its standard input
does or its parent dies.
"""

import contextlib
import ctypes
import errno
import json
import os
import signal
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from smbus2 import i2c_msg

from firedetect.clock import SystemClock
from firedetect.emulator.bme280 import Bme280Chip
from firedetect.emulator.bus import BITS_PER_BYTE, EmulatedBus
from firedetect.emulator.eeprom import encode_eeprom, typical_terms
from firedetect.emulator.grove import GroveBoard
from firedetect.emulator.mlx90640 import USUAL_CONTROL, ChipFaults, Mlx90640Chip, SceneSource
from firedetect.emulator.scd41 import Scd41Chip
from firedetect.sensors.bus import I2C_READ_FLAG

THERMAL, GAS, CO2, AIR = 0x33, 0x08, 0x62, 0x76
BAUD = 400_000
ROOM_C = 22.0
COUNTS = (41.0, 70.0, 95.0, 764.0)
"""NO2, C2H5OH, VOC, CO in the clean air of this room."""
PACKET_BYTES = 32_768
HEAD = struct.Struct("=HHH")
HELD_S = 0.5
"""Nothing on the wire takes so long unless somebody holds it."""
_PR_SET_PDEATHSIG = 1


class WireClock(SystemClock):
    """Real time; short waits add up to the true rate, long ones end when `let_go` is set."""

    def __init__(self) -> None:
        self.let_go = threading.Event()
        self._due_s = 0.0

    def block(self, seconds: float) -> None:
        """Wait as long as the bits take, or until the bus is let go."""
        if seconds >= HELD_S:
            self.let_go.wait(seconds)
            return
        now = time.monotonic()
        # A sleep is always a little long: the next one makes up for it.
        self._due_s = max(self._due_s, now - 1e-3) + seconds
        super().block(self._due_s - now)


class Room:
    """What the sensors are in; a test changes it."""

    def __init__(self) -> None:
        self._rng = np.random.default_rng(1)
        self._texture = self._rng.normal(0.0, 0.5, (24, 32))
        self.calm()

    def calm(self) -> None:
        """Be an ordinary room again."""
        self.hot_c: float | None = None
        self.ta_c, self.vdd_v = 33.0, 3.3
        self.counts: tuple[float, ...] | None = None
        self.glitches = 0

    def image_c(self, _t_s: float) -> np.ndarray:
        image = ROOM_C + self._texture + self._rng.normal(0.0, 0.1, (24, 32))
        if self.hot_c is not None:
            image[8:14, 10:18] = self.hot_c
        return image

    def films(self, _t_s: float) -> tuple[float, ...]:
        if self.glitches > 0:
            self.glitches -= 1
            return (1023.0,) * len(COUNTS)
        if self.counts is not None:
            return self.counts
        return tuple(count + self._rng.normal(0.0, 0.4) for count in COUNTS)


class Bench:
    """The bus with its chips, and what can be done to them. One transfer at a time, as on wires."""

    def __init__(self) -> None:
        self.turn = threading.Lock()
        self.clock = WireClock()
        self.room = Room()
        self.eeprom = encode_eeprom(typical_terms())
        source = SceneSource(
            self.eeprom,
            self.room.image_c,
            ta_c=lambda _t_s: self.room.ta_c,
            vdd_v=lambda _t_s: self.room.vdd_v,
        )
        # Compiled now: within a transfer it would look like a stuck bus.
        source(0, 0.0, USUAL_CONTROL)
        self.thermal = Mlx90640Chip(self.clock, self.eeprom, source)
        self.co2 = Scd41Chip(self.clock, lambda _t_s: 612.0)
        chips = {
            THERMAL: self.thermal,
            GAS: GroveBoard(self.clock, self.room.films),
            CO2: self.co2,
            AIR: Bme280Chip(self.clock, lambda _t_s: (ROOM_C, 45.0, 1003.0)),
        }
        self.bus = EmulatedBus(self.clock, chips, BAUD)

    def do_pending(self) -> int:
        """Tell how many faults of a stated number have not happened yet."""
        wire = sum(self.bus.faults(address).pending for address in (THERMAL, GAS, CO2, AIR))
        chip = self.thermal.faults
        return wire + len(chip.flips) + chip.torn + self.co2.wrong_checksums + self.room.glitches

    def do_mend(self) -> bool:
        """Let everything work again; tell whether the EEPROM was another."""
        changed = not np.array_equal(self.thermal.eeprom, self.eeprom)
        for address in (THERMAL, GAS, CO2, AIR):
            self.bus.faults(address).clear()
        self.bus.baud = BAUD
        self.thermal.faults = ChipFaults()
        self.thermal.eeprom = self.eeprom.copy()
        self.co2.wrong_checksums = 0
        self.room.calm()
        return changed

    def do_fail(self, address: int, number: int, times: int | None = None) -> None:
        """Fail transfers to one address with an error number of the kernel."""
        self.bus.faults(address).fail(number, times)

    def do_hold(self, address: int, seconds: float, times: int | None = None) -> None:
        """Hold the bus that long, or until it is mended, at each transfer to one address."""
        self.clock.let_go.clear()
        self.bus.faults(address).block(seconds, times)

    def do_time_out(self, address: int, times: int | None = None) -> None:
        """Fail as the kernel does when a line stays low: after 1 s, and what it needs to tell."""
        self.do_hold(address, 1.05, times)
        self.do_fail(address, errno.ETIMEDOUT, times)

    def do_float(self, address: int, times: int | None = None) -> None:
        """Read 0xFF everywhere."""
        self.bus.faults(address).all_ones(times)

    def do_flip(self, address: int, byte: int, mask: int, times: int | None = None) -> None:
        """Damage one byte of the reads that have it."""
        self.bus.faults(address).flip(byte, mask, times)

    def do_chip(self, **faults: object) -> None:
        """Set faults of the array itself, by the names of `ChipFaults`."""
        for name in ("words", "flips"):
            faults[name] = {int(at): value for at, value in faults.get(name, {}).items()}
        self.thermal.faults = ChipFaults(**faults)

    def do_power_cycle(self) -> None:
        """Take the supply of the array away for a moment."""
        self.thermal.power_up()

    def do_eeprom(self, value: int | None = None, flips: dict[str, int] | None = None) -> None:
        """Fill the array's EEPROM with one word, or flip bits of single words."""
        if value is not None:
            self.thermal.eeprom[:] = value
        for place, mask in (flips or {}).items():
            self.thermal.eeprom[int(place)] ^= mask

    def do_room(self, **values: object) -> None:
        """Change the room, by the names of `Room`."""
        for name, value in values.items():
            setattr(self.room, name, value)

    def do_checksums(self, wrong: int) -> None:
        """Let so many answers of the CO2 sensor have a wrong checksum."""
        self.co2.wrong_checksums = wrong

    def do_baud(self, baud: int) -> None:
        """Change the rate of the bus."""
        self.bus.baud = baud

    def do_measure(self) -> dict[str, float]:
        """Tell the time, the bits that have passed, and what the messages in the log make."""
        log = self.bus.log
        logged = sum(1 + BITS_PER_BYTE * (1 + len(m.written) + m.read_bytes) for m in log)
        return {
            "t_s": time.monotonic(),
            "bits": self.bus.bits,
            "messages": len(log),
            "logged_bits": logged,
            "frames": sum(m.address == THERMAL and m.read_bytes == 1664 for m in log),
        }

    def do_forget(self) -> None:
        """Empty the log."""
        self.bus.log.clear()

    def transfer(self, packet: bytes) -> bytes:
        """Carry out one packet of the shim and return its answer."""
        messages, at = [], 0
        while at < len(packet):
            address, flags, length = HEAD.unpack_from(packet, at)
            at += HEAD.size
            if flags & I2C_READ_FLAG:
                messages.append(i2c_msg.read(address, length))
            else:
                messages.append(i2c_msg.write(address, packet[at : at + length]))
                at += length
        with self.turn:
            try:
                self.bus.i2c_rdwr(*messages)
            except OSError as error:
                return struct.pack("=i", error.errno)
        read = b"".join(bytes(m) for m in messages if m.flags & I2C_READ_FLAG)
        return struct.pack("=i", 0) + read


class Plug:
    """The socket of the bus: there while plugged in, with a thread for each port that is open."""

    def __init__(self, path: Path, transfer: Callable[[bytes], bytes]) -> None:
        self._path = path
        self._transfer = transfer
        self._open: list[socket.socket] = []

    @property
    def ports(self) -> int:
        """How many ports are open."""
        return len(self._open) - 1

    def insert(self) -> None:
        """Be there, if it is not."""
        if self._open:
            return
        self._path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        listener.bind(str(self._path))
        listener.listen(16)
        self._open = [listener]
        _in_thread(self._accept, listener)

    def pull(self) -> None:
        """Be gone: nobody listens, and every open port is dead."""
        for one in self._open:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        self._open = []

    def _accept(self, listener: socket.socket) -> None:
        with listener, contextlib.suppress(OSError):
            while True:
                port, _ = listener.accept()
                self._open.append(port)
                _in_thread(self._serve, port)

    def _serve(self, port: socket.socket) -> None:
        with port, contextlib.suppress(OSError):
            while packet := port.recv(PACKET_BYTES):
                port.sendall(self._transfer(packet))
        if port in self._open:
            self._open.remove(port)


def control(path: Path, bench: Bench, plug: Plug) -> None:
    """Obey what tests ask, one after the other."""
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(path))
        listener.listen()
        while True:
            channel, _ = listener.accept()
            with channel, channel.makefile("rwb") as lines:
                for line in lines:
                    lines.write(json.dumps(obey(json.loads(line), bench, plug)).encode() + b"\n")
                    lines.flush()


def obey(order: dict, bench: Bench, plug: Plug) -> object:
    name = order.pop("do")
    if name == "pull":
        return plug.pull()
    if name == "insert":
        return plug.insert()
    if name == "ports":
        return plug.ports
    if name == "mend":
        bench.clock.let_go.set()
    with bench.turn:
        return getattr(bench, f"do_{name}")(**order)


def _in_thread(run: Callable[..., None], *arguments: object) -> None:
    threading.Thread(target=run, args=arguments, daemon=True).start()


def main() -> None:
    # A stopped process does not see that its input has ended: the kernel ends that one.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    folder = Path(sys.argv[1])
    bench = Bench()
    plug = Plug(folder / "i2c-1", bench.transfer)
    plug.insert()
    _in_thread(control, folder / "control", bench, plug)
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main()

"""One I2C bus as asyncio sees it: a thread of its own and a deadline on every transfer."""

import asyncio
import contextlib
import ctypes
import errno
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from functools import partial
from typing import ParamSpec, Protocol, TypeAlias, TypeVar

from smbus2 import SMBus, i2c_msg

from firedetect.errors import BusError, BusStuckError

_P = ParamSpec("_P")
_T = TypeVar("_T")

CONTROLLER_TIME_OUT_S = 1.0
"""The kernel gives a transfer up after so long and says so."""
TRANSFER_DEADLINE_S = CONTROLLER_TIME_OUT_S + 0.25
"""Later than that: what the kernel ends by itself is a failed transfer, no stuck one."""
CLOSE_DEADLINE_S = 1.0

I2cMessage: TypeAlias = i2c_msg
I2C_READ_FLAG = 0x0001

_LOST_PORT = (errno.EBADF, errno.ENODEV)


class I2cPort(Protocol):
    """What is used of `smbus2.SMBus`."""

    def i2c_rdwr(self, *i2c_msgs: I2cMessage) -> None:
        """Run the messages as one transfer, with a repeated start between them."""

    def close(self) -> None:
        """Give the port back."""


def open_i2c(number: int) -> I2cPort:
    """Open `/dev/i2c-<number>`; raises BusError that says what to do."""
    path = f"/dev/i2c-{number}"
    try:
        port: I2cPort = SMBus(number)
    except FileNotFoundError as error:
        raise BusError(
            f"{path} does not exist: enable I2C on this machine or correct the bus number"
        ) from error
    except PermissionError as error:
        raise BusError(f"{path}: no permission: add this user to the group i2c") from error
    except OSError as error:
        raise BusError(f"{path} cannot be opened: {error.strerror or error}") from error
    return port


def exchange(port: I2cPort, address: int, write: bytes, read: int = 0) -> bytes:
    """Write, then read `read` bytes, in one transfer; blocks, raises OSError."""
    messages = []
    if write or not read:
        messages.append(i2c_msg.write(address, write))
    if read:
        messages.append(i2c_msg.read(address, read))
    port.i2c_rdwr(*messages)
    return bytes(messages[-1]) if read else b""


def answer(message: I2cMessage, data: bytes) -> None:
    """Put `data` into the buffer of a read message; what emulated devices answer with."""
    ctypes.memmove(message.buf, data, min(message.len, len(data)))


class I2cBus:
    """Serialises the transfers of one bus in a thread.

    A transfer stuck in the kernel cannot be cancelled. Its thread is left behind and the port
    opened anew on a fresh one; while that first thread is still stuck there is no second such
    rescue, and transfers fail at once instead.
    """

    def __init__(self, name: str, open_port: Callable[[], I2cPort]) -> None:
        self.name = name
        self.retries = 0
        self._open_port = open_port
        self._turn = asyncio.Lock()
        self._lane = _Lane(open_port, name)
        self._abandoned: _Lane | None = None
        self._lost: set[int] = set()

    async def transfer(
        self, address: int, write: bytes, read: int = 0, deadline_s: float = TRANSFER_DEADLINE_S
    ) -> bytes:
        """Write and read in one transfer; raises BusError, or BusStuckError after `deadline_s`.

        With both parts a repeated start joins them; an empty `write` only reads. The deadline
        counts from the moment at which the bus is free.
        """
        data, _ = await self._timed(address, write, read, deadline_s)
        return data

    async def _timed(
        self, address: int, write: bytes, read: int, deadline_s: float
    ) -> tuple[bytes, float]:
        """Return what `transfer` does and how long it took (s), without the wait for the bus."""
        async with self._turn:
            if self._lane.stuck:
                self._leave_stuck_lane()
            lane = self._lane
            loop = asyncio.get_running_loop()

            def work() -> tuple[bytes, float]:
                # Timed here: a loop that is late itself must not make a transfer late.
                started = loop.time()
                return lane.exchange(address, write, read), loop.time() - started

            try:
                future = loop.run_in_executor(lane.executor, work)
            except RuntimeError as error:
                raise BusError(f"{self.name}: no thread for the transfer: {error}") from error
            try:
                done, _ = await asyncio.wait({future}, timeout=deadline_s)
                if done:
                    data, took_s = future.result()
                    if took_s <= deadline_s:
                        return data, took_s
            except OSError as error:
                raise BusError(
                    f"{self.name} 0x{address:02x}: {_errno_name(error)} ({error.strerror})"
                ) from error
            finally:
                future.cancel()
            lane.stuck = not done
            if lane.stuck:
                with contextlib.suppress(BusStuckError):
                    self._leave_stuck_lane()
            raise BusStuckError(
                f"{self.name} 0x{address:02x}: no end of the transfer within {deadline_s:g} s"
            )

    async def transfer_again(
        self, address: int, write: bytes, read: int = 0, deadline_s: float = TRANSFER_DEADLINE_S
    ) -> bytes:
        """As `transfer`, but a failed one (not a stuck one) is repeated once and counted."""
        data, _ = await self.timed_again(address, write, read, deadline_s)
        return data

    async def timed_again(
        self, address: int, write: bytes, read: int = 0, deadline_s: float = TRANSFER_DEADLINE_S
    ) -> tuple[bytes, float]:
        """As `transfer_again`, with the time (s) that the transfer took once the bus was free."""
        try:
            result = await self._timed(address, write, read, deadline_s)
        except BusStuckError:
            raise
        except BusError:
            # Each time-out keeps the bus from all others for a second: no two of a lost device.
            if address in self._lost:
                raise
            self.retries += 1
            self._lost.add(address)
            result = await self._timed(address, write, read, deadline_s)
        self._lost.discard(address)
        return result

    async def close(self) -> None:
        """Close the port when the running transfer has ended, or leave it after a deadline.

        A later transfer opens it again.
        """
        async with self._turn:
            lane, self._lane = self._lane, _Lane(self._open_port, self.name)
            loop = asyncio.get_running_loop()
            try:
                future = loop.run_in_executor(lane.executor, lane.close)
            except RuntimeError:
                # Its thread never ran, so it has no port either.
                return
            try:
                await asyncio.wait({future}, timeout=CLOSE_DEADLINE_S)
            finally:
                lane.executor.shutdown(wait=False)

    def _leave_stuck_lane(self) -> None:
        """Go on with a fresh thread and port; raises BusStuckError if one is left behind already.

        A lane that has come free again by itself is used as it is.
        """
        if not self._lane.executor.busy:
            self._lane.stuck = False
            return
        if self._abandoned is not None and self._abandoned.executor.busy:
            raise BusStuckError(
                f"{self.name}: two transfers are stuck; the bus is left alone until one ends"
            )
        self._abandoned = self._lane
        # The old thread closes its own port once it is free: nobody else may touch it before.
        self._abandoned.executor.submit(self._abandoned.close)
        self._abandoned.executor.shutdown(wait=False)
        self._lane = _Lane(self._open_port, self.name)


class DaemonExecutor(Executor):
    """One daemon thread that runs what is submitted, in order.

    Unlike a ThreadPoolExecutor it never holds up the end of the program: a thread stuck in the
    kernel would otherwise be waited for.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._unfinished = 0
        self._thread: threading.Thread | None = None

    @property
    def busy(self) -> bool:
        """Whether something submitted has not ended yet."""
        return self._unfinished > 0

    def submit(self, fn: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> Future[_T]:
        """Queue one call; the thread starts with the first.

        Raises RuntimeError if no thread can be started; nothing is queued then.
        """
        future: Future[_T] = Future()
        with self._lock:
            if self._thread is None:
                thread = threading.Thread(target=self._work, name=self._name, daemon=True)
                # Kept only once it runs: a dead thread would never end what is queued for it.
                thread.start()
                self._thread = thread
            self._unfinished += 1
        self._jobs.put(partial(self._run, future, partial(fn, *args, **kwargs)))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002, ARG002 - the signature is Executor's
        """Let the thread end after what is queued."""
        self._jobs.put(None)
        if wait and self._thread is not None:
            self._thread.join()

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()

    def _run(self, future: Future[_T], call: Callable[[], _T]) -> None:
        if not future.set_running_or_notify_cancel():
            self._finished()
            return
        try:
            result = call()
        except BaseException as error:  # noqa: BLE001 - handed to whoever awaits the future
            self._finished()
            future.set_exception(error)
        else:
            self._finished()
            future.set_result(result)

    def _finished(self) -> None:
        with self._lock:
            self._unfinished -= 1


class _Lane:
    """A thread and the port that only it touches."""

    def __init__(self, open_port: Callable[[], I2cPort], name: str) -> None:
        self.executor = DaemonExecutor(f"i2c:{name}")
        self.stuck = False
        self._open_port = open_port
        self._port: I2cPort | None = None

    def exchange(self, address: int, write: bytes, read: int) -> bytes:
        """Run one transfer, opening the port first if needed."""
        if self._port is None:
            self._port = self._open_port()
        try:
            return exchange(self._port, address, write, read)
        except OSError as error:
            if error.errno in _LOST_PORT:
                self.close()
            raise

    def close(self) -> None:
        """Close the port; the next transfer opens it again."""
        port, self._port = self._port, None
        if port is not None:
            with contextlib.suppress(OSError):
                port.close()


def _errno_name(error: OSError) -> str:
    return errno.errorcode.get(error.errno or 0, f"error {error.errno}")

"""mosquitto as a child process: TLS, a certificate per client, rights by name."""

import asyncio
import signal
import socket
import threading
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from firedetect.clock import cancel_and_wait
from firedetect.cloudbox.access import access_list
from firedetect.cloudbox.authority import Authority
from firedetect.cloudbox.mosquitto import configuration, mosquitto_command
from firedetect.errors import BoxError

HOST = "127.0.0.1"
START_LIMIT_S = 60.0
STOP_LIMIT_S = 5.0
RELOAD_LIMIT_S = 60.0
"""mosquitto looks for a user among all others at each of its lines: thousands take seconds."""
_LOOK_S = 0.2
_SETTLE_S = 0.1
"""mosquitto says that it runs just before it does: a signal in between it would forget."""
_LOOK_FOR_ISSUED_S = 0.05
"""Certificates may be issued by another process, in whose folder nobody tells us."""
_PORTS_TRIED = 2
_LINES_KEPT = 30
_READY = " running"
_RELOADED = "Reloading config"


class Broker:
    """The broker of one box: an asynchronous context manager.

    Whoever has no certificate of the authority, or one that was not registered, may do nothing. A
    certificate has its rights at once if `authority` issued it, a moment later if another process
    did. When rights are read again, mosquitto 2.0 stops queueing for whoever is absent at that
    moment, until the client is back.

    The child is started through `setpriv --pdeathsig`, so that the kernel ends it with us, however
    we end. `durable` writes the sessions to disk on every change, right after it was acknowledged:
    slow, for tests that kill it.
    """

    def __init__(
        self, folder: Path, authority: Authority, *, port: int = 0, durable: bool = False
    ) -> None:
        self.authority = authority
        self.host = HOST
        self._any_port = port == 0
        self.port = port or free_port()
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._access = folder / "access"
        self._durable = durable
        self._grants: dict[str, str] = {}
        self._written: list[str] = []
        self._writing = threading.Lock()
        self._no_more_told: Callable[[], None] | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._listener: asyncio.Task[None] | None = None
        self._lines: deque[str] = deque(maxlen=_LINES_KEPT)
        self._heard: dict[str, asyncio.Event] = {}

    @property
    def pid(self) -> int:
        """Process number of the running broker, 0 if none runs."""
        process = self._process
        return 0 if process is None or process.returncode is not None else process.pid

    async def start(self) -> None:
        """Start the broker and return when it accepts; again after `stop` or `kill`, same port."""
        for _ in range(_PORTS_TRIED if self._any_port else 0):
            # Another may have taken the free port meanwhile; clients know none yet.
            try:
                await self._start()
            except BoxError:
                self.port = free_port()
            else:
                self._any_port = False
                return
        await self._start()
        self._any_port = False

    async def _start(self) -> None:
        command = mosquitto_command()
        await self._end(signal.SIGKILL)
        config = self._folder / "mosquitto.conf"
        server = self.authority.server_certificate()
        address = (self.host, self.port)
        config.write_text(
            configuration(self._folder, address, server, self._access, durable=self._durable)
        )
        self._write_access()
        self._heard = {_READY: asyncio.Event(), _RELOADED: asyncio.Event()}
        self._process = await asyncio.create_subprocess_exec(
            *command,
            "-c",
            str(config),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            # Ctrl-C is for the box: it stops the broker when nobody needs it any more.
            start_new_session=True,
        )
        self._listener = asyncio.create_task(self._listen(self._process), name="broker:log")
        ready = asyncio.create_task(self._heard[_READY].wait())
        both = {ready, self._listener}
        await asyncio.wait(both, timeout=START_LIMIT_S, return_when=asyncio.FIRST_COMPLETED)
        started = ready.done()
        await cancel_and_wait(ready)
        if not started:
            await self.stop()
            raise BoxError(f"mosquitto does not start on port {self.port}: {self._last_words()}")
        await asyncio.sleep(_SETTLE_S)
        self._no_more_told = self.authority.on_change(self._rights_changed)
        self._watcher = asyncio.create_task(self._watch_issued(), name="broker:issued")

    async def stop(self) -> None:
        """Let the broker write its sessions and end."""
        await self._end(signal.SIGTERM)

    async def kill(self) -> None:
        """End the broker as a crash would."""
        await self._end(signal.SIGKILL)

    async def ended(self) -> None:
        """Wait until the broker ends without being told to.

        Raises what keeps us from its output, or from hearing of new certificates.
        """
        while True:
            process, watcher, listener = self._process, self._watcher, self._listener
            if process is None or watcher is None or listener is None:
                await asyncio.sleep(_LOOK_S)
                continue
            # Its output ends with it.
            await asyncio.wait({watcher, listener}, return_when=asyncio.FIRST_COMPLETED)
            if self._process is process:
                for task in (watcher, listener):
                    if task.done():
                        task.result()
                await process.wait()
            if self._process is process:
                return

    async def grant(self, grants: Mapping[str, str]) -> None:
        """Give users of provisioned certificates the rights of their things, and no one else."""
        self._grants = dict(grants)
        await self.reload()

    async def reload(self) -> None:
        """Write the rights again and return when they count."""
        reloaded = self._heard.get(_RELOADED)
        if reloaded is not None:
            reloaded.clear()
        self._rights_changed()
        if reloaded is None or not self.pid:
            return
        try:
            async with asyncio.timeout(RELOAD_LIMIT_S):
                await reloaded.wait()
        except TimeoutError:
            raise BoxError(f"mosquitto does not read its rights: {self._last_words()}") from None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    async def _end(self, with_signal: signal.Signals) -> None:
        if self._no_more_told is not None:
            self._no_more_told()
            self._no_more_told = None
        process, self._process = self._process, None
        if process is None:
            return
        if process.returncode is None:
            process.send_signal(with_signal)
        try:
            async with asyncio.timeout(STOP_LIMIT_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
        if self._watcher is not None:
            self._watcher.cancel()
        helpers = [task for task in (self._listener, self._watcher) if task is not None]
        self._listener = self._watcher = None
        if helpers:
            # What ended one of them was raised by `ended`.
            await asyncio.wait(helpers)

    async def _listen(self, process: asyncio.subprocess.Process) -> None:
        """Keep the last lines that the broker says; a full pipe would stop it."""
        stream = process.stderr
        while stream is not None and (line := await stream.readline()):
            said = line.decode(errors="replace").rstrip()
            self._lines.append(said)
            for part, event in self._heard.items():
                if part in said:
                    event.set()

    def _last_words(self) -> str:
        errors = [line for line in self._lines if "Error" in line]
        return (errors or list(self._lines) or ["it says nothing"])[-1]

    def _rights_changed(self) -> None:
        """Write the rights; the broker reads them before it answers another packet."""
        self._write_access()
        process = self._process
        if process is not None and process.returncode is None:
            process.send_signal(signal.SIGHUP)

    async def _watch_issued(self) -> None:
        folder, seen, settled = self.authority.issued_folder, 0, True
        while True:
            await asyncio.sleep(_LOOK_FOR_ISSUED_S)
            changed = folder.stat().st_mtime_ns if folder.exists() else 0
            # Looked at once more after a change: two of them may have the same time.
            if changed == seen and settled:
                continue
            settled, seen = changed == seen, changed
            if self.authority.issued() != self._written:
                self._rights_changed()

    def _write_access(self) -> None:
        # A certificate may be issued in a thread.
        with self._writing:
            self._written = self.authority.issued()
            new = self._folder / "access.new"
            new.touch(mode=0o600)
            new.write_text(access_list(self._written, self._grants))
            new.replace(self._access)


def free_port() -> int:
    """Return a port of this computer that nobody uses at the moment."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
    return port

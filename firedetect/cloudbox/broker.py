"""mosquitto as a child process: TLS, a certificate per client, rights by name."""

import asyncio
import contextlib
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from firedetect.clock import cancel_and_wait
from firedetect.cloudbox.access import access_list
from firedetect.cloudbox.authority import Authority
from firedetect.cloudbox.broker_log import BrokerLog
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
_LOOK_AFTER_RIGHTS_S = 0.05
"""Certificates may be issued by another process, in whose folder nobody tells us."""
_ASK_AGAIN_S = 0.3
"""mosquitto looks for signals ten times a second, and forgets one that comes while it reloads."""
_PORTS_TRIED = 2


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
        self._log: BrokerLog | None = None
        self._reloads_wanted = 0
        self._asked_s = 0.0

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
        log = await self._spawn([*command, "-c", str(config)])
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(START_LIMIT_S):
                await log.until(lambda: log.running)
        if not log.running:
            await self.stop()
            raise BoxError(f"mosquitto does not start on port {self.port}: {log.last_words()}")
        await asyncio.sleep(_SETTLE_S)
        self._no_more_told = self.authority.on_change(self._rights_changed)
        self._watcher = asyncio.create_task(self._keep_rights(), name="broker:rights")

    async def _spawn(self, command: list[str]) -> BrokerLog:
        reading, writing = os.pipe()
        log = BrokerLog(reading)
        try:
            self._process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=writing,
                # Ctrl-C is for the box: it stops the broker when nobody needs it any more.
                start_new_session=True,
            )
        except OSError:
            log.close()
            raise
        finally:
            os.close(writing)
        self._log, self._reloads_wanted = log, 0
        return log

    async def stop(self) -> None:
        """Let the broker write its sessions and end."""
        await self._end(signal.SIGTERM)

    async def kill(self) -> None:
        """End the broker as a crash would."""
        await self._end(signal.SIGKILL)

    async def ended(self) -> None:
        """Wait until the broker ends without being told to.

        Raises what keeps us from hearing of new certificates.
        """
        while True:
            process, watcher = self._process, self._watcher
            if process is None or watcher is None:
                await asyncio.sleep(_LOOK_S)
                continue
            gone = asyncio.create_task(process.wait(), name="broker:end")
            try:
                await asyncio.wait({watcher, gone}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                await cancel_and_wait(gone)
            if self._process is process:
                if watcher.done():
                    watcher.result()
                return

    async def grant(self, grants: Mapping[str, str]) -> None:
        """Give users of provisioned certificates the rights of their things, and no one else."""
        self._grants = dict(grants)
        await self.reload()

    async def reload(self) -> None:
        """Write the rights again and return when they count."""
        self._rights_changed()
        log, wanted = self._log, self._reloads_wanted
        if log is None:
            return
        try:
            async with asyncio.timeout(RELOAD_LIMIT_S):
                await log.until(lambda: log.reloads >= wanted)
        except TimeoutError:
            raise BoxError(f"mosquitto does not read its rights: {log.last_words()}") from None

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
        watcher, self._watcher = self._watcher, None
        if watcher is not None:
            watcher.cancel()
            # What ended it was raised by `ended`.
            await asyncio.wait({watcher})
        if self._log is not None:
            self._log.close()

    def _rights_changed(self) -> None:
        """Write the rights and have them read; from any thread: certificates are issued in some."""
        with self._writing:
            self._write_access()
            if self._log is not None:
                # What it says from here on, it says after this was written.
                self._log.read()
                self._reloads_wanted = self._log.reloads + 1
                self._ask()

    def _ask(self) -> None:
        # Before it runs, the signal would end it; the watcher asks again then.
        if self._process is not None and self._watcher is not None and self.pid:
            self._asked_s = time.monotonic()
            self._process.send_signal(signal.SIGHUP)

    async def _keep_rights(self) -> None:
        """Tell of certificates that another process issued; ask again where a signal was lost."""
        folder, seen, settled = self.authority.issued_folder, 0, True
        while True:
            await asyncio.sleep(_LOOK_AFTER_RIGHTS_S)
            with self._writing:
                unread = self._log is not None and self._log.reloads < self._reloads_wanted
                if unread and time.monotonic() - self._asked_s > _ASK_AGAIN_S:
                    self._ask()
            changed = folder.stat().st_mtime_ns if folder.exists() else 0
            # Looked at once more after a change: two of them may have the same time.
            if changed == seen and settled:
                continue
            settled, seen = changed == seen, changed
            if self.authority.issued() != self._written:
                self._rights_changed()

    def _write_access(self) -> None:
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

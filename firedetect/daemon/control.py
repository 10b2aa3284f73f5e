"""The control socket: commands and status of the running daemon, one JSON line each way."""

import asyncio
import contextlib
import json
import os
import socket
from collections.abc import Awaitable, Callable
from itertools import count
from pathlib import Path
from typing import Any

from firedetect.clock import Clock
from firedetect.daemon.queue import EventQueue
from firedetect.decision.outcome import Outcome
from firedetect.errors import ControlError
from firedetect.readings import Command, CommandAction, CommandSource

ANSWER_LIMIT_S = 5.0
_LINE_LIMIT = 4096
_WAITING_MAX = 16
"""Commands under way at once: a flood must not fill the queue of events."""
_PATH_LIMIT = 100
"""Unix sockets have short paths; the kernel's limit is 107 bytes."""

Status = Callable[[], Awaitable[dict[str, Any]]]


class ControlServer:
    """Answers on the socket; commands become events and their outcome the answer."""

    def __init__(self, path: Path, queue: EventQueue, clock: Clock, status: Status) -> None:
        self._path = path
        self._queue = queue
        self._clock = clock
        self._status = status
        self._numbers = count(1)
        self._waiting: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._server: asyncio.AbstractServer | None = None

    async def start(self) -> None:
        """Listen; the caller holds the lock of the data folder, so an old socket is dead."""
        if len(os.fsencode(self._path)) > _PATH_LIMIT:
            raise ControlError(f"{self._path}: is too long for a socket; set device.data_dir")
        self._path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(
            self._serve, path=self._path, limit=_LINE_LIMIT
        )
        self._path.chmod(0o660)

    async def close(self) -> None:
        """Stop listening and remove the socket."""
        if self._server is not None:
            self._server.close()
        self._path.unlink(missing_ok=True)

    def heard(self, outcome: Outcome) -> None:
        """Hand the answer to a command to whoever waits for it."""
        answer = outcome.answer
        if answer is None:
            return
        future = self._waiting.pop(answer.command_id, None)
        if future is not None and not future.done():
            future.set_result(
                {
                    "accepted": answer.accepted,
                    "detail": answer.detail,
                    "level": outcome.level.label,
                    "alarm": outcome.alarm.value,
                }
            )

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            try:
                line = await asyncio.wait_for(reader.readline(), ANSWER_LIMIT_S)
                answer = await self._answer(line)
            except TimeoutError:
                answer = {"error": "no answer in time; the command may still be carried out"}
            except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
                answer = {"error": f"not understood: {error}"}
            writer.write(json.dumps(answer).encode() + b"\n")
            await writer.drain()
        writer.close()

    async def _answer(self, line: bytes) -> dict[str, Any]:
        request = json.loads(line)
        if request["do"] == "status":
            return await self._status()
        duration = request.get("duration_s")
        command = Command(
            self._clock.monotonic_ns(),
            CommandAction(request["do"]),
            CommandSource.LOCAL,
            f"local-{next(self._numbers)}",
            None if duration is None else float(duration),
        )
        future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        if len(self._waiting) >= _WAITING_MAX:
            return {"error": "too many commands at once"}
        self._waiting[command.command_id] = future
        self._queue.put(command)
        try:
            return await asyncio.wait_for(future, ANSWER_LIMIT_S)
        finally:
            self._waiting.pop(command.command_id, None)


def ask(path: Path, request: dict[str, Any]) -> dict[str, Any]:
    """Send one request to the running daemon; raises ControlError if it cannot be reached."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as channel:
            channel.settimeout(2.0 * ANSWER_LIMIT_S)
            channel.connect(os.fspath(path))
            channel.sendall(json.dumps(request).encode() + b"\n")
            line = channel.makefile("rb").readline()
    except (FileNotFoundError, ConnectionError) as error:
        raise ControlError(
            f"no firedetect is running with data folder {path.parent}; "
            "start it with `firedetect run`"
        ) from error
    except OSError as error:
        raise ControlError(f"{path}: {error}") from error
    if not line:
        raise ControlError(f"{path}: the daemon closed the connection without an answer")
    answer: dict[str, Any] = json.loads(line)
    if "error" in answer:
        raise ControlError(f"{path}: {answer['error']}")
    return answer

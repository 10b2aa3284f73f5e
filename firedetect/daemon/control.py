"""The control socket: commands and status of the running daemon, one JSON line each way."""

import asyncio
import contextlib
import json
import os
import socket
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from firedetect.daemon.ask import ANSWER_LIMIT_S, CommandDesk
from firedetect.errors import ControlError, FiredetectError
from firedetect.readings import CommandAction, CommandSource

_LINE_LIMIT = 4096
_PATH_LIMIT = 100
"""Unix sockets have short paths; the kernel's limit is 107 bytes."""

Status = Callable[[], Awaitable[dict[str, Any]]]
Request = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]


class ControlServer:
    """Answers on the socket; commands become events and their outcome the answer.

    `extra` are further requests by name; each takes the whole request.
    """

    def __init__(
        self, path: Path, desk: CommandDesk, status: Status, extra: Mapping[str, Request]
    ) -> None:
        self._path = path
        self._desk = desk
        self._status = status
        self._extra = extra
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

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            try:
                async with asyncio.timeout(ANSWER_LIMIT_S):
                    line = await reader.readline()
                answer = await self._answer(line)
            except TimeoutError:
                answer = {"error": "no answer in time; the command may still be carried out"}
            except FiredetectError as error:
                answer = {"error": str(error)}
            except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
                answer = {"error": f"not understood: {error}"}
            writer.write(json.dumps(answer).encode() + b"\n")
            await writer.drain()
        writer.close()

    async def _answer(self, line: bytes) -> dict[str, Any]:
        request = json.loads(line)
        if request["do"] == "status":
            return await self._status()
        if request["do"] in self._extra:
            return await self._extra[request["do"]](request)
        duration = request.get("duration_s")
        outcome = await self._desk.ask(
            CommandAction(request["do"]),
            CommandSource.LOCAL,
            None if duration is None else float(duration),
        )
        assert outcome.answer is not None  # noqa: S101 - the desk waited for it
        return {
            "accepted": outcome.answer.accepted,
            "detail": outcome.answer.detail,
            "level": outcome.level.label,
            "alarm": outcome.alarm.value,
        }


def ask(
    path: Path, request: dict[str, Any], *, limit_s: float = 2.0 * ANSWER_LIMIT_S
) -> dict[str, Any]:
    """Send one request to the running daemon; raises ControlError if it cannot be reached."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as channel:
            channel.settimeout(limit_s)
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

"""Files over HTTPS: a download that goes on where it stopped, and an upload."""

import asyncio
import hashlib
import io
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

import aiohttp

from firedetect.errors import LinkDownError, StorageError, TransferError

TRIES = 5
PAUSE_S = 2.0
CONNECT_S = 10.0
STALL_S = 20.0
"""A transfer that delivers nothing for so long is begun again where it stopped."""
_CHUNK = 64 * 1024
_PIECE = 256 * 1024
"""Read at once: others who wait for the disk come in between."""
_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S, sock_read=STALL_S)

_T = TypeVar("_T")


class OnDisk(Protocol):
    """Runs a call that touches the disk, outside of the event loop."""

    def __call__(self, call: Callable[[], _T], /) -> Awaitable[_T]:
        """Return what `call` returns, or raise what it raises.

        Raises StorageError if the disk does not answer in time; the call may still be done later.
        """


async def download(
    url: str, target: Path, *, size: int, sha256: str, disk: OnDisk, pause_s: float = PAUSE_S
) -> None:
    """Fetch `url` into `target`, whose beginning may be there already.

    Raises TransferError for what the server has and is not what was announced, LinkDownError
    when it could not be reached; then what came so far stays for the next attempt. Raises
    StorageError if the disk fails or does not answer.
    """
    detail = ""
    for attempt in range(TRIES):
        if attempt:
            await asyncio.sleep(pause_s * attempt)
        have = await _ask(disk, target, partial(_present, target, size))
        if have == size:
            break
        try:
            await _fetch_rest(url, target, have, size, disk)
        except aiohttp.InvalidURL as error:
            raise TransferError(f"the address cannot be used: {error}") from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            detail = f"{type(error).__name__}: {error}"
    if await _ask(disk, target, partial(_present, target, size)) != size:
        raise LinkDownError(f"the download did not come to its end: {detail}")
    if await _ask(disk, target, partial(_digest, target)) != sha256:
        await _ask(disk, target, partial(_remove, target))
        raise TransferError("the download's sha256 is not the one that was announced")


async def upload(url: str, source: Path, *, disk: OnDisk, pause_s: float = PAUSE_S) -> int:
    """Put a file to `url` and return its size.

    Raises LinkDownError or TransferError, StorageError if the disk fails or does not answer.
    """
    content = await _content(source, disk)
    detail = ""
    for attempt in range(TRIES):
        if attempt:
            await asyncio.sleep(pause_s * attempt)
        try:
            async with (
                aiohttp.ClientSession(timeout=_TIMEOUT) as session,
                # Not as bytes: those would be sent, and held up the loop, in one go.
                session.put(url, data=io.BytesIO(content)) as answer,
            ):
                if answer.ok:
                    return len(content)
                if 400 <= answer.status < 500:
                    raise TransferError(f"the upload was refused with status {answer.status}")
                detail = f"status {answer.status}"
        except aiohttp.InvalidURL as error:
            raise TransferError(f"the address cannot be used: {error}") from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            detail = f"{type(error).__name__}: {error}"
    raise LinkDownError(f"the upload did not come to its end: {detail}")


async def _fetch_rest(url: str, target: Path, have: int, size: int, disk: OnDisk) -> None:
    headers = {"Range": f"bytes={have}-"} if have else {}
    async with (
        aiohttp.ClientSession(timeout=_TIMEOUT) as session,
        session.get(url, headers=headers) as answer,
    ):
        if answer.status == 416:
            # The server has less than what is here: what is here is of something else.
            await _ask(disk, target, partial(_remove, target))
        if answer.status >= 500 or answer.status == 416:
            answer.raise_for_status()
        if answer.status not in {200, 206}:
            raise TransferError(f"the download was refused with status {answer.status}")
        # A server that does not know ranges begins from the start.
        at = have if answer.status == 206 else 0
        async for chunk in answer.content.iter_chunked(_CHUNK):
            if at + len(chunk) > size:
                await _ask(disk, target, partial(_remove, target))
                raise TransferError(f"the download has more than the announced {size} bytes")
            await _ask(disk, target, partial(_write, target, at, chunk))
            at += len(chunk)


async def _ask(disk: OnDisk, path: Path, call: Callable[[], _T]) -> _T:
    """Return what `call` returns; raises StorageError, so that a bad disk is no lost link."""
    try:
        return await disk(call)
    except OSError as error:
        raise StorageError(f"{path}: {error.strerror or error}") from error


async def _content(source: Path, disk: OnDisk) -> bytes:
    content = io.BytesIO()
    while piece := await _ask(disk, source, partial(_read, source, content.tell())):
        content.write(piece)
    return content.getvalue()


# Called on the disk. Each opens and closes for itself: a file left open by a call that hangs would
# be closed in the event loop.


def _present(target: Path, size: int) -> int:
    """Return how much is there; what is longer than it may be is removed."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.exists():
        return 0
    have = target.stat().st_size
    if have > size:
        _remove(target)
        return 0
    return have


def _write(target: Path, at: int, chunk: bytes) -> None:
    """Put `chunk` behind the first `at` bytes; at 0 the file begins anew."""
    with target.open("r+b" if at else "wb", buffering=0) as file:
        if at:
            file.seek(at)
        rest = memoryview(chunk)
        while rest:
            # Without a buffer a write may take a part only.
            rest = rest[file.write(rest) :]


def _read(source: Path, at: int) -> bytes:
    with source.open("rb", buffering=0) as file:
        if at:
            file.seek(at)
        return file.read(_PIECE)


def _remove(target: Path) -> None:
    target.unlink(missing_ok=True)


def _digest(path: Path) -> str:
    with path.open("rb", buffering=0) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

"""Files over HTTPS: a download that goes on where it stopped, and an upload."""

import asyncio
import hashlib
from pathlib import Path

import aiohttp

from firedetect.errors import LinkDownError, TransferError

TRIES = 5
PAUSE_S = 2.0
CONNECT_S = 10.0
STALL_S = 20.0
"""A transfer that delivers nothing for so long is begun again where it stopped."""
_CHUNK = 64 * 1024
_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S, sock_read=STALL_S)


async def download(
    url: str, target: Path, *, size: int, sha256: str, pause_s: float = PAUSE_S
) -> None:
    """Fetch `url` into `target`, whose beginning may be there already.

    Raises TransferError for what the server has and is not what was announced, LinkDownError
    when it could not be reached; then what came so far stays for the next attempt.
    """
    detail = ""
    for attempt in range(TRIES):
        if attempt:
            await asyncio.sleep(pause_s * attempt)
        have = await asyncio.to_thread(_present, target, size)
        if have == size:
            break
        try:
            await _fetch_rest(url, target, have, size)
        except aiohttp.InvalidURL as error:
            raise TransferError(f"the address cannot be used: {error}") from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            detail = f"{type(error).__name__}: {error}"
    if await asyncio.to_thread(_present, target, size) != size:
        raise LinkDownError(f"the download did not come to its end: {detail}")
    if await asyncio.to_thread(_digest, target) != sha256:
        _remove(target)
        raise TransferError("the download's sha256 is not the one that was announced")


async def upload(url: str, source: Path, *, pause_s: float = PAUSE_S) -> None:
    """Put a file to `url`; raises LinkDownError or TransferError."""
    content = await asyncio.to_thread(source.read_bytes)
    detail = ""
    for attempt in range(TRIES):
        if attempt:
            await asyncio.sleep(pause_s * attempt)
        try:
            async with (
                aiohttp.ClientSession(timeout=_TIMEOUT) as session,
                session.put(url, data=content) as answer,
            ):
                if answer.ok:
                    return
                if 400 <= answer.status < 500:
                    raise TransferError(f"the upload was refused with status {answer.status}")
                detail = f"status {answer.status}"
        except aiohttp.InvalidURL as error:
            raise TransferError(f"the address cannot be used: {error}") from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            detail = f"{type(error).__name__}: {error}"
    raise LinkDownError(f"the upload did not come to its end: {detail}")


async def _fetch_rest(url: str, target: Path, have: int, size: int) -> None:
    headers = {"Range": f"bytes={have}-"} if have else {}
    async with (
        aiohttp.ClientSession(timeout=_TIMEOUT) as session,
        session.get(url, headers=headers) as answer,
    ):
        if answer.status == 416:
            # The server has less than what is here: what is here is of something else.
            _remove(target)
        if answer.status >= 500 or answer.status == 416:
            answer.raise_for_status()
        if answer.status not in {200, 206}:
            raise TransferError(f"the download was refused with status {answer.status}")
        # A server that does not know ranges begins from the start.
        mode = "ab" if answer.status == 206 else "wb"
        written = have if answer.status == 206 else 0
        # Written in threads: a disk that hangs holds up this download, not the detector.
        with target.open(mode) as file:
            async for chunk in answer.content.iter_chunked(_CHUNK):
                written += len(chunk)
                if written > size:
                    _remove(target)
                    raise TransferError(f"the download has more than the announced {size} bytes")
                await asyncio.to_thread(file.write, chunk)


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


def _remove(target: Path) -> None:
    target.unlink(missing_ok=True)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

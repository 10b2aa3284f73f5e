"""Downloads and uploads against a real server on this machine."""

import asyncio
import contextlib
import errno
import gzip
import hashlib
import os
import socket
from functools import partial

import pytest
from aiohttp import web

from firedetect.clock import cancel_and_wait
from firedetect.daemon.disk import DiskThread
from firedetect.errors import LinkDownError, StorageError, TransferError
from firedetect.uplink import transfer
from firedetect.uplink.transfer import download, upload

CONTENT = bytes(range(256)) * 1200
QUICK_S = 0.001
SIZE = len(CONTENT)
SHA = hashlib.sha256(CONTENT).hexdigest()


class Server:
    """Serves CONTENT; `breaks` are the bytes after which each of the next answers ends."""

    def __init__(self):
        self.content = CONTENT
        self.ranges = True
        self.status = []
        self.breaks = []
        self.asked = []
        self.put = []
        self.lengths = []
        self.headers = {}

    async def get(self, request):
        wanted = request.headers.get("Range")
        self.asked.append(wanted)
        if self.status:
            return web.Response(status=self.status.pop(0))
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and self.ranges else 0
        if start >= len(self.content) > 0:
            return web.Response(status=416)
        body = self.content[start:]
        answer = web.StreamResponse(status=206 if wanted and self.ranges else 200)
        answer.headers.update(self.headers)
        answer.content_length = len(body)
        await answer.prepare(request)
        if self.breaks:
            await answer.write(body[: self.breaks.pop(0)])
            request.transport.abort()
            return answer
        await answer.write(body)
        return answer

    async def take(self, request):
        self.lengths.append(request.content_length)
        self.put.append(await request.read())
        return web.Response(status=self.status.pop(0) if self.status else 200)

    async def moved(self, _request):
        return web.Response(status=307, headers={"Location": "/f"})


@pytest.fixture
async def server():
    served = Server()
    app = web.Application(client_max_size=1 << 24)
    app.router.add_get("/f", served.get)
    app.router.add_put("/f", served.take)
    app.router.add_put("/moved", served.moved)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    served.url = f"http://127.0.0.1:{runner.addresses[0][1]}/f"
    yield served
    await runner.cleanup()


async def at_once(call):
    return call()


async def fetch(server, target, *, size=SIZE, sha256=SHA, disk=at_once):
    await download(server.url, target, size=size, sha256=sha256, disk=disk, pause_s=QUICK_S)


async def send(url, source, *, disk=at_once):
    return await upload(url, source, disk=disk, pause_s=QUICK_S)


async def test_a_file_is_fetched_whole(server, tmp_path):
    target = tmp_path / "incoming" / "f"
    await fetch(server, target)
    assert target.read_bytes() == CONTENT
    await fetch(server, target)
    assert server.asked == [None]


async def test_it_goes_on_where_it_stopped(server, tmp_path):
    server.breaks = [100_000, 50_000]
    target = tmp_path / "f"
    await fetch(server, target)
    assert target.read_bytes() == CONTENT
    assert len(server.asked) == 3
    assert all(wanted is None or wanted.startswith("bytes=") for wanted in server.asked)


async def test_it_goes_on_after_a_restart(server, tmp_path):
    target = tmp_path / "f"
    target.write_bytes(CONTENT[:200_000])
    await fetch(server, target)
    assert server.asked == ["bytes=200000-"]
    assert target.read_bytes() == CONTENT


async def test_a_server_without_ranges_begins_anew(server, tmp_path):
    server.ranges = False
    server.breaks = [100_000]
    target = tmp_path / "f"
    target.write_bytes(b"old" * 100)
    await fetch(server, target)
    assert target.read_bytes() == CONTENT


async def test_a_wrong_hash_is_said_and_nothing_is_left(server, tmp_path):
    target = tmp_path / "f"
    server.content = CONTENT[:-1] + b"x"
    with pytest.raises(TransferError, match="sha256"):
        await fetch(server, target)
    assert not target.exists()
    target.write_bytes(b"y" * 1000)
    server.content = CONTENT
    with pytest.raises(TransferError, match="sha256"):
        await fetch(server, target)
    await fetch(server, target)


@pytest.mark.parametrize("present", [0, 10, len(CONTENT) - 1])
async def test_more_than_announced_is_refused(server, tmp_path, present):
    target = tmp_path / "f"
    target.write_bytes(CONTENT[:present])
    server.content = CONTENT + b"more"
    with pytest.raises(TransferError, match="more than the announced"):
        await fetch(server, target)
    assert not target.exists()


async def test_less_than_announced_ends_after_a_few_attempts(server, tmp_path):
    server.content = CONTENT[:1000]
    with pytest.raises(LinkDownError, match="did not come to its end"):
        await fetch(server, tmp_path / "f")
    assert len(server.asked) == transfer.TRIES


async def test_what_is_longer_than_it_may_be_is_fetched_anew(server, tmp_path):
    (tmp_path / "f").write_bytes(CONTENT + b"x")
    await fetch(server, tmp_path / "f")
    assert server.asked == [None]


async def test_a_bomb_is_bounded_by_the_announced_size(server, tmp_path):
    server.content = gzip.compress(b"\0" * (8 << 20))
    server.headers = {"Content-Encoding": "gzip"}
    with pytest.raises(TransferError, match="more than the announced"):
        await fetch(server, tmp_path / "f", size=len(server.content))


@pytest.mark.parametrize("status", [403, 404, 410])
async def test_a_refusal_is_not_tried_again(server, tmp_path, status):
    server.status = [status]
    with pytest.raises(TransferError, match=str(status)):
        await fetch(server, tmp_path / "f")
    assert len(server.asked) == 1


@pytest.mark.parametrize("status", [500, 503])
async def test_a_server_in_trouble_is_tried_again(server, tmp_path, status):
    server.status = [status, status]
    await fetch(server, tmp_path / "f")
    assert len(server.asked) == 3


async def test_nobody_there_is_a_lost_link(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/f"
        with pytest.raises(LinkDownError, match="did not come to its end"):
            await download(url, tmp_path / "f", size=5, sha256=SHA, disk=at_once, pause_s=QUICK_S)
        (tmp_path / "up").write_bytes(b"x")
        with pytest.raises(LinkDownError, match="did not come to its end"):
            await send(url, tmp_path / "up")


@pytest.mark.parametrize("url", ["http://", "https://a b/", "http://[::1/x", "http://x:99999/"])
async def test_an_address_that_is_none_is_not_tried_again(tmp_path, url):
    (tmp_path / "up").write_bytes(b"x")
    with pytest.raises((TransferError, LinkDownError)):
        await download(url, tmp_path / "f", size=5, sha256=SHA, disk=at_once, pause_s=QUICK_S)
    with pytest.raises((TransferError, LinkDownError)):
        await send(url, tmp_path / "up")


async def test_an_upload_arrives(server, tmp_path):
    (tmp_path / "up").write_bytes(CONTENT)
    server.status = [500, 200]
    assert await send(server.url, tmp_path / "up") == SIZE
    assert server.put == [CONTENT, CONTENT]
    assert server.lengths == [SIZE, SIZE]


async def test_an_upload_follows_to_where_the_store_sends_it(server, tmp_path):
    (tmp_path / "up").write_bytes(CONTENT)
    assert await send(server.url.replace("/f", "/moved"), tmp_path / "up") == SIZE
    assert server.put == [CONTENT]


@pytest.mark.parametrize("size", [0, 1, transfer._PIECE, transfer._PIECE + 1, 5 << 20])
async def test_a_file_of_any_size_arrives_whole(server, tmp_path, size):
    content = os.urandom(size)
    (tmp_path / "up").write_bytes(content)
    assert await send(server.url, tmp_path / "up") == size
    assert server.put == [content]


async def test_a_refused_upload_is_said(server, tmp_path):
    (tmp_path / "up").write_bytes(b"x")
    server.status = [403]
    with pytest.raises(TransferError, match="403"):
        await send(server.url, tmp_path / "up")
    server.status = [500] * transfer.TRIES
    with pytest.raises(LinkDownError, match="status 500"):
        await send(server.url, tmp_path / "up")
    assert len(server.put) == 1 + transfer.TRIES


async def test_a_folder_that_cannot_be_made_is_an_error_of_the_disk(server, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="file"):
        await fetch(server, tmp_path / "file" / "f")


# A disk that hangs or fails


@contextlib.asynccontextmanager
async def hanging(path, release):
    """A disk thread that a fifo at `path` holds up; gives its `run` with a short limit."""
    os.mkfifo(path)
    disk = DiskThread()
    try:
        yield partial(disk.run, limit_s=0.3)
    finally:
        # Lets the thread end: the other side of the fifo comes and goes.
        os.close(os.open(path, release | os.O_NONBLOCK))
        disk.close()


@contextlib.asynccontextmanager
async def ticking():
    """Fail if the loop stands still meanwhile."""
    times = []

    async def tick():
        while True:
            await asyncio.sleep(0.005)
            times.append(1)

    ticks = asyncio.create_task(tick())
    try:
        yield
    finally:
        await cancel_and_wait(ticks)
    assert len(times) > 10


async def test_a_disk_that_hangs_ends_the_download_and_holds_up_nothing_else(server, tmp_path):
    async with hanging(tmp_path / "f", os.O_RDONLY) as disk, ticking():
        with pytest.raises(StorageError, match="the disk does not answer"):
            await fetch(server, tmp_path / "f", disk=disk)
    assert len(server.asked) == 1


async def test_a_disk_that_hangs_ends_the_upload_and_holds_up_nothing_else(server, tmp_path):
    async with hanging(tmp_path / "f", os.O_WRONLY) as disk, ticking():
        with pytest.raises(StorageError, match="the disk does not answer"):
            await send(server.url, tmp_path / "f", disk=disk)
    assert server.put == []


class Dies:
    """A disk whose n-th call fails with `error`, and every later one too."""

    def __init__(self, after, error):
        self.left = after
        self.error = error
        self.tried = 0

    async def run(self, call):
        if self.left == 0:
            self.tried += 1
            raise self.error
        self.left -= 1
        return call()


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (StorageError("the disk does not answer"), "does not answer"),
        (OSError(errno.EIO, os.strerror(errno.EIO)), "Input/output error"),
    ],
)
async def test_whichever_call_the_disk_fails_in_it_is_said_at_once(server, tmp_path, error, why):
    async def failing(after):
        # With a hash that is wrong, so that removing is among the calls.
        disk = Dies(after, error)
        with pytest.raises((StorageError, TransferError)) as found:
            await fetch(server, tmp_path / str(after), sha256="0" * 64, disk=disk.run)
        assert disk.tried == (found.type is StorageError)
        return found.value

    tries = 0
    while isinstance(failed := await failing(tries), StorageError):
        assert why in str(failed)
        tries += 1
    # Present, written in pieces, present, digest, removed.
    assert tries >= 4 + SIZE // transfer._CHUNK
    (tmp_path / "up").write_bytes(CONTENT)
    with pytest.raises(StorageError, match=why):
        await send(server.url, tmp_path / "up", disk=Dies(1, error).run)
    assert server.put == []


async def test_a_full_disk_is_no_lost_link(server, tmp_path):
    (tmp_path / "f").symlink_to("/dev/full")
    with pytest.raises(StorageError, match="No space left"):
        await fetch(server, tmp_path / "f")
    assert len(server.asked) == 1


async def test_no_file_is_touched_in_the_event_loop(server, tmp_path):
    """A disk that lets nothing through: whatever was touched all the same would be there."""

    async def nothing(call):
        asked.append(call)
        return {"_present": 0, "_digest": SHA}.get(call.func.__name__)

    asked, target = [], tmp_path / "incoming" / "f"
    with pytest.raises(LinkDownError):
        await fetch(server, target, disk=nothing)
    assert list(tmp_path.iterdir()) == []
    assert {call.func.__name__ for call in asked} == {"_present", "_write"}

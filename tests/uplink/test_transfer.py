"""Downloads and uploads against a real server on this machine."""

import gzip
import hashlib
import socket

import pytest
from aiohttp import web

from firedetect.errors import LinkDownError, TransferError
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
        self.put.append(await request.read())
        return web.Response(status=self.status.pop(0) if self.status else 200)


@pytest.fixture
async def server():
    served = Server()
    app = web.Application(client_max_size=1 << 24)
    app.router.add_get("/f", served.get)
    app.router.add_put("/f", served.take)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    served.url = f"http://127.0.0.1:{runner.addresses[0][1]}/f"
    yield served
    await runner.cleanup()


async def fetch(server, target, *, size=SIZE, sha256=SHA):
    await download(server.url, target, size=size, sha256=sha256, pause_s=QUICK_S)


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
            await download(url, tmp_path / "f", size=5, sha256=SHA, pause_s=QUICK_S)
        (tmp_path / "up").write_bytes(b"x")
        with pytest.raises(LinkDownError, match="did not come to its end"):
            await upload(url, tmp_path / "up", pause_s=QUICK_S)


@pytest.mark.parametrize("url", ["http://", "https://a b/", "http://[::1/x", "http://x:99999/"])
async def test_an_address_that_is_none_is_not_tried_again(tmp_path, url):
    (tmp_path / "up").write_bytes(b"x")
    with pytest.raises((TransferError, LinkDownError)):
        await download(url, tmp_path / "f", size=5, sha256=SHA, pause_s=QUICK_S)
    with pytest.raises((TransferError, LinkDownError)):
        await upload(url, tmp_path / "up", pause_s=QUICK_S)


async def test_an_upload_arrives(server, tmp_path):
    (tmp_path / "up").write_bytes(CONTENT)
    server.status = [500, 200]
    await upload(server.url, tmp_path / "up", pause_s=QUICK_S)
    assert server.put == [CONTENT, CONTENT]


async def test_a_refused_upload_is_said(server, tmp_path):
    (tmp_path / "up").write_bytes(b"x")
    server.status = [403]
    with pytest.raises(TransferError, match="403"):
        await upload(server.url, tmp_path / "up", pause_s=QUICK_S)
    server.status = [500] * transfer.TRIES
    with pytest.raises(LinkDownError, match="status 500"):
        await upload(server.url, tmp_path / "up", pause_s=QUICK_S)
    assert len(server.put) == 1 + transfer.TRIES


async def test_a_folder_that_cannot_be_made_is_an_error_of_the_disk(server, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        await fetch(server, tmp_path / "file" / "f")

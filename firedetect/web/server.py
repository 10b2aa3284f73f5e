"""The HTTP server of the local page: loopback only, read only, never in the detector's way."""

import asyncio
import contextlib
import errno
import json
import socket
from collections.abc import Awaitable, Callable
from importlib.resources import files
from typing import Any, Final
from urllib.parse import urlsplit

import structlog
from aiohttp import web

from firedetect.errors import WebError
from firedetect.web.view import Cursor, LiveView

HOST: Final = "127.0.0.1"
_FIRST = b'<script type="application/json" id="first">'
PERIOD_S: Final = 0.2
"""A client gets at most this many seconds' worth of news at once: five messages a second."""
WRITE_LIMIT_S: Final = 5.0
"""A client that takes nothing for so long is let go."""
MAX_STREAMS: Final = 16
KEEP_ALIVE_S: Final = 15.0
_BUFFER_BYTES: Final = 65_536
"""Small, so that a slow client misses images instead of seeing old ones."""
_NAMES: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_METHODS: Final = frozenset({"GET", "HEAD"})
_OWN_SITES: Final = frozenset({"same-origin", "none"})
_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_TYPES: Final = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}

_log = structlog.get_logger()

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class WebServer:
    """Offers the page at `port` of 127.0.0.1; port 0 takes a free one."""

    def __init__(
        self,
        view: LiveView,
        port: int,
        *,
        period_s: float = PERIOD_S,
        write_limit_s: float = WRITE_LIMIT_S,
        max_streams: int = MAX_STREAMS,
    ) -> None:
        self._view = view
        self._port = port
        self._period_s = period_s
        self._write_limit_s = write_limit_s
        self._max_streams = max_streams
        self._pages = _static_files()
        self._streams: set[asyncio.Task[Any]] = set()
        self._runner: web.AppRunner | None = None

    @property
    def streams(self) -> int:
        """How many clients follow the stream."""
        return len(self._streams)

    async def start(self) -> str:
        """Listen and return the address; raises WebError if the port cannot be had."""
        app = web.Application(middlewares=[_guard])
        app.router.add_get("/", self._index)
        app.router.add_get("/static/{name}", self._static)
        app.router.add_get("/api/state", self._state)
        app.router.add_get("/api/stream", self._stream)
        app.router.add_get("/healthz", self._healthz)
        app.on_response_prepare.append(_add_headers)
        runner = web.AppRunner(
            app,
            access_log=None,
            handle_signals=False,
            keepalive_timeout=KEEP_ALIVE_S,
            shutdown_timeout=1.0,
        )
        await runner.setup()
        try:
            await web.TCPSite(runner, HOST, self._port).start()
        except OSError as error:
            await runner.cleanup()
            why = "is in use" if error.errno == errno.EADDRINUSE else f"cannot be used ({error})"
            raise WebError(f"port {self._port} of {HOST} {why}; set web.port to another") from error
        self._runner = runner
        return f"http://{HOST}:{runner.addresses[0][1]}"

    async def close(self) -> None:
        """Let every client go and stop listening."""
        for task in self._streams:
            task.cancel()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _index(self, _request: web.Request) -> web.Response:
        page = self._pages["index.html"]()
        # A page that is opened shows the scene at once, not after the stream's first message.
        first = _dumps(self._view.news(Cursor())).replace("<", "\\u003c")
        assert isinstance(page.body, bytes)  # noqa: S101 - read from a file
        page.body = page.body.replace(_FIRST + b"null<", _FIRST + first.encode() + b"<")
        return page

    async def _static(self, request: web.Request) -> web.Response:
        page = self._pages.get(request.match_info["name"])
        if page is None:
            raise web.HTTPNotFound
        return page()

    async def _state(self, _request: web.Request) -> web.Response:
        return web.json_response(self._view.state(), dumps=_dumps)

    async def _healthz(self, _request: web.Request) -> web.Response:
        reason = self._view.silence()
        record = self._view.record()
        if reason is not None or record is None:
            return web.json_response({"ok": False, "reason": reason}, status=503)
        body = {"ok": True, "health": record["health"], "outcome_age_s": self._view.outcome_age_s()}
        return web.json_response(body)

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        if request.method == "HEAD":
            return response
        if len(self._streams) >= self._max_streams:
            text = f"{self._max_streams} clients follow already; close one of them\n"
            raise web.HTTPServiceUnavailable(text=text)
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a handler runs in a task
        self._streams.add(task)
        try:
            _keep_buffers_small(request)
            await response.prepare(request)
            # A client that left is no news.
            with contextlib.suppress(ConnectionError):
                await self._feed(response)
        except TimeoutError:
            _log.debug("page client let go", reason="takes nothing", limit_s=self._write_limit_s)
            if request.transport is not None:
                request.transport.abort()
        finally:
            self._streams.discard(task)
        return response

    async def _feed(self, response: web.StreamResponse) -> None:
        """Send news until the client leaves; raises TimeoutError if it takes nothing."""
        cursor = Cursor()
        while True:
            news = self._view.news(cursor)
            if news is not None:
                text = f"data: {_dumps(news)}\n\n"
                async with asyncio.timeout(self._write_limit_s):
                    await response.write(text.encode())
            await asyncio.sleep(self._period_s)


@web.middleware
async def _guard(request: web.Request, handler: _Handler) -> web.StreamResponse:
    """Refuse what changes something, other names of this machine, and other sites' pages."""
    if request.method not in _METHODS:
        raise web.HTTPMethodNotAllowed(request.method, _METHODS)
    if not _is_local(request.headers.get("Host", "")):
        raise web.HTTPForbidden(text="this page answers to localhost and 127.0.0.1 only\n")
    foreign = request.headers.get("Sec-Fetch-Site", "none") not in _OWN_SITES
    if foreign and request.path.startswith("/api/"):
        raise web.HTTPForbidden(text="other sites may not read the detector\n")
    return await handler(request)


def _is_local(host: str) -> bool:
    """Whether a Host header names this machine: a foreign name may be rebound to loopback."""
    try:
        parts = urlsplit(f"//{host}")
        _ = parts.port
    except ValueError:
        return False
    return parts.hostname in _NAMES and parts.netloc == host and "@" not in host


async def _add_headers(_request: web.Request, response: web.StreamResponse) -> None:
    for name, value in _HEADERS.items():
        response.headers[name] = value


def _keep_buffers_small(request: web.Request) -> None:
    transport = request.transport
    if not isinstance(transport, asyncio.Transport):
        return
    transport.set_write_buffer_limits(high=_BUFFER_BYTES)
    own = transport.get_extra_info("socket")
    if own is not None:
        own.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER_BYTES)


def _static_files() -> dict[str, Callable[[], web.Response]]:
    """Read the page once: nothing outside this folder can be asked for."""
    pages: dict[str, Callable[[], web.Response]] = {}
    for entry in files("firedetect.web").joinpath("static").iterdir():
        suffix = "." + entry.name.rpartition(".")[2]
        if suffix in _TYPES:
            pages[entry.name] = _page(entry.read_bytes(), _TYPES[suffix])
    return pages


def _page(body: bytes, content_type: str) -> Callable[[], web.Response]:
    return lambda: web.Response(body=body, content_type=content_type, charset="utf-8")


def _dumps(value: object) -> str:
    return json.dumps(value, allow_nan=False, separators=(",", ":"))

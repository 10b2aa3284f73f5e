"""Functions by their URL: a request of the web becomes their event, their answer the response."""

import base64
from collections.abc import Awaitable, Callable
from typing import Final

import structlog
from aiohttp import web

from firedetect.cloudbox.broker import HOST
from firedetect.cloudbox.wire import JsonObject
from firedetect.errors import BoxError

_LIMIT_BYTES: Final = 6 << 20
Invoke = Callable[[str, JsonObject], Awaitable[JsonObject | None]]

_log = structlog.get_logger()


class FunctionUrls:
    """The server; requests look as AWS makes them (payload format 2.0)."""

    def __init__(self, invoke: Invoke) -> None:
        self._invoke = invoke
        self._runner: web.AppRunner | None = None
        self._endpoint = ""

    def address(self, function: str) -> str:
        """Return where a function is reached."""
        return f"{self._endpoint}/{function}/"

    async def start(self) -> None:
        """Listen on a free port."""
        app = web.Application(client_max_size=_LIMIT_BYTES)
        app.add_routes([web.route("*", "/{function}/{path:.*}", self._answer)])
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, HOST, 0).start()
        self._endpoint = f"http://{HOST}:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _answer(self, request: web.Request) -> web.Response:
        body = await request.read()
        event: JsonObject = {
            "version": "2.0",
            "rawPath": f"/{request.match_info['path']}",
            "rawQueryString": request.query_string,
            "headers": {name.lower(): value for name, value in request.headers.items()},
            "queryStringParameters": dict(request.query),
            "requestContext": {
                "http": {
                    "method": request.method,
                    "path": f"/{request.match_info['path']}",
                    "sourceIp": request.remote or "",
                }
            },
            "body": base64.b64encode(body).decode(),
            "isBase64Encoded": True,
        }
        try:
            said = await self._invoke(request.match_info["function"], event) or {}
        except BoxError as error:
            _log.warning("function failed", url=str(request.rel_url.path), error=str(error))
            return web.Response(status=502, text="Internal Server Error")
        text = str(said.get("body", ""))
        content = base64.b64decode(text) if said.get("isBase64Encoded") else text.encode()
        headers = said.get("headers")
        told = {str(k): str(v) for k, v in headers.items()} if isinstance(headers, dict) else {}
        status = said.get("statusCode")
        return web.Response(
            status=status if isinstance(status, int) else 200, body=content, headers=told
        )

"""The server: `/ping` and `/invocations` as SageMaker asks, and boto3's own path in the box."""

import asyncio
from pathlib import Path
from typing import Final

import numpy as np
from aiohttp import web

from firedetect.endpoint.request import BadRequestError, answer_of, rows_of
from firedetect.model.bundle import default_bundle_path, load_bundle
from firedetect.model.scorer import Scorer
from firedetect.model.signature import verify_signature

PORT: Final = 8080
"""SageMaker's."""
EVERYWHERE: Final = "0.0.0.0"  # noqa: S104 - SageMaker reaches its container from outside
BODY_MAX: Final = 6 << 20
"""SageMaker's limit of a request."""
_JSON: Final = "application/json"


def application(scorer: Scorer) -> web.Application:
    """Return the server of a model that was verified; it answers 503 while its canaries fail."""

    async def ping(_request: web.Request) -> web.Response:
        healthy = await asyncio.to_thread(scorer.known_answer)
        return web.Response(status=200 if healthy else 503)

    async def invocations(request: web.Request) -> web.Response:
        if request.content_type != _JSON:
            return _refused(415, f"Content-Type must be {_JSON}, not {request.content_type}")
        try:
            rows, single = rows_of(await request.read())
        except BadRequestError as error:
            return _refused(400, str(error))
        found = scorer.scores(np.ascontiguousarray(rows)).tolist()
        return web.Response(
            body=answer_of(found, scorer.version, single=single), content_type=_JSON
        )

    app = web.Application(client_max_size=BODY_MAX)
    app.add_routes(
        [
            web.get("/ping", ping),
            web.post("/invocations", invocations),
            web.post("/endpoints/{name}/invocations", invocations),
        ]
    )
    return app


def load_scorer(bundle: Path | None, trusted: Path | None) -> Scorer:
    """Return the scorer of a bundle, else of the one that came along; raises BundleError.

    With keys to trust the bundle must be signed by one of them.
    """
    loaded = load_bundle(bundle or default_bundle_path())
    if trusted is not None:
        verify_signature(loaded, trusted)
    scorer = Scorer(loaded)
    # Compiled before the first request, not by it.
    scorer.scores(np.zeros((2, 27), np.float32))
    return scorer


def serve(
    bundle: Path | None,
    trusted: Path | None,
    *,
    host: str = EVERYWHERE,
    port: int = PORT,
) -> None:
    """Serve until told to stop; raises BundleError if the model is not to be trusted."""
    web.run_app(
        application(load_scorer(bundle, trusted)), host=host, port=port, access_log=None, print=None
    )


def _refused(status: int, why: str) -> web.Response:
    return web.json_response({"message": why}, status=status)

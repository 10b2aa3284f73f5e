"""What the daemon offers on its own machine: control socket and page."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import structlog

from firedetect.clock import Clock
from firedetect.config import Settings
from firedetect.daemon.control import ControlServer
from firedetect.daemon.models.keeper import ModelKeeper
from firedetect.daemon.notify import is_service
from firedetect.daemon.parts import Parts
from firedetect.daemon.queue import EventQueue
from firedetect.daemon.remember import Memory
from firedetect.errors import BundleError, FiredetectError, StorageError, TrialError, WebError
from firedetect.readings import SystemTrouble
from firedetect.web.server import WebServer

_log = structlog.get_logger()


@asynccontextmanager
async def served(
    settings: Settings, memory: Memory, parts: Parts, clock: Clock
) -> AsyncIterator[None]:
    """Offer control socket and page; a port in use ends the start with a clear error."""

    async def status() -> dict[str, Any]:
        return {
            "pid": os.getpid(),
            "device": settings.device.id,
            "processed": parts.detector.processed,
            "dropped": parts.queue.dropped,
            "i2c_retries": parts.wiring.retries_by_bus,
            "waiting_messages": await parts.keeper.waiting(),
            "outcome": parts.view.record(),
            "settings": parts.remote.reported(),
            "cloud": None if parts.cloud is None else parts.cloud.status(),
        }

    page = WebServer(parts.view, settings.web.port) if settings.web.enabled else None
    control = None
    if memory.folder is not None:
        extra = {
            "install-model": partial(_install_model, parts.models),
            "rollback-model": partial(_rollback_model, parts.models),
        }
        control = ControlServer(memory.folder.control_socket, parts.desk, status, extra)
    try:
        if page is not None:
            await _start_page(page, parts.queue, clock)
        if control is not None:
            try:
                await control.start()
            except (FiredetectError, OSError) as error:
                _give_up("control", error, parts.queue, clock)
        yield
    finally:
        if control is not None:
            await control.close()
        if page is not None:
            await page.close()


async def _start_page(page: WebServer, queue: EventQueue, clock: Clock) -> None:
    """Start the page; only a person's start may end because of it, a service detects without."""
    try:
        _log.info("page", address=await page.start())
    except WebError as error:
        if not is_service():
            raise
        _give_up("page", error, queue, clock)


def _give_up(what: str, error: Exception, queue: EventQueue, clock: Clock) -> None:
    _log.error("goes on without", what=what, error=str(error))
    queue.put(SystemTrouble(clock.monotonic_ns(), what, active=True, detail=str(error)))


async def _install_model(models: ModelKeeper, request: dict[str, Any]) -> dict[str, Any]:
    try:
        installed = await models.install(Path(request["path"]))
    except (BundleError, TrialError, StorageError) as error:
        return {"accepted": False, "detail": str(error)}
    if not installed.changed:
        return {"accepted": True, "detail": f"model {installed.version} is in use already"}
    detail = f"model {installed.version} is in use; it has two minutes to prove itself"
    return {"accepted": True, "detail": detail}


async def _rollback_model(models: ModelKeeper, _request: dict[str, Any]) -> dict[str, Any]:
    try:
        version = await models.rollback()
    except (BundleError, StorageError) as error:
        return {"accepted": False, "detail": str(error)}
    return {"accepted": True, "detail": f"model {version} is in use"}

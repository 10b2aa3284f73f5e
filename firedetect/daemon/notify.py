"""Messages to systemd (sd_notify protocol); silent where no service manager listens."""

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable

STATES = frozenset({"READY=1", "STOPPING=1", "WATCHDOG=1"})


def is_service() -> bool:
    """Whether a service manager started this process and waits for its readiness."""
    return bool(os.environ.get("NOTIFY_SOCKET"))


def notify(state: str) -> None:
    """Send one state, for example `READY=1`; see sd_notify(3)."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    # A manager that went away must not stop the detector; the watchdog will tell.
    with (
        contextlib.suppress(OSError),
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel,
    ):
        channel.connect(address)
        channel.send(state.encode())


def watchdog_interval_s() -> float | None:
    """Return a quarter of the manager's watchdog time, None if it set none."""
    given = os.environ.get("WATCHDOG_USEC", "")
    return int(given) / 4e6 if given.isdigit() and int(given) > 0 else None


async def feed_watchdog(progress: Callable[[], int]) -> None:
    """Tell the manager that events are being processed; a detector that hangs is not fed."""
    interval_s = watchdog_interval_s()
    if interval_s is None:
        # No manager wants to be told; a task that ends would be a failure.
        await asyncio.Event().wait()
        return
    seen = -1
    while True:
        now = progress()
        if now != seen:
            notify("WATCHDOG=1")
        seen = now
        await asyncio.sleep(interval_s)

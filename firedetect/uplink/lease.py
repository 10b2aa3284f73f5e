"""The two-sided lease: alarms want a receipt from the cloud, the tier a lease; else we say so."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated

import structlog
from pydantic import Field, TypeAdapter, ValidationError

from firedetect.contract.messages import Lease, Receipt
from firedetect.contract.problems import problem_of
from firedetect.storage.store import Message
from firedetect.uplink.link import Report

RECEIPT_LIMIT_S = 30.0
SECOND_PATH_FIRST_S = 15.0
SECOND_PATH_MAX_S = 600.0
FIRST_LEASE_S = 900.0
"""A tier that works has given its first lease by then."""
_RECEIPT = "receipt"
_LEASE = "cloud"

_log = structlog.get_logger()


class Receipts:
    """Alarms that people may not have got yet, each with its limit.

    `second_path` is taken for an alarm that got no receipt in time, again and again until it has
    worked or the receipt is there; it must not raise.
    """

    def __init__(
        self, report: Report, second_path: Callable[[Message], Awaitable[bool]] | None
    ) -> None:
        self._report = report
        self._second_path = second_path
        self._open: dict[str, asyncio.TimerHandle | None] = {}
        self._late: dict[str, str] = {}
        self._received: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.on_receipt: Callable[[], None] = lambda: None

    @property
    def known(self) -> set[str]:
        """The alarms that are waited for or have just got their receipt."""
        return self._open.keys() | self._received

    def expect(self, message: Message) -> None:
        """Begin to wait for the receipt of an alarm, unless it is waited for already."""
        if message.event_id in self._open or message.event_id in self._received:
            return
        loop = asyncio.get_running_loop()
        self._open[message.event_id] = loop.call_later(RECEIPT_LIMIT_S, self._is_late, message)

    def received(self, receipt: Receipt) -> None:
        """Note a receipt; one for an alarm that is not waited for changes nothing."""
        if receipt.event_id not in self._open:
            return
        timer = self._open.pop(receipt.event_id)
        if timer is not None:
            timer.cancel()
        self._received.add(receipt.event_id)
        if self._late.pop(receipt.event_id, None) is not None:
            self._report(_RECEIPT, next(iter(self._late.values()), None))
        self.on_receipt()

    def take_received(self) -> set[str]:
        """Return the alarms that got their receipt since the last call."""
        taken, self._received = self._received, set()
        return taken

    def close(self) -> None:
        """Forget the limits and end what is under way."""
        for timer in self._open.values():
            if timer is not None:
                timer.cancel()
        for task in self._tasks:
            task.cancel()

    def _is_late(self, message: Message) -> None:
        self._open[message.event_id] = None
        detail = f"nobody has confirmed alarm {message.event_id} within {RECEIPT_LIMIT_S:.0f} s"
        if self._second_path is None:
            detail += "; no second path is configured"
        self._late[message.event_id] = detail
        self._report(_RECEIPT, detail)
        if self._second_path is not None:
            task = asyncio.ensure_future(self._take_second_path(self._second_path, message))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _take_second_path(
        self, take: Callable[[Message], Awaitable[bool]], message: Message
    ) -> None:
        pause_s = SECOND_PATH_FIRST_S
        while message.event_id in self._open and not await take(message):
            await asyncio.sleep(pause_s)
            pause_s = min(2.0 * pause_s, SECOND_PATH_MAX_S)


class CloudLease:
    """The word of the cloud's tier that it works; a trouble when it has run out."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """Expect the first lease: from a start, and a tier that never worked is heard of too."""
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(FIRST_LEASE_S, self._ran_out, FIRST_LEASE_S)

    def renewed(self, lease: Lease) -> None:
        """Note a lease and expect the next one in time."""
        if self._timer is not None:
            self._timer.cancel()
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(lease.valid_s, self._ran_out, lease.valid_s)
        self._report(_LEASE, None)

    def close(self) -> None:
        """Forget the limit."""
        if self._timer is not None:
            self._timer.cancel()

    def _ran_out(self, valid_s: float) -> None:
        self._report(_LEASE, f"the cloud's tier has not been heard of for {valid_s:.0f} s")


_DOWN: TypeAdapter[Receipt | Lease] = TypeAdapter(
    Annotated[Receipt | Lease, Field(discriminator="kind")]
)


def take_down_message(payload: bytes, thing: str, receipts: Receipts, lease: CloudLease) -> None:
    """Hand a message from the cloud to whom it is for; what is not for us is logged and dropped."""
    try:
        message = _DOWN.validate_json(payload)
    except ValidationError as error:
        _log.warning("a message from the cloud is not understood", problem=str(problem_of(error)))
        return
    if message.device != thing:
        _log.warning("a message for another device was dropped", device=message.device[:64])
    elif isinstance(message, Receipt):
        receipts.received(message)
    else:
        lease.renewed(message)

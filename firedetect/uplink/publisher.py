"""Empties the outbox: alarms first, a bounded window in flight, nothing gone before it arrived."""

import asyncio
import random
from dataclasses import dataclass, field

import structlog

from firedetect.contract.names import alert_topic, event_topic, telemetry_topic
from firedetect.errors import (
    AckTimeoutError,
    LinkDownError,
    NoReceiverError,
    PublishRefusedError,
)
from firedetect.storage.store import Batch, Message
from firedetect.uplink.lease import Receipts
from firedetect.uplink.link import Link
from firedetect.uplink.outbox import Outbox
from firedetect.uplink.transport import Transport

WINDOW = 16
"""Publishes in flight: AWS allows 100, an alarm shall not wait behind many."""
KEPT_FOR_ALARMS = 4
"""Places that nothing else takes: an alarm must not wait for acknowledges that do not come."""
RETRY_FIRST_S = 2.0
RETRY_MAX_S = 300.0
REFUSED_MAX_S = 900.0
"""What is no alarm: a full outbox on a denied topic must not become a stream of refusals."""
RESEND_FIRST_S = 30.0
RESEND_MAX_S = 3600.0
"""An alarm without a receipt is sent again after this pause, then after twice as long."""
LOOK_S = 5.0
"""The outbox is looked at so often even when nothing seems to have changed."""
_SHORTEST_S = 0.001
ALARM = "alarm"

_log = structlog.get_logger()


@dataclass(slots=True)
class _Attempts:
    """How often a message was sent without success, and when it may be sent again."""

    tries: int = 0
    due_s: float = 0.0

    def put_off(self, now_s: float, first_s: float, most_s: float, rng: random.Random) -> None:
        pause_s = min(first_s * 2.0**self.tries, most_s)
        self.tries += 1
        self.due_s = now_s + pause_s * rng.uniform(0.8, 1.0)


@dataclass(slots=True)
class Publisher:
    """Sends what waits. `receipts` hears of every alarm, also while there is no link."""

    thing: str
    outbox: Outbox
    transport: Transport
    link: Link
    receipts: Receipts
    _rng: random.Random = field(default_factory=random.Random)
    _attempts: dict[str, _Attempts] = field(default_factory=dict)
    _flying: dict[asyncio.Task[None], str] = field(default_factory=dict)
    _arrived: set[str] = field(default_factory=set)
    _refused: dict[str, set[str]] = field(default_factory=dict)
    _telemetry_sent: int = 0
    _batch: _Attempts = field(default_factory=_Attempts)

    async def run(self) -> None:
        """Send for ever."""
        self.link.on_change.append(self.outbox.changed.set)
        self._telemetry_sent = await self.outbox.sent_until()
        try:
            while True:
                self.outbox.changed.clear()
                await self._forget_arrived()
                await self._expect_receipts()
                await self._launch()
                await self._wait()
        finally:
            self.link.on_change.remove(self.outbox.changed.set)
            for task in self._flying:
                task.cancel()
            if self._flying:
                await asyncio.wait(self._flying)
            self._flying.clear()

    async def _forget_arrived(self) -> None:
        done = self._arrived | self.receipts.take_received()
        if not done:
            return
        await self.outbox.delivered(done)
        self._arrived -= done
        for event_id in done:
            self._attempts.pop(event_id, None)

    async def _expect_receipts(self) -> None:
        """Let every alarm have its limit, also those for which there is no place in the window."""
        while True:
            expected = self.receipts.known | self._arrived
            messages = await self.outbox.waiting(WINDOW, expected)
            alarms = [message for message in messages if message.kind == ALARM]
            for message in alarms:
                self.receipts.expect(message)
            # Alarms go first: anything else behind them means that there are no more.
            if len(alarms) < WINDOW:
                return

    async def _launch(self) -> None:
        now_s = asyncio.get_running_loop().time()
        if not self.link.connected.is_set():
            return
        flying = set(self._flying.values())
        resting = {key for key, tried in self._attempts.items() if tried.due_s > now_s}
        messages = await self.outbox.waiting(WINDOW, flying | resting | self._arrived)
        for message in messages:
            places = WINDOW if message.kind == ALARM else WINDOW - KEPT_FOR_ALARMS
            if len(self._flying) < places:
                self._fly(message.event_id, self._send(message))
        if not messages and not self._flying and now_s >= self._batch.due_s:
            for batch in await self.outbox.batches(self._telemetry_sent, 1):
                if batch.payload:
                    self._fly("", self._send_batch(batch))
                else:
                    _log.warning("a stored batch is damaged and left out", batch=batch.number)
                    self._done_with(batch)

    def _fly(self, key: str, sending: "asyncio._CoroutineLike[None]") -> None:
        task = asyncio.create_task(sending, name=f"publish:{key}")
        self._flying[task] = key

    async def _wait(self) -> None:
        changed = asyncio.create_task(self.outbox.changed.wait())
        now_s = asyncio.get_running_loop().time()
        dues = [tried.due_s for tried in self._attempts.values() if tried.due_s > now_s]
        pause_s = max(_SHORTEST_S, min([LOOK_S, *(due - now_s for due in dues)]))
        await asyncio.wait(
            {changed, *self._flying}, timeout=pause_s, return_when=asyncio.FIRST_COMPLETED
        )
        changed.cancel()
        for task in [task for task in self._flying if task.done()]:
            del self._flying[task]
            # A fault of ours: the supervisor says it and starts the publisher again.
            task.result()

    async def _send(self, message: Message) -> None:
        alarm = message.kind == ALARM
        topic = alert_topic(self.thing) if alarm else event_topic(self.thing)
        attempts = self._attempts.setdefault(message.event_id, _Attempts())
        now_s = asyncio.get_running_loop().time()
        try:
            await self.transport.publish(topic, message.payload.encode())
        except LinkDownError:
            # The next try is made when there is a link: it costs nothing until then.
            self._attempts.pop(message.event_id, None)
            return
        except AckTimeoutError as error:
            self.link.unacknowledged(str(error))
            attempts.put_off(now_s, 0.0, 0.0, self._rng)
            return
        except (NoReceiverError, PublishRefusedError) as error:
            self.link.refused(topic, str(error))
            longest_s = RETRY_MAX_S if alarm else REFUSED_MAX_S
            attempts.put_off(now_s, RETRY_FIRST_S, longest_s, self._rng)
            self._refused.setdefault(topic, set()).add(message.event_id)
            return
        self._taken_again(topic)
        if alarm:
            # The broker has it: that is not yet delivery to people.
            attempts.put_off(now_s, RESEND_FIRST_S, RESEND_MAX_S, self._rng)
        else:
            self._arrived.add(message.event_id)

    def _taken_again(self, topic: str) -> None:
        """Let everything that was refused on a topic go at once when the topic is taken again."""
        for refused in self._refused.pop(topic, ()):
            self._attempts.pop(refused, None)
        self.link.acknowledged(topic)

    async def _send_batch(self, batch: Batch) -> None:
        topic = telemetry_topic(self.thing)
        now_s = asyncio.get_running_loop().time()
        try:
            await self.transport.publish(topic, batch.payload)
        except LinkDownError:
            return
        except AckTimeoutError as error:
            self.link.unacknowledged(str(error))
            return
        except (NoReceiverError, PublishRefusedError) as error:
            self.link.refused(topic, str(error))
            # The store thins and forgets what is old: that bounds the tries.
            self._batch.put_off(now_s, RETRY_FIRST_S, RETRY_MAX_S, self._rng)
            return
        self.link.acknowledged(topic)
        self._done_with(batch)

    def _done_with(self, batch: Batch) -> None:
        self._batch = _Attempts()
        self._telemetry_sent = batch.number
        self.outbox.note_sent(batch.number)
        self.outbox.changed.set()

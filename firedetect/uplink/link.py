"""Whether the link works, said within 30 s of any way in which it stops to."""

import asyncio
from collections.abc import Callable

from firedetect.errors import UplinkError
from firedetect.uplink.transport import NOT_YET, LinkState, Transport

Report = Callable[[str, str | None], None]
"""Takes the name of a trouble and its detail, None when it is over."""

GRACE_S = 2.0
"""A connection that is back so soon was not lost. 20 s keep-alive, 5 s ping, this: under 30 s."""
START_GRACE_S = 20.0
SAY_AGAIN_S = 60.0
"""Another reason for the same loss is said so often at most: each is a message that waits."""
STEADY_S = 5.0
"""A trouble ends when the link has held for so long: a link that flaps is none."""
RESUBSCRIBE_S = 5.0
SILENT_TIMES = 3
RECONNECT_EVERY_S = 30.0
FLOOD_OVER_S = 10.0
_LINK = "link"
_REFUSED = "uplink"
_FLOOD = "flood"


class Link:
    """Listens to the connection and to what became of publishes; subscribes after connecting."""

    def __init__(self, down_topic: str, report: Report, on_down: Callable[[bytes], None]) -> None:
        self._down_topic = down_topic
        self._report = report
        self._on_down = on_down
        self.connected = asyncio.Event()
        self.on_change: list[Callable[[], None]] = []
        """Called whenever the connection was made or lost."""
        self._lost = asyncio.Event()
        self._transport: Transport | None = None
        self._detail = NOT_YET
        self._troubled = False
        self._unanswered = False
        self._timer: asyncio.TimerHandle | None = None
        self._flood_timer: asyncio.TimerHandle | None = None
        self._refused: dict[str, str] = {}
        self._silent: dict[str, int] = {}
        self._dropped = 0
        self._said_s = 0.0
        self._reconnected_s = -RECONNECT_EVERY_S

    def use(self, transport: Transport) -> None:
        """Watch this transport from now on."""
        self._transport = transport
        self._set_timer(START_GRACE_S, self._declare_lost)

    async def run(self) -> None:
        """Subscribe after every connect, for ever."""
        while True:
            await self.connected.wait()
            self._lost.clear()
            try:
                if self._transport is not None:
                    await self._transport.subscribe(self._down_topic)
                self.accepted(self._down_topic)
            except UplinkError as error:
                self.refused(self._down_topic, str(error))
                await asyncio.sleep(RESUBSCRIBE_S)
                continue
            if self.connected.is_set():
                await self._lost.wait()

    def link_changed(self, state: LinkState) -> None:
        """The connection was made, lost, or could not be made."""
        self._detail = state.detail
        if state.up:
            self.connected.set()
            self._set_timer(STEADY_S, self._declare_steady)
        elif self.connected.is_set():
            self.connected.clear()
            self._lost.set()
            self._set_timer(GRACE_S, self._declare_lost)
        elif self._troubled and self._now_s() - self._said_s >= SAY_AGAIN_S:
            self._say()
        for call in self.on_change:
            call()

    def message_arrived(self, topic: str, payload: bytes) -> None:
        """Hand on a message from the cloud."""
        if topic == self._down_topic:
            self._on_down(payload)

    def messages_dropped(self, count: int) -> None:
        """Say that messages come too fast, until they have stopped for a while."""
        if self._flood_timer is None:
            self._report(_FLOOD, "messages from afar come too fast and are dropped")
        else:
            self._flood_timer.cancel()
        self._dropped += count
        loop = asyncio.get_running_loop()
        self._flood_timer = loop.call_later(FLOOD_OVER_S, self._flood_over)

    def acknowledged(self, topic: str) -> None:
        """Note that a publish arrived."""
        self.accepted(topic)
        self._unanswered = False
        if self._troubled and self.connected.is_set():
            self._declare_steady()

    def unacknowledged(self, detail: str) -> None:
        """Note that the broker does not answer although there is a connection; make a new one."""
        self._detail = detail
        self._unanswered = True
        self._say()
        now_s = self._now_s()
        if self._transport is not None and now_s - self._reconnected_s >= RECONNECT_EVERY_S:
            self._reconnected_s = now_s
            self._transport.reconnect()

    def refused(self, topic: str, detail: str) -> None:
        """Note that something on `topic` was refused; the rest may still go."""
        if self._refused.get(topic) != detail:
            self._refused[topic] = detail
            self._report(_REFUSED, detail)

    def unanswered(self, what: str, detail: str) -> None:
        """Note a request without an answer: with a link that holds it is refused in silence."""
        if not self.connected.is_set():
            self._silent.pop(what, None)
            return
        self._silent[what] = self._silent.get(what, 0) + 1
        if self._silent[what] >= SILENT_TIMES:
            self.refused(what, detail)

    def accepted(self, topic: str) -> None:
        """Note that what was refused on `topic` is taken again."""
        self._silent.pop(topic, None)
        if self._refused.pop(topic, None) is not None:
            self._report(_REFUSED, next(iter(self._refused.values()), None))

    def close(self) -> None:
        """Forget the timers."""
        for timer in (self._timer, self._flood_timer):
            if timer is not None:
                timer.cancel()

    def _declare_lost(self) -> None:
        if not self.connected.is_set():
            self._say()

    def _say(self) -> None:
        self._troubled = True
        # The first real reason is worth saying at once.
        self._said_s = -SAY_AGAIN_S if self._detail == NOT_YET else self._now_s()
        self._report(_LINK, self._detail)

    @staticmethod
    def _now_s() -> float:
        return asyncio.get_running_loop().time()

    def _declare_steady(self) -> None:
        if self._unanswered:
            # A connection alone does not end this: only an acknowledge does.
            return
        self._troubled = False
        self._report(_LINK, None)

    def _flood_over(self) -> None:
        self._flood_timer = None
        self._report(_FLOOD, None)

    def _set_timer(self, delay_s: float, call: Callable[[], None]) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(delay_s, call)

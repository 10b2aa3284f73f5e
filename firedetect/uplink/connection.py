"""The one connection of the daemon, also before there is an identity to connect with."""

import asyncio
from collections.abc import Awaitable, Callable

from firedetect.clock import cancel_and_wait
from firedetect.errors import LinkDownError, UplinkError
from firedetect.uplink.link import Link, Report
from firedetect.uplink.meter import Meter
from firedetect.uplink.sdk import Endpoint, SdkClient, Will
from firedetect.uplink.transport import NOT_YET, LinkState, MqttTransport

LOOK_AGAIN_S = 15.0
"""An identity that is missing may be provisioned at any time."""


class Connection:
    """A transport that connects as soon as it can, and again with another identity."""

    def __init__(self, link: Link, report: Report) -> None:
        self._link = link
        self._report = report
        self._mqtt: MqttTransport | None = None
        self._why = NOT_YET
        self.meter = Meter(asyncio.get_running_loop().time())
        self._ready = asyncio.Event()
        self._renewed = asyncio.Event()
        link.use(self)

    @property
    def state(self) -> LinkState:
        """Whether there is a connection now."""
        return LinkState(up=False, detail=self._why) if self._mqtt is None else self._mqtt.state

    async def run(self, endpoint: Callable[[], Endpoint], will: Will) -> None:
        """Connect with the identity that `endpoint` returns, then follow the link for ever."""
        while self._mqtt is None:
            try:
                self._mqtt = MqttTransport(endpoint(), self._link, will)
            except UplinkError as error:
                self._why = str(error)
                self._report("link", self._why)
                await asyncio.sleep(LOOK_AGAIN_S)
            else:
                self._mqtt.start()
                self._ready.set()
        await self._link.run()

    async def renew(self, endpoint: Endpoint, will: Will) -> None:
        """Connect with another identity; raises UplinkError, then the old one stays in use."""
        new = MqttTransport(endpoint, self._link, will)
        old, self._mqtt = self._mqtt, new
        if old is not None:
            await old.stop()
            self._link.link_changed(LinkState(up=False, detail="another identity is used"))
        new.start()
        renewed, self._renewed = self._renewed, asyncio.Event()
        renewed.set()

    async def with_client(self, use: Callable[[SdkClient], Awaitable[None]]) -> None:
        """Run `use` with the SDK's client, and again with the next one when that is renewed."""
        await self._ready.wait()
        while True:
            if self._mqtt is None:
                raise LinkDownError(self._why)
            using = asyncio.ensure_future(use(self._mqtt.client))
            renewed = asyncio.ensure_future(self._renewed.wait())
            try:
                await asyncio.wait({using, renewed}, return_when=asyncio.FIRST_COMPLETED)
                if using.done():
                    return using.result()
            finally:
                await cancel_and_wait(renewed)
                await cancel_and_wait(using)

    async def publish(self, topic: str, payload: bytes) -> None:
        """Publish at QoS 1; see Transport."""
        if self._mqtt is None:
            raise LinkDownError(self._why)
        self.meter.sent(topic, len(payload))
        await self._mqtt.publish(topic, payload)

    async def subscribe(self, topic: str) -> None:
        """Subscribe at QoS 1; see Transport."""
        if self._mqtt is None:
            raise LinkDownError(self._why)
        await self._mqtt.subscribe(topic)

    def reconnect(self) -> None:
        """Drop the connection and make a new one."""
        if self._mqtt is not None:
            self._mqtt.reconnect()

    async def close(self) -> None:
        """Disconnect; the last will tells that the detector has stopped."""
        self._link.close()
        if self._mqtt is not None:
            await self._mqtt.stop()

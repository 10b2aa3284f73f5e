"""MQTT 5 over mutual TLS to AWS IoT Core: one connection, seen from the event loop.

The call-backs of the SDK come from threads of its own; here they are handed to the loop, and
nobody else knows of them.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import structlog
from awscrt import exceptions, mqtt5

from firedetect.contract.limits import refused_publish
from firedetect.errors import (
    AckTimeoutError,
    LinkDownError,
    NoReceiverError,
    PublishRefusedError,
)
from firedetect.uplink.requests import uncancelled
from firedetect.uplink.sdk import ACK_TIMEOUT_S, Endpoint, Will, new_client, reason_of

STOP_LIMIT_S = 3.0
MESSAGES_PER_S = 50
MESSAGES_BURST = 200
"""More messages from afar than these are dropped and counted: a flood must not cost detection."""
NOT_YET = "not connected yet; a failure of TLS is named after up to 30 s"
"""The SDK's TLS waits on purpose before it says that it failed, against attacks by timing."""
_SUCCESS = mqtt5.PubackReasonCode.SUCCESS
_NOBODY = mqtt5.PubackReasonCode.NO_MATCHING_SUBSCRIBERS

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class LinkState:
    """Whether there is a connection, and if not, why."""

    up: bool
    detail: str = ""


class Listener(Protocol):
    """Hears of the connection, always in the event loop."""

    def link_changed(self, state: LinkState) -> None:
        """The connection was made, lost, or could not be made."""

    def message_arrived(self, topic: str, payload: bytes) -> None:
        """A message for one of our subscriptions."""

    def messages_dropped(self, count: int) -> None:
        """So many messages came too fast and were dropped."""


class Transport(Protocol):
    """A connection that keeps itself up."""

    @property
    def state(self) -> LinkState:
        """Whether there is a connection now."""

    async def publish(self, topic: str, payload: bytes) -> None:
        """Publish at QoS 1 and return when the broker acknowledged it and somebody gets it.

        Raises LinkDownError, AckTimeoutError, NoReceiverError or PublishRefusedError.
        """

    async def subscribe(self, topic: str) -> None:
        """Subscribe to one topic at QoS 1; raises what `publish` does."""

    def reconnect(self) -> None:
        """Drop the connection and make a new one: the old one no longer answers."""


class MqttTransport:
    """The connection over the AWS SDK. `start` once, `stop` at the end."""

    def __init__(self, endpoint: Endpoint, listener: Listener, will: Will | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        self._listener = listener
        self._state = LinkState(up=False, detail=NOT_YET)
        self._stopped = asyncio.Event()
        self._subscribed: set[str] = set()
        self._closing = False
        self._receivers_reported = endpoint.receivers_reported
        self._allowed = float(MESSAGES_BURST)
        self._allowed_at_s = self._loop.time()
        self.client = new_client(endpoint, will, self)
        """The SDK's client, for the shadow, jobs and provisioning clients beside this module."""

    @property
    def state(self) -> LinkState:
        """Whether there is a connection now."""
        return self._state

    def start(self) -> None:
        """Connect, and again for ever when the connection is lost."""
        self.client.start()

    async def stop(self) -> None:
        """Disconnect. The last will is sent on purpose: a stopped detector detects nothing."""
        self._closing = True
        self._end_connection()
        try:
            async with asyncio.timeout(STOP_LIMIT_S):
                await self._stopped.wait()
        except TimeoutError:
            _log.warning("the connection did not end in time")

    def reconnect(self) -> None:
        """Drop the connection and make a new one: the old one no longer answers."""
        self._end_connection()

    async def publish(self, topic: str, payload: bytes) -> None:
        """Publish at QoS 1; see Transport."""
        refused = refused_publish(topic, payload)
        if refused:
            raise PublishRefusedError(f"{topic}: {refused}")
        if not self._state.up:
            raise LinkDownError(self._state.detail)
        packet = mqtt5.PublishPacket(topic=topic, qos=mqtt5.QoS.AT_LEAST_ONCE, payload=payload)
        sent = uncancelled(self.client.publish(packet))
        done = await _acknowledged(sent, topic)
        code = done.puback.reason_code
        if code is None:
            raise PublishRefusedError(f"{topic}: the broker ended the connection over it")
        if code == _NOBODY and not self._receivers_reported:
            return
        if code == _NOBODY:
            raise NoReceiverError(f"{topic}: acknowledged, but nobody is subscribed")
        if code != _SUCCESS:
            reason = done.puback.reason_string or mqtt5.PubackReasonCode(code).name
            raise PublishRefusedError(f"{topic}: {reason.lower().replace('_', ' ')}")

    async def subscribe(self, topic: str) -> None:
        """Subscribe at QoS 1; see Transport."""
        if not self._state.up:
            raise LinkDownError(self._state.detail)
        self._subscribed.add(topic)
        wanted = mqtt5.Subscription(topic_filter=topic, qos=mqtt5.QoS.AT_LEAST_ONCE)
        packet = mqtt5.SubscribePacket(subscriptions=[wanted])
        sent = uncancelled(self.client.subscribe(packet))
        done = await _acknowledged(sent, topic)
        code = done.reason_codes[0]
        if code >= mqtt5.SubackReasonCode.UNSPECIFIED_ERROR:
            raise PublishRefusedError(f"{topic}: subscription refused ({code.name.lower()})")

    def _end_connection(self) -> None:
        reason = mqtt5.DisconnectReasonCode.DISCONNECT_WITH_WILL_MESSAGE
        self.client.stop(mqtt5.DisconnectPacket(reason_code=reason))

    # From here on: called by threads of the SDK.

    def connected(self, _data: mqtt5.LifecycleConnectSuccessData) -> None:
        """Hand on that there is a connection."""
        self._hand_over(LinkState(up=True))

    def not_connected(self, data: mqtt5.LifecycleConnectFailureData) -> None:
        """Hand on why there is no connection."""
        why = reason_of(data.exception, data.connack_packet)
        self._hand_over(LinkState(up=False, detail=why))

    def disconnected(self, data: mqtt5.LifecycleDisconnectData) -> None:
        """Hand on why the connection ended."""
        why = reason_of(data.exception, data.disconnect_packet)
        self._hand_over(LinkState(up=False, detail=why))

    def stopped(self, _data: mqtt5.LifecycleStoppedData) -> None:
        """Hand on that the client has stopped."""
        self._call(self._has_stopped)

    def received(self, data: mqtt5.PublishReceivedData) -> None:
        """Hand on a message unless there are too many."""
        packet = data.publish_packet
        # The SDK's own clients for shadows and jobs subscribe over the same connection.
        if packet is not None and packet.topic in self._subscribed:
            payload = packet.payload if isinstance(packet.payload, bytes) else b""
            self._call(self._deliver, packet.topic, payload)

    def _hand_over(self, state: LinkState) -> None:
        self._call(self._change, state)

    def _call(self, call: Callable[..., None], *arguments: object) -> None:
        # The loop may have ended before the SDK's threads have.
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(call, *arguments)

    # From here on: in the event loop again.

    def _change(self, state: LinkState) -> None:
        self._state = state
        # Another connection may be in use by now: what becomes of this one is no news.
        if not self._closing:
            self._listener.link_changed(state)

    def _has_stopped(self) -> None:
        self._stopped.set()
        if not self._closing:
            self._stopped.clear()
            self.client.start()

    def _deliver(self, topic: str, payload: bytes) -> None:
        now_s = self._loop.time()
        earned = (now_s - self._allowed_at_s) * MESSAGES_PER_S
        self._allowed = min(float(MESSAGES_BURST), self._allowed + earned)
        self._allowed_at_s = now_s
        if self._allowed < 1.0:
            self._listener.messages_dropped(1)
            return
        self._allowed -= 1.0
        self._listener.message_arrived(topic, payload)


async def _acknowledged(sent: "asyncio.Future[Any]", topic: str) -> Any:  # noqa: ANN401 - the SDK has no types
    """Return what the broker answered; raises AckTimeoutError or LinkDownError."""
    try:
        async with asyncio.timeout(ACK_TIMEOUT_S):
            return await sent
    except TimeoutError as error:
        raise AckTimeoutError(f"{topic}: no acknowledgement within {ACK_TIMEOUT_S} s") from error
    except exceptions.AwsCrtError as error:
        if error.name == "AWS_ERROR_MQTT_TIMEOUT":
            raise AckTimeoutError(f"{topic}: no acknowledgement in time") from error
        raise LinkDownError(f"{topic}: {error.name}") from error

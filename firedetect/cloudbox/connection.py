"""The cloud's one connection to the broker: awscrt MQTT 5, its threads kept out of the loop."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import structlog
from awscrt import mqtt5
from awscrt.exceptions import AwsCrtError
from awsiot import mqtt5_client_builder

from firedetect.cloudbox.authority import Credentials
from firedetect.errors import BoxError

CONNECT_LIMIT_S = 10.0
STOP_LIMIT_S = 5.0
ACKNOWLEDGE_LIMIT_S = 10.0
SUBSCRIBE_PAUSE_S = 1.0
"""Before a subscription that was not answered is tried again."""
KEEP_ALIVE_S = 20
PING_LIMIT_MS = 5000
RECONNECT_MS = (100, 2000)
SESSION_S = 3600
_FILTERS_A_TIME = 8
_UNKNOWN = 255
_NOT_REFUSED = 128
"""MQTT 5: every reason code below this is a success."""

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Received:
    """A message for us; it comes again after a reconnect unless `acknowledge` was called."""

    topic: str
    payload: bytes
    acknowledge: Callable[[], None]


class Connection:
    """A session at the broker that survives reconnects: what came meanwhile is delivered after.

    `hear` is called in the event loop, in the order of arrival. Subscriptions are made again
    when the broker has lost the session.
    """

    def __init__(
        self,
        client_id: str,
        host: str,
        port: int,
        credentials: Credentials,
        hear: Callable[[Received], None],
        *,
        acknowledge_limit_s: float = ACKNOWLEDGE_LIMIT_S,
    ) -> None:
        self._client_id = client_id
        self._hear = hear
        self._loop = asyncio.get_running_loop()
        self._acknowledge_limit_s = acknowledge_limit_s
        self._filters: list[str] = []
        self._session_lost = False
        self._connected = asyncio.Event()
        self._stopped = asyncio.Event()
        self._failure = ""
        self._again: set[asyncio.Task[None]] = set()
        low, high = RECONNECT_MS
        self._client: Any = mqtt5_client_builder.mtls_from_path(
            cert_filepath=str(credentials.certificate),
            pri_key_filepath=str(credentials.key),
            ca_filepath=str(credentials.ca),
            endpoint=host,
            port=port,
            connect_options=mqtt5.ConnectPacket(
                client_id=client_id,
                keep_alive_interval_sec=KEEP_ALIVE_S,
                session_expiry_interval_sec=SESSION_S,
            ),
            session_behavior=mqtt5.ClientSessionBehaviorType.REJOIN_ALWAYS,
            # The limits of AWS IoT Core are for clients: the cloud side does not throttle itself.
            extended_validation_and_flow_control_options=(
                mqtt5.ExtendedValidationAndFlowControlOptions.NONE
            ),
            offline_queue_behavior=(
                mqtt5.ClientOperationQueueBehaviorType.FAIL_NON_QOS1_PUBLISH_ON_DISCONNECT
            ),
            min_reconnect_delay_ms=low,
            max_reconnect_delay_ms=high,
            ping_timeout_ms=PING_LIMIT_MS,
            enable_metrics_collection=False,
            on_publish_received=self._on_publish,
            on_lifecycle_connection_success=self._on_connected,
            on_lifecycle_connection_failure=self._on_failure,
            on_lifecycle_disconnection=self._on_disconnected,
            on_lifecycle_stopped=lambda _data: self._in_loop(self._stopped.set),
        )

    async def start(self) -> None:
        """Connect; raises BoxError if that takes too long."""
        self._client.start()
        try:
            async with asyncio.timeout(CONNECT_LIMIT_S):
                await self._connected.wait()
        except TimeoutError:
            await self.stop()
            raise BoxError(
                f"{self._client_id}: no connection to the broker: {self._failure}"
            ) from None

    async def subscribe(self, filters: Sequence[str]) -> None:
        """Hear messages on these topics from now on, reconnects included."""
        new = [one for one in filters if one not in self._filters]
        self._filters += new
        await self._subscribe(new)
        if new == self._filters:
            self._session_lost = False

    async def publish(self, topic: str, payload: bytes) -> int:
        """Publish at QoS 1 and return the broker's reason code (0, or 16 if nobody listens).

        Waits through a short loss of the broker. Raises BoxError if it refuses or stays silent.
        """
        packet = mqtt5.PublishPacket(topic=topic, payload=payload, qos=mqtt5.QoS.AT_LEAST_ONCE)
        done = await self._finished(self._client.publish(packet), f"publish to {topic}")
        # None is a code that the SDK does not know, such as "packet too large".
        reason = _UNKNOWN if done.puback.reason_code is None else int(done.puback.reason_code)
        if reason >= _NOT_REFUSED:
            raise BoxError(f"the broker refuses to publish to {topic}: reason {reason}")
        return reason

    async def stop(self) -> None:
        """Disconnect; the broker keeps the session."""
        for task in tuple(self._again):
            task.cancel()
        self._client.stop()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOP_LIMIT_S):
                await self._stopped.wait()

    async def _subscribe(self, filters: Sequence[str]) -> None:
        for start in range(0, len(filters), _FILTERS_A_TIME):
            some = filters[start : start + _FILTERS_A_TIME]
            packet = mqtt5.SubscribePacket(
                subscriptions=[
                    mqtt5.Subscription(topic_filter=one, qos=mqtt5.QoS.AT_LEAST_ONCE)
                    for one in some
                ]
            )
            done = await self._finished(self._client.subscribe(packet), f"subscribe to {some}")
            refused = [int(code) for code in done.reason_codes if int(code) >= _NOT_REFUSED]
            if refused:
                raise BoxError(f"the broker refuses to subscribe to {some}: reason {refused[0]}")

    async def _finished(self, future: Future[Any], what: str) -> Any:  # noqa: ANN401 - awscrt's
        # Never cancelled from here: the SDK would fail in its own thread on a cancelled future.
        waiting: asyncio.Future[Any] = self._loop.create_future()
        future.add_done_callback(lambda done: self._in_loop(_settle, waiting, done))
        try:
            async with asyncio.timeout(self._acknowledge_limit_s):
                return await waiting
        except TimeoutError:
            raise BoxError(f"{what}: the broker does not answer") from None
        except AwsCrtError as error:
            raise BoxError(f"{what}: {error.name}") from error

    async def _subscribe_again(self) -> None:
        """Subscribe until it works or the link ends; the next connection tries it anew."""
        while self._connected.is_set():
            try:
                await self._subscribe(self._filters)
            except BoxError as error:
                _log.warning("not subscribed again", error=str(error))
                await asyncio.sleep(SUBSCRIBE_PAUSE_S)
            else:
                self._session_lost = False
                return

    def _in_loop(self, call: Callable[..., None], *args: object) -> None:
        # The loop may be closed while the last thread of the SDK says goodbye.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(call, *args)

    def _on_publish(self, data: Any) -> None:  # noqa: ANN401 - untyped SDK
        packet = data.publish_packet
        take = data.acquire_publish_acknowledgement_control
        handle = None if take is None else take()

        def acknowledge() -> None:
            # After a reconnect the old handle is void: the message comes again.
            with contextlib.suppress(AwsCrtError, RuntimeError):
                if handle is not None:
                    self._client.invoke_publish_acknowledgement(handle)

        self._in_loop(self._hear, Received(packet.topic, packet.payload or b"", acknowledge))

    def _on_connected(self, data: Any) -> None:  # noqa: ANN401 - untyped SDK
        self._in_loop(self._now_connected, bool(data.connack_packet.session_present))

    def _on_failure(self, data: Any) -> None:  # noqa: ANN401 - untyped SDK
        self._failure = str(getattr(data.exception, "name", data.exception))

    def _on_disconnected(self, _data: Any) -> None:  # noqa: ANN401 - untyped SDK
        self._in_loop(self._connected.clear)

    def _now_connected(self, session_present: bool) -> None:  # noqa: FBT001 - one call
        self._connected.set()
        for task in tuple(self._again):
            task.cancel()
        # A session that is found again may be one in which we never got to subscribe.
        self._session_lost = self._session_lost or not session_present
        if self._filters and self._session_lost:
            task = asyncio.create_task(self._subscribe_again(), name="cloud:subscribe")
            self._again.add(task)
            task.add_done_callback(self._again.discard)


def _settle(waiting: asyncio.Future[Any], done: Future[Any]) -> None:
    if waiting.done():
        return
    error = done.exception()
    if error is not None:
        waiting.set_exception(error)
    else:
        waiting.set_result(done.result())

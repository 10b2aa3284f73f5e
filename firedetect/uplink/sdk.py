"""Makes the MQTT 5 client of the AWS SDK; every default that is overridden has its reason here."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeAlias

from awscrt import auth, exceptions, io, mqtt5
from awsiot import mqtt5_client_builder

from firedetect.errors import UplinkError

KEEP_ALIVE_S = 20
"""The SDK's 1200 s would hide a pulled cable for 20 minutes."""
PING_TIMEOUT_S = 5
ACK_TIMEOUT_S = 10
CONNECT_TIMEOUT_S = 10
SESSION_EXPIRY_S = 3600
"""Receipts sent while the link is down arrive when it is back; AWS keeps a session for 1 h."""
RECONNECT_MIN_S = 0.5
RECONNECT_MAX_S = 8.0
STABLE_S = 20
"""Only a connection that lasted so long begins with the short pause again: no storm by flapping."""
TLS_FAILED = "TLS failed"
SdkClient: TypeAlias = mqtt5.Client
"""What the shadow, jobs and provisioning clients of the SDK are made with."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where to connect and who we are; without `ca` the system's authorities are trusted.

    Without a certificate the request is signed with the AWS credentials of the environment, over
    WebSockets: for operators, whose rights come from IAM. `receivers_reported` says whether the
    broker's "no matching subscribers" means that nobody got a message.
    """

    host: str
    port: int
    client_id: str
    certificate: Path | None
    key: Path | None
    ca: Path | None = None
    receivers_reported: bool = True


@dataclass(frozen=True, slots=True)
class Will:
    """What the broker publishes when the connection ends without a goodbye."""

    topic: str
    payload: bytes


class CallBacks(Protocol):
    """What the threads of the SDK call."""

    def received(self, data: mqtt5.PublishReceivedData) -> None:
        """A message came."""

    def connected(self, _data: mqtt5.LifecycleConnectSuccessData) -> None:
        """There is a connection."""

    def not_connected(self, data: mqtt5.LifecycleConnectFailureData) -> None:
        """There is no connection."""

    def disconnected(self, data: mqtt5.LifecycleDisconnectData) -> None:
        """The connection has ended."""

    def stopped(self, _data: mqtt5.LifecycleStoppedData) -> None:
        """The client has stopped."""


def new_client(endpoint: Endpoint, will: Will | None, hears: CallBacks) -> SdkClient:
    """Return a client that is not started yet; raises UplinkError for an unusable identity."""
    packet = mqtt5.ConnectPacket(
        client_id=endpoint.client_id,
        keep_alive_interval_sec=KEEP_ALIVE_S,
        session_expiry_interval_sec=SESSION_EXPIRY_S,
        will=_will(will),
    )
    options = mqtt5.ClientOptions(
        host_name=endpoint.host,
        port=endpoint.port,
        connect_options=packet,
        session_behavior=mqtt5.ClientSessionBehaviorType.REJOIN_ALWAYS,
        # The outbox owns the queue: the SDK's own is unbounded, in memory and lost at the end.
        offline_queue_behavior=mqtt5.ClientOperationQueueBehaviorType.FAIL_ALL_ON_DISCONNECT,
        retry_jitter_mode=mqtt5.ExponentialBackoffJitterMode.FULL,
        min_reconnect_delay_ms=round(RECONNECT_MIN_S * 1000),
        max_reconnect_delay_ms=round(RECONNECT_MAX_S * 1000),
        min_connected_time_to_reset_reconnect_delay_ms=STABLE_S * 1000,
        ping_timeout_ms=PING_TIMEOUT_S * 1000,
        connack_timeout_ms=CONNECT_TIMEOUT_S * 1000,
        ack_timeout_sec=ACK_TIMEOUT_S,
        socket_options=_socket_options(),
        on_publish_callback_fn=hears.received,
        on_lifecycle_event_stopped_fn=hears.stopped,
        on_lifecycle_event_connection_success_fn=hears.connected,
        on_lifecycle_event_connection_failure_fn=hears.not_connected,
        on_lifecycle_event_disconnection_fn=hears.disconnected,
    )
    # Extended validation stays at AWS_IOT_CORE_DEFAULTS: it keeps us below 100 publishes/s.
    shared = {
        "endpoint": endpoint.host,
        "client_options": options,
        "ca_filepath": None if endpoint.ca is None else str(endpoint.ca),
        "enable_metrics_collection": False,
    }
    try:
        if endpoint.certificate is None or endpoint.key is None:
            return mqtt5_client_builder.websockets_with_default_aws_signing(
                region=_region(endpoint.host),
                credentials_provider=auth.AwsCredentialsProvider.new_default_chain(),
                **shared,
            )
        return mqtt5_client_builder.mtls_from_path(
            str(endpoint.certificate), str(endpoint.key), **shared
        )
    except (exceptions.AwsCrtError, RuntimeError, OSError, ValueError) as error:
        raise UplinkError(
            f"{endpoint.certificate}, {endpoint.key}: cannot be used to connect: {error}"
        ) from error


def _region(host: str) -> str:
    """Return the region in the name of an AWS endpoint; raises UplinkError for any other."""
    parts = host.split(".")
    if len(parts) < 5 or "iot" not in parts[:-2]:
        raise UplinkError(f"{host}: is no AWS IoT endpoint, as AWS credentials need one")
    return parts[parts.index("iot") + 1]


def _will(will: Will | None) -> mqtt5.PublishPacket | None:
    if will is None:
        return None
    return mqtt5.PublishPacket(topic=will.topic, qos=mqtt5.QoS.AT_LEAST_ONCE, payload=will.payload)


def _socket_options() -> io.SocketOptions:
    options = io.SocketOptions()
    options.connect_timeout_ms = CONNECT_TIMEOUT_S * 1000
    return options


def reason_of(error: Exception | None, packet: object) -> str:
    """Return why there is no connection, as a person can use it."""
    code = getattr(packet, "reason_code", None)
    named = "" if code is None else code.name.lower().replace("_", " ")
    name = getattr(error, "name", "") or str(error or "")
    return ": ".join(part for part in (named, _EXPLAINED.get(name, name)) if part) or "lost"


_EXPLAINED = {
    "AWS_IO_TLS_ERROR_NEGOTIATION_FAILURE": f"{TLS_FAILED}: certificate authority, certificate or "
    "the wall clock is wrong",
    # In TLS 1.3 a broker refuses the certificate after we think that the handshake is done.
    "AWS_IO_TLS_ERROR_READ_FAILURE": f"{TLS_FAILED}: the endpoint does not take the certificate "
    "(expired, revoked, or of another authority)",
    "AWS_IO_DNS_QUERY_FAILED": "the name of the endpoint cannot be resolved",
    "AWS_IO_DNS_INVALID_NAME": "the name of the endpoint cannot be resolved",
    "AWS_IO_SOCKET_CONNECTION_REFUSED": "connection refused",
    "AWS_IO_SOCKET_CLOSED": "the connection was closed by the other side",
    "AWS_IO_SOCKET_TIMEOUT": "no answer from the endpoint",
    "AWS_ERROR_MQTT_CONNECTION_SHUTDOWN": "the broker ended the connection",
    # Some brokers do not say that they let a second client of the same name in.
    "AWS_ERROR_MQTT_UNEXPECTED_HANGUP": "the broker ended the connection; if again and again, "
    "another client may use this identity",
    "AWS_ERROR_MQTT5_PING_RESPONSE_TIMEOUT": "the broker no longer answers",
}

"""The cloud's connection at a broker that is slow to answer."""

import asyncio
import contextlib
import ssl

from firedetect.cloudbox.authority import Authority
from firedetect.cloudbox.connection import Connection
from tests.fakes.box import Heard, until

CONNACK = b"\x20\x03\x00\x00\x00"
CONNACK_WITH_SESSION = b"\x20\x03\x01\x00\x00"
CONNECT, SUBSCRIBE = 1, 8


class Broker:
    """Speaks as much MQTT 5 as a subscription needs; `deaf` subscriptions get no answer."""

    def __init__(self):
        self.deaf = 0
        self.subscriptions = []
        self.sessions = iter([CONNACK, CONNACK, CONNACK_WITH_SESSION])
        self._writers = []

    async def serve(self, reader, writer):
        self._writers.append(writer)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                kind, length = await reader.readexactly(2)
                while length & 0x80:
                    length = length & 0x7F | (await reader.readexactly(1))[0] << 7
                body = await reader.readexactly(length)
                if kind >> 4 == CONNECT:
                    writer.write(next(self.sessions))
                elif kind >> 4 == SUBSCRIBE:
                    self.subscriptions.append(body)
                    if self.deaf > 0:
                        self.deaf -= 1
                    else:
                        writer.write(b"\x90\x04" + body[:2] + b"\x00\x01")
        writer.close()

    def drop(self):
        self._writers.pop().transport.abort()


@contextlib.asynccontextmanager
async def running(folder):
    authority = Authority(folder / "ca")
    files = authority.server_certificate()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    # The client insists on being asked for its certificate.
    context.load_verify_locations(authority.ca)
    context.verify_mode = ssl.CERT_REQUIRED
    broker = Broker()
    server = await asyncio.start_server(broker.serve, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    connection = Connection(
        "cloud", "localhost", port, authority.issue("cloud"), Heard(), acknowledge_limit_s=0.2
    )
    await connection.start()
    try:
        yield broker, connection
    finally:
        await connection.stop()
        server.close()


async def test_a_lost_subscription_that_is_not_answered_is_tried_until_it_is(tmp_path):
    async with running(tmp_path) as (broker, connection):
        await connection.subscribe(["a/b"])
        assert len(broker.subscriptions) == 1
        broker.deaf = 1
        broker.drop()
        await until(lambda: len(broker.subscriptions) == 3, "another try")
        await until(lambda: not connection._again, "its end")
        assert broker.subscriptions[2].endswith(b"a/b\x01")


async def test_it_is_tried_again_in_a_session_that_never_had_it(tmp_path):
    async with running(tmp_path) as (broker, connection):
        await connection.subscribe(["a/b"])
        broker.deaf = 1
        broker.drop()
        await until(lambda: len(broker.subscriptions) == 2, "a try")
        broker.drop()
        await until(lambda: len(broker.subscriptions) == 3, "another try after the link came back")

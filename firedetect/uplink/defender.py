"""Device Defender's device-side metrics: open ports, connections, traffic, every five minutes.

Source: AWS IoT Device Defender developer guide, "Sending metrics from devices".
"""

import asyncio
import json
from typing import Any

import psutil
import structlog

from firedetect.clock import NS_PER_S, Clock
from firedetect.contract.names import defender_topic
from firedetect.uplink.beat import publish_once
from firedetect.uplink.link import Link
from firedetect.uplink.transport import Transport

REPORT_EVERY_S = 300.0
"""More often is refused by the service."""
_LISTED_MAX = 50

_log = structlog.get_logger()


async def send_metrics(thing: str, transport: Transport, link: Link, clock: Clock) -> None:
    """Report for ever while there is a link; a report that is lost is not sent again."""
    topic = defender_topic(thing)
    while True:
        await link.connected.wait()
        try:
            metrics = await asyncio.to_thread(metrics_of_this_machine)
        except (psutil.Error, OSError) as error:
            _log.warning("metrics of this machine cannot be read", error=str(error))
        else:
            header = {"report_id": clock.wall_ns() // NS_PER_S, "version": "1.0"}
            document = {"header": header, "metrics": metrics}
            await publish_once(transport, link, topic, json.dumps(document).encode())
        await asyncio.sleep(REPORT_EVERY_S)


def metrics_of_this_machine() -> dict[str, Any]:
    """Return ports that listen, established connections and traffic since boot; blocks."""
    tcp, udp, established = [], [], []
    for socket in psutil.net_connections(kind="inet"):
        port = {"interface": socket.laddr.ip, "port": socket.laddr.port} if socket.laddr else None
        if socket.status == psutil.CONN_ESTABLISHED and socket.raddr:
            remote = f"{socket.raddr.ip}:{socket.raddr.port}"
            established.append({"remote_addr": remote, "local_port": socket.laddr.port})
        elif port is not None and socket.status == psutil.CONN_LISTEN:
            tcp.append(port)
        elif port is not None and socket.type.name == "SOCK_DGRAM":
            udp.append(port)
    traffic = psutil.net_io_counters()
    return {
        "listening_tcp_ports": {"ports": tcp[:_LISTED_MAX], "total": len(tcp)},
        "listening_udp_ports": {"ports": udp[:_LISTED_MAX], "total": len(udp)},
        "tcp_connections": {
            "established_connections": {
                "connections": established[:_LISTED_MAX],
                "total": len(established),
            }
        },
        "network_stats": {
            "bytes_in": traffic.bytes_recv,
            "bytes_out": traffic.bytes_sent,
            "packets_in": traffic.packets_recv,
            "packets_out": traffic.packets_sent,
        },
    }

"""Device Defender's intake of device-side metrics: the report's shape, its rate, an answer.

Source: AWS IoT Device Defender developer guide, pages DetectMetricsMessages and
detect-device-side-metrics.
"""

from collections.abc import Sequence
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from firedetect.clock import NS_PER_S, Clock
from firedetect.cloudbox.wire import JsonObject, NotJsonError, Reply, decoded

REPORT_EVERY_S: Final = 300
_EARLY_S: Final = 10
"""A report may come so much early: two clocks are never equal."""

Count = Annotated[int, Field(ge=0)]
Port = Annotated[int, Field(ge=0, le=65_535)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class _Header(_Part):
    report_id: int
    version: Annotated[str, Field(pattern=r"^\d+\.\d+$")]


class _OpenPort(_Part):
    port: Port
    interface: str | None = None


class _Ports(_Part):
    ports: list[_OpenPort] = []
    total: Count | None = None


class _Traffic(_Part):
    bytes_in: Count | None = None
    bytes_out: Count | None = None
    packets_in: Count | None = None
    packets_out: Count | None = None


class _Connection(_Part):
    remote_addr: str
    local_interface: str | None = None
    local_port: Port | None = None


class _Established(_Part):
    connections: list[_Connection] = []
    total: Count | None = None


class _Connections(_Part):
    established_connections: _Established


class _Metrics(_Part):
    listening_tcp_ports: _Ports | None = None
    listening_udp_ports: _Ports | None = None
    network_stats: _Traffic | None = None
    tcp_connections: _Connections | None = None


class _Number(_Part):
    number: float


class _Numbers(_Part):
    number_list: list[float]


class _Strings(_Part):
    string_list: list[str]


class _Addresses(_Part):
    ip_list: list[str]


class _Report(_Part):
    header: _Header
    metrics: _Metrics
    custom_metrics: dict[str, list[_Number | _Numbers | _Strings | _Addresses]] = {}


Reason = Literal["InvalidPayload", "Throttled"]


class Defender:
    """Takes the metrics of every thing; nothing is judged by them here."""

    filters: Sequence[str] = ("$aws/things/+/defender/metrics/json",)

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last: dict[str, int] = {}

    async def answer(self, topic: str, payload: bytes) -> list[Reply]:
        """Accept a report, or say why not."""
        thing = topic.split("/")[2]
        now = self._clock.wall_ns() // NS_PER_S
        body: JsonObject = {"thingName": thing, "timestamp": now}
        try:
            raw = decoded(payload)
            header = raw.get("header")
            body["reportId"] = header.get("report_id") if isinstance(header, dict) else None
            _Report.model_validate(raw)
        except (UnicodeDecodeError, NotJsonError) as error:
            return [_rejected(topic, body, "InvalidPayload", str(error))]
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"]))
            return [_rejected(topic, body, "InvalidPayload", f"{place}: {first['msg']}")]
        before = self._last.get(thing)
        if before is not None and now - before < REPORT_EVERY_S - _EARLY_S:
            words = f"one report in {REPORT_EVERY_S} s is taken"
            return [_rejected(topic, body, "Throttled", words)]
        self._last[thing] = now
        return [Reply(f"{topic}/accepted", body | {"status": "ACCEPTED"})]


def _rejected(topic: str, body: JsonObject, code: Reason, message: str) -> Reply:
    details: JsonObject = {"ErrorCode": code, "ErrorMessage": message}
    return Reply(f"{topic}/rejected", body | {"status": "REJECTED", "statusDetails": details})

"""The local page's view and server: what it tells, to whom, and that it never waits for anybody."""

import asyncio
import base64
import json
import math
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest

from firedetect.clock import NS_PER_S, ManualClock
from firedetect.contract.level import Health, Level
from firedetect.contract.settings import Thresholds
from firedetect.decision.machine import AlarmState
from firedetect.decision.outcome import Outcome
from firedetect.errors import WebError
from firedetect.readings import FaultKind, Sensor, ThermalImage
from firedetect.web.server import WebServer
from firedetect.web.view import HISTORY_S, INVALID, Cursor, LiveView

PATIENCE_S = 20.0
BOOT_NS = 5_000 * NS_PER_S


def outcome(t_s: float, *, score: float = 0.1, level: Level = Level.NORMAL, **other) -> Outcome:
    features = {"gas_val": 401.0, "tproxy_val": 30.0, "t_max": math.nan}
    given: dict[str, Any] = {
        "current": level,
        "reasons": (),
        "incident_id": None,
        "health": Health.OK,
        "troubles": (),
        "alarm": AlarmState.CLEAR,
        "model": "2026.1",
        "event_id": None,
        "features": features,
    }
    given.update(other)
    return Outcome(
        t_ns=BOOT_NS + round(t_s * NS_PER_S),
        t_s=t_s,
        wall_ns=1_767_225_600 * NS_PER_S + round(t_s * NS_PER_S),
        level=level,
        score=score,
        **given,
    )


def picture(t_s: float = 0.0, shape: tuple[int, int] = (24, 32), fill: float = 21.5):
    return ThermalImage(BOOT_NS + round(t_s * NS_PER_S), np.full(shape, fill, np.float32))


def pixels(image: dict[str, Any]) -> np.ndarray:
    words = np.frombuffer(base64.b64decode(image["data"]), "<i2")
    return words.reshape(image["rows"], image["cols"])


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def view(clock) -> LiveView:
    return LiveView(clock)


@asynccontextmanager
async def serving(view: LiveView, **options) -> AsyncIterator[tuple[WebServer, str]]:
    server = WebServer(view, 0, **options)
    address = await server.start()
    try:
        yield server, address
    finally:
        await server.close()


@asynccontextmanager
async def page(view: LiveView, **options) -> AsyncIterator[aiohttp.ClientSession]:
    async with (
        serving(view, **options) as (_, address),
        aiohttp.ClientSession(address) as session,
        asyncio.timeout(PATIENCE_S),
    ):
        yield session


async def next_message(stream: aiohttp.ClientResponse) -> dict[str, Any]:
    while True:
        line = await stream.content.readline()
        assert line, "the stream ended"
        if line.startswith(b"data: "):
            return json.loads(line[6:])


# The view.


def test_before_any_outcome_nothing_is_known(view):
    assert view.record() is None
    assert view.outcome_age_s() is None
    assert view.silence() == "no outcome yet"
    assert view.state()["history"] == []


def test_newest_state_keeps_the_newest_score_and_says_of_when_it_is(view):
    view.outcome(outcome(1.0, score=0.3))
    late = outcome(2.5, score=math.nan, level=Level.ALERT, reasons=("H3",), features={})
    view.outcome(late)
    record = view.record()
    assert record["t_s"] == 2.5
    assert record["level"] == "alert"
    assert record["reasons"] == ["H3"]
    assert record["score"] == 0.3
    assert record["features"] == {"gas_val": 401.0, "tproxy_val": 30.0, "t_max": None}
    assert record["features_t_s"] == 1.0


def test_a_state_without_any_features_yet_is_shown(view):
    view.outcome(outcome(0.0, score=math.nan, health=Health.BLIND, features={}))
    record = view.record()
    assert record["health"] == "blind"
    assert record["score"] is None
    assert record["features_t_s"] is None


def test_a_vector_without_a_score_takes_the_old_score_away(view):
    view.outcome(outcome(1.0, score=0.3))
    view.outcome(outcome(2.0, score=math.nan))
    assert view.record()["score"] is None


def test_what_raised_the_score_is_told_while_the_score_is_a_reason(view):
    view.outcome(outcome(1.0))
    assert view.record()["because"] == ""
    parts = {"t_max": -0.5, "t_hot_area_pct": 2.0}
    raised = {"level": Level.ALERT, "reasons": ("score",)}
    view.outcome(outcome(2.0, **raised, contributions=parts))
    assert view.record()["because"] == "hot area (+2.0)"
    view.outcome(outcome(3.0, **raised))
    assert view.record()["because"] == "hot area (+2.0)"
    view.outcome(outcome(4.0, **raised, contributions={"gas_val": 1.0}))
    assert view.record()["because"] == "gas (+1.0)"
    view.outcome(outcome(5.0, level=Level.ALERT, reasons=("H3",)))
    assert view.record()["because"] == ""


def test_silence_has_a_limit(view, clock):
    view.outcome(outcome(1.0))
    clock.advance(4.9)
    assert view.silence() is None
    clock.advance(0.1)
    assert view.silence() == "no outcome for 5.0 s"
    assert view.state()["silence"] == "no outcome for 5.0 s"


def test_a_second_of_the_curves_keeps_its_highest_values(view):
    for t_s, score in ((7.0, 0.2), (7.25, 0.9), (7.5, math.nan), (7.75, 0.4)):
        view.outcome(outcome(t_s, score=score))
    view.outcome(outcome(9.0, score=math.nan, features={}))
    first, second = view.state()["history"]
    assert (first["t_s"], first["score"], first["gas"], first["hot_c"]) == (7, 0.9, 401.0, 30.0)
    assert (second["t_s"], second["score"], second["gas"]) == (9, None, None)


def test_history_is_bounded(view):
    for t_s in range(3 * HISTORY_S):
        view.outcome(outcome(float(t_s)))
    history = view.state()["history"]
    assert len(history) == HISTORY_S
    assert history[-1]["t_s"] == 3 * HISTORY_S - 1


def test_time_that_goes_back_starts_the_curves_anew(view):
    view.outcome(outcome(50.0))
    view.outcome(outcome(3.0))
    assert [point["t_s"] for point in view.state()["history"]] == [3]


def test_invalid_pixels_are_no_temperatures(view):
    temp_c = np.linspace(-40.0, 300.0, 768, dtype=np.float32).reshape(24, 32)
    temp_c[3, 4] = np.nan
    temp_c[5, 6] = np.inf
    temp_c[7, 8] = 900.0
    view.outcome(outcome(1.5))
    view.image(ThermalImage(BOOT_NS + 2 * NS_PER_S, temp_c))
    image = view.news(Cursor())["image"]
    words = pixels(image)
    assert image["t_s"] == 2.0
    assert words[3, 4] == words[5, 6] == INVALID
    assert words[7, 8] == 32767
    rest = words != INVALID
    rest[7, 8] = False
    assert np.allclose(words[rest] / 100.0, temp_c[rest], atol=0.0051)


def test_a_client_is_told_only_what_is_new_but_hears_every_second(view, clock):
    cursor = Cursor()
    assert view.news(cursor)["record"] is None
    assert view.news(cursor) is None
    view.image(picture())
    assert "image" in view.news(cursor)
    view.outcome(outcome(1.0))
    news = view.news(cursor)
    assert "image" not in news
    assert [point["t_s"] for point in news["history"]] == [1]
    clock.advance(0.9)
    assert view.news(cursor) is None
    clock.advance(0.1)
    assert view.news(cursor)["image_age_s"] == 1.0


def test_a_client_that_missed_much_gets_every_point_and_the_newest_image_only(view):
    cursor = Cursor()
    view.outcome(outcome(1.0, score=0.1))
    view.news(cursor)
    view.outcome(outcome(1.5, score=0.6))
    for t_s in range(2, 40):
        view.outcome(outcome(float(t_s)))
        view.image(picture(t_s, fill=float(t_s)))
    news = view.news(cursor)
    assert [point["t_s"] for point in news["history"]] == list(range(1, 40))
    assert news["history"][0]["score"] == 0.6
    assert pixels(news["image"])[0, 0] == 3900


def test_the_default_clock_is_the_machines():
    view = LiveView(thresholds=Thresholds(alert=0.65))
    view.outcome(outcome(1.0))
    assert 0.0 <= view.outcome_age_s() < PATIENCE_S
    assert view.state()["thresholds"]["alert"] == 0.65


# The server.


async def test_stream_delivers_image_record_and_changes(view):
    temp_c = np.full((24, 32), 20.0, np.float32)
    temp_c[2, 30] = 123.45
    temp_c[0, 0] = np.nan
    view.image(ThermalImage(BOOT_NS, temp_c))
    view.outcome(outcome(4.0, level=Level.ALERT, reasons=("score",)))
    async with page(view, period_s=0.01) as session, session.get("/api/stream") as stream:
        assert stream.content_type == "text/event-stream"
        first = await next_message(stream)
        assert first["record"]["level"] == "alert"
        assert first["thresholds"]["emergency"] == 0.8
        words = pixels(first["image"])
        assert words.shape == (24, 32)
        assert words[2, 30] == 12345
        assert words[0, 0] == INVALID
        view.outcome(outcome(5.0, level=Level.EMERGENCY))
        second = await next_message(stream)
        assert second["record"]["level"] == "emergency"
        assert "image" not in second
        view.image(picture(6.0, (120, 160)))
        third = await next_message(stream)
        assert pixels(third["image"]).shape == (120, 160)


async def test_stream_is_not_faster_than_its_period(view):
    clock = asyncio.get_running_loop().time
    async with page(view, period_s=0.1) as session, session.get("/api/stream") as stream:
        began = clock()
        for number in range(5):
            await next_message(stream)
            view.outcome(outcome(float(number)))
        assert clock() - began > 0.35


async def test_state_and_page_are_served_with_safe_headers(view):
    view.outcome(outcome(4.0))
    async with page(view) as session:
        for path, kind in (
            ("/", "text/html"),
            ("/static/page.js", "text/javascript"),
            ("/static/page.css", "text/css"),
            ("/static/icon.svg", "image/svg+xml"),
            ("/api/state", "application/json"),
            ("/healthz", "application/json"),
        ):
            async with session.get(path) as answer:
                assert (answer.status, answer.content_type) == (200, kind)
                assert answer.headers["Content-Security-Policy"].startswith("default-src 'none';")
                assert "unsafe" not in answer.headers["Content-Security-Policy"]
                assert answer.headers["X-Content-Type-Options"] == "nosniff"
                assert answer.headers["Referrer-Policy"] == "no-referrer"
                assert answer.headers["Cache-Control"] == "no-store"
        async with session.get("/api/state") as answer:
            state = await answer.json()
        assert state["record"]["level"] == "normal"
        assert [point["t_s"] for point in state["history"]] == [4]


async def test_the_page_comes_with_what_is_known(view):
    view.image(picture(4.0))
    view.outcome(outcome(4.0, score=0.5))
    async with page(view) as session, session.get("/") as answer:
        text = await answer.text()
    first = text.split('<script type="application/json" id="first">')[1].split("</script>")[0]
    known = json.loads(first)
    assert known["record"]["score"] == 0.5
    assert (known["image"]["rows"], known["image"]["cols"]) == (24, 32)


async def test_the_page_opens_before_anything_is_known(view):
    async with page(view) as session, session.get("/") as answer:
        text = await answer.text()
    assert '"record":null' in text


async def test_nothing_outside_the_page_is_served(view):
    async with page(view) as session:
        for path in ("/static/view.py", "/static/..%2fserver.py", "/static/", "/etc/passwd"):
            async with session.get(path) as answer:
                assert answer.status == 404
                assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200),
        ("127.0.0.1:8017", 200),
        ("localhost:8017", 200),
        ("LOCALHOST", 200),
        ("[::1]:8017", 200),
        ("detector.example", 403),
        ("127.0.0.1.example.org:8017", 403),
        ("localhost@example.org", 403),
        ("example.org#localhost", 403),
        ("[::1", 403),
        ("localhost:x", 403),
        ("192.168.1.5:8017", 403),
        ("", 403),
    ],
)
async def test_only_this_machines_own_names_are_answered(view, host, status):
    async with page(view) as session:
        for path in ("/", "/api/state"):
            async with session.get(path, headers={"Host": host}) as answer:
                assert answer.status == status


@pytest.mark.parametrize(
    ("site", "status"),
    [("same-origin", 200), ("none", 200), ("same-site", 403), ("cross-site", 403)],
)
async def test_pages_of_other_sites_read_nothing(view, site, status):
    async with page(view) as session:
        async with session.get("/api/state", headers={"Sec-Fetch-Site": site}) as answer:
            assert answer.status == status
        async with session.get("/", headers={"Sec-Fetch-Site": site}) as answer:
            assert answer.status == 200


@pytest.mark.fault("F75")
async def test_nothing_can_be_changed_through_the_page(view):
    async with page(view) as session:
        for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
            for path in ("/", "/api/state", "/api/stream", "/nowhere"):
                async with session.request(method, path) as answer:
                    assert answer.status == 405
                    assert set(answer.headers["Allow"].split(",")) == {"GET", "HEAD"}
        for path in ("/", "/api/state", "/api/stream"):
            async with session.head(path) as answer:
                assert answer.status == 200
                assert await answer.read() == b""


@pytest.mark.fault("F75")
async def test_only_loopback_listens(view):
    async with serving(view) as (_, address):
        assert address.startswith("http://127.0.0.1:")
        port = int(address.rpartition(":")[2])
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as channel:
            channel.settimeout(2.0)
            assert channel.connect_ex(("127.0.0.2", port)) != 0


async def test_healthz_speaks_of_now_only(view, clock):
    async with page(view) as session:

        async def health() -> tuple[int, dict[str, Any]]:
            async with session.get("/healthz") as answer:
                return answer.status, await answer.json()

        assert await health() == (503, {"ok": False, "reason": "no outcome yet"})
        view.outcome(outcome(1.0, health=Health.BLIND))
        assert await health() == (200, {"ok": True, "health": "blind", "outcome_age_s": 0.0})
        clock.advance(6.0)
        assert await health() == (503, {"ok": False, "reason": "no outcome for 6.0 s"})


async def test_port_in_use_is_one_clear_line(view):
    async with serving(view) as (_, address):
        port = int(address.rpartition(":")[2])
        second = WebServer(view, port)
        with pytest.raises(WebError, match=rf"port {port} .* is in use; set web\.port") as caught:
            await second.start()
        assert "\n" not in str(caught.value)
        await second.close()


@pytest.mark.fault("F75")
async def test_too_many_clients_are_refused_and_a_place_becomes_free_again(view):
    async with (
        serving(view, max_streams=2, period_s=0.01) as (server, address),
        aiohttp.ClientSession(address) as session,
        asyncio.timeout(PATIENCE_S),
    ):
        first = await session.get("/api/stream")
        second = await session.get("/api/stream")
        async with session.get("/api/stream") as third:
            assert third.status == 503
        async with session.get("/api/state") as answer:
            assert answer.status == 200
        second.close()
        await until(lambda: server.streams == 1, view)
        async with session.get("/api/stream") as fourth:
            assert fourth.status == 200
        first.close()


async def until(true, view: LiveView) -> None:
    """Let the loop work, with news for the clients, until something is `true`."""
    loop = asyncio.get_running_loop()
    end = loop.time() + PATIENCE_S
    number = 0
    while not true():
        number += 1
        view.image(picture(0.01 * number, (120, 160), fill=number % 300))
        assert loop.time() < end, "did not happen in time"
        await asyncio.sleep(0.005)


async def open_slow_client(address: str) -> socket.socket:
    channel = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    channel.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    channel.settimeout(0.0)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(channel, ("127.0.0.1", int(address.rpartition(":")[2])))
    await loop.sock_sendall(channel, b"GET /api/stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
    return channel


async def test_a_client_that_takes_nothing_is_let_go_and_holds_nobody(view):
    async with serving(view, period_s=0.01, write_limit_s=0.2) as (server, address):
        with await open_slow_client(address):
            await until(lambda: server.streams == 1, view)
            async with (
                asyncio.timeout(PATIENCE_S),
                aiohttp.ClientSession(address) as session,
                session.get("/api/stream") as stream,
            ):
                for _ in range(5):
                    view.outcome(outcome(1.0))
                    await next_message(stream)
            await until(lambda: server.streams == 0, view)


def first_pixels(stream: bytes) -> list[int]:
    """The first pixel of every image whose message has a successor, in centi-degrees."""
    mark = b'"data":"'
    heads = [text.partition(mark)[2][:8] for text in stream.split(b"data: ")[:-1] if mark in text]
    return [int.from_bytes(base64.b64decode(head)[:2], "little") for head in heads]


async def test_a_slow_client_misses_images_instead_of_seeing_old_ones(view):
    loop = asyncio.get_running_loop()
    async with serving(view, period_s=0.01, write_limit_s=PATIENCE_S) as (server, address):
        with await open_slow_client(address) as channel:
            await until(lambda: server.streams == 1, view)
            for number in range(100):
                view.image(picture(0.0, (120, 160), fill=number + 1.0))
                await asyncio.sleep(0.01)
            received = b""
            async with asyncio.timeout(PATIENCE_S):
                while 10_000 not in first_pixels(received):
                    received += await loop.sock_recv(channel, 1 << 20)
                    # News push the last image out of the way.
                    view.outcome(outcome(1.0))
    shown = first_pixels(received)
    assert shown[-1] == 10_000
    assert len(shown) < 30


async def test_close_lets_every_client_go(view):
    server = WebServer(view, 0, period_s=0.01)
    address = await server.start()
    async with aiohttp.ClientSession(address) as session, asyncio.timeout(PATIENCE_S):
        stream = await session.get("/api/stream")
        await next_message(stream)
        await server.close()
        assert server.streams == 0
        with pytest.raises(aiohttp.ClientError):
            await session.get("/api/state")
        stream.close()
    await server.close()


# The words.


def static(name: str) -> str:
    return files("firedetect.web").joinpath("static", name).read_text("utf-8")


@pytest.mark.parametrize("name", [level.label for level in Level])
def test_every_level_has_word_colour_and_shape(name):
    assert f"  {name}: " in static("words.js")
    assert f'[data-shown="{name}"] .level' in static("page.css")
    assert f'<symbol id="icon-{name}"' in static("index.html")


@pytest.mark.parametrize("name", [*FaultKind, *AlarmState])
def test_every_fault_and_alarm_state_has_words(name):
    text = static("words.js")
    assert f'"{name}": ' in text or f"  {name}: " in text


@pytest.mark.parametrize("name", [*Sensor, *Health, "score", "H1", "H2", "H3", "H4", "H5", "H6"])
def test_every_sensor_health_and_reason_has_words(name):
    assert f"  {name}: " in static("words.js")


def test_the_page_loads_nothing_from_elsewhere_and_calls_no_index_ppm():
    folder = Path(str(files("firedetect.web").joinpath("static")))
    for entry in folder.iterdir():
        text = entry.read_text("utf-8").replace("http://www.w3.org/2000/svg", "")
        assert "http:" not in text, entry.name
        assert "https:" not in text, entry.name
        assert "ppm" not in text.replace("CO₂, ppm", "").replace("co2_excess_ppm", ""), entry.name

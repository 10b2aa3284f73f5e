"""The page in a real browser: the fire is drawn where it burns, and old data never looks alive."""

import asyncio
import base64
import contextlib
import io
import json
import math
import os
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import matplotlib.image
import numpy as np
import pytest

from firedetect.clock import NS_PER_S, SystemClock
from firedetect.contract.level import Health, Level
from firedetect.decision.machine import AlarmState
from firedetect.decision.outcome import Outcome
from firedetect.readings import ThermalImage
from firedetect.web.server import WebServer
from firedetect.web.view import LiveView

pytestmark = pytest.mark.slow

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
)
START_LIMIT_S = 60.0
PATIENCE_S = 30.0
FRAME_S = 0.2


class Scene:
    """Ten minutes of a room that are over, and what it does now."""

    def __init__(self, *, fire: tuple[float, float] | None = None, **state: Any) -> None:
        self._rng = np.random.default_rng(7)
        self._fire = fire
        self._state = state
        self.seeing = True
        self.wall_ns = 1_767_268_800 * NS_PER_S

    def image(self, t_s: float) -> ThermalImage:
        """Two people, and a fire at the share of height and width that was given."""
        row, col = np.mgrid[0:24, 0:32].astype(np.float32)
        temp = 21.5 + 0.04 * row + self._rng.normal(0.0, 0.15, (24, 32))
        for at, rise in (((14.0 + math.sin(t_s), 8.0), 9.5), ((15.0, 22.0), 8.5)):
            temp += rise * np.exp(-(((row - at[0]) / 4.5) ** 2 + ((col - at[1]) / 2.2) ** 2))
        if self._fire is not None:
            height, width = self._fire[0] * 24, self._fire[1] * 32
            distance = ((row - height) / 2.6) ** 2 + ((col - width) / 2.2) ** 2
            temp += (230.0 + 15.0 * math.sin(7.0 * t_s)) * np.exp(-distance)
        temp[20, 3] = temp[21, 3] = np.nan
        return ThermalImage(round(t_s * NS_PER_S), temp.astype(np.float32))

    def outcome(self, t_s: float, ago_s: float = 0.0) -> Outcome:
        """The conclusion of a moment, `ago_s` before now."""
        given: dict[str, Any] = {
            "level": Level.NORMAL,
            "health": Health.OK,
            "troubles": (),
            "reasons": (),
            "alarm": AlarmState.CLEAR,
            "incident_id": None,
        }
        growth = 0.0
        if self._fire is not None:
            growth = 1.0 / (1.0 + math.exp((ago_s - 90.0) / 12.0))
        noise = float(self._rng.normal(0.0, 1.0))
        score = 0.03 + 0.9 * growth + 0.008 * abs(noise)
        if ago_s < 1.0 or growth > 0.9:
            given.update(self._state)
        given.setdefault("current", given["level"])
        features = {
            "t_max": 31.2 + 220.0 * growth,
            "tproxy_val": 30.0 + 180.0 * growth**2 + 0.3 * noise,
            "t_hot_area_pct": 4.0 * growth,
            "gas_val": 401.0 + noise + 85.0 * growth + 3.0 * math.sin(ago_s / 70.0),
            "co2_excess_ppm": math.nan,
        }
        if given["health"] is Health.BLIND:
            features = dict.fromkeys(features, math.nan)
            score = math.nan
        return Outcome(
            t_ns=round(t_s * NS_PER_S),
            t_s=t_s,
            wall_ns=self.wall_ns + round(t_s * NS_PER_S),
            score=score,
            model="2026.1",
            event_id=None,
            features=features,
            **given,
        )

    def past(self, view: LiveView, now_s: float = 600.0) -> None:
        """Tell the ten minutes before now, with a gap."""
        for second in range(600):
            ago_s = 600.0 - second
            if not 330.0 < ago_s < 360.0:
                view.outcome(self.outcome(now_s - ago_s, ago_s))

    async def play(self, view: LiveView) -> None:
        """Go on living in real time."""
        clock = SystemClock()
        began_ns = clock.monotonic_ns()
        while True:
            t_s = 600.0 + (clock.monotonic_ns() - began_ns) / NS_PER_S
            if self.seeing:
                view.image(self.image(t_s))
            view.outcome(self.outcome(t_s))
            await asyncio.sleep(FRAME_S)


class Browser:
    """One tab, spoken to over the debugging protocol."""

    def __init__(self, channel: aiohttp.ClientWebSocketResponse) -> None:
        self._channel = channel
        self._number = 0

    async def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """Send a command and return its result."""
        self._number += 1
        await self._channel.send_json({"id": self._number, "method": method, "params": params})
        while True:
            answer = await self._channel.receive_json(timeout=PATIENCE_S)
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return answer["result"]

    async def size(self, width: int, height: int, *, scheme: str = "light") -> None:
        """Make the window so large, and light or dark."""
        await self.ask(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        media = [
            {"name": "prefers-color-scheme", "value": scheme},
            {"name": "prefers-reduced-motion", "value": "reduce"},
        ]
        await self.ask("Emulation.setEmulatedMedia", features=media)

    async def value(self, script: str) -> Any:
        """Return the value of an expression, or of the promise that it is."""
        answer = await self.ask(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    async def until(self, condition: str) -> None:
        """Wait until `condition` is true in the page."""
        script = f"""new Promise((done) => {{
            const wait = setInterval(() => {{
                if ({condition}) {{ clearInterval(wait); done(true); }}
            }}, 50);
        }})"""
        try:
            async with asyncio.timeout(PATIENCE_S):
                await self.value(script)
        except TimeoutError:
            pytest.fail(f"never became true: {condition}")

    async def text(self, name: str) -> str:
        """Return the text of the element with this id."""
        return str(await self.value(f"document.getElementById({json.dumps(name)}).innerText"))

    async def screenshot(self, *, whole: bool = False) -> bytes:
        """Return the window, or the whole page, as PNG."""
        answer = await self.ask("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        return base64.b64decode(answer["data"])

    async def canvas(self, name: str) -> np.ndarray:
        """Return what a screenshot shows where a canvas is: rows, columns, RGB from 0 to 1."""
        box = await self.value(
            f"document.getElementById({json.dumps(name)}).getBoundingClientRect().toJSON()"
        )
        shot = matplotlib.image.imread(io.BytesIO(await self.screenshot()), format="png")
        top, left = round(box["top"]), round(box["left"])
        return shot[top : top + round(box["height"]), left : left + round(box["width"]), :3]


def find_browser() -> str:
    """Return the path of a browser; without one skip, but fail where the project is checked."""
    for name in BROWSERS:
        path = shutil.which(name)
        if path:
            return path
    if os.environ.get("CI") == "true":
        pytest.fail("no browser: install chromium")
    pytest.skip("no browser: install chromium")


@asynccontextmanager
async def browsing(address: str, folder: Path) -> AsyncIterator[Browser]:
    """Start a browser of its own, open the page, end the browser again."""
    running = await asyncio.create_subprocess_exec(
        find_browser(),
        *FLAGS,
        f"--user-data-dir={folder}",
        "about:blank",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        port = await debugging_port(folder / "DevToolsActivePort", running)
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
            async with session.get("/json/list") as answer:
                tabs = await answer.json()
            tab = next(tab for tab in tabs if tab["type"] == "page")
            async with session.ws_connect(tab["webSocketDebuggerUrl"], max_msg_size=0) as channel:
                browser = Browser(channel)
                await browser.size(1280, 1150)
                await browser.ask("Page.navigate", url=address)
                yield browser
    finally:
        with contextlib.suppress(ProcessLookupError):
            running.terminate()
        await asyncio.wait_for(running.wait(), PATIENCE_S)
        shutil.rmtree(folder, ignore_errors=True)


def port_in(told: Path) -> int | None:
    lines = told.read_text("utf-8").splitlines() if told.exists() else []
    return int(lines[0]) if len(lines) >= 2 else None


async def debugging_port(told: Path, running: asyncio.subprocess.Process) -> int:
    """Wait until the browser has written where it listens."""
    async with asyncio.timeout(START_LIMIT_S):
        while True:
            assert running.returncode is None, "the browser ended"
            port = port_in(told)
            if port is not None:
                return port
            await asyncio.sleep(0.05)


@asynccontextmanager
async def showing(scene: Scene, folder: Path) -> AsyncIterator[tuple[Browser, WebServer]]:
    """A living scene, its page, and a browser that looks at it."""
    view = LiveView()
    scene.past(view)
    life = asyncio.create_task(scene.play(view))
    server = WebServer(view, 0)
    address = await server.start()
    try:
        async with browsing(address, folder) as browser:
            yield browser, server
    finally:
        life.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await life
        await server.close()


def shown(level: str) -> str:
    return f"document.body?.dataset.shown === '{level}'"


LIVE = "document.getElementById('frame')?.dataset.state === 'live'"

BURNING: dict[str, Any] = {
    "level": Level.EMERGENCY,
    "reasons": ("score", "H3"),
    "alarm": AlarmState.SOUNDING,
    "incident_id": "kitchen-3-17",
    "contributions": {"t_hot_area_pct": 2.06, "gas_vel": -1.0, "tproxy_vel": 1.3},
}


def brightest(picture: np.ndarray, share: float = 0.01) -> tuple[float, float]:
    """Where the brightest pixels are, as shares of height and width."""
    light = picture.mean(axis=2)
    rows, cols = np.nonzero(light >= np.quantile(light, 1.0 - share))
    return float(np.median(rows)) / light.shape[0], float(np.median(cols)) / light.shape[1]


@pytest.mark.parametrize("place", [(0.25, 0.75), (0.8, 0.2)])
async def test_a_fire_is_drawn_where_it_burns_and_the_level_is_said(tmp_path, place):
    async with showing(Scene(fire=place, **BURNING), tmp_path) as (browser, _):
        await browser.until(f"{shown('emergency')} && {LIVE}")
        row, col = brightest(await browser.canvas("thermal"))
        assert row == pytest.approx(place[0], abs=0.08)
        assert col == pytest.approx(place[1], abs=0.08)
        assert await browser.text("level-word") == "Emergency"
        reasons = await browser.text("reasons")
        assert "H3: hot area grows" in reasons
        assert "mostly because of: hot area (+2.1), rise of the hot spot (+1.3)" in reasons
        assert "sounding" in await browser.text("alarm")
        assert await browser.text("incident") == "kitchen-3-17"
        assert "Emergency" in await browser.value("document.title")
        assert "Emergency" in await browser.value("document.getElementById('spoken').textContent")


async def test_people_do_not_look_like_fire(tmp_path):
    async with showing(Scene(), tmp_path) as (browser, _):
        await browser.until(f"{shown('normal')} && {LIVE}")
        assert await browser.text("level-word") == "Normal"
        picture = await browser.canvas("thermal")
        # Yellow of the scale: much red and green, little blue.
        flame = (picture[..., 0] > 0.9) & (picture[..., 1] > 0.6) & (picture[..., 2] < 0.6)
        assert flame.mean() < 0.001
        bar = await browser.canvas("bar")
        assert ((bar[..., 0] > 0.9) & (bar[..., 1] > 0.6) & (bar[..., 2] < 0.6)).any()


async def test_hovering_reads_a_pixel(tmp_path):
    async with showing(Scene(), tmp_path) as (browser, _):
        await browser.until(LIVE)
        before = (await browser.canvas("thermal"))[:60, :100]
        box = await browser.value(
            "document.getElementById('thermal').getBoundingClientRect().toJSON()"
        )
        x, y = box["left"] + 30.0, box["top"] + 30.0
        await browser.ask("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
        after = (await browser.canvas("thermal"))[:60, :100]
        assert (np.abs(after - before) > 0.5).any(axis=2).sum() > 200


async def test_a_picture_that_stops_is_marked_stale(tmp_path):
    scene = Scene()
    async with showing(scene, tmp_path) as (browser, _):
        await browser.until(LIVE)
        scene.seeing = False
        await browser.until("document.getElementById('frame').dataset.state === 'stale'")
        assert "Image stopped" in await browser.text("stale")
        picture = await browser.canvas("thermal")
        assert np.abs(picture[..., 0] - picture[..., 2]).max() < 0.15, "still has colours"
        assert await browser.text("level-word") == "Normal"


async def test_a_blind_detector_never_says_normal(tmp_path):
    blind = {"health": Health.BLIND, "troubles": ("gas:no-answer", "thermal:stale", "model:none")}
    scene = Scene(**blind)
    scene.seeing = False
    async with showing(scene, tmp_path) as (browser, _):
        await browser.until(shown("blind"))
        assert await browser.text("level-word") == "Blind"
        troubles = await browser.text("troubles")
        assert "Thermal array: has stopped delivering" in troubles
        assert "Gas board: does not answer" in troubles
        assert await browser.text("score") == "no score"
        assert "normal" not in (await browser.text("level")).lower()


async def test_a_lost_connection_is_said_within_three_seconds_and_mended(tmp_path):
    scene = Scene(fire=(0.3, 0.3), **BURNING)
    view = LiveView()
    scene.past(view)
    server = WebServer(view, 0)
    address = await server.start()
    life = asyncio.create_task(scene.play(view))
    clock: Callable[[], float] = asyncio.get_running_loop().time
    try:
        async with browsing(address, tmp_path) as browser:
            await browser.until(shown("emergency"))
            began = clock()
            await server.close()
            await browser.until(shown("lost"))
            assert clock() - began < 3.0
            assert "No connection to the detector" in await browser.text("level-word")
            assert "Last known level: emergency" in await browser.text("level-line")
            assert await browser.value("document.getElementById('frame').dataset.state") == "stale"
            server = WebServer(view, int(address.rpartition(":")[2]))
            await server.start()
            await browser.until(f"{shown('emergency')} && {LIVE}")
    finally:
        life.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await life
        await server.close()


async def test_a_connection_that_is_open_but_silent_counts_as_lost(tmp_path):
    view = LiveView()
    Scene().past(view)
    server = WebServer(view, 0, period_s=600.0)
    address = await server.start()
    clock: Callable[[], float] = asyncio.get_running_loop().time
    try:
        async with browsing(address, tmp_path) as browser:
            await browser.until(shown("normal"))
            began = clock()
            await browser.until(shown("lost"))
            assert clock() - began < 3.0
    finally:
        await server.close()


async def test_a_detector_that_does_not_judge_is_no_data(tmp_path):
    view = LiveView()
    server = WebServer(view, 0)
    address = await server.start()
    try:
        async with browsing(address, tmp_path) as browser:
            await browser.until("document.getElementById('link-text')?.innerText.includes('wait')")
            assert await browser.text("level-word") == "No data"
            view.outcome(Scene().outcome(1.0))
            await browser.until(shown("normal"))
            await browser.until(shown("none"))
            assert "Last known level: normal" in await browser.text("level-line")
            assert await browser.text("health") != "ok"
    finally:
        await server.close()


@pytest.mark.parametrize("width", [360, 768, 1280])
async def test_the_page_fits_its_window(tmp_path, width):
    async with showing(Scene(fire=(0.5, 0.5), **BURNING), tmp_path) as (browser, _):
        await browser.size(width, 800)
        await browser.until(f"{shown('emergency')} && {LIVE}")
        assert await browser.value("document.documentElement.scrollWidth") <= width

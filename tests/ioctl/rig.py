"""The program as a user starts it, on a bus that another process emulates."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from firedetect.daemon.control import ask
from firedetect.errors import ControlError
from tests.daemon.helpers import environment
from tests.ioctl.chips import COUNTS

ROOT = Path(__file__).parents[2]
START_LIMIT_S = 180.0
"""Generous: a busy machine compiles and imports slowly."""
SETTLE_S = 100.0
"""The CO2 sensor alone may take 5 s to be tried again, 2 s to open and 5 s to measure.

The trouble of a disk that was slow once, as on a busy machine, lasts a minute.
"""

GAS_FILE = "[gas]\nno2 = {}\nc2h5oh = {}\nvoc = {}\nco = {}\n".format(*COUNTS)
CONFIG = """
[device]
data_dir = "var"
[gas]
calibration = "gas.toml"
[co2]
enabled = true
[air]
enabled = true
[web]
port = 0
"""


def wait_until(holds, limit_s, what):
    """Look until `holds` returns something true, and return it."""
    end = time.monotonic() + limit_s
    while True:
        found = holds()
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {limit_s:g} s")
        time.sleep(0.02)


class Chips:
    """The process of the chips; calling it does something to them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.ioctl.chips", str(self.folder)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
        )
        wait_until(self._answers, START_LIMIT_S, "the chips answer")

    def __call__(self, order, **details):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as channel:
            channel.settimeout(10.0)
            channel.connect(str(self.folder / "control"))
            channel.sendall(json.dumps({"do": order, **details}).encode() + b"\n")
            return json.loads(channel.makefile("rb").readline())

    def stop(self) -> None:
        """Let the process stand still, in the middle of whatever it does."""
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()

    def _answers(self) -> bool:
        if self.process.poll() is not None:
            raise AssertionError("the chips have ended")
        with contextlib.suppress(OSError):
            self("pending")
            return True
        return False


class Detector:
    """A running `firedetect run --json`; `outcomes` are (monotonic s, outcome) as they came."""

    def __init__(self, folder: Path, shim: Path, bus: Path, *arguments, env=None) -> None:
        (folder / "firedetect.toml").write_text(CONFIG)
        (folder / "gas.toml").write_text(GAS_FILE)
        self.folder = folder
        self.outcomes = []
        self.log = folder / "log.txt"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "firedetect.cli", "run", "--json", "--cloud", "off"),
                    *("--config", "firedetect.toml", *arguments),
                ],
                cwd=folder,
                env=environment({"LD_PRELOAD": str(shim), "I2C_SHIM_DIR": str(bus)} | (env or {})),
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        self.pid = self.process.pid
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in self.process.stdout:
            self.outcomes.append((time.monotonic(), json.loads(line)))

    @property
    def now(self):
        """The last outcome, empty before the first."""
        return self.outcomes[-1][1] if self.outcomes else {}

    def since(self, t_s):
        return [(at, outcome) for at, outcome in self.outcomes if at >= t_s]

    def first(self, t_s, fits, limit_s, what):
        """Return how long after `t_s` the first outcome came that fits."""

        def look():
            assert self.process.poll() is None, self.log.read_text()
            return next(((at,) for at, one in self.since(t_s) if fits(one)), None)

        try:
            return wait_until(look, limit_s, what)[0] - t_s
        except AssertionError as late:
            raise AssertionError(f"{late}; last: {brief(self.now)}") from None

    def healthy(self, t_s, limit_s=SETTLE_S):
        """Return how long after `t_s` an image was judged and nothing was wrong."""
        return self.first(t_s, is_well, limit_s, "all is well")

    def answers_within_s(self):
        """Return how long the loop takes to answer a question."""
        begin = time.monotonic()
        self.status()
        return time.monotonic() - begin

    def status(self):
        return ask(self.folder / "var" / "control.sock", {"do": "status"})

    def command(self, what):
        with contextlib.suppress(ControlError):
            ask(self.folder / "var" / "control.sock", {"do": what})

    def threads(self):
        return sum(1 for _ in Path(f"/proc/{self.pid}/task").iterdir())

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        code = self.end()
        assert kind is not None or code == 0

    def end(self):
        """End it as systemd does and return the exit code."""
        self.process.terminate()
        try:
            return self.process.wait(START_LIMIT_S)
        finally:
            self.process.kill()
            self._reader.join()
            self.process.stdout.close()


def sees(outcome):
    """Whether this is the judgement of an image."""
    return outcome["score"] is not None and outcome["features"]["t_mean"] is not None


def is_well(outcome):
    return outcome["health"] == "ok" and not outcome["troubles"] and sees(outcome)


def brief(outcome):
    return {k: v for k, v in outcome.items() if k not in ("features", "contributions")}


def compiled(source: Path, target: Path) -> Path:
    """Compile the shim; a machine of ours that cannot is a failure, another one skips."""
    if shutil.which("gcc") is None:
        say = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        say("needs gcc: scripts/system-packages build-essential")
    command = ["gcc", "-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]
    subprocess.run([*command, "-pthread", "-o", str(target), str(source)], check=True)
    return target

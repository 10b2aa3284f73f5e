"""What befalls the program as a process: killed, stopped, starved, short of everything."""

import json
import os
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from firedetect.contract.level import Level
from firedetect.daemon.control import ask
from firedetect.errors import ControlError
from tests.daemon.helpers import Daemon, environment, firedetect
from tests.daemon.test_process import SENSITIVE, outbox
from tests.test_firmware_config import FOLDER, lines

pytestmark = pytest.mark.slow

KILLS = 12
STARTED_WITHIN_S = 60.0
"""The limits are those of a Pi at rest; a busy test machine gets a wide margin."""
WATCHDOG_S = 8.0
FOUR = range(4)
LAG_LIMIT_S = 5.0


def look(daemon):
    """Return the status, None while nobody answers."""
    try:
        return ask(daemon.cwd / "var" / "control.sock", {"do": "status"})
    except ControlError:
        return None


def until(found, what, limit_s=STARTED_WITHIN_S):
    end = time.monotonic() + limit_s
    while not (value := found()):
        assert time.monotonic() < end, f"not within {limit_s} s: {what}"
        time.sleep(0.05)
    return value


def judged(daemon):
    """Return the newest outcome once an image was judged in this life."""
    status = look(daemon)
    outcome = status and status["outcome"]
    return outcome if outcome and outcome["features"].get("t_max") is not None else None


@pytest.mark.fault("F32")
def test_killed_at_any_instant_it_goes_on_with_the_alarm_and_loses_nothing(tmp_path, say):
    with Daemon(tmp_path, "--simulate", "waste-bin", env=SENSITIVE) as daemon:
        daemon.wait_for("-> alert")
        incident = daemon.status()["outcome"]["incident_id"]
        daemon.kill()
    sent = {event_id for event_id, _, _ in outbox(tmp_path)}
    rng = np.random.default_rng(32)
    for _ in range(KILLS):
        with Daemon(tmp_path, "--simulate", "quiet-room", env=SENSITIVE) as daemon:
            # Within the start, too.
            time.sleep(rng.uniform(0.0, 6.0))
            daemon.kill()
        with sqlite3.connect(tmp_path / "var" / "firedetect.db") as db:
            assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        db.close()
        now = {event_id for event_id, _, _ in outbox(tmp_path)}
        assert sent <= now
        sent = now
    began = time.monotonic()
    with Daemon(tmp_path, "--simulate", "quiet-room", env=SENSITIVE) as daemon:
        outcome = until(lambda: judged(daemon), "an image is judged")
        took_s = time.monotonic() - began
        assert outcome["incident_id"] == incident
        assert outcome["latched"]
        assert Level.from_label(outcome["level"]) >= Level.ALERT
        assert not any(trouble.startswith("database") for trouble in outcome["troubles"])
    say(f"killed {KILLS + 1} times; an image is judged {took_s:.1f} s after the start (limit 5)")


@pytest.mark.fault("F33")
def test_a_stopped_detector_is_not_fed_and_detects_again_after_its_restart(tmp_path, say):
    address = tmp_path / "notify.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(address))
        manager.settimeout(STARTED_WITHIN_S)
        env = {"NOTIFY_SOCKET": str(address), "WATCHDOG_USEC": str(round(WATCHDOG_S * 1e6))}
        with Daemon(tmp_path, "--simulate", "quiet-room", env=env) as daemon:
            while manager.recv(64) != b"WATCHDOG=1":
                pass
            daemon.process.send_signal(signal.SIGSTOP)
            manager.settimeout(WATCHDOG_S)
            # What was said just before it stopped still lies there.
            assert heard_until_silence(manager) <= 1
            # As systemd does now.
            daemon.kill()
        killed = time.monotonic()
        with Daemon(tmp_path, "--simulate", "quiet-room", env=env) as daemon:
            until(lambda: judged(daemon), "an image is judged")
            say(f"stopped: killed after {WATCHDOG_S:.0f} s, an image is judged "
                f"{time.monotonic() - killed:.1f} s later (limit 15)")  # fmt: skip


def heard_until_silence(manager):
    """Return how many messages came before none did for the manager's time-out."""
    for count in range(10):
        try:
            manager.recv(64)
        except TimeoutError:
            return count
    return 10


@pytest.mark.fault("F33", "F34", "F36")
def test_the_service_manager_starts_it_again_whatever_it_dies_of():
    unit = dict(line.split("=", 1) for line in lines("firedetect.service") if "=" in line)
    assert (unit["Restart"], unit["RestartSec"]) == ("always", "1")
    # No number of failures is the last one.
    assert unit["StartLimitIntervalSec"] == "0"
    assert float(unit["WatchdogSec"]) == WATCHDOG_S
    assert unit["MemoryMax"].endswith("M")


@pytest.mark.fault("F36")
def test_a_fire_leaves_a_quarter_of_the_memory_that_the_unit_allows(tmp_path, say):
    unit = (FOLDER / "firedetect.service").read_text()
    allowed_mb = int(unit.split("MemoryMax=")[1].split("M")[0])
    with Daemon(tmp_path, "--simulate", "waste-bin", env=SENSITIVE) as daemon:
        daemon.wait_for("-> alert")
        status = Path(f"/proc/{daemon.process.pid}/status").read_text()
        peak_mb = int(status.split("VmHWM:")[1].split()[0]) / 1024
    say(f"{peak_mb:.0f} MB at most in a fire, {allowed_mb} MB are allowed")
    assert peak_mb < 0.75 * allowed_mb


@pytest.mark.fault("F37")
def test_beside_four_busy_loops_a_fire_is_found_and_falling_behind_is_said(tmp_path, say):
    outcomes, arrived_s = [], []
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in FOUR]
    try:
        command = ["run", "--simulate", "waste-bin", "--json", "--duration", "75"]
        run = subprocess.Popen(
            [sys.executable, "-m", "firedetect.cli", *command],
            cwd=tmp_path, env=environment(), text=True,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip

        def read():
            for line in run.stdout:
                arrived_s.append(time.monotonic())
                outcomes.append(json.loads(line))

        reader = threading.Thread(target=read)
        reader.start()
        assert run.wait(300.0) == 0
        reader.join()
        run.stdout.close()
    finally:
        for one in busy:
            one.kill()
            one.wait()
    assert outcomes[-1]["level"] == "emergency"
    lags_s = np.array(arrived_s) - [outcome["t_s"] for outcome in outcomes]
    lags_s -= lags_s.min()
    told = any(t.startswith("late") for outcome in outcomes for t in outcome["troubles"])
    say(f"four busy loops: outcomes {np.quantile(lags_s, 0.99):.2f} s late at most (p99 of "
        f"{len(outcomes)}), trouble {'told' if told else 'not needed'}")  # fmt: skip
    assert told or lags_s.max() < 2.0 * LAG_LIMIT_S


@pytest.mark.fault("F75")
def test_a_thousand_wrong_requests_change_nothing(tmp_path, say):
    with Daemon(tmp_path, "--simulate", "quiet-room") as daemon:
        daemon.wait_for("no trouble")
        path = tmp_path / "var" / "control.sock"
        # Whoever is neither the service nor of its group gets no answer at all.
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        began = time.monotonic()
        wrong = [{"do": "reset!"}, {"do": None}, {}, {"do": "silence", "duration_s": "x"}, []]
        refused = 0
        for number in range(1000):
            try:
                ask(path, wrong[number % len(wrong)])
            except ControlError:
                refused += 1
        took_s = time.monotonic() - began
        after = look(daemon)
        assert refused == 1000
        # Readings go on, and none of them is late.
        until(lambda: look(daemon)["processed"] > after["processed"] + 20, "readings")
        outcome = look(daemon)["outcome"]
        assert (outcome["level"], outcome["alarm"]) == ("normal", "clear")
        assert not any(trouble.startswith(("late", "task")) for trouble in outcome["troubles"])
        assert daemon.stop() == 0
    say(f"1000 wrong requests refused in {took_s:.1f} s, readings went on")


@pytest.mark.fault("F34")
def test_a_damaged_cache_of_kernels_does_not_keep_it_from_detecting(tmp_path):
    env = {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    assert firedetect("warmup", cwd=tmp_path, env=env, timeout_s=300.0).returncode == 0
    spoiled = sorted((tmp_path / "cache").rglob("*.nb?"))
    # What a power cut leaves, what a worn card makes of it; the file after it stays whole.
    for path in spoiled[::3]:
        path.write_bytes(b"")
    for path in spoiled[1::3]:
        path.write_bytes(path.read_bytes()[:-100] + os.urandom(100))
    done = firedetect(
        "run", "--simulate", "quiet-room", "--duration", "3", "--json",
        cwd=tmp_path, env=env, timeout_s=300.0,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-500:]
    assert any(json.loads(line)["features"].get("t_max") for line in done.stdout.splitlines())
    assert "kernels were not in the cache" in done.stderr

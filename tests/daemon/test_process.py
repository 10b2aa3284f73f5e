"""The program as a process: start, alarm, kill -9, restart, commands, refusals, clean end."""

import json
import socket
import sqlite3
import time

import pytest

from tests.daemon.helpers import Daemon, environment, firedetect

pytestmark = pytest.mark.slow

SENSITIVE = {
    "FIREDETECT_DECISION__THRESHOLDS__INFORMATIONAL": "0.05",
    "FIREDETECT_DECISION__THRESHOLDS__WARNING": "0.1",
    "FIREDETECT_DECISION__THRESHOLDS__ALERT": "0.2",
    "FIREDETECT_DECISION__THRESHOLDS__EMERGENCY": "0.9",
}
"""So that the alarm comes early; the real thresholds are tested with the scenarios."""


def outbox(folder):
    with sqlite3.connect(folder / "var" / "firedetect.db") as db:
        rows = db.execute("SELECT event_id, kind, payload FROM outbox").fetchall()
    db.close()
    return [(event_id, kind, json.loads(payload)) for event_id, kind, payload in rows]


@pytest.mark.fault("F32")
def test_an_alarm_survives_kill_and_restart_under_the_same_incident(tmp_path):
    with Daemon(tmp_path, "--simulate", "waste-bin", env=SENSITIVE) as daemon:
        daemon.wait_for("-> alert")
        declared = daemon.status()["outcome"]
        daemon.kill()
    assert declared["latched"]
    assert declared["incident_id"].startswith("firedetect-")
    sent = outbox(tmp_path)
    assert [p["incident_id"] for _, kind, p in sent if kind == "alarm"] == [declared["incident_id"]]
    restarted = time.monotonic()
    with Daemon(tmp_path, "--simulate", "quiet-room", env=SENSITIVE) as daemon:
        daemon.wait_for("no trouble")
        took_s = time.monotonic() - restarted
        status = daemon.status()["outcome"]
        assert (status["level"], status["current"]) == ("alert", "normal")
        assert status["incident_id"] == declared["incident_id"]
        assert status["health"] == "ok"
        # A restarted daemon asks again for the people that the alarm needs: same event, once.
        ids = [event_id for event_id, _, _ in outbox(tmp_path)]
        assert len(ids) == len(set(ids))
        assert {event_id for event_id, _, _ in sent} <= set(ids)
        for command, said in (("ack", "done"), ("silence", "done"), ("reset", "done")):
            done = firedetect(command, cwd=tmp_path)
            assert said in done.stdout, done.stderr
        assert daemon.status()["outcome"]["level"] == "normal"
        assert daemon.stop() == 0
    # The limit is 5 s on a Pi at rest; a busy test machine gets a wide margin.
    assert took_s < 30.0


def test_a_recorded_real_time_run_replays_byte_for_byte(tmp_path):
    live = firedetect(
        "run", "--simulate", "people", "--duration", "12", "--json", "--record", "r.mcap",
        cwd=tmp_path,
    )  # fmt: skip
    assert live.returncode == 0, live.stderr
    assert len(live.stdout.splitlines()) > 30
    again = firedetect("replay", "r.mcap", "--json", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert again.stdout == live.stdout


def test_refusals_of_a_second_daemon_and_of_a_port_in_use(tmp_path):
    with Daemon(tmp_path, "--simulate", "quiet-room") as daemon:
        daemon.wait_for("detecting")
        second = firedetect("run", "--simulate", "quiet-room", cwd=tmp_path)
        assert second.returncode == 1
        assert second.stderr.count("\n") == 1
        assert f"process {daemon.process.pid}" in second.stderr
        assert daemon.stop() == 0
        assert "stopping" in daemon.text()
    assert not (tmp_path / "var" / "control.sock").exists()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        refused = firedetect(
            "run", "--simulate", "quiet-room", cwd=tmp_path, env={"FIREDETECT_WEB__PORT": port}
        )
    assert refused.returncode == 1
    assert refused.stderr.count("\n") == 1
    assert port in refused.stderr


def test_a_drill_is_marked_and_wakes_nobody_for_a_fire(tmp_path):
    with Daemon(tmp_path, "--simulate", "quiet-room") as daemon:
        daemon.wait_for("no trouble")
        assert "done" in firedetect("drill", "--duration", "30", cwd=tmp_path).stdout
        outcome = daemon.status()["outcome"]
        assert (outcome["drill"], outcome["level"]) == (True, "normal")
        refused = firedetect("reset", cwd=tmp_path)
        assert refused.returncode == 1
        assert "there is no alarm" in refused.stderr
        assert daemon.stop() == 0
    assert all(kind != "alarm" for _, kind, _ in outbox(tmp_path))


def test_sensors_that_do_not_exist_are_trouble_and_never_normal(tmp_path):
    done = firedetect("run", "--duration", "4", "--json", cwd=tmp_path)
    outcomes = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0
    assert outcomes
    assert {outcome["health"] for outcome in outcomes} == {"blind"}
    assert all(outcome["score"] is None for outcome in outcomes)
    assert outcomes[-1]["troubles"] == ["gas:no-answer", "thermal:no-answer"]


@pytest.mark.fault("F33")
def test_systemd_hears_of_readiness_progress_and_stop(tmp_path):
    address = tmp_path / "notify.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(address))
        manager.settimeout(60.0)
        env = {"NOTIFY_SOCKET": str(address), "WATCHDOG_USEC": "1000000"}
        with Daemon(tmp_path, "--simulate", "quiet-room", env=env) as daemon:
            heard = [manager.recv(64) for _ in range(4)]
            assert heard[0] == b"READY=1"
            assert set(heard[1:]) == {b"WATCHDOG=1"}
            assert daemon.stop() == 0
            manager.settimeout(1.0)
            rest = []
            try:
                while True:
                    rest.append(manager.recv(64))
            except TimeoutError:
                pass
            assert b"STOPPING=1" in rest


def test_service_logs_are_json_with_a_priority(tmp_path):
    done = firedetect(
        "run", "--simulate", "quiet-room", "--duration", "2",
        cwd=tmp_path, env={"FIREDETECT_LOG__FORMAT": "json"},
    )  # fmt: skip
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert lines
    for line in lines:
        assert (line[0], line[2]) == ("<", ">")
        json.loads(line[3:])


def test_nothing_of_the_environment_leaks_into_the_tests():
    assert not [k for k in environment() if k.startswith("FIREDETECT_D")]


def test_a_service_detects_without_its_page_when_the_port_is_taken(tmp_path):
    address = tmp_path / "notify.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager, socket.socket() as taken:
        manager.bind(str(address))
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        env = {
            "NOTIFY_SOCKET": str(address),
            "FIREDETECT_WEB__PORT": str(taken.getsockname()[1]),
        }
        with Daemon(tmp_path, "--simulate", "quiet-room", env=env) as daemon:
            daemon.wait_for("page:port")
            assert any(t.startswith("page:") for t in daemon.status()["outcome"]["troubles"])
            assert daemon.stop() == 0


@pytest.mark.fault("F43")
def test_a_service_with_a_damaged_settings_file_sees_a_fire_and_says_what_is_wrong(tmp_path):
    address, file = tmp_path / "notify.sock", tmp_path / "firedetect.toml"
    good = '[device]\nid = "hall-2"\n'
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(address))
        env = SENSITIVE | {"NOTIFY_SOCKET": str(address), "FIREDETECT_CONFIG": str(file)}
        file.write_text(good)
        with Daemon(tmp_path, "--simulate", "quiet-room", env=env) as daemon:
            daemon.wait_for("no trouble")
            assert daemon.stop() == 0
        file.write_text(good[:-3])
        with Daemon(tmp_path, "--simulate", "waste-bin", env=env) as daemon:
            daemon.wait_for("-> alert")
            told = daemon.status()["outcome"]
            assert told["incident_id"].startswith("hall-2-")
            assert any("last good" in t for t in told["troubles"] if "settings-file" in t)
            assert daemon.stop() == 0

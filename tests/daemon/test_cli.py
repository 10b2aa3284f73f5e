"""Every command: help with an example, one clear line for bad input, the right exit code."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

from firedetect.model.bundle import default_bundle_path
from firedetect.storage.folder import DataFolder
from tests.daemon.helpers import invoke

COMMANDS = [
    ["run"], ["replay"], ["record"], ["import"], ["status"], ["ack"], ["silence"], ["reset"],
    ["drill"], ["simulate", "list"], ["simulate", "play"], ["simulate", "dataset"], ["train"],
    ["model", "list"], ["model", "verify"], ["model", "install"], ["model", "rollback"],
    ["model", "sign"], ["model", "keygen"], ["warmup"], ["doctor"], ["calibrate", "gas"], ["bench"],
]  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_has_an_example(command, tmp_path):
    done = invoke(*command, "--help", cwd=tmp_path, env={"COLUMNS": "200"})
    assert done.returncode == 0
    assert f"firedetect {' '.join(command)}" in done.stdout
    assert "Example:" in done.stdout


def stated(done, *words):
    """One line on stderr, exit code 1, no traceback, nothing on stdout."""
    assert done.returncode == 1, (done.stdout, done.stderr)
    assert done.stderr.startswith("firedetect: ")
    assert done.stderr.count("\n") == 1, done.stderr
    for word in words:
        assert word in done.stderr


def test_wrong_usage_exits_with_two(tmp_path):
    for arguments in (
        ["explode"],
        ["replay"],
        ["replay", "x", "--json", "--summary"],
        ["run", "-q"],
    ):
        assert invoke(*arguments, cwd=tmp_path).returncode == 2


def test_an_unknown_configuration_key_is_named(tmp_path):
    (tmp_path / "f.toml").write_text("[thermal]\nrefresh_rate = 8\n")
    stated(
        invoke("run", "--config", "f.toml", cwd=tmp_path),
        "thermal.refresh_rate", "unknown key",
    )  # fmt: skip
    assert not (tmp_path / "var").exists()


def test_a_value_out_of_range_is_named(tmp_path):
    (tmp_path / "f.toml").write_text("[decision.thresholds]\nalert = 1.01\n")
    stated(
        invoke("doctor", "--config", "f.toml", cwd=tmp_path),
        "decision.thresholds.alert", "0.75", "1.01",
    )  # fmt: skip


@pytest.mark.parametrize("content", [b"", b"no recording", bytes(range(256)) * 40])
def test_a_file_that_is_no_recording_is_refused(tmp_path, content):
    (tmp_path / "r.mcap").write_bytes(content)
    stated(invoke("replay", "r.mcap", "--json", cwd=tmp_path), "r.mcap")


def test_a_missing_recording_is_refused(tmp_path):
    stated(invoke("replay", "none.mcap", cwd=tmp_path), "none.mcap")


def test_import_and_replay_of_your_own_data(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    rng = np.random.default_rng(1)
    np.save(folder / "thermal.npy", rng.normal(21, 0.3, (120, 24, 32)).astype(np.float32))
    np.save(folder / "thermal_t.npy", np.arange(120) / 4)
    done = invoke("import", "data", "-o", "d.mcap", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    summary = json.loads(invoke("replay", "d.mcap", "--summary", cwd=tmp_path).stdout)
    assert (summary["max_level"], summary["images"]) == ("normal", 120)
    stated(invoke("import", "data", "-o", "d.mcap", cwd=tmp_path), "d.mcap", "exists already")


def test_an_import_of_nothing_leaves_nothing(tmp_path):
    (tmp_path / "data").mkdir()
    np.save(tmp_path / "data" / "thermal.npy", np.zeros((3, 8, 8), dtype=np.float32))
    stated(invoke("import", "data", "-o", "d.mcap", cwd=tmp_path), "24 x 32")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["data"]


def test_commands_without_a_daemon_say_so(tmp_path):
    for command in ("status", "ack", "silence", "reset", "drill"):
        stated(invoke(command, cwd=tmp_path), "firedetect run")


def test_an_unknown_scenario_is_named_with_those_that_exist(tmp_path):
    stated(invoke("run", "--simulate", "volcano", cwd=tmp_path), "volcano", "quiet-room")
    stated(invoke("simulate", "play", "volcano", cwd=tmp_path), "volcano", "quiet-room")
    assert not (tmp_path / "var").exists()


def test_a_bundle_for_another_schema_is_refused(tmp_path):
    shutil.copytree(default_bundle_path(), tmp_path / "b")
    manifest = json.loads((tmp_path / "b" / "manifest.json").read_text())
    manifest["schema_id"] = "0123456789abcdef"
    (tmp_path / "b" / "manifest.json").write_text(json.dumps(manifest))
    done = invoke("model", "verify", "b", cwd=tmp_path)
    assert done.returncode == 1
    assert "0123456789abcdef" in done.stdout
    (tmp_path / "r.mcap").write_bytes(b"")
    stated(invoke("replay", "r.mcap", "--model", "b", cwd=tmp_path), "0123456789abcdef")


def test_a_data_set_that_is_none_is_refused(tmp_path):
    (tmp_path / "data").mkdir()
    stated(invoke("train", "data", "-o", "b", cwd=tmp_path), "data")
    assert not (tmp_path / "b").exists()


def test_the_doctor_names_what_is_missing_and_how_to_mend_it(tmp_path):
    done = invoke("doctor", "--json", cwd=tmp_path)
    findings = {f["name"]: f for f in map(json.loads, done.stdout.splitlines())}
    assert done.returncode == 1
    assert findings["model"]["state"] == "ok"
    assert findings["disk"]["state"] in {"ok", "fail"}
    assert "clock" in findings
    bus = findings["bus i2c-1"]
    assert bus["state"] == "fail"
    assert bus["advice"]


def test_recording_a_simulation(tmp_path):
    done = invoke(
        "record", "-o", "r.mcap", "--simulate", "quiet-room", "--duration", "4", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    summary = json.loads(invoke("replay", "r.mcap", "--summary", cwd=tmp_path).stdout)
    assert summary["max_level"] == "normal"
    assert summary["images"] > 4


def test_what_parts_log_is_no_part_of_an_answer():
    code = (
        "import structlog; from firedetect.cli.common import answer_alone; answer_alone();"
        "log = structlog.get_logger(); log.warning('slow'); log.error('lost')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == ""
    assert "lost" in done.stderr
    assert "slow" not in done.stderr


def test_scenarios_are_listed(tmp_path):
    names = [
        json.loads(line)["name"]
        for line in invoke("simulate", "list", "--json", cwd=tmp_path).stdout.splitlines()
    ]
    assert names == ["quiet-room", "people", "kettle", "candle", "waste-bin", "smoulder"]


def test_recording_from_sensors_that_do_not_exist_is_a_stated_failure(tmp_path):
    done = invoke("record", "-o", "r.mcap", "--duration", "1", cwd=tmp_path)
    assert done.returncode == 1
    assert "no sensor delivered a reading" in done.stderr.splitlines()[-1]


def test_the_bare_install_says_which_extra_is_missing():
    code = "import sys; sys.modules['typer'] = None; import firedetect.cli"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "firedetect: typer is missing: pip install 'firedetect[device]'\n"


def test_the_doctor_leaves_the_sensors_of_a_running_detector_alone(tmp_path):
    with DataFolder(tmp_path / "var"):
        done = invoke("doctor", "--json", cwd=tmp_path)
    findings = {f["name"]: f for f in map(json.loads, done.stdout.splitlines())}
    assert findings["sensors"]["state"] == "warn"
    assert "bus i2c-1" not in findings

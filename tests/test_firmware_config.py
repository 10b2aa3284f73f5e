"""The shipped configuration shows every setting; the unit is one that systemd understands."""

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
from pydantic import BaseModel

from firedetect.config import OutputSettings, Settings, load_settings
from firedetect.doctor.buses import line_for

FOLDER = Path(__file__).parent.parent / "firmware_config"
SHIPPED = FOLDER / "firedetect.toml"


def shown(model, values, path=""):
    """Yield every setting that the file does not show with its default."""
    for name, field in model.model_fields.items():
        key = f"{path}{name}"
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from shown(field.annotation, values.get(name, {}), f"{key}.")
        elif name not in values and f"# {name} = " not in SHIPPED.read_text():
            yield key
        elif name in values and str(values[name]) != str(getattr(model(), name)):
            yield f"{key} = {values[name]}"


def test_the_shipped_configuration_shows_every_setting_with_its_default():
    values = tomllib.loads(SHIPPED.read_text())
    assert list(shown(Settings, values)) == ["decision.confirm_emergency.k = 4",
                                             "decision.confirm_emergency.n = 6"]  # fmt: skip
    assert load_settings(SHIPPED) == Settings()


def lines(name):
    """Return what a file says, without its comments."""
    text = (FOLDER / name).read_text()
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def test_the_boot_fragment_gives_both_buses_the_speeds_that_the_doctor_advises():
    boot = lines("config.txt")
    assert boot[0] == "[all]"
    assert line_for(1, 400_000) in boot
    assert line_for(2, 100_000) in boot
    assert "dtparam=strict_gpiod" in boot
    page = (FOLDER.parent / "docs" / "wiring.md").read_text()
    assert (FOLDER / "config.txt").read_text() in page
    # The firmware reads no further in a line.
    assert max(map(len, boot)) <= 98


def test_the_second_bus_takes_no_pin_of_the_outputs():
    outputs = OutputSettings()
    taken = {outputs.siren_line, outputs.light_line, outputs.trouble_line}
    pins = re.findall(r"pins_(\d+)_(\d+)", (FOLDER / "config.txt").read_text())
    assert len(pins) == 1
    assert not taken & {int(pin) for pin in pins[0]}


def test_the_bus_device_is_loaded_and_belongs_to_the_groups_of_the_service():
    assert lines("modules-load.conf") == ["i2c-dev"]
    rules = lines("60-firedetect.rules")
    for rule in rules:
        assert re.fullmatch(r'(?:[A-Z]+(?:\{\w+\})?[=+]?="[^"]+"(?:, )?)+', rule), rule
    groups = set(re.findall(r'GROUP="(\w+)"', "\n".join(rules)))
    unit_text = (FOLDER / "firedetect.service").read_text()
    assert f"SupplementaryGroups={' '.join(sorted(groups, reverse=True))}" in unit_text


def unit(tmp_path):
    if shutil.which("systemd-analyze") is None and not os.environ.get("CI"):
        pytest.skip("systemd-analyze is not installed")
    text = (FOLDER / "firedetect.service").read_text()
    # The program is not installed where the unit expects it.
    path = tmp_path / "firedetect.service"
    path.write_text(text.replace("/opt/firedetect/.venv/bin/firedetect", "/bin/true"))
    return path


def test_systemd_understands_every_line_of_the_unit(tmp_path):
    done = subprocess.run(
        ["systemd-analyze", "verify", str(unit(tmp_path))],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    # Unknown keys are warnings with exit code 0.
    assert (done.returncode, done.stderr) == (0, "")


def test_the_unit_is_hardened(tmp_path):
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=20", str(unit(tmp_path))],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-400:]

"""One detector and one set of chips for all faults of the module: it must outlive them all."""

import time
from pathlib import Path

import pytest

from tests.ioctl.rig import SETTLE_S, START_LIMIT_S, Chips, Detector, compiled

SHIM = Path(__file__).with_name("i2c_shim.c")


@pytest.fixture(scope="session")
def shim(tmp_path_factory):
    return compiled(SHIM, tmp_path_factory.mktemp("shim") / "shim.so")


@pytest.fixture(scope="module")
def lasting(shim, tmp_path_factory):
    """The processes, unlooked at; at the end the detector has never failed and ends well."""
    folder = tmp_path_factory.mktemp("i2c")
    (folder / "bus").mkdir()
    with (
        Chips(folder / "bus") as chips,
        Detector(folder, shim, folder / "bus", "--record", "r.mcap") as detector,
    ):
        detector.healthy(0.0, START_LIMIT_S)
        yield chips, detector
        troubles = {trouble for _, one in detector.outcomes for trouble in one["troubles"]}
        assert not [trouble for trouble in troubles if trouble.startswith("task:")]
        assert "task failed" not in detector.log.read_text()


@pytest.fixture
def rig(lasting):
    """Chips and detector with nothing wrong, whatever the last test has left."""
    chips, detector = lasting
    chips.go_on()
    if chips.process.poll() is not None:
        chips.start()
    chips("insert")
    if chips("mend"):
        # Only a sensor that is opened again has its EEPROM read.
        chips("power_cycle")
    detector.healthy(time.monotonic(), SETTLE_S)
    return chips, detector

"""What a quiet day writes and sends: measured on twenty compressed minutes of the whole daemon."""

import json
from pathlib import Path

import pytest

from firedetect.clock import ManualClock, run_virtual
from firedetect.config import DeviceSettings, Settings
from firedetect.contract.limits import BATCH_MAX_BYTES
from firedetect.daemon.app import run_daemon
from firedetect.daemon.emulation import emulated_port, find_episode
from firedetect.daemon.parts import Surroundings
from firedetect.storage.store import read_batches
from firedetect.uplink.meter import MONTH_S, Meter

SPAN_S = 1200.0
MB = 1_000_000


def written_bytes():
    """Bytes that this process has handed to the file system."""
    lines = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(lines["wchar"])


@pytest.mark.slow
def test_a_quiet_while_writes_and_sends_little(tmp_path, say):
    clock = ManualClock()
    settings = Settings(device=DeviceSettings(data_dir=tmp_path / "var"))
    port = emulated_port(find_episode("people"), settings, clock)
    around = Surroundings(
        clock=clock,
        open_port=lambda _number: port,
        powered_s=lambda: 1e9,
        duration_s=SPAN_S,
        served=False,
    )
    before = written_bytes()
    run_virtual(run_daemon(settings, around), clock)
    a_day = (written_bytes() - before) * 86_400.0 / SPAN_S
    batches = read_batches(tmp_path / "var" / "firedetect.db", None, 1000)
    sizes = [len(batch.payload) for batch in batches]
    seconds = sum(len(json.loads(batch.payload)["seconds"]) for batch in batches)
    a_minute = sum(sizes) / (seconds / 60.0)
    meter = Meter(0.0)
    for size in sizes:
        meter.sent("$aws/rules/firedetect_telemetry/firedetect/firedetect/telemetry", size)
    for _ in range(round(SPAN_S / 20)):
        meter.sent("$aws/rules/firedetect_beat/firedetect/firedetect/beat", 380)
    month = meter.per_month(SPAN_S)
    say(
        f"measured on twenty compressed minutes: {a_day / MB:.1f} MB written a day, "
        f"{a_minute:.0f} telemetry bytes a minute in {len(sizes)} batches of at most "
        f"{max(sizes)}, ${month['usd']:.3f} of IoT Core a month "
        f"({month['bytes'] / MB:.0f} MB, {MONTH_S / 86400:.1f} days)"
    )
    assert a_day <= 50 * MB
    assert max(sizes) <= BATCH_MAX_BYTES
    assert seconds >= SPAN_S - 120

"""What the commands of the command line do with a detector: run it, play it."""

import asyncio
import contextlib
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import structlog

from firedetect.clock import Clock, ManualClock, SystemClock, run_virtual
from firedetect.config import LogSettings, Settings
from firedetect.daemon.app import run_daemon
from firedetect.daemon.background import BackgroundStream
from firedetect.daemon.box_link import box_settings
from firedetect.daemon.logs import configure_logging
from firedetect.daemon.notify import is_service
from firedetect.daemon.parts import Surroundings
from firedetect.daemon.replay import Summary
from firedetect.daemon.sources import wires_of
from firedetect.daemon.start_settings import StartSettings
from firedetect.decision.outcome import Outcome
from firedetect.errors import UplinkError
from firedetect.outputs.button import GpioButton
from firedetect.outputs.local import GpioLines
from firedetect.simulation.scenarios import find_scenario

_log = structlog.get_logger()


def run(
    start: StartSettings,
    *,
    simulate: str | None,
    cloud: str | None,
    duration_s: float | None,
    json_lines: bool,
    record: Path | None,
) -> None:
    """Run the detector on the Pi's buses or on an emulated one, until stopped or for a while.

    `cloud` is aws, box, off, or None for what the settings say.
    """
    settings = start.settings
    log_out = BackgroundStream(
        sys.stderr if json_lines else sys.stdout, end_unread=not is_service()
    )
    json_out = BackgroundStream(sys.stdout, end_unread=True) if json_lines else None
    configure_logging(settings.log, log_out)
    clock = SystemClock()
    wires = wires_of(settings, simulate, clock)
    wired, button = settings.outputs.enabled and not simulate, settings.outputs.button_line
    around = Surroundings(
        clock=clock,
        open_port=wires.open_port,
        open_frames=wires.open_frames,
        lines=GpioLines(settings.outputs) if wired else None,
        button=GpioButton(settings.outputs, button) if wired and button is not None else None,
        powered_s=wires.powered_s,
        listeners=(partial(_write_json, json_out),) if json_out is not None else (),
        record=record,
        duration_s=duration_s,
        sysfs=None if simulate else Path("/sys"),
        start=start,
    )
    if simulate is not None:
        _log.info("simulating", scenario=simulate, what=find_scenario(simulate).summary)
    try:
        with _clouded(settings, cloud, clock, quiet=json_lines) as clouded:
            asyncio.run(run_daemon(clouded, around))
    finally:
        log_out.close()
        if json_out is not None:
            json_out.close()


@contextlib.contextmanager
def _clouded(
    settings: Settings, cloud: str | None, clock: Clock, *, quiet: bool
) -> Iterator[Settings]:
    """Yield the settings with the cloud that was asked for; only a box is waited for."""
    if cloud == "box":
        with box_settings(settings, clock, quiet=quiet) as boxed:
            yield boxed
        return
    if cloud == "aws" and not settings.uplink.endpoint:
        raise UplinkError("no cloud is configured: set uplink.endpoint, or run with --cloud box")
    if cloud == "off":
        alone = settings.uplink.model_copy(update={"endpoint": "", "second_path_url": ""})
        yield settings.model_copy(update={"uplink": alone})
        return
    yield settings


def _write_json(out: BackgroundStream, outcome: Outcome) -> None:
    """Print one outcome without waiting; raises OSError once lines were lost.

    The detector then gives this listener up with a trouble: a gap in the lines would be silent.
    """
    out.write(outcome.as_json() + "\n")
    if out.dropped:
        raise OSError(f"the reader of the JSON lines has stopped: {out.dropped} lines are lost")


def play(
    settings: Settings,
    name: str,
    *,
    duration_s: float | None,
    record: Path | None,
    hear: Callable[[Outcome], None],
) -> dict[str, Any]:
    """Play a scenario through the emulated bus, the drivers and the pipeline, faster than time.

    Returns the summary, as `replay --summary` prints it. Nothing of the data folder is touched.
    """
    configure_logging(LogSettings(format="json", level="error"), sys.stderr)
    clock = ManualClock()
    summary = Summary()
    with tempfile.TemporaryDirectory(prefix="firedetect-") as folder:
        device = settings.device.model_copy(update={"data_dir": Path(folder)})
        wires = wires_of(settings, name, clock)
        around = Surroundings(
            clock=clock,
            open_port=wires.open_port,
            open_frames=wires.open_frames,
            powered_s=wires.powered_s,
            listeners=(summary.hear, hear),
            record=record,
            duration_s=duration_s or find_scenario(name).duration_s,
            served=False,
        )
        run_virtual(run_daemon(settings.model_copy(update={"device": device}), around), clock)
    return summary.as_record(Path(name), 0.0)


def print_json(outcome: Outcome) -> None:
    """Print one outcome as a line of JSON."""
    sys.stdout.write(outcome.as_json() + "\n")

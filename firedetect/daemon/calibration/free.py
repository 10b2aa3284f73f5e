"""Whether the sensors are free for a calibration."""

import sys

from firedetect.config import LogSettings, Settings
from firedetect.daemon.control import ask
from firedetect.daemon.logs import configure_logging
from firedetect.errors import ControlError, FiredetectError


def take_sensors(settings: Settings, simulate: str | None) -> None:
    """Raise FiredetectError if the detector holds the buses; else let the guide alone speak."""
    if simulate is None and _is_running(settings):
        raise FiredetectError(
            "the detector is running and holds the sensors: stop it first (systemctl stop "
            "firedetect), or send it a `calibrate` job"
        )
    # What a sensor does is told once, by the guide.
    configure_logging(LogSettings(level="error"), sys.stderr)


def _is_running(settings: Settings) -> bool:
    try:
        ask(settings.device.data_dir / "control.sock", {"do": "status"})
    except ControlError as error:
        # One that is there and does not answer holds the sensors all the same.
        return not isinstance(error.__cause__, FileNotFoundError | ConnectionRefusedError)
    return True

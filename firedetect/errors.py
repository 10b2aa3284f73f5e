"""Errors, named for what the caller must do about them.

Each carries the evidence in its message: what, where, and what to do.
"""


class FiredetectError(Exception):
    """A stated failure: commands print its message as one line and exit with 1."""


class ConfigError(FiredetectError):
    """The configuration is refused; the message names the key."""


class SensorError(FiredetectError):
    """A sensor did not deliver what was asked for."""


class BusError(SensorError):
    """The transfer failed (no answer, arbitration lost, input/output): retry, then re-open."""


class BusStuckError(BusError):
    """The transfer did not end before its deadline: its thread is abandoned, the bus re-opened."""


class CalibrationError(SensorError):
    """The calibration memory of a sensor cannot be trusted: no value may be computed with it."""


class FrameRejectedError(SensorError):
    """One frame is torn, incomplete or implausible: take the next one."""


class TornFrameError(FrameRejectedError):
    """The sensor wrote a new frame while one was read: take the next one."""


class NoFrameError(SensorError):
    """The sensor answers but has nothing new before the deadline: set it up again."""


class RecordingError(FiredetectError):
    """A recording or import folder cannot be used, or ends early; the message says where."""


class BundleError(FiredetectError):
    """A model bundle is refused; the bundle in use stays in use."""


class DatasetError(FiredetectError):
    """A training data set is missing, empty or of another schema."""


class StorageError(FiredetectError):
    """The data folder or its database cannot be used: detection goes on without."""


class FolderInUseError(StorageError):
    """Another daemon uses the data folder: one of the two must end."""


class ControlError(FiredetectError):
    """The running daemon cannot be reached, or refused the command; the message says why."""


class WebError(FiredetectError):
    """The local page cannot be offered; the message names the setting to change."""

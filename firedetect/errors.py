"""Errors, named for what the caller must do about them.

Each carries the evidence in its message: what, where, and what to do.
"""

import zipfile
import zlib
from typing import Final

ARCHIVE_DAMAGES: Final = (
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    EOFError,
    OSError,
    NotImplementedError,
    RuntimeError,
    MemoryError,
    zipfile.BadZipFile,
    zlib.error,
)
"""What numpy and zipfile raise for an archive of arrays that is not what was written."""


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


class BusSlowError(SensorError):
    """The bus is too slow for the sensor at any rate: its speed has to be set higher."""


class CalibrationError(SensorError):
    """The calibration memory of a sensor cannot be trusted: no value may be computed with it."""


class FrameRejectedError(SensorError):
    """One frame is torn, incomplete or implausible: take the next one."""


class TornFrameError(FrameRejectedError):
    """The sensor wrote a new frame while one was read: take the next one."""


class NoFrameError(SensorError):
    """The sensor answers but has nothing new before the deadline: set it up again."""


class FrozenError(NoFrameError):
    """The sensor delivers the same frame again and again: set it up again."""


class RecordingError(FiredetectError):
    """A recording or import folder cannot be used, or ends early; the message says where."""


class BundleError(FiredetectError):
    """A model bundle is refused; the bundle in use stays in use."""


class SignatureError(BundleError):
    """A bundle carries no signature of a trusted key: have it signed, or trust its key."""


class TrialError(FiredetectError):
    """A change cannot be tried: it is refused, and what is in use stays in use."""


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


class UplinkError(FiredetectError):
    """The cloud cannot be used as configured; the message says what to do."""


class LinkDownError(UplinkError):
    """There is no connection: keep what was to be sent until there is one."""


class AckTimeoutError(UplinkError):
    """The broker did not acknowledge in time: send again, nobody may have got it."""


class NoReceiverError(UplinkError):
    """The broker acknowledged, but nobody was subscribed: nothing was delivered."""


class PublishRefusedError(UplinkError):
    """The broker, or a limit that we keep, refuses the message: others may still go."""


class ShadowRefusedError(UplinkError):
    """The shadow service refuses a document; the message holds its code and reason."""


class BoxError(FiredetectError):
    """The cloud in a box cannot start or go on; the message says what to install or change."""


class RuleError(BoxError):
    """A rule of the tier uses what the box does not have; the message names rule and place."""


class MessageRefusedError(FiredetectError):
    """A message breaks the contract or is not from its device: it goes to the failure queue."""


class JobRefusedError(UplinkError):
    """The jobs service refuses an update: the execution has ended or was cancelled."""


class TransferError(UplinkError):
    """What is at the address is not what was announced, or it refuses: do not try again."""


class JobFailedError(UplinkError):
    """A job could not be carried out; the message goes into its status."""


class JobRejectedError(JobFailedError):
    """A job is not for this device or not allowed here; nothing was begun."""


class SimulationError(FiredetectError):
    """A library of simulated rooms cannot be made or read; the message names the run or file."""


class BenchError(FiredetectError):
    """A peer is not there or does something else: the comparison is not made."""

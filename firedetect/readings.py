"""Everything that happens to the detector, as events with a monotonic time stamp.

Readings, failed reads, ticks, commands and settings are all events, so a recording is a list of
events and a test is one too. Arrays are never changed after they were put into an event.
"""

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from firedetect.config import GasBaseline
from firedetect.contract.level import Level
from firedetect.contract.settings import DecisionSettings

SUBPAGE_WORDS = 834
"""832 RAM words (pixels, auxiliary), the control register, the sub-page number."""


class Sensor(StrEnum):
    """The sensors that the detector knows, as troubles and recordings name them."""

    THERMAL = "thermal"
    GAS = "gas"
    CO2 = "co2"
    AIR = "air"


class FaultKind(StrEnum):
    """What is wrong with a sensor or one of its readings."""

    STARTING = "starting"
    NO_ANSWER = "no-answer"
    BUS_STUCK = "bus-stuck"
    BUS_SLOW = "bus-too-slow"
    NO_FRAME = "no-frame"
    STALE = "stale"
    FROZEN = "frozen"
    TORN = "torn-frame"
    STUCK_SUBPAGE = "stuck-sub-page"
    IMPLAUSIBLE = "implausible"
    CALIBRATION = "calibration"
    AT_RAIL = "at-rail"
    COMMON_MODE = "common-mode"
    FEW_PIXELS = "few-valid-pixels"
    WARM_UP = "warm-up"
    LEARNING = "learning"


class CommandAction(StrEnum):
    """What a person may ask of the detector."""

    ACKNOWLEDGE = "ack"
    SILENCE = "silence"
    RESET = "reset"
    DRILL = "drill"


class CommandSource(StrEnum):
    """Where a command came from; some are allowed only at the device."""

    LOCAL = "local"
    REMOTE = "remote"


@dataclass(frozen=True, slots=True)
class Stream:
    """A configured sensor and the age at which its last reading is stale (s)."""

    sensor: Sensor
    stale_s: float


@dataclass(frozen=True, slots=True)
class Started:
    """The detector starts: who it is, which sensors it has, what the wall clock says."""

    t_ns: int
    device: str
    boot: int
    wall_ns: int
    streams: tuple[Stream, ...]


@dataclass(frozen=True, slots=True)
class ClockSet:
    """The wall clock was set; from here on `wall_ns` (since 1970) belongs to `t_ns`."""

    t_ns: int
    wall_ns: int


@dataclass(frozen=True, slots=True)
class SettingsChanged:
    """New decision settings, already validated; they hold from the next event on."""

    t_ns: int
    decision: DecisionSettings


@dataclass(frozen=True, slots=True)
class FilmActivity:
    """How much each gas film moves in a day, as the deviation of its ln(R0/Rs).

    `reference` is that of the first weeks (empty before), `days` are those after it. Of the day
    that has begun: how many means of five minutes, their mean and the sum of squared deviations.
    """

    reference: tuple[float, ...] = ()
    days: tuple[tuple[float, ...], ...] = ()
    cells: int = 0
    mean: tuple[float, ...] = ()
    squares: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Restored:
    """What was remembered over a restart: a latched alarm with its last event, clean air.

    Of the gas board that is its baseline, where drift had taken it, and how much its films moved;
    `co2_clean_ppm` is what the CO2 sensor took for clean air, `co2_cleanest_ppm` the cleanest that
    it knew; NaN where nothing was learnt.
    """

    t_ns: int
    level: Level = Level.NORMAL
    incident_id: str | None = None
    event_id: str | None = None
    acknowledged: bool = False
    reasons: tuple[str, ...] = ()
    gas_baseline: GasBaseline | None = None
    gas_tracked: GasBaseline | None = None
    gas_activity: FilmActivity | None = None
    co2_clean_ppm: float = math.nan
    co2_cleanest_ppm: float = math.nan


@dataclass(frozen=True, slots=True, eq=False)
class SensorOpened:
    """A sensor answers and is set up.

    `powered_s` is the time since its power came on. The thermal array gives its 832 EEPROM words
    (None if two reads never agreed) and what its temperatures are computed with: the words as they
    were when it was commissioned, the settings, what is added to every pixel (`offset_c`), pixels
    that proved bad beyond the maker's; `spread_c` is the spatial deviation of the scene then.
    `problem` says why a calibration file is not used. An array that delivers `images` computes its
    temperatures itself and has none of these; there `problem` says why it cannot reach the hard
    limits. `refresh_hz` is the rate of the sub-pages (NaN where
    none is known), `slow` says why it is lower than the one that is set.
    """

    t_ns: int
    sensor: Sensor
    powered_s: float
    eeprom: NDArray[np.uint16] | None = None
    emissivity: float = 0.95
    ta_shift_c: float = 8.0
    commissioned: NDArray[np.uint16] | None = None
    offset_c: float = 0.0
    bad_pixels: tuple[int, ...] = ()
    spread_c: float = float("nan")
    problem: str = ""
    images: bool = False
    refresh_hz: float = float("nan")
    slow: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class SubPage:
    """One raw sub-page of the MLX90640: 834 words as read, see SUBPAGE_WORDS."""

    t_ns: int
    words: NDArray[np.uint16]


@dataclass(frozen=True, slots=True, eq=False)
class ThermalImage:
    """A complete image in °C, float32 of shape (24, 32) or (120, 160); invalid pixels are NaN.

    `air_c` is the sensor's own temperature minus its calibrated shift, NaN where unknown.
    """

    t_ns: int
    temp_c: NDArray[np.float32]
    air_c: float = float("nan")


@dataclass(frozen=True, slots=True)
class GasCounts:
    """Raw 10-bit counts of the four Grove films (0 to 1023); not ppm."""

    t_ns: int
    no2: float
    c2h5oh: float
    voc: float
    co: float


@dataclass(frozen=True, slots=True)
class Co2Reading:
    """CO2 concentration of an SCD41."""

    t_ns: int
    co2_ppm: float


@dataclass(frozen=True, slots=True)
class AirReading:
    """Air temperature, relative humidity, pressure of a BME280."""

    t_ns: int
    temp_c: float
    rh_pct: float = float("nan")
    pressure_hpa: float = float("nan")


@dataclass(frozen=True, slots=True)
class FrameRejected:
    """One reading was thrown away; the sensor counts as lost only when no good one follows."""

    t_ns: int
    sensor: Sensor
    kind: FaultKind
    detail: str = ""


@dataclass(frozen=True, slots=True)
class SensorFault:
    """The sensor is lost until its next good reading."""

    t_ns: int
    sensor: Sensor
    kind: FaultKind
    detail: str = ""


@dataclass(frozen=True, slots=True)
class SystemTrouble:
    """Something other than a fire input failed (`active`) or works again: disk, output, task."""

    t_ns: int
    name: str
    active: bool
    detail: str = ""


@dataclass(frozen=True, slots=True)
class ScoreOverrun:
    """The last scoring took too long; three in a row set the model aside."""

    t_ns: int
    took_s: float


@dataclass(frozen=True, slots=True)
class GasCalibrated:
    """The clean-air baseline of the gas board was taken anew."""

    t_ns: int
    baseline: GasBaseline


@dataclass(frozen=True, slots=True, eq=False)
class MaskApproved:
    """Places that may be hot: up to `limit_c` (°C, float32 of shape (24, 32)), NaN elsewhere.

    Approved by a person at the wall-clock time `approved_wall_ns`; it expires.
    """

    t_ns: int
    limit_c: NDArray[np.float32]
    approved_wall_ns: int


@dataclass(frozen=True, slots=True)
class Tick:
    """A second has passed."""

    t_ns: int


@dataclass(frozen=True, slots=True)
class Command:
    """A person asks for something; `duration_s` is for silence and drill."""

    t_ns: int
    action: CommandAction
    source: CommandSource = CommandSource.LOCAL
    command_id: str = ""
    duration_s: float | None = None


Event: TypeAlias = (
    Started
    | ClockSet
    | SettingsChanged
    | Restored
    | SensorOpened
    | SubPage
    | ThermalImage
    | GasCounts
    | Co2Reading
    | AirReading
    | FrameRejected
    | SensorFault
    | SystemTrouble
    | ScoreOverrun
    | GasCalibrated
    | MaskApproved
    | Tick
    | Command
)

"""A frame of the Lepton taken apart: 160x120 temperatures as 16-bit video (Y16), its telemetry.

Sections are those of the Lepton engineering data sheet, document 500-0659-00-09, revision 203.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from firedetect.errors import FrameRejectedError, SensorError
from firedetect.sensors.frames import COLUMNS

ROWS: Final = 120
TELEMETRY_ROWS: Final = 2
"""Three telemetry lines of 80 words and a spare one (section 3.4) fill two rows of 160."""

LIMIT_C: Final = 300.0
"""Hotter is shown as this, as with the other array; a saturated word (65535) is, too."""
RAW_MAX: Final = 0x3FFF
"""Raw counts have 14 bits (section 4.2.2.1). As temperatures in 0.01 K they would be below -109 °C.
"""
FFC_STATE_SHIFT: Final = 4
FFC_DESIRED: Final = 1 << 3
AGC_ENABLED: Final = 1 << 12
GAIN_HIGH: Final = 0
"""Row C, word 5: high, low (1) or automatic (2), which goes to low when the scene gets hot."""
HOUSING_KELVIN: Final = (233.15, 393.15)
"""Telemetry with another temperature of sensor or housing is none: pixels may be in its place."""
ZERO_C_KELVIN: Final = 273.15


class Ffc(IntEnum):
    """The flat-field correction with the shutter (section 3.4, status bits 4 and 5)."""

    NEVER = 0
    IMMINENT = 1
    IN_PROGRESS = 2
    COMPLETE = 3


@dataclass(frozen=True, slots=True)
class Telemetry:
    """What a frame says of itself (section 3.4, rows A and C).

    `counter` counts frames of the sensor, of which the board delivers one in three. With `agc` the
    pixels are shades, with `tlinear` temperatures in steps of which `steps_per_k` are a kelvin.
    With `high_gain` it is fixed in the gain whose range ends at about 140 °C.
    """

    revision: int
    uptime_ms: int
    ffc_desired: bool
    ffc: Ffc
    counter: int
    sensor_c: float
    housing_c: float
    agc: bool
    tlinear: bool
    steps_per_k: int
    high_gain: bool


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One frame taken apart: pixels, uint16 of shape (120, 160), and telemetry if there is any."""

    pixels: NDArray[np.uint16]
    telemetry: Telemetry | None


def parse(data: bytes, *, telemetry: bool) -> Frame:
    """Take a frame apart: 120 rows of 160 words, the low byte first, then the telemetry rows.

    Raises FrameRejectedError for another size, or where telemetry should be and is not.
    """
    rows = ROWS + (TELEMETRY_ROWS if telemetry else 0)
    if len(data) != 2 * rows * COLUMNS:
        raise FrameRejectedError(
            f"thermal: a frame of {len(data)} bytes, {2 * rows * COLUMNS} are expected "
            f"({COLUMNS}x{rows})"
        )
    words = np.frombuffer(data, dtype="<u2").astype(np.uint16)
    pixels = words[: ROWS * COLUMNS].reshape(ROWS, COLUMNS)
    return Frame(pixels, parse_telemetry(words[ROWS * COLUMNS :]) if telemetry else None)


def parse_telemetry(words: NDArray[np.uint16]) -> Telemetry:
    """Return what the 320 words of the two telemetry rows say.

    Section 3.4: row A begins at word 0, row C at word 160; the low word of two comes first.
    Raises FrameRejectedError for words that no Lepton writes.
    """
    sensor_k, housing_k = int(words[24]) / 100.0, int(words[26]) / 100.0
    tlinear, fine = int(words[208]), int(words[209])
    low, high = HOUSING_KELVIN
    if tlinear > 1 or fine > 1 or not (low <= sensor_k <= high and low <= housing_k <= high):
        raise FrameRejectedError(
            f"thermal: the last two rows are no telemetry (sensor at {sensor_k:.0f} K, housing at "
            f"{housing_k:.0f} K, TLinear {tlinear}, {fine}): set its location to footer, or "
            "lepton.telemetry = false"
        )
    status = _double(words, 3)
    return Telemetry(
        revision=int(words[0]),
        uptime_ms=_double(words, 1),
        ffc_desired=bool(status & FFC_DESIRED),
        ffc=Ffc(status >> FFC_STATE_SHIFT & 3),
        agc=bool(status & AGC_ENABLED),
        counter=_double(words, 20),
        sensor_c=sensor_k - ZERO_C_KELVIN,
        housing_c=housing_k - ZERO_C_KELVIN,
        tlinear=tlinear == 1,
        steps_per_k=100 if fine else 10,
        high_gain=int(words[165]) == GAIN_HIGH,
    )


def celsius(frame: Frame) -> NDArray[np.float32]:
    """Return the temperatures (°C), float32 of shape (120, 160), NaN for words of 0.

    TLinear (section 3.5): kelvin in steps of 0.01, or of 0.1 if the telemetry says so.
    """
    steps_per_k = 100 if frame.telemetry is None else frame.telemetry.steps_per_k
    temp_c = frame.pixels / float(steps_per_k) - ZERO_C_KELVIN
    np.minimum(temp_c, LIMIT_C, out=temp_c)
    temp_c[frame.pixels == 0] = np.nan
    image: NDArray[np.float32] = temp_c.astype(np.float32)
    return image


def is_same(before: Frame, frame: Frame) -> bool:
    """Whether a frame is the one before: its number is, or every pixel, which noise forbids.

    Behind the shutter the pixels stand still and the numbers go on: that is a frame of its own.
    """
    if before.telemetry is not None and frame.telemetry is not None:
        if before.telemetry.counter == frame.telemetry.counter:
            return True
        if frame.telemetry.ffc is Ffc.IN_PROGRESS:
            return False
    return np.array_equal(before.pixels, frame.pixels)


def expect_temperatures(frame: Frame) -> None:
    """Raise SensorError if the pixels are raw counts or shades: nothing can be computed of them."""
    said = frame.telemetry
    if said is not None and said.agc:
        raise SensorError(
            "thermal: the Lepton's AGC is on, its pixels are shades: switch it off (GetThermal)"
        )
    low, high = int(frame.pixels.min()), int(frame.pixels.max())
    # A frame without any contrast is refused as one, whatever it is made of.
    raw = high <= RAW_MAX and low != high if said is None else not said.tlinear
    if raw:
        raise SensorError(
            f"thermal: the Lepton's TLinear is off, its pixels ({low} to {high}) are no "
            "temperatures: switch it on at 0.01 K (GetThermal), and power the board anew"
        )


def expect_scene(frame: Frame) -> None:
    """Raise FrameRejectedError for a frame that does not show what is in front of the lens."""
    if frame.telemetry is not None and frame.telemetry.ffc is Ffc.IN_PROGRESS:
        # The camera repeats its last image or shows the shutter, which is as warm as itself.
        raise FrameRejectedError("thermal: flat-field correction: the shutter is closed")
    first = int(frame.pixels[0, 0])
    if bool((frame.pixels == first).all()):
        raise FrameRejectedError(f"thermal: every pixel is {first}: no scene is that even")


def _double(words: NDArray[np.uint16], place: int) -> int:
    return int(words[place]) | int(words[place + 1]) << 16

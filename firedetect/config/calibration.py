"""What commissioning leaves in files: clean air, the array as it was found, legal hot places."""

import hashlib
import math
from typing import Annotated, Self

from pydantic import AwareDatetime, Field, model_validator

from firedetect.contract.settings import Section

CO_JUDGED_PPM = 100.0
CO_RATIO_MAX = 50.0
"""R0/Rs at that concentration: real films have 3 to 10, and at 50 the counts of a usual board are
at the end of their range. A curve that asks for more makes the board deaf to CO."""
_FILMS = ("no2", "c2h5oh", "voc", "co")
MASK_MAX_SHARE = 0.15
_MASK_ROWS, _MASK_COLUMNS = 24, 32
_FREE = "."
_EEPROM_BYTES = 2 * 832


class GasBaseline(Section):
    """Clean-air counts of the four films (0 < count < 1023), and how CO was calibrated, if it was.

    `co_a` and `co_beta` belong to R0/Rs = (ppm / co_a) ** co_beta; only a user's span calibration
    sets them, and without them no CO concentration exists. The film's data sheet gives 0.3 to 1.6
    ppm (what clean air then reads) and 0.26 to 0.32.
    """

    no2: Annotated[float, Field(gt=0, lt=1023)]
    c2h5oh: Annotated[float, Field(gt=0, lt=1023)]
    voc: Annotated[float, Field(gt=0, lt=1023)]
    co: Annotated[float, Field(gt=0, lt=1023)]
    co_a: Annotated[float, Field(ge=0.1, le=1000.0)] | None = None
    co_beta: Annotated[float, Field(gt=0.05, lt=2.0)] | None = None

    def same_air(self, other: Self) -> bool:
        """Whether the films' counts are equal but for what a logarithm and its way back change."""
        pairs = ((getattr(self, film), getattr(other, film)) for film in _FILMS)
        return all(math.isclose(one, two, rel_tol=1e-9) for one, two in pairs)

    @property
    def co_problem(self) -> str:
        """The field for which no CO would ever be seen, and why; empty if there is none.

        To be asked of what people write: what is remembered or recorded was in force.
        """
        if (self.co_a is None) != (self.co_beta is None):
            missing, given = ("co_a", "co_beta") if self.co_a is None else ("co_beta", "co_a")
            return f"{missing}: is missing, {given} alone gives no concentration"
        if self.co_a is None or self.co_beta is None or self.co_a >= CO_JUDGED_PPM:
            return ""
        needed = (CO_JUDGED_PPM / self.co_a) ** self.co_beta
        if needed <= CO_RATIO_MAX:
            return ""
        highest = math.log(CO_RATIO_MAX) / math.log(CO_JUDGED_PPM / self.co_a)
        return (
            f"co_beta: {self.co_beta:g} with co_a = {self.co_a:g} needs R0/Rs = {needed:.3g} at "
            f"{CO_JUDGED_PPM:g} ppm, more than a film shows; it should be at most {highest:.2f}"
        )


class ThermalCalibration(Section):
    """What was found out about one array at its commissioning.

    `offset_c` is added to every pixel; `bad_pixels` (0 to 767, row by row) are those beyond the
    maker's; `spread_c` is the spatial deviation of the scene that it hung before. `eeprom` holds
    its 832 words as 3328 hexadecimal digits, blanks allowed.
    """

    offset_c: Annotated[float, Field(ge=-10.0, le=10.0)] = 0.0
    emissivity: Annotated[float, Field(ge=0.1, le=1.0)]
    ta_shift_c: Annotated[float, Field(ge=0.0, le=30.0)]
    noise_c: Annotated[float, Field(gt=0.0, lt=10.0)]
    spread_c: Annotated[float, Field(ge=0.0)]
    bad_pixels: Annotated[tuple[Annotated[int, Field(ge=0, le=767)], ...], Field(max_length=4)] = ()
    eeprom_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    eeprom: str

    @property
    def eeprom_bytes(self) -> bytes:
        """The 832 words, the high byte of each first."""
        return bytes.fromhex(self.eeprom)

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if len(self.eeprom_bytes) != _EEPROM_BYTES:
            msg = f"eeprom has {len(self.eeprom_bytes)} bytes, {_EEPROM_BYTES} are expected"
            raise ValueError(msg)
        if hashlib.sha256(self.eeprom_bytes).hexdigest() != self.eeprom_sha256:
            msg = "eeprom is damaged: its SHA-256 is another; type  firedetect calibrate thermal"
            raise ValueError(msg)
        return self


class HotMask(Section):
    """Places that may be hot, as a picture: 24 rows of 32 signs, a dot where nothing is masked.

    A letter marks a place; `limits_c` says up to which temperature each is legal (°C).
    """

    approved: AwareDatetime
    rows: Annotated[tuple[str, ...], Field(min_length=_MASK_ROWS, max_length=_MASK_ROWS)]
    limits_c: dict[str, Annotated[float, Field(ge=40.0, le=400.0)]]

    @model_validator(mode="after")
    def _drawn(self) -> Self:
        marks = "".join(self.rows).replace(_FREE, "")
        problem = ""
        if any(len(row) != _MASK_COLUMNS for row in self.rows):
            problem = f"rows must have {_MASK_COLUMNS} signs each"
        elif set(marks) - self.limits_c.keys():
            problem = f"limits_c has no place {min(set(marks) - self.limits_c.keys())}"
        elif len(marks) > MASK_MAX_SHARE * _MASK_ROWS * _MASK_COLUMNS:
            problem = f"hides {len(marks)} pixels, more than {MASK_MAX_SHARE:.0%} of the image"
        if problem:
            raise ValueError(problem)
        return self

"""What a calibration found, for the operator to decide on: lines, pictures, or one JSON object."""

import json
import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from firedetect.commissioning.co2 import Co2Session
from firedetect.commissioning.mask import MaskProposal
from firedetect.commissioning.session import Proposal
from firedetect.commissioning.thermal import ThermalProposal
from firedetect.config import GasBaseline, ThermalCalibration
from firedetect.features.gas import FILMS

_BARS: Final = "▁▂▃▄▅▆▇█"
_COLUMNS: Final = 40
_SHADES: Final = " .:-=+*#%@"


def show_gas(proposal: Proposal, present: GasBaseline | None, *, as_json: bool) -> None:
    """Show the baseline beside the one in force."""
    found = proposal.baseline
    if as_json:
        _say(
            {
                "baseline": {film: getattr(found, film) for film in FILMS},
                "uncertainty": dict(proposal.uncertainty),
                "present": None if present is None else present.model_dump(exclude_none=True),
                "taken": dict(proposal.taken),
            }
        )
        return
    for film in FILMS:
        before = "none before" if present is None else f"{getattr(present, film):.1f} before"
        course = proposal.courses[film]
        print(
            f"{film:7} {getattr(found, film):6.1f} ± {proposal.uncertainty[film]:.1f} counts, "
            f"{before:13} {sparkline(course)} {min(course):.0f} to {max(course):.0f}"
        )


def show_thermal(
    proposal: ThermalProposal, present: ThermalCalibration | None, *, as_json: bool
) -> None:
    """Show the mean image and what was found beside what is in force."""
    found = proposal.calibration
    if as_json:
        record = found.model_dump(exclude={"eeprom"})
        before = None if present is None else present.model_dump(exclude={"eeprom"})
        _say({"thermal": record, "present": before, "taken": dict(proposal.taken)})
        return
    for line in picture(proposal.image_c):
        print(line)
    rows = (
        ("noise", found.noise_c, "°C", f"{proposal.expected_noise_c:.2f} expected in the centre"),
        ("spread", found.spread_c, "°C", "of the scene, what a covered lens is told by"),
        ("offset", found.offset_c, "°C", _before(present, "offset_c")),
        ("emissivity", found.emissivity, "", _before(present, "emissivity")),
        ("own warmth", found.ta_shift_c, "°C", _before(present, "ta_shift_c")),
    )
    for name, value, unit, beside in rows:
        print(f"{name:11}{value:7.2f} {unit:3} {beside}")
    bad = ", ".join(f"row {at // 32} column {at % 32}" for at in found.bad_pixels)
    print(f"bad pixels  {bad or 'none but those of the maker'}")
    known = present is None or present.eeprom_sha256 == found.eeprom_sha256
    print(f"EEPROM      {found.eeprom_sha256[:16]}{'' if known else ', another than before'}")


def show_mask(proposal: MaskProposal, *, as_json: bool) -> None:
    """Show the picture of the places and what is known of each."""
    if as_json:
        places = {
            name: {
                "pixels": p.pixels,
                "days": p.days,
                "hottest_c": p.hottest_c,
                "limit_c": p.limit_c,
            }
            for name, p in proposal.places.items()
        }
        _say({"rows": list(proposal.rows), "places": places, "share": round(proposal.share, 4)})
        return
    for row in proposal.rows:
        print(row)
    for name, place in proposal.places.items():
        print(
            f"{name}: {place.pixels} pixels, hot on {place.days} days, at most "
            f"{place.hottest_c:.0f} °C; legal up to {place.limit_c:.0f} °C"
        )
    print(f"{proposal.share:.1%} of the image would be hidden from all but H1, H4 and 6 % of H3")


def show_co2(session: Co2Session, *, as_json: bool) -> None:
    """Show what the sensor reads where it should read the target."""
    if as_json:
        _say({"measured_ppm": session.measured_ppm, "target_ppm": session.target_ppm})
        return
    print(f"reads {session.measured_ppm:.0f} ppm, will be told {session.target_ppm} ppm")


def picture(image_c: NDArray[np.float32]) -> list[str]:
    """Return an image (°C) as lines of shades, dark is cold, with its range below."""
    low, high = float(np.nanmin(image_c)), float(np.nanmax(image_c))
    wide = max(high - low, 1e-6)
    lines = [
        "".join("?" if math.isnan(value) else _shade((value - low) / wide) * 2 for value in row)
        for row in image_c.tolist()
    ]
    return [*lines, f"{low:.1f} to {high:.1f} °C"]


def sparkline(values: Sequence[float]) -> str:
    """Return the course of values as a row of bars, means of as many parts as the row is long."""
    parts = min(_COLUMNS, len(values))
    edges = [len(values) * k // parts for k in range(parts + 1)]
    means = [sum(values[low:high]) / (high - low) for low, high in pairwise(edges)]
    low, wide = min(means), max(means) - min(means)
    steps = [0.0 if wide == 0.0 else (mean - low) / wide for mean in means]
    return "".join(_BARS[min(len(_BARS) - 1, int(step * len(_BARS)))] for step in steps)


def _shade(share: float) -> str:
    return _SHADES[min(len(_SHADES) - 1, int(share * len(_SHADES)))]


def _before(present: ThermalCalibration | None, name: str) -> str:
    return "none before" if present is None else f"{getattr(present, name):.2f} before"


def _say(record: dict[str, object]) -> None:
    print(json.dumps(record), flush=True)

"""Judges the thermal array: can its EEPROM be trusted, is its image whole, even and plausible."""

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from firedetect.config import Settings, ThermalCalibration, load_thermal_calibration
from firedetect.doctor.finding import Finding
from firedetect.doctor.host import Host
from firedetect.doctor.scan import BusLook
from firedetect.errors import CalibrationError, ConfigError
from firedetect.readings import ThermalImage
from firedetect.sensors.mlx90640.calibration import (
    commissioned_words,
    extract,
    fingerprint,
    is_other_chip,
)

UNEVEN_K: Final = 1.0
"""Every second pixel or row so much above its neighbours, all over the image: no scene does that.
"""
AIR_APART_K: Final = 6.0
"""Array and air sensor may differ so much about the air, in and beside a case."""
_WIRING: Final = "check cable (at most 30 cm), 10 uF + 100 nF at the array, supply"
_DEVICE_WORD, _OTHER_DEVICE = 10, 0x0040
"""Set in an MLX90641, which has the same address and another image."""


def examine_eeprom(host: Host, settings: Settings, look: BusLook) -> Finding:
    """Tell whether the dumps agree, belong to an MLX90640, and are those of the commissioning."""
    name = "thermal eeprom"
    copy = _commissioned(host, settings)
    words = _agreed(look.dumps)
    if words is None:
        return Finding(
            name,
            "fail" if copy is None else "warn",
            _disagreement(look.dumps) + ("" if copy is None else "; the commissioned copy is used"),
            _WIRING,
        )
    try:
        bad = _bad_pixels(words)
    except CalibrationError as error:
        return Finding(
            name,
            "fail" if copy is None else "warn",
            str(error) + ("" if copy is None else "; the commissioned copy is used"),
            f"{_WIRING}; if it stays so, it is another chip or the array is broken: replace it",
        )
    detail = f"two reads agree, bad pixels: {bad}, SHA-256 {fingerprint(words)[:12]}"
    if copy is None:
        return Finding(name, "ok", detail)
    kept = commissioned_words(copy)
    if np.array_equal(words, kept):
        return Finding(name, "ok", f"{detail}, as commissioned")
    if is_other_chip(words, kept):
        return Finding(
            name,
            "warn",
            "another array than the commissioned one",
            "type  firedetect calibrate thermal",
        )
    changed = int(np.count_nonzero(words != kept))
    return Finding(
        name,
        "warn",
        f"{changed} words differ from the commissioned copy, which is used",
        "a glitch of the supply damaged it: check the supply; replace the array at leisure",
    )


def examine_image(image: ThermalImage | None, pages: set[int], air_c: float) -> Finding:
    """Tell whether both sub-pages come, the image has no pattern of its own, the air is right.

    `air_c` is what the air sensor measured, NaN without one.
    """
    name = "thermal image"
    if image is None:
        what = f"only sub-page {min(pages)} comes" if len(pages) == 1 else "no image comes together"
        return Finding(name, "fail", f"{what}: half of the pixels would stay as they were", _WIRING)
    if not np.isfinite(image.temp_c).any():
        return Finding(name, "fail", "no pixel has a temperature", _WIRING)
    checked, striped = unevenness_k(image.temp_c)
    if max(checked, striped) > UNEVEN_K:
        kind = "checkerboard" if checked >= striped else "stripes"
        return Finding(
            name,
            "warn",
            f"{kind} of {max(checked, striped):.1f} K all over the image",
            f'{_WIRING}; thermal.pattern = "chess", as the maker calibrated it',
        )
    detail = f"whole and even, median {float(np.nanmedian(image.temp_c)):.0f} °C"
    if math.isfinite(air_c) and abs(image.air_c - air_c) > AIR_APART_K:
        return Finding(
            name,
            "warn",
            f"{detail}; it takes the air for {image.air_c:.0f} °C, the air sensor says "
            f"{air_c:.0f} °C",
            "type  firedetect calibrate thermal: shift and emissivity of this place",
        )
    return Finding(name, "ok", f"{detail}, air {image.air_c:.0f} °C")


def unevenness_k(temp_c: NDArray[np.float32]) -> tuple[float, float]:
    """Return by how much every second pixel, and every second row, stands out (K).

    Medians over the image: people, flames and edges do not count.
    """
    rows = np.arange(1, temp_c.shape[0] - 1)
    columns = np.arange(1, temp_c.shape[1] - 1)
    around = (temp_c[:-2, 1:-1] + temp_c[2:, 1:-1] + temp_c[1:-1, :-2] + temp_c[1:-1, 2:]) / 4.0
    pixel_sign = np.where((rows[:, None] + columns) % 2, 1.0, -1.0)
    checked = float(np.nanmedian((temp_c[1:-1, 1:-1] - around) * pixel_sign))
    lines = np.nanmedian(temp_c, axis=1)
    row_sign = np.where(rows % 2, 1.0, -1.0)
    striped = float(np.nanmedian((lines[1:-1] - (lines[:-2] + lines[2:]) / 2.0) * row_sign))
    return abs(checked), abs(striped)


def _bad_pixels(words: NDArray[np.uint16]) -> int:
    """Return how many pixels the maker marked; raises CalibrationError for another chip's words."""
    bad = extract(words).bad_pixels.size
    if int(words[_DEVICE_WORD]) & _OTHER_DEVICE:
        raise CalibrationError("EEPROM: it is that of an MLX90641, an MLX90640 is expected")
    return int(bad)


def _commissioned(host: Host, settings: Settings) -> ThermalCalibration | None:
    """Return the copy made at commissioning; a file that is damaged has a finding of its own."""
    path = settings.thermal.calibration
    if path is None:
        return None
    try:
        return load_thermal_calibration(host.at(path))
    except ConfigError:
        return None


def _agreed(dumps: tuple[bytes, ...]) -> NDArray[np.uint16] | None:
    if len(dumps) < 2 or dumps[-1] != dumps[-2]:
        return None
    return np.frombuffer(dumps[-1], dtype=">u2").astype(np.uint16)


def _disagreement(dumps: tuple[bytes, ...]) -> str:
    if len(dumps) < 2:
        return f"{len(dumps)} reads succeeded, two are needed"
    last, before = (np.frombuffer(dump, dtype=">u2") for dump in (dumps[-1], dumps[-2]))
    differing = int(np.count_nonzero(last != before))
    return f"{len(dumps)} reads in a row differ, the last two in {differing} words"

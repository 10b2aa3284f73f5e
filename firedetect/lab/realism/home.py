"""G9: CO2, vapour and warmth of a room that is lived in, against ten days of a real home."""

from functools import partial
from pathlib import Path
from typing import Final

import numpy as np

from firedetect.features.gas import FILMS
from firedetect.lab.realism.check import Check, bands, check
from firedetect.lab.realism.data import split_by
from firedetect.lab.realism.films import log_rs, smoothed
from firedetect.lab.realism.home_data import (
    SPAN_S,
    Floats,
    Home,
    load_home,
    swings_k,
    window_ratios,
    window_rises,
)
from firedetect.simulation.array import DRIFT
from firedetect.simulation.families import draw_episode
from firedetect.simulation.films import BETA
from firedetect.simulation.stage import Choice

GROUP: Final = "G9 lived-in room"
SOURCE: Final = "household air, ten days, two sensors"
TOLD_MOST_PPM: Final = 2469.0
"""The most in all twenty days of the same home."""
PARTY_PPM: Final = (1500.0, 3500.0)
DAY_S: Final = 86_400
SMALL_M3: Final = 40.0
HOB_S: Final = 600.0
TOLD_HOB_PPM: Final = 425.0
"""What the gas burner adds in half an hour."""

_check = partial(check, GROUP, SOURCE)


def home_checks(data: Path | None = None, count: int = 60) -> list[Check]:
    """Return the checks of CO2, of the hob, of candles and of how far rooms swing."""
    home = load_home(data)
    return [
        *_quiet(home, count),
        *_gathering(home, count),
        *_sources(home, count),
        *_swing(home, count),
    ]


def _quiet(home: Home, count: int) -> list[Check]:
    shares = (0.05, 0.5, 0.95)
    days = split_by((home.t_s // DAY_S).astype(np.int64), home.co2_ppm)
    choice = Choice(co2=True, lead_s=75.0)
    levels = np.concatenate([_co2("quiet-room", number, choice)[-60:] for number in range(count)])
    return [
        _check(f"CO2 of a room, {100 * share:.0f} %", "quantile of a quiet room; the range is what "
               "ten days can tell (95 %)", "ppm", real, float(np.quantile(levels, share)), None,
               count)
        for share, real in zip(shares, bands(days, shares), strict=True)
    ]  # fmt: skip


def _gathering(home: Home, count: int) -> list[Check]:
    days = split_by((home.t_s // DAY_S).astype(np.int64), home.co2_ppm)
    highest = [float(np.nanmax(day)) for day in days]
    choice = Choice(co2=True, lead_s=75.0)
    peaks, small = [], []
    for number in range(3 * count):
        episode = draw_episode("gathering", (109, number), choice)
        if episode.readings.co2_ppm is None:
            continue
        peak = float(smoothed(episode.readings.co2_ppm).max())
        if episode.volume_m3 < SMALL_M3:
            small.append(peak)
        peaks.append(peak)
    real = (min(highest), TOLD_MOST_PPM)
    day = "median of the highest CO2; a day's highest in the home, up to 2,469 ppm in 20 days"
    return [
        _check("gathering: CO2", day, "ppm", real, float(np.median(peaks)), peaks),
        _check(f"gathering below {SMALL_M3:g} m3: CO2", day, "ppm", real,
               float(np.median(small)), small),
        _check("gathering: CO2, 95 %", "quantile of the highest; parties as in domain 1.11", "ppm",
               PARTY_PPM, float(np.quantile(peaks, 0.95)), peaks),
    ]  # fmt: skip


def _sources(home: Home, count: int) -> list[Check]:
    people = [rise * 60.0 / HOB_S for rise in window_rises(home, "Human Presence", HOB_S)]
    people += [rise * 60.0 / HOB_S for rise in window_rises(home, "Rowing CD", HOB_S)]
    come = [rate for rate in people if rate > 0.0]
    lead = Choice(co2=True, lead_s=660.0)
    rates = []
    for number in range(count):
        co2 = _co2("people", number, lead)
        rates.append(float(np.mean(co2[-60:]) - np.mean(co2[120:180])) * 60.0 / (len(co2) - 180))
    next_door = Choice(co2=True, lead_s=75.0, beyond=True)
    hob = []
    for number in range(count):
        co2 = _co2("gas-hob", number, next_door)
        hob.append(float(np.mean(co2[-40:]) - np.mean(co2[30:75])))
    shut = window_rises(home, "Gas Burner (CD)", HOB_S)
    candles = np.log([*window_ratios(home, "Candle"), *window_ratios(home, "Candle (Scented)")])
    lit = _voc_answers(count)
    return [
        _check("people: CO2 rises", "median; one home, people who come in or row", "ppm/min",
               (min(come), max(come)), float(np.median(rates)), rates),
        _check("gas hob next door: CO2", "median rise in 10 min, through a door; range from a "
               "shut door's 10 min to a third of +425 ppm in 30 min", "ppm",
               (min(shut), TOLD_HOB_PPM / 3.0), float(np.median(hob)), hob),
        _check("candles: answer of the VOC film", "median; real vapour's ratio to the power of "
               "the film (semi-synthetic)", "ln(R0/Rs)",
               (BETA["voc"] * float(candles.min()), BETA["voc"] * float(candles.max())),
               float(np.median(lit)), lit),
    ]  # fmt: skip


def _swing(home: Home, count: int) -> list[Check]:
    real = [
        swings_k(home.t_s[home.sensor == name], home.temp_c[home.sensor == name])
        for name in np.unique(home.sensor)
    ]
    choice = Choice(lead_s=float(SPAN_S))
    ours = [
        float(np.ptp(draw_episode("quiet-room", (110, k), choice).scene.zones[:SPAN_S, DRIFT]))
        for k in range(2 * count)
    ]
    return [
        _check(f"room's swing in 20 min, {100 * share:.0f} %", f"quantile of a quiet room; from "
               f"{100 * low:.0f} to {100 * high:.0f} % of the real spans", "K",
               (min(float(np.quantile(one, low)) for one in real),
                max(float(np.quantile(one, high)) for one in real)),
               float(np.quantile(ours, share)), ours)
        for share, low, high in ((0.5, 0.25, 0.75), (0.95, 0.9, 0.99))
    ]  # fmt: skip


def _co2(family: str, number: int, choice: Choice) -> Floats:
    found = draw_episode(family, (109, number), choice).readings.co2_ppm
    if found is None:
        raise ValueError("the episode has no CO2 sensor")
    return found


def _voc_answers(count: int) -> list[float]:
    choice = Choice(films=True, co2=False, air=False, lead_s=75.0)
    found = []
    for number in range(count):
        counts = draw_episode("candles", (111, number), choice).readings.counts
        if counts is not None:
            held = log_rs(smoothed(counts[:, FILMS.index("voc")].astype(np.float64)))
            # From the lighting to the end, as the real window: the blowing out is part of it.
            found.append(float(np.median(held[:60]) - np.quantile(held[75:], 0.1)))
    return found

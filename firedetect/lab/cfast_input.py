"""The input file of CFAST (namelists, version 7 and 8) for one described fire."""

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from firedetect.lab.room_spec import Burn, Opening, RoomSpec, Wall
from firedetect.simulation.rooms import JET_R_M, POINTS

START_C: Final = 20.0
BELOW_CEILING_M: Final = 0.05
_CORNER_M: Final = 0.05
_YIELD_STEPS: Final = 40
_LEAST_AREA_M2: Final = 0.003
_LOWER_O2: Final = 0.10
_STEP_S: Final = 0.5
"""With longer steps the solver fails now and then in rooms where little happens."""

_MATERIALS: Final[dict[Wall, tuple[float, float, float, float]]] = {
    "gypsum": (0.17, 960.0, 1.1, 0.016),
    "brick": (0.8, 2600.0, 0.8, 0.15),
    "concrete": (1.6, 2400.0, 0.75, 0.15),
    "wood": (0.14, 640.0, 2.85, 0.02),
}
"""W/(m K), kg/m3, kJ/(kg K), m (NUREG-1805, table of the MQH correlation)."""

_LABELS: Final = (
    "'TIME', 'HRR', 'HEIGHT', 'AREA', 'CO_YIELD', 'SOOT_YIELD', 'HCN_YIELD', 'HCL_YIELD', "
    "'TRACE_YIELD'"
)


def input_text(spec: RoomSpec, starved: NDArray[np.float64]) -> str:
    """Return the input for a spec, with how starved (0 to 1) the fire is over time, (121,)."""
    lines = [
        "&HEAD VERSION = 7700 TITLE = 'room' /",
        _time(spec.duration_s),
        _start(),
        f"&MISC LOWER_OXYGEN_LIMIT = {_LOWER_O2:g} MAX_TIME_STEP = {_STEP_S:g} /",
        _material(spec.walls),
        *_compartments(spec),
        *(_vent(number, opening) for number, opening in enumerate(spec.openings)),
    ]
    for number, burn in enumerate(spec.burns):
        lines += _fire(spec, number, burn, starved)
    lines += [_sensor(spec, number, r_m) for number, r_m in enumerate(JET_R_M)]
    return "\n".join([*lines, "&TAIL /", ""])


def _time(duration_s: float) -> str:
    step_s = duration_s / (POINTS - 1)
    return (
        f"&TIME SIMULATION = {duration_s + step_s:.9g} PRINT = {duration_s:.9g} "
        f"SMOKEVIEW = 0 SPREADSHEET = {step_s:.9g} /"
    )


def _start() -> str:
    return (
        "&INIT PRESSURE = 101325 RELATIVE_HUMIDITY = 50 "
        f"INTERIOR_TEMPERATURE = {START_C:g} EXTERIOR_TEMPERATURE = {START_C:g} /"
    )


def _material(name: Wall) -> str:
    conductivity, density, heat, thickness = _MATERIALS[name]
    return (
        f"&MATL ID = 'WALL' MATERIAL = '{name}' CONDUCTIVITY = {conductivity:g} "
        f"DENSITY = {density:g} SPECIFIC_HEAT = {heat:g} THICKNESS = {thickness:g} "
        "EMISSIVITY = 0.9 /"
    )


def _compartments(spec: RoomSpec) -> list[str]:
    thick = _MATERIALS[spec.walls][3]
    surfaces = " ".join(
        f"{part}_MATL_ID = 'WALL' {part}_THICKNESS = {thick:g}"
        for part in ("CEILING", "WALL", "FLOOR")
    )
    leak = spec.leak_cm2_per_m2 * 1e-4
    rooms = [("R1", 0.0, (spec.length_m, spec.width_m, spec.height_m))]
    if spec.fire_room_m is not None:
        rooms.append(("R2", spec.length_m, spec.fire_room_m))
    return [
        f"&COMP ID = '{name}' WIDTH = {length:.6g} DEPTH = {width:.6g} HEIGHT = {height:.6g} "
        f"{surfaces} ORIGIN = {x:.6g}, 0, 0 LEAK_AREA_RATIO = {leak:.4g}, {leak / 2:.4g} /"
        for name, x, (length, width, height) in rooms
    ]


def _vent(number: int, opening: Opening) -> str:
    other, face = ("R2", "RIGHT") if opening.to_fire_room else ("OUTSIDE", "FRONT")
    return (
        f"&VENT TYPE = 'WALL' ID = 'V{number}' COMP_IDS = 'R1', '{other}' "
        f"BOTTOM = {opening.sill_m:.6g} HEIGHT = {opening.height_m:.6g} "
        f"WIDTH = {opening.width_m:.6g} FACE = '{face}' OFFSET = 0.1 /"
    )


def _fire(spec: RoomSpec, number: int, burn: Burn, starved: NDArray[np.float64]) -> list[str]:
    x, y, z = spec.fire_xyz_m
    if spec.fire_room_m is not None:
        x -= spec.length_m
    place = (
        f"&FIRE ID = 'F{number}' COMP_ID = 'R{spec.fire_compartment}' FIRE_ID = 'B{number}' "
        f"LOCATION = {x:.6g}, {y:.6g} /"
    )
    lines = [place, _chemistry(number, burn), f"&TABL ID = 'B{number}' LABELS = {_LABELS} /"]
    t_s, kw = np.array(burn.curve).T
    times = np.union1d(t_s, np.linspace(0.0, spec.duration_s, _YIELD_STEPS + 1))
    heat = np.interp(times, t_s, kw)
    short = np.interp(times, np.linspace(0.0, spec.duration_s, POINTS), starved)
    co = burn.co_yield + short * (burn.starved_co_yield - burn.co_yield)
    for at_s, hrr, co_yield in zip(times, heat, co, strict=True):
        area = max(hrr / burn.hrr_per_area_kw, _LEAST_AREA_M2)
        lines.append(
            f"&TABL ID = 'B{number}' DATA = {at_s:.7g}, {hrr:.6g}, {z:.4g}, {area:.5g}, "
            f"{co_yield:.5g}, {burn.soot_yield:.5g}, 0, 0, 0 /"
        )
    return lines


def _chemistry(number: int, burn: Burn) -> str:
    carbon, hydrogen, oxygen = burn.formula
    return (
        f"&CHEM ID = 'B{number}' CARBON = {carbon:.6g} CHLORINE = 0 HYDROGEN = {hydrogen:.6g} "
        f"NITROGEN = 0 OXYGEN = {oxygen:.6g} HEAT_OF_COMBUSTION = {burn.heat_kj_per_g * 1e3:.6g} "
        f"RADIATIVE_FRACTION = {burn.radiated_fraction:.6g} /"
    )


def _sensor(spec: RoomSpec, number: int, r_m: float) -> str:
    """Return a sensor r from the axis of the fire, on the line to the farthest corner."""
    x, y, _ = spec.fire_xyz_m
    far_x, far_y = (
        _CORNER_M if at > size / 2 else size - _CORNER_M
        for at, size in ((x, spec.length_m), (y, spec.width_m))
    )
    if spec.fire_room_m is not None:
        x, y = spec.length_m - _CORNER_M, min(y, spec.width_m - _CORNER_M)
    full = math.hypot(far_x - x, far_y - y)
    part = min(r_m / full, 1.0)
    return (
        f"&DEVC ID = 'J{number}' COMP_ID = 'R1' "
        f"LOCATION = {x + part * (far_x - x):.6g}, {y + part * (far_y - y):.6g}, "
        f"{spec.height_m - BELOW_CEILING_M:.6g} TYPE = 'HEAT_DETECTOR' SETPOINT = 5000 RTI = 5 /"
    )

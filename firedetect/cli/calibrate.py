"""The commands that calibrate the sensors at the device."""

import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from firedetect.cli.common import (
    ConfigOption,
    JsonOption,
    SimulateOption,
    agreed,
    read_settings,
)
from firedetect.errors import FiredetectError

if TYPE_CHECKING:
    from firedetect.commissioning.co2 import Co2Session

calibrate_app = typer.Typer(no_args_is_help=True, help="Calibrate the sensors at the device.")
YesOption = Annotated[bool, typer.Option("--yes", help="write without asking")]


@calibrate_app.command("gas")
def calibrate_gas(
    config: ConfigOption = None,
    simulate: SimulateOption = None,
    duration: Annotated[
        float, typer.Option(min=20.0, help="seconds for which the air must be steady")
    ] = 300.0,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Take the gas board's clean-air baseline. Example: firedetect calibrate gas --yes."""
    from firedetect.daemon.calibration import gas
    from firedetect.daemon.calibration.found import show_gas
    from firedetect.daemon.calibration.view import Guide

    settings = read_settings(config)
    path = gas.calibration_path(settings)
    present = gas.present_baseline(path)
    with Guide(as_json=as_json) as guide:
        proposal = gas.calibrate_gas(
            settings, simulate=simulate, steady_s=duration, show=guide.show
        )
    show_gas(proposal, present, as_json=as_json)
    far = gas.too_far(proposal, present)
    if far and yes:
        raise FiredetectError(f"{far}; run it without --yes, and answer in person")
    if far:
        print(f"{far}: only clean air may be taken for clean air", file=sys.stderr)
    _agree("Is this clean air?", yes=yes)
    gas.write(path, proposal)
    _written(path, "gas", "calibration", named=settings.gas.calibration)


@calibrate_app.command("thermal")
def calibrate_thermal(
    config: ConfigOption = None,
    simulate: SimulateOption = None,
    reference: Annotated[
        float | None, typer.Option(help="true °C of an even surface that fills the view")
    ] = None,
    hot: Annotated[
        float | None, typer.Option(help="true °C of the hottest thing in view: gives emissivity")
    ] = None,
    air: Annotated[float | None, typer.Option(help="true °C of the air, without a BME280")] = None,
    duration: Annotated[
        float, typer.Option(min=10.0, help="seconds for which the image must be steady")
    ] = 120.0,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Find the array's noise, bad pixels and offset, and keep its EEPROM.

    Example: firedetect calibrate thermal --reference 23.4 --air 22.0.
    """
    from firedetect.commissioning.thermal import ThermalReference
    from firedetect.daemon.calibration import thermal
    from firedetect.daemon.calibration.found import show_thermal
    from firedetect.daemon.calibration.view import Guide

    settings = read_settings(config)
    path = thermal.thermal_path(settings)
    present = thermal.present_thermal(path)
    known = ThermalReference(*(math.nan if c is None else c for c in (reference, hot, air)))
    with Guide(as_json=as_json) as guide:
        proposal = thermal.calibrate_thermal(
            settings, known, simulate=simulate, steady_s=duration, show=guide.show
        )
    show_thermal(proposal, present, as_json=as_json)
    _agree("Use this from now on?", yes=yes)
    thermal.write_thermal(path, proposal)
    _written(path, "thermal", "calibration", named=settings.thermal.calibration)


@calibrate_app.command("mask")
def calibrate_mask(
    config: ConfigOption = None,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Approve the places that the detector has seen hot. Example: firedetect calibrate mask.

    The running detector watches for a week first; it is not stopped for this.
    """
    from firedetect.daemon.calibration import mask
    from firedetect.daemon.calibration.found import show_mask

    settings = read_settings(config)
    proposal = mask.propose_mask(settings)
    show_mask(proposal, as_json=as_json)
    _agree("Is it legal that these places are that hot?", yes=yes)
    path = mask.mask_path(settings)
    mask.write_mask(path, proposal)
    _written(path, "thermal", "mask", named=settings.thermal.mask)


@calibrate_app.command("co2")
def calibrate_co2(
    config: ConfigOption = None,
    simulate: SimulateOption = None,
    target: Annotated[
        int, typer.Option("--ppm", min=400, max=5000, help="the true CO2 around the sensor")
    ] = 425,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Tell the SCD41 what it should read, in fresh air. Example: firedetect calibrate co2."""
    from firedetect.daemon.calibration import co2
    from firedetect.daemon.calibration.found import show_co2
    from firedetect.daemon.calibration.view import Guide

    settings = read_settings(config)
    with Guide(as_json=as_json) as guide:

        def agree(session: "Co2Session") -> None:
            guide.end()
            show_co2(session, as_json=as_json)
            if session.far and yes:
                raise FiredetectError(f"{session.far}; run it without --yes, and answer in person")
            if session.far:
                print(f"{session.far}: is this really fresh air?", file=sys.stderr)
            _agree(f"Has this air {target} ppm?", yes=yes)

        done = co2.calibrate_co2(settings, target, simulate=simulate, show=guide.show, agree=agree)
    path = co2.record_path(settings)
    co2.write_record(path, done)
    if as_json:
        guide.say({"correction_ppm": done.correction_ppm, "serial": f"{done.serial:012x}"})
    print(f"corrected by {done.correction_ppm:+d} ppm; {path}: written", file=sys.stderr)


def _agree(question: str, *, yes: bool) -> None:
    if not yes and not agreed(question):
        raise FiredetectError("nothing was written; it takes a y, or --yes")


def _written(path: Path, section: str, key: str, *, named: Path | None) -> None:
    print(f"{path}: written", file=sys.stderr)
    if named is None:
        print(f'set  {key} = "{path.absolute()}"  in [{section}] to use it', file=sys.stderr)

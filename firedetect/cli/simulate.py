"""The commands that invent rooms, with and without fire."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from firedetect.cli.common import (
    ConfigOption,
    DurationOption,
    JsonOption,
    progress,
    read_settings,
    show,
)

simulate_app = typer.Typer(no_args_is_help=True, help="Scenarios and data sets, invented.")


@simulate_app.command("list")
def simulate_list(as_json: JsonOption = False) -> None:
    """List the scenarios and families. Example: firedetect simulate list."""
    from firedetect.simulation.families import family_names
    from firedetect.simulation.scenarios import SCENARIOS

    if as_json:
        for scenario in SCENARIOS.values():
            show({"name": scenario.name, "what": scenario.summary, "s": scenario.duration_s})
        return
    table = Table("scenario", "seconds", "what happens")
    for scenario in SCENARIOS.values():
        table.add_row(scenario.name, f"{scenario.duration_s:.0f}", scenario.summary)
    Console().print(table)
    print(f"or FAMILY:SEED of any family: {', '.join(family_names())}")


@simulate_app.command("play")
def simulate_play(
    name: str,
    config: ConfigOption = None,
    duration: DurationOption = None,
    as_json: JsonOption = False,
    record: Annotated[Path | None, typer.Option("-o", "--output", help="a recording")] = None,
) -> None:
    """Play a scenario faster than time. Example: firedetect simulate play waste-bin."""
    from firedetect.daemon import commands

    hear = commands.print_json if as_json else lambda _outcome: None
    summary = commands.play(
        read_settings(config), name, duration_s=duration, record=record, hear=hear
    )
    if not as_json:
        show(summary)


@simulate_app.command("dataset")
def simulate_dataset(
    out: Annotated[Path, typer.Option("-o", "--output", help="a new folder, or a broken-off one")],
    episodes: Annotated[int, typer.Option(min=1)] = 2000,
    seed: Annotated[int, typer.Option(min=0)] = 1,
    jobs: Annotated[int, typer.Option(min=1)] = os.cpu_count() or 1,
    split: Annotated[str, typer.Option(help="rooms: learned, held-out or all")] = "learned",
    whole: Annotated[
        int | None, typer.Option(min=1, help="so many whole episodes of each family, to be judged")
    ] = None,
) -> None:
    """Draw a data set. Example: firedetect simulate dataset -o data --episodes 2000."""
    from firedetect.lab.generate import generate
    from firedetect.lab.plan import judging_plan, learning_plan

    plan = (
        judging_plan(whole, seed, split=split)
        if whole is not None
        else learning_plan(episodes, seed, split=split)
    )
    with progress("episodes") as advance:
        rows = generate(out, plan, jobs=jobs, progress=advance)
    print(f"{out}: {rows} rows of {len(plan.tasks)} episodes", file=sys.stderr)


@simulate_app.command("year")
def simulate_year(
    out: Annotated[Path, typer.Option("-o", "--output", help="a folder; what is there goes on")],
    bundle: Annotated[
        Path | None, typer.Option(help="the bundle to judge; else the default")
    ] = None,
    site: Annotated[str, typer.Option(help="dwelling, office, kitchen or workshop")] = "dwelling",
    rates: Annotated[Path | None, typer.Option(help="your own table of nuisances a year")] = None,
    years: Annotated[float, typer.Option(min=0.0001, help="device-years of each nuisance")] = 0.1,
    seed: Annotated[int, typer.Option(min=0)] = 7,
    jobs: Annotated[int, typer.Option(min=1)] = os.cpu_count() or 1,
) -> None:
    """Live through a year of nuisances. Example: firedetect simulate year -o year --years 0.2."""
    from firedetect.lab.year import live_year

    with progress("nuisances") as advance:
        told = live_year(
            out,
            bundle=bundle,
            site=site,
            rates=rates,
            years=years,
            seed=seed,
            jobs=jobs,
            progress=advance,
        )
    print(
        f"{out}/year.html: {len(told['alarms'])} alarms in {told['episodes']} nuisances; false "
        f"alert {told['table']['alert']['a_year']:.3g} a year, at most "
        f"{told['table']['alert']['at_most']:.3g}",
        file=sys.stderr,
    )

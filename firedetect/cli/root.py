"""The command line: reads arguments, calls the part that does the work, prints the answer."""

import os
import sys
from pathlib import Path
from typing import Annotated, Literal, NoReturn

from firedetect import __version__
from firedetect.errors import FiredetectError

try:
    import rich as _rich  # noqa: F401 - what the commands below need
    import typer
except ModuleNotFoundError as missing:
    sys.exit(f"firedetect: {missing.name} is missing: pip install 'firedetect[device]'")

from firedetect.cli.calibrate import calibrate_app
from firedetect.cli.common import (
    ConfigOption,
    DurationOption,
    JsonOption,
    SimulateOption,
    answer_alone,
    ask_detector,
    read_settings,
    settings_file,
    show,
)
from firedetect.cli.learn import learn_app
from firedetect.cli.model import model_app
from firedetect.cli.running import running_app
from firedetect.cli.shadow import shadow_app
from firedetect.cli.simulate import simulate_app

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="Edge-first fire detector. It adds to listed smoke, heat and CO alarms; it never "
    "replaces them.",
)

app.add_typer(running_app)
app.add_typer(learn_app)
app.add_typer(calibrate_app, name="calibrate")
app.add_typer(simulate_app, name="simulate")
app.add_typer(model_app, name="model")
app.add_typer(shadow_app, name="shadow")


def main() -> NoReturn:
    """Run the command; a stated failure is one line on stderr and exit code 1."""
    try:
        app()
    except FiredetectError as error:
        print(f"firedetect: {error}", file=sys.stderr)
        sys.exit(1)
    except BrokenPipeError:
        # The reader of our output has gone: nothing is left to say, and no flush may fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(0)


@app.callback(invoke_without_command=True)
def version(
    show: Annotated[bool, typer.Option("--version", help="print the version")] = False,
) -> None:
    """Print the version when asked."""
    if show:
        print(f"firedetect {__version__}")
        raise typer.Exit


@app.command()
def run(
    config: ConfigOption = None,
    simulate: SimulateOption = None,
    cloud: Annotated[
        Literal["aws", "box", "off"] | None,
        typer.Option(help="aws: as configured; box: a cloud on this machine; off: none"),
    ] = None,
    duration: DurationOption = None,
    as_json: JsonOption = False,
    record: Annotated[Path | None, typer.Option(help="also write a recording")] = None,
) -> None:
    """Run the detector. Example: firedetect run --simulate waste-bin --cloud box --duration 90."""
    from firedetect.daemon import commands
    from firedetect.daemon.notify import is_service
    from firedetect.daemon.start_settings import start_settings

    commands.run(
        start_settings(settings_file(config), service=is_service()),
        simulate=simulate,
        cloud=cloud,
        duration_s=duration,
        json_lines=as_json,
        record=record,
    )


@app.command()
def replay(
    recordings: Annotated[list[Path], typer.Argument(metavar="REC...", show_default=False)],
    as_json: JsonOption = False,
    summary: Annotated[bool, typer.Option("--summary", help="one object per recording")] = False,
    speed: Annotated[str, typer.Option(help="max, or 1 for real time")] = "max",
    auto_reset: Annotated[
        float | None, typer.Option("--auto-reset", min=0, help="reset after so many normal s")
    ] = None,
    config: ConfigOption = None,
    model: Annotated[Path | None, typer.Option("--model", metavar="BUNDLE")] = None,
) -> None:
    """Replay recordings through the pipeline. Example: firedetect replay night.mcap --summary."""
    from firedetect.daemon.replay import replay_all

    if speed not in {"max", "1"}:
        raise typer.BadParameter("is max or 1", param_hint="--speed")
    if as_json and summary:
        raise typer.BadParameter("takes either --json or --summary", param_hint="--json")
    settings = read_settings(config) if config is not None else None
    replay_all(
        recordings,
        settings=settings,
        bundle=model,
        auto_reset_s=auto_reset,
        form="json" if as_json else "summary" if summary else "text",
        real_time=speed == "1",
    )


@app.command()
def record(
    target: Annotated[Path, typer.Option("-o", "--output", help="the new recording")],
    config: ConfigOption = None,
    simulate: SimulateOption = None,
    duration: DurationOption = None,
) -> None:
    """Record the live sensors. Example: firedetect record -o night.mcap --duration 3600."""
    from firedetect.daemon.record import record as write_recording

    count = write_recording(read_settings(config), target, simulate=simulate, duration_s=duration)
    print(f"{target}: {count} events", file=sys.stderr)


@app.command("import")
def import_data(
    folder: Annotated[Path, typer.Argument(metavar="DIR")],
    target: Annotated[Path, typer.Option("-o", "--output", help="the new recording")],
    start: Annotated[str | None, typer.Option(help="wall clock at time zero, ISO 8601")] = None,
) -> None:
    """Turn your own arrays and tables into a recording. Example: firedetect import d -o d.mcap."""
    from firedetect.sensors.importing import import_folder

    count = import_folder(folder, target, start)
    print(f"{target}: {count} events", file=sys.stderr)


@app.command()
def warmup() -> None:
    """Compile the kernels into the cache, at install. Example: firedetect warmup."""
    from firedetect.daemon.models.choose import scorer_or_none
    from firedetect.daemon.warmup import warm_kernels

    scorer, refused = scorer_or_none(None)
    warm_kernels(scorer)
    if refused:
        print(f"firedetect: no model: {refused}", file=sys.stderr)
    print("kernels are compiled")


@app.command()
def box(
    folder: Annotated[Path, typer.Option(help="certificates, shadows and jobs live here")] = Path(
        "var/box"
    ),
    port: Annotated[int, typer.Option(min=0, max=65_535, help="MQTT; 0 is any free one")] = 8883,
    as_json: JsonOption = False,
    with_parent: Annotated[
        bool, typer.Option("--with-parent", help="end when standard input closes")
    ] = False,
) -> None:
    """Run the cloud in a box: broker, shadows, jobs, rules, functions. Example: firedetect box."""
    try:
        from firedetect.cloudbox.app import run_box
    except ModuleNotFoundError as missing:
        words = f"{missing.name} is missing: pip install 'firedetect[box]'"
        raise FiredetectError(words) from missing

    run_box(folder, port=port, as_json=as_json, with_parent=with_parent)


@app.command()
def bench(
    names: Annotated[list[str] | None, typer.Argument(metavar="NAME...")] = None,
    as_json: JsonOption = False,
    out: Annotated[
        Path | None, typer.Option("-o", "--output", help="a page, its plot beside it")
    ] = None,
) -> None:
    """Compare our speed with named peers, in turn in one run. Example: firedetect bench score."""
    try:
        from firedetect.bench import app as side_by_side
    except ModuleNotFoundError as missing:
        words = f"{missing.name} is missing: pip install 'firedetect[bench,device]'"
        raise FiredetectError(words) from missing

    found = []
    for one in side_by_side.compare(names or []):
        print(side_by_side.as_json(one) if as_json else side_by_side.as_line(one), flush=True)
        found.append(one)
    if out is not None:
        side_by_side.write_page(out, found)


@app.command()
def doctor(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Check machine, buses, sensors, model, disk, clock, cloud. Example: firedetect doctor."""
    from firedetect.daemon.models.install import model_store
    from firedetect.doctor.checks import examine
    from firedetect.errors import ControlError

    answer_alone()
    settings = read_settings(config)
    try:
        link = ask_detector(config, {"do": "status"}).get("cloud")
    except ControlError:
        link = None
    failed = 0
    for finding in examine(settings, lambda: model_store(settings).active_bundle_path(), link):
        failed += finding.failed
        if as_json:
            show(finding.as_record())
        else:
            print(finding.text, flush=True)
    if failed:
        raise FiredetectError(f"{failed} check{'s' if failed > 1 else ''} failed")


@app.command()
def provision(
    config: ConfigOption = None,
    claim_cert: Annotated[Path | None, typer.Option(help="the claim certificate (PEM)")] = None,
    claim_key: Annotated[Path | None, typer.Option(help="its private key (PEM)")] = None,
    rotate: Annotated[
        bool, typer.Option("--rotate", help="replace the present certificate, with its own rights")
    ] = False,
) -> None:
    """Get a certificate for a key made here. Example: firedetect provision --rotate."""
    from firedetect.uplink.provision import provision_device

    answer_alone()
    print(provision_device(read_settings(config), claim_cert, claim_key, rotate=rotate))

"""The command line: reads arguments, calls the part that does the work, prints the answer."""

import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn

from firedetect import __version__
from firedetect.errors import FiredetectError

try:
    import typer
    from rich.console import Console
    from rich.table import Table
except ModuleNotFoundError as missing:
    sys.exit(f"firedetect: {missing.name} is missing: pip install 'firedetect[device]'")

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="Edge-first fire detector. It adds to listed smoke, heat and CO alarms; it never "
    "replaces them.",
)
simulate_app = typer.Typer(no_args_is_help=True, help="Scenarios and data sets, invented.")
model_app = typer.Typer(no_args_is_help=True, help="Model bundles, signed and installed.")
shadow_app = typer.Typer(no_args_is_help=True, help="Shadows of a thing, for operators.")
app.add_typer(simulate_app, name="simulate")
app.add_typer(model_app, name="model")
app.add_typer(shadow_app, name="shadow")

ConfigOption = Annotated[
    Path | None, typer.Option("--config", help="settings file (TOML); else $FIREDETECT_CONFIG")
]
JsonOption = Annotated[bool, typer.Option("--json", help="JSON lines on standard output")]
DurationOption = Annotated[
    float | None, typer.Option("--duration", min=0.1, help="stop after this many seconds")
]
SimulateOption = Annotated[
    str | None, typer.Option("--simulate", help="play this scenario on an emulated bus")
]


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


def _settings(path: Path | None) -> Any:  # noqa: ANN401 - Settings, imported when needed
    from firedetect.config import load_settings

    named = os.environ.get("FIREDETECT_CONFIG")
    return load_settings(path or (Path(named) if named else None))


def _show(record: dict[str, Any]) -> None:
    print(json.dumps(record, allow_nan=False), flush=True)


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

    commands.run(
        _settings(config),
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
    settings = _settings(config) if config is not None else None
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

    count = write_recording(_settings(config), target, simulate=simulate, duration_s=duration)
    print(f"{target}: {count} events", file=sys.stderr)


calibrate_app = typer.Typer(no_args_is_help=True, help="Calibrate the sensors at the device.")
app.add_typer(calibrate_app, name="calibrate")


@calibrate_app.command("gas")
def calibrate_gas(
    config: ConfigOption = None,
    simulate: SimulateOption = None,
    duration: Annotated[
        float, typer.Option(min=20.0, help="seconds for which the air must be steady")
    ] = 300.0,
    yes: Annotated[bool, typer.Option("--yes", help="write without asking")] = False,
    as_json: JsonOption = False,
) -> None:
    """Take the gas board's clean-air baseline. Example: firedetect calibrate gas --yes."""
    from firedetect.daemon import calibrate
    from firedetect.daemon.calibrate_view import Guide

    settings = _settings(config)
    path = calibrate.calibration_path(settings)
    present = calibrate.present_baseline(path)
    with Guide(as_json=as_json) as guide:
        proposal = calibrate.calibrate_gas(
            settings, simulate=simulate, steady_s=duration, show=guide.show
        )
        guide.propose(proposal, present)
    far = calibrate.too_far(proposal, present)
    if far and yes:
        raise FiredetectError(f"{far}; run it without --yes, and answer in person")
    if far:
        print(f"{far}: only clean air may be taken for clean air", file=sys.stderr)
    if not yes and not _agreed("Is this clean air?"):
        raise FiredetectError("nothing was written; it takes a y, or --yes")
    calibrate.write(path, proposal)
    print(f"{path}: written", file=sys.stderr)
    if settings.gas.calibration is None:
        print(f'set  calibration = "{path.absolute()}"  in [gas] to use it', file=sys.stderr)


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


def _ask(config: Path | None, request: dict[str, Any]) -> dict[str, Any]:
    from firedetect.daemon.control import ask

    return ask(_settings(config).device.data_dir / "control.sock", request)


@app.command()
def status(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Show what the running daemon sees. Example: firedetect status --json."""
    answer = _ask(config, {"do": "status"})
    if as_json:
        _show(answer)
        return
    outcome = answer.pop("outcome") or {}
    for name in ("level", "current", "alarm", "score", "reasons", "health", "troubles", "model"):
        print(f"{name:>16}  {outcome.get(name)}")
    settings = answer.pop("settings")
    cloud = answer.pop("cloud")
    for name, value in answer.items():
        print(f"{name:>16}  {value}")
    version = f", version {settings['version']} of the shadow" if settings["version"] else ""
    print(f"{'settings':>16}  {settings['status']}{version}")
    link = "none" if cloud is None else "connected" if cloud["up"] else f"no link: {cloud['why']}"
    where = "" if cloud is None else f" ({cloud['endpoint']})"
    print(f"{'cloud':>16}  {link}{where}")


def _command(config: Path | None, action: str, duration: float | None = None) -> None:
    request: dict[str, Any] = {"do": action}
    if duration is not None:
        request["duration_s"] = duration
    answer = _ask(config, request)
    if not answer["accepted"]:
        raise FiredetectError(f"{action} refused: {answer['detail']}")
    print(f"{action}: done; level {answer['level']}, alarm {answer['alarm']}")


@app.command()
def ack(config: ConfigOption = None) -> None:
    """Acknowledge the alarm: somebody has seen it. Example: firedetect ack."""
    _command(config, "ack")


@app.command()
def silence(config: ConfigOption = None, duration: DurationOption = None) -> None:
    """Silence the siren for at most ten minutes. Example: firedetect silence --duration 120."""
    _command(config, "silence", duration)


@app.command()
def reset(config: ConfigOption = None) -> None:
    """End a latched alarm once its causes are gone. Example: firedetect reset."""
    _command(config, "reset")


@app.command()
def drill(config: ConfigOption = None, duration: DurationOption = None) -> None:
    """Sound the outputs as a drill, marked as one. Example: firedetect drill --duration 10."""
    _command(config, "drill", duration)


@simulate_app.command("list")
def simulate_list(as_json: JsonOption = False) -> None:
    """List the scenarios and families. Example: firedetect simulate list."""
    from firedetect.simulation.families import family_names
    from firedetect.simulation.scenarios import SCENARIOS

    if as_json:
        for scenario in SCENARIOS.values():
            _show({"name": scenario.name, "what": scenario.summary, "s": scenario.duration_s})
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
    summary = commands.play(_settings(config), name, duration_s=duration, record=record, hear=hear)
    if not as_json:
        _show(summary)


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
    with _progress("episodes") as advance:
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

    with _progress("nuisances") as advance:
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


@app.command()
def train(
    dataset: Annotated[Path, typer.Argument(metavar="DATASET")],
    out: Annotated[Path, typer.Option("-o", "--output", help="the bundle's folder")],
    seed: Annotated[int, typer.Option(min=0)] = 0,
    bundle_version: Annotated[str, typer.Option("--bundle-version")] = "1.0.0",
) -> None:
    """Train a model bundle on a data set. Example: firedetect train data -o bundle."""
    from firedetect.lab.train import train as train_bundle

    with _progress("training") as advance:
        train_bundle(
            dataset,
            out,
            seed=seed,
            version=bundle_version,
            progress=lambda _stage, share: advance(share),
        )
    print(f"{out}: trained on {dataset}", file=sys.stderr)


@app.command()
def evaluate(
    bundle: Annotated[Path | None, typer.Argument(metavar="BUNDLE")] = None,
    dataset: Annotated[Path | None, typer.Argument(metavar="DATASET")] = None,
    out: Annotated[Path, typer.Option("-o", "--output", help="the page; JSON beside it")] = Path(
        "report.html"
    ),
    suite: Annotated[
        Literal["realism"] | None,
        typer.Option(help="realism: the generator against real experiments"),
    ] = None,
    learned: Annotated[
        Path | None, typer.Option(help="its training data: leave families out, let others compete")
    ] = None,
    rates: Annotated[Path | None, typer.Option(help="your own table of nuisances a year")] = None,
    card: Annotated[Path | None, typer.Option(help="write a model card, Markdown")] = None,
) -> None:
    """Judge a bundle on whole episodes, or the generator that they come from.

    Examples: firedetect evaluate bundle held-out -o r.html; firedetect evaluate --suite realism.
    """
    if suite is not None:
        _judge_generator(out)
        return
    if bundle is None or dataset is None:
        raise typer.BadParameter("name a BUNDLE and a DATASET of whole episodes, or a --suite")
    from firedetect.lab.card import write_card
    from firedetect.lab.evaluate import evaluate as judge
    from firedetect.lab.report import write_report
    from firedetect.lab.targets import targets

    with _progress("judging") as advance:
        told = judge(
            bundle,
            dataset,
            learned=learned,
            rates=rates,
            progress=lambda _stage, share: advance(share),
        )
    held = targets(told)
    write_report(out, told, held)
    if card is not None:
        write_card(card, told, held)
    for target in held:
        mark = "-" if target["meets_floor"] is None else "ok" if target["meets_floor"] else "MISS"
        print(f"{mark:<5} {target['name']}: {target['shown']} (floor {target['floor']})")
    print(f"{out}: written", file=sys.stderr)


def _judge_generator(out: Path) -> None:
    """Exit 1 if anything is outside its real range."""
    from firedetect.lab.realism import realism_report

    outside = realism_report(out)
    for name in outside:
        print(f"outside its real range: {name}")
    print(f"{out}: written", file=sys.stderr)
    if outside:
        raise typer.Exit(1)


@model_app.command("list")
def model_list(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """List the bundles that may be used, preferred first. Example: firedetect model list."""
    from firedetect.daemon.models.commands import listed

    for found in listed(_settings(config)):
        if as_json:
            _show(found)
        else:
            what = found["problem"] or f"{found['version']} {found['hash'][:8]} {found['path']}"
            print(f"{found['state']:<18} {what}")


@model_app.command("verify")
def model_verify(bundle: Path, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Check a bundle, also against xgboost itself. Example: firedetect model verify bundle."""
    from firedetect.daemon.models.commands import verified

    checks = verified(_settings(config), bundle)
    for check in checks:
        if as_json:
            _show({"check": check.name, "passed": check.passed, "reason": check.reason})
        else:
            print(f"{'ok  ' if check.passed else 'FAIL'}  {check.name}: {check.reason}")
    if not all(check.passed for check in checks):
        raise FiredetectError(f"{bundle}: does not pass")


@model_app.command("install")
def model_install(bundle: Path, config: ConfigOption = None) -> None:
    """Install a signed bundle, folder or archive. Example: firedetect model install bundle.zip."""
    from firedetect.daemon.models.commands import install

    print(install(_settings(config), bundle))


@model_app.command("rollback")
def model_rollback(config: ConfigOption = None) -> None:
    """Go back to the bundle before. Example: firedetect model rollback."""
    from firedetect.daemon.models.commands import rollback

    print(rollback(_settings(config)))


@model_app.command("sign")
def model_sign(
    bundle: Path,
    key: Annotated[Path, typer.Option("--key", help="the private key, from `model keygen`")],
    archive: Annotated[Path | None, typer.Option(help="also pack it, as a job delivers it")] = None,
) -> None:
    """Sign a bundle. Example: firedetect model sign bundle --key release.key."""
    from firedetect.daemon.models.commands import sign

    for line in sign(bundle, key, archive):
        print(line, file=sys.stderr if line.startswith("warning") else sys.stdout)


@model_app.command("keygen")
def model_keygen(
    out: Annotated[Path, typer.Option("-o", "--output", help="the new private key")],
) -> None:
    """Make a key pair to sign bundles with. Example: firedetect model keygen -o release.key."""
    from firedetect.daemon.models.commands import keygen

    print(keygen(out))


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
    """Check buses, sensors, model, disk, clock and cloud. Example: firedetect doctor."""
    from firedetect.daemon.models.install import model_store
    from firedetect.doctor.checks import examine
    from firedetect.errors import ControlError

    settings = _settings(config)
    try:
        link = _ask(config, {"do": "status"}).get("cloud")
    except ControlError:
        link = None
    failed = 0
    for finding in examine(settings, model_store(settings).active_bundle_path(), link):
        failed += finding.failed
        if as_json:
            _show(finding.as_record())
        else:
            print(f"{finding.mark}  {finding.name}: {finding.detail}")
            if finding.advice:
                print(f"      {finding.advice}")
    if failed:
        raise FiredetectError(f"{failed} check{'s' if failed > 1 else ''} failed")


ThingOption = Annotated[str | None, typer.Option(help="else device.id of the settings")]
ShadowOption = Annotated[Literal["config", "state", "alarm"], typer.Option(help="which shadow")]
RightsOption = Annotated[
    Literal["device", "box", "aws"],
    typer.Option("--cloud", help="whose rights: the device's own, the box's operator, AWS IAM"),
]


@shadow_app.command("get")
def shadow_get(
    config: ConfigOption = None,
    thing: ThingOption = None,
    shadow: ShadowOption = "config",
    cloud: RightsOption = "device",
) -> None:
    """Show a shadow as JSON. Example: firedetect shadow get --cloud box."""
    from firedetect.daemon import shadow_commands

    _show(shadow_commands.get(shadow_commands.target_of(_settings(config), cloud, thing, shadow)))


@shadow_app.command("set")
def shadow_set(
    assignments: Annotated[list[str], typer.Argument(metavar="KEY=VALUE...")],
    config: ConfigOption = None,
    thing: ThingOption = None,
    shadow: ShadowOption = "config",
    cloud: RightsOption = "device",
    version: Annotated[int | None, typer.Option(help="only if this is the present one")] = None,
) -> None:
    """Change what is desired. Example: firedetect shadow set thresholds.alert=0.55 --cloud box."""
    from firedetect.daemon import shadow_commands

    try:
        desired = shadow_commands.desired_of(assignments)
    except FiredetectError as error:
        raise typer.BadParameter(str(error), param_hint="KEY=VALUE") from error
    target = shadow_commands.target_of(_settings(config), cloud, thing, shadow)
    _show(shadow_commands.set_desired(target, desired, version))


@shadow_app.command("watch")
def shadow_watch(
    config: ConfigOption = None,
    thing: ThingOption = None,
    shadow: ShadowOption = "config",
    cloud: RightsOption = "device",
) -> None:
    """Show a shadow now and whenever it changes. Example: firedetect shadow watch --cloud box."""
    from firedetect.daemon import shadow_commands

    target = shadow_commands.target_of(_settings(config), cloud, thing, shadow)
    shadow_commands.watch(target, _show)


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

    print(provision_device(_settings(config), claim_cert, claim_key, rotate=rotate))


def _agreed(question: str) -> bool:
    try:
        return typer.confirm(question, err=True)
    except typer.Abort:
        print(file=sys.stderr)
        return False


def _progress(what: str) -> Any:  # noqa: ANN401 - a context manager around a call-back
    from contextlib import contextmanager

    from rich.progress import Progress

    @contextmanager
    def shown() -> Any:  # noqa: ANN401
        console = Console(stderr=True)
        with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
            task = bar.add_task(what, total=1.0)
            yield lambda share: bar.update(task, completed=share)

    return shown()


if __name__ == "__main__":
    main()

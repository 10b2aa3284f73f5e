"""The commands that train and judge a model."""

import os
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Literal

import typer

from firedetect.cli.common import (
    progress,
)

_EPISODES_EACH = 2
_SEED = 2

learn_app = typer.Typer()


@learn_app.command()
def train(
    dataset: Annotated[Path, typer.Argument(metavar="DATASET")],
    out: Annotated[Path, typer.Option("-o", "--output", help="the bundle's folder")],
    seed: Annotated[int, typer.Option(min=0)] = 0,
    bundle_version: Annotated[str, typer.Option("--bundle-version")] = "1.0.0",
) -> None:
    """Train a model bundle on a data set. Example: firedetect train data -o bundle."""
    from firedetect.lab.train import train as train_bundle

    with progress("training") as advance:
        train_bundle(
            dataset,
            out,
            seed=seed,
            version=bundle_version,
            progress=lambda _stage, share: advance(share),
        )
    print(f"{out}: trained on {dataset}", file=sys.stderr)


@learn_app.command()
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

    Without a DATASET it invents two episodes of each family, in rooms that nobody learns from.

    Examples: firedetect evaluate bundle held-out -o r.html; firedetect evaluate --suite realism.
    """
    if suite is not None:
        _judge_generator(out)
        return
    if bundle is None:
        raise typer.BadParameter("name a BUNDLE, or a --suite")
    if dataset is None:
        with tempfile.TemporaryDirectory(prefix="firedetect-") as folder:
            _judge(bundle, _invented(Path(folder)), out, learned, rates, card)
    else:
        _judge(bundle, dataset, out, learned, rates, card)


def _invented(folder: Path) -> Path:
    """Draw whole episodes of every family; the same ones each time."""
    from firedetect.lab.generate import generate
    from firedetect.lab.plan import judging_plan

    drawn = folder / "held-out"
    with progress("episodes") as advance:
        plan = judging_plan(_EPISODES_EACH, _SEED, split="held-out")
        generate(drawn, plan, jobs=os.cpu_count() or 1, progress=advance)
    return drawn


def _judge(
    bundle: Path,
    dataset: Path,
    out: Path,
    learned: Path | None,
    rates: Path | None,
    card: Path | None,
) -> None:
    from firedetect.lab.card import write_card
    from firedetect.lab.evaluate import evaluate as judge
    from firedetect.lab.report import write_report
    from firedetect.lab.targets import targets

    with progress("judging") as advance:
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
        print(f"{target['floor_met']:<9} {target['name']}: {target['shown']} ({target['floor']})")
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

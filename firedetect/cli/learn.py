"""The commands that train and judge a model."""

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from firedetect.cli.common import (
    progress,
)

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

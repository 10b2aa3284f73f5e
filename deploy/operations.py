"""Looks after the tier: `python -m deploy.operations daily|weekly|monthly|redrive|label ...`.

It speaks to the account of the environment, or with `--box FOLDER` to a box that runs there.
Exit 0, also when somebody has something to do; 1 when it could not look.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from botocore.exceptions import BotoCoreError, ClientError

from deploy.labels import LABELS, label
from deploy.redrive import MOST, Redrive
from deploy.reports import Reports
from deploy.session import ClientOf, account_clients, account_of, box_clients, brief
from firedetect.errors import FiredetectError

REPORTS: Final = ("daily", "weekly", "monthly")


def main(arguments: Sequence[str] | None = None) -> int:
    """Do one of the operations; say in one line what stopped it."""
    chosen = _parser().parse_args(arguments)
    try:
        client_of = box_clients(chosen.box) if chosen.box else account_clients()
        account_of(client_of)
        _run(chosen, client_of)
    except (FiredetectError, BotoCoreError, ClientError) as error:
        print(brief(error), file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--box", type=Path, metavar="FOLDER", help="a box, such as var/box")
    commands = parser.add_subparsers(dest="command", required=True)
    for name in REPORTS:
        report = commands.add_parser(name, help=getattr(Reports, name).__doc__)
        report.add_argument("--json", action="store_true", help="one JSON line per part")
    redrive = commands.add_parser("redrive", help="bring failures back to where they failed")
    redrive.add_argument("--dry-run", action="store_true", help="only say what lies there")
    redrive.add_argument("--most", type=int, default=MOST, help="of each queue")
    word = commands.add_parser("label", help="say what an incident was")
    word.add_argument("incident")
    word.add_argument("word", choices=LABELS)
    return parser


def _run(chosen: argparse.Namespace, client_of: ClientOf) -> None:
    if chosen.command == "redrive":
        counts = Redrive(client_of, print, dry=chosen.dry_run).run(chosen.most)
        print(", ".join(f"{count} {name.replace('_', ' ')}" for name, count in counts.items()))
        return
    if chosen.command == "label":
        before = label(client_of("dynamodb"), chosen.incident, chosen.word)
        was = f", it was {before}" if before else ""
        print(f"{chosen.incident}: {chosen.word}{was}")
        return
    for part in getattr(Reports(client_of), chosen.command)():
        if chosen.json:
            print(json.dumps(part.as_record()))
            continue
        print(f"{'! ' if part.look else '  '}{part.title}")
        for line in part.lines:
            print(f"      {line}")


if __name__ == "__main__":
    sys.exit(main())

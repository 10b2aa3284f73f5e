"""Synthesises the stacks: `python -m deploy.synth [-o FOLDER] [--stage NAME]`.

The templates beside this module are those of stage `prod`. They hold no account, no region and no
hash of code, so that they change when the infrastructure does, and only then.
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

# jsii calls Node 20 past its end; the value names the version.
os.environ.setdefault("JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION", "20")

import cdk_nag
from aws_cdk import App, Aspects, Tags, Validations

from deploy.stacks.channels import ChannelsStack
from deploy.stacks.core import CoreStack
from deploy.stacks.fleet import FleetStack
from deploy.stacks.flow import FlowStack
from deploy.stacks.lake import LakeStack
from deploy.stacks.ml import MlStack
from deploy.stage import STAGES, Stage

_FLAGS: Final = ("@aws-cdk/aws-s3:serverAccessLogsUseBucketPolicy",)
"""How CDK makes things now, where it keeps an older way for older programs."""
TEMPLATES: Final = Path(__file__).with_name("templates")


def app_of(stage: Stage, folder: Path) -> App:
    """Return all stacks of a stage; to be synthesised into `folder`."""
    app = App(outdir=str(folder), analytics_reporting=False, context=dict.fromkeys(_FLAGS, True))
    for stack in (CoreStack, FleetStack, LakeStack, FlowStack, ChannelsStack, MlStack):
        stack(app, stage)
    MlStack(app, stage, serverless=True)
    for name, value in stage.tags().items():
        Tags.of(app).add(name, value)
    # The reasons are written where they belong, for who reads a template.
    Aspects.of(app).add(cdk_nag.WriteNagSuppressionsToCloudFormationAspect())
    Validations.of(app).add_plugins(cdk_nag.AwsSolutionsChecks(app))
    return app


def templates(stage: Stage) -> dict[str, str]:
    """Return the templates by file name, as text."""
    with tempfile.TemporaryDirectory() as folder:
        app_of(stage, Path(folder)).synth()
        made = {}
        for path in sorted(Path(folder).glob("*.template.json")):
            template = json.loads(path.read_text())
            # The version check of the bootstrap stack is the CLI's, not the template's.
            template.pop("Rules", None)
            template.get("Parameters", {}).pop("BootstrapVersion", None)
            made[path.name] = json.dumps(template, indent=1, sort_keys=True) + "\n"
        return made


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the templates of a stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, default=TEMPLATES)
    parser.add_argument("--stage", choices=sorted(STAGES), default="prod")
    chosen = parser.parse_args(arguments)
    chosen.output.mkdir(parents=True, exist_ok=True)
    for name, text in templates(STAGES[chosen.stage]).items():
        (chosen.output / name).write_text(text)
        print(f"{chosen.output / name}: {len(text) // 1024} kB", file=sys.stderr)


if __name__ == "__main__":
    main()

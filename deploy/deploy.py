"""Deploys the tier to an account: `CODE_BUCKET=NAME python -m deploy.deploy --stage prod [--yes]`.

It shows what each stack's change set would do and asks before doing it. `--diff` only shows;
`--rollback` takes the package before. Nothing is made that was not said and agreed to.
"""

import argparse
import json
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from deploy.changes import HIDDEN, ChangeSet, Stacks
from deploy.code_bucket import CodeBucket
from deploy.committed import FOLDER, OPT_IN, STACKS, file_name, option, stack_name
from deploy.package import PACKAGE, build
from deploy.people import operator, require_operator, unheard
from deploy.session import (
    ClientOf,
    DeployError,
    account_clients,
    account_of,
    brief,
    region_of,
)
from deploy.stage import STAGES
from firedetect.errors import FiredetectError

SMOKE: Final = "firedetect-supervisor"
"""It looks at every detector as it does each minute: nothing is published that would not be."""

Agreed = Callable[[str], bool]


class Deployment:
    """One stage in one account."""

    def __init__(self, client_of: ClientOf, stage: str, bucket: CodeBucket, agreed: Agreed) -> None:
        self._client_of = client_of
        self._stage = stage
        self._bucket = bucket
        self._agreed = agreed
        self._stacks = Stacks(client_of("cloudformation"))

    def deploy(self, templates: Mapping[str, str], package: Path) -> int:
        """Bring the stacks to their templates, functions to a package; return how many changed."""
        key = self._bucket.put_package(package)
        changed = 0
        for stack, text in templates.items():
            template = {"TemplateURL": self._bucket.put_template(text)}
            changed += self._change(stack_name(stack), template, self._parameters(stack, text, key))
            if "CodeKey" in json.loads(text).get("Parameters", {}):
                self._bucket.released(self._stage, key)
        return changed

    def rollback(self, templates: Mapping[str, str]) -> str:
        """Give the functions the package before and return its key; the stacks stay as they are."""
        key = self._bucket.before(self._stage)
        for stack, text in templates.items():
            if "CodeKey" in json.loads(text).get("Parameters", {}):
                previous = {"UsePreviousTemplate": True}
                self._change(stack_name(stack), previous, self._parameters(stack, text, key))
        self._bucket.released(self._stage, key)
        return key

    def show(self, templates: Mapping[str, str], package: Path) -> None:
        """Print what would change, and change nothing."""
        key = self._bucket.put_package(package)
        for stack, text in templates.items():
            template = {"TemplateURL": self._bucket.put_template(text)}
            found = self._stacks.prepare(
                stack_name(stack), template, self._parameters(stack, text, key)
            )
            _print_change(stack_name(stack), found)
            if found is not None:
                self._stacks.discard(found)

    def smoke_test(self) -> dict[str, Any]:
        """Run a function once and return its answer; raises DeployError if it fails."""
        answer = self._client_of("lambda").invoke(FunctionName=SMOKE, Payload=b"{}")
        said = json.loads(answer["Payload"].read() or b"null")
        if answer.get("FunctionError") or not isinstance(said, dict) or "devices" not in said:
            raise DeployError(
                f"smoke test: {SMOKE} answers {json.dumps(said)[:200]}; "
                f"go back with: make deploy STAGE={self._stage} OPTIONS=--rollback"
            )
        return said

    def outputs(self) -> dict[str, str]:
        """Return what the stacks tell."""
        return {
            name: value
            for stack in STACKS
            for name, value in self._stacks.outputs(stack_name(stack)).items()
        }

    def _change(
        self,
        stack: str,
        template: Mapping[str, str | bool],
        parameters: Mapping[str, str | None],
    ) -> bool:
        change = self._stacks.prepare(stack, template, parameters)
        _print_change(stack, change)
        if change is None:
            return False
        if not self._agreed(f"change {stack}?"):
            self._stacks.discard(change)
            raise DeployError(f"stack {stack} was not changed, nor were those after it")
        self._stacks.execute(change)
        print(f"{stack}: done")
        return True

    def _parameters(self, stack: str, template: str, key: str) -> dict[str, str | None]:
        known = {
            "CodeBucket": self._bucket.name,
            "CodeKey": key,
            "OperatorEmail": operator(self._client_of),
        }
        before = self._stacks.parameters(stack_name(stack))
        found: dict[str, str | None] = {}
        for name, one in json.loads(template).get("Parameters", {}).items():
            said = known.get(name, os.environ.get(variable_of(name)))
            # What nobody may read keeps its value without being said.
            kept = None if before.get(name) == HIDDEN else before.get(name, one.get("Default"))
            found[name] = kept if said is None else said
        return found


def variable_of(parameter: str) -> str:
    """Return the variable that a parameter is read from: SLACK_URL for SlackUrl.

    No command line shows it, for some are secrets.
    """
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", parameter).upper()


def templates_of(stage: str, more: Sequence[str] = ()) -> dict[str, str]:
    """Return the templates by stack: the committed ones of prod, others are synthesised now."""
    stacks = [*STACKS, *(stack for stack in OPT_IN if option(stack) in more)]
    if len({stack_name(stack) for stack in stacks}) < len(stacks):
        raise DeployError("take either ml or ml-serverless: both are the stack firedetect-ml")
    if stage == "prod":
        return {stack: (FOLDER / file_name(stack)).read_text() for stack in stacks}
    from deploy.synth import templates  # noqa: PLC0415 - it starts Node

    made = templates(STAGES[stage])
    return {stack: made[file_name(stack)] for stack in stacks}


def main(arguments: Sequence[str] | None = None) -> int:
    """Deploy; say in one line what stopped it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stage", choices=sorted(STAGES), default="prod")
    parser.add_argument("--code-bucket", default=os.environ.get("CODE_BUCKET", ""))
    parser.add_argument("--package", type=Path, help="a package that was built before")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument(
        "--with",
        dest="opt_in",
        action="append",
        default=[],
        choices=[option(stack) for stack in OPT_IN],
        help="also an opt-in stack; its parameters come from the environment, as SLACK_URL",
    )
    parser.add_argument("--no-smoke-test", action="store_true", help="leave it for later")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--diff", action="store_true", help="only show what would change")
    what.add_argument("--rollback", action="store_true", help="take the package before")
    what.add_argument("--smoke-test", action="store_true", help="only run the smoke test")
    chosen = parser.parse_args(arguments)
    try:
        _run(chosen)
    except (FiredetectError, BotoCoreError, ClientError) as error:
        print(brief(error), file=sys.stderr)
        return 1
    return 0


def _run(chosen: argparse.Namespace) -> None:
    client_of = account_clients()
    account = account_of(client_of)
    if not chosen.code_bucket:
        raise DeployError("no bucket for the package: set CODE_BUCKET")
    print(f"stage {chosen.stage} in account {account}, region {region_of(client_of)}")
    agreed = (lambda _: True) if chosen.yes else _ask
    bucket = CodeBucket(client_of("s3"), chosen.code_bucket)
    deployment = Deployment(client_of, chosen.stage, bucket, agreed)
    if not chosen.smoke_test:
        if not (chosen.diff or chosen.rollback):
            require_operator(client_of)
        _change(chosen, deployment, bucket, agreed)
    if not (chosen.diff or chosen.no_smoke_test):
        print(f"smoke test: {json.dumps(deployment.smoke_test())}")
    if not chosen.diff:
        for line in unheard(client_of):
            print(line)


def _change(
    chosen: argparse.Namespace, deployment: Deployment, bucket: CodeBucket, agreed: Agreed
) -> None:
    templates = templates_of(chosen.stage, chosen.opt_in)
    bucket.ensure(agreed)
    if chosen.rollback:
        print(f"functions run {deployment.rollback(templates)}")
        return
    package = chosen.package or PACKAGE
    if chosen.package is None:
        print(f"package sha256 {build(PACKAGE)}")
    if chosen.diff:
        deployment.show(templates, package)
        return
    if not deployment.deploy(templates, package):
        print("nothing to change")
    for name, value in deployment.outputs().items():
        print(f"{name}: {value}")


def _ask(question: str) -> bool:
    if not sys.stdin.isatty():
        raise DeployError(f"{question} Nobody is there to answer: --yes agrees to everything")
    return input(f"{question} [y/N] ").strip().lower() == "y"


def _print_change(stack: str, change: ChangeSet | None) -> None:
    if change is None:
        print(f"{stack}: nothing to change")
        return
    print(f"{stack}: {len(change.lines) or 'parameters'} change")
    for line in change.lines:
        print(f"  {line}")


if __name__ == "__main__":
    sys.exit(main())

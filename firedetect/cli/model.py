"""The commands that keep model bundles."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from firedetect.cli.common import (
    ConfigOption,
    JsonOption,
    read_settings,
    show,
)
from firedetect.errors import FiredetectError

model_app = typer.Typer(no_args_is_help=True, help="Model bundles, signed and installed.")


@model_app.command("list")
def model_list(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """List the bundles that may be used, preferred first. Example: firedetect model list."""
    from firedetect.daemon.models.commands import listed

    for found in listed(read_settings(config)):
        if as_json:
            show(found)
        else:
            what = found["problem"] or f"{found['version']} {found['hash'][:8]} {found['path']}"
            print(f"{found['state']:<18} {what}")


@model_app.command("verify")
def model_verify(bundle: Path, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Check a bundle, also against xgboost itself. Example: firedetect model verify bundle."""
    from firedetect.daemon.models.commands import verified

    checks = verified(read_settings(config), bundle)
    for check in checks:
        if as_json:
            show({"check": check.name, "passed": check.passed, "reason": check.reason})
        else:
            print(f"{'ok  ' if check.passed else 'FAIL'}  {check.name}: {check.reason}")
    if not all(check.passed for check in checks):
        raise FiredetectError(f"{bundle}: does not pass")


@model_app.command("install")
def model_install(bundle: Path, config: ConfigOption = None) -> None:
    """Install a signed bundle, folder or archive. Example: firedetect model install bundle.zip."""
    from firedetect.daemon.models.commands import install

    print(install(read_settings(config), bundle))


@model_app.command("rollback")
def model_rollback(config: ConfigOption = None) -> None:
    """Go back to the bundle before. Example: firedetect model rollback."""
    from firedetect.daemon.models.commands import rollback

    print(rollback(read_settings(config)))


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

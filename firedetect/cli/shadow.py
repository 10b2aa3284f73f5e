"""The commands that read and change the shadows of a thing."""

from typing import Annotated, Literal

import typer

from firedetect.cli.common import (
    ConfigOption,
    answer_alone,
    read_settings,
    show,
)
from firedetect.errors import FiredetectError

ThingOption = Annotated[str | None, typer.Option(help="else device.id of the settings")]
ShadowOption = Annotated[Literal["config", "state", "alarm"], typer.Option(help="which shadow")]
RightsOption = Annotated[
    Literal["device", "box", "aws"],
    typer.Option("--cloud", help="whose rights: the device's own, the box's operator, AWS IAM"),
]

shadow_app = typer.Typer(no_args_is_help=True, help="Shadows of a thing, for operators.")


@shadow_app.command("get")
def shadow_get(
    config: ConfigOption = None,
    thing: ThingOption = None,
    shadow: ShadowOption = "config",
    cloud: RightsOption = "device",
) -> None:
    """Show a shadow as JSON. Example: firedetect shadow get --cloud box."""
    from firedetect.daemon import shadow_commands

    answer_alone()
    show(
        shadow_commands.get(shadow_commands.target_of(read_settings(config), cloud, thing, shadow))
    )


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

    answer_alone()
    try:
        desired = shadow_commands.desired_of(assignments)
    except FiredetectError as error:
        raise typer.BadParameter(str(error), param_hint="KEY=VALUE") from error
    target = shadow_commands.target_of(read_settings(config), cloud, thing, shadow)
    show(shadow_commands.set_desired(target, desired, version))


@shadow_app.command("watch")
def shadow_watch(
    config: ConfigOption = None,
    thing: ThingOption = None,
    shadow: ShadowOption = "config",
    cloud: RightsOption = "device",
) -> None:
    """Show a shadow now and whenever it changes. Example: firedetect shadow watch --cloud box."""
    from firedetect.daemon import shadow_commands

    answer_alone()
    target = shadow_commands.target_of(read_settings(config), cloud, thing, shadow)
    shadow_commands.watch(target, show)

"""What the committed templates say, without synthesising anything."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

FOLDER: Final = Path(__file__).with_name("templates")
STACKS: Final = ("Core", "Fleet", "Lake", "Flow")
"""In the order in which they are deployed."""
OPT_IN: Final = ("Channels", "Ml", "MlServerless")
"""Only deployed when they are asked for: they cost more, or need somebody else's address."""
_NAMES: Final = {"MlServerless": "firedetect-ml"}
"""Two ways to make one stack: an account has one of them."""


def stack_name(stack: str) -> str:
    """Return what a stack is called in an account."""
    return _NAMES.get(stack, f"firedetect-{option(stack)}")


def option(stack: str) -> str:
    """Return what a stack is asked for by: `ml-serverless` for MlServerless."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", stack).lower()


def file_name(stack: str) -> str:
    """Return the name of a stack's template."""
    return f"Firedetect{stack}.template.json"


def resources(kind: str, folder: Path = FOLDER) -> Iterator[dict[str, Any]]:
    """Yield the properties of every resource of a type; what is opt-in is not among them."""
    for stack in STACKS:
        template = json.loads((folder / file_name(stack)).read_text())
        for resource in template["Resources"].values():
            if resource["Type"] == kind:
                yield resource.get("Properties", {})


def handlers(folder: Path = FOLDER) -> dict[str, str]:
    """Return the module of each function's handler by the function's name."""
    return {
        str(one["FunctionName"]): str(one["Handler"]).rpartition(".")[0]
        for one in resources("AWS::Lambda::Function", folder)
    }

"""Keeps the made parts of `deploy/README.md` true: `python -m deploy.handbook [--check]`.

A made part stands between `<!-- made: NAME -->` and `<!-- end -->`; it comes from the committed
templates and the prices.
"""

import argparse
import json
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from deploy.committed import FOLDER, OPT_IN, STACKS, file_name, stack_name
from deploy.costs import Setting, by_setting, itemised

README: Final = Path(__file__).with_name("README.md")
_PART: Final = re.compile(r"(<!-- made: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
_WIDE: Final = re.compile(r"IAM5\[Resource::(.+)\]$")
_PLACE: Final = re.compile(r"arn:<AWS::Partition>:(\w[\w-]*):(<AWS::Region>:<AWS::AccountId>|:*):?")
_BRACKETS: Final = str.maketrans("", "", "<>${}")
_NAMES: Final = ("BucketName", "LogGroupName", "RoleName", "Description")
_OWN: Final = frozenset(
    {"kms:Decrypt, kms:GenerateDataKey", "logs:CreateLogStream, logs:PutLogEvents"}
)
_FAILURES: Final = "sqs firedetect-function-errors"

Template = dict[str, Any]


def current(text: str) -> str:
    """Return the handbook with its made parts as they should be."""
    makers = {
        "stacks": stacks,
        "costs": lambda: [*itemised(Setting()), "", *by_setting(Setting())],
        "rights": rights,
        "wide": wide,
    }
    return _PART.sub(
        lambda found: found[1] + "\n".join(makers[found[2]]()) + "\n" + found[3],
        text,
    )


def stacks() -> list[str]:
    """Return what each stack is, by its own words."""
    lines = ["| stack | what it is | resources |", "|---|---|---|"]
    for stack, template in _templates():
        said = template["Description"].removeprefix("firedetect: ")
        lines.append(f"| `{stack_name(stack)}` | {said} | {len(template['Resources'])} |")
    return lines


def rights() -> list[str]:
    """Return who may do what, by role; without what every role may do with its own."""
    lines = []
    for _, template in _templates():
        for policy in _of_type(template, "AWS::IAM::Policy"):
            role = _role(template, policy["Properties"]["Roles"][0])
            for one in policy["Properties"]["PolicyDocument"]["Statement"]:
                actions = ", ".join(_listed(one["Action"]))
                places = [_short(_text(place, template)) for place in _listed(one["Resource"])]
                where = ", ".join(f"`{place}`" for place in places)
                if actions not in _OWN and places != [_FAILURES]:
                    lines.append(f"| {role} | {actions} | {where} |")
    return ["| role | may | on |", "|---|---|---|", *sorted(dict.fromkeys(lines))]


def wide() -> list[str]:
    """Return every address with a star that a role may act on, and why."""
    lines = ["| role | may act on | because |", "|---|---|---|"]
    found = []
    for _, template in _templates():
        for name, resource in template["Resources"].items():
            if resource["Type"] != "AWS::IAM::Role":
                continue
            told = resource.get("Metadata", {}).get("cdk_nag", {}).get("rules_to_suppress", ())
            for one in told:
                match = _WIDE.search(one["id"])
                if match:
                    role = _role(template, {"Ref": name})
                    found.append(f"| {role} | `{_short(match[1])}` | {one['reason']} |")
    return [*lines, *sorted(dict.fromkeys(found))]


def _templates() -> Iterator[tuple[str, Template]]:
    for stack in (*STACKS, *OPT_IN):
        path = FOLDER / file_name(stack)
        if path.exists():
            yield stack, json.loads(path.read_text())


def _of_type(template: Template, kind: str) -> Iterator[Template]:
    return (one for one in template["Resources"].values() if one["Type"] == kind)


def _role(template: Template, reference: dict[str, str]) -> str:
    name = reference["Ref"]
    given = template["Resources"][name].get("Properties", {}).get("RoleName", name)
    # Each region has its own: what they are called without it says enough.
    return _text(given, template).removesuffix("-<AWS::Region>")


def _listed(value: Any) -> list[Any]:  # noqa: ANN401 - whatever a template holds
    return value if isinstance(value, list) else [value]


def _short(place: str) -> str:
    """Return an address without what is the same for all."""
    return _PLACE.sub(r"\1 ", place).replace("AWS::", "").translate(_BRACKETS)


def _text(value: Any, template: Template) -> str:  # noqa: ANN401 - whatever a template holds
    """Return an address as text; what is in the same template goes by its own name."""
    if isinstance(value, str):
        return value
    if "Fn::Join" in value:
        separator, items = value["Fn::Join"]
        return str(separator).join(_text(item, template) for item in items)
    name = value["Ref"] if "Ref" in value else value["Fn::GetAtt"][0]
    properties = template["Resources"].get(name, {}).get("Properties", {})
    known = (properties[key] for key in _NAMES if key in properties)
    return _text(next(known, f"<{name}>"), template)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the handbook, or only say whether it is current."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    chosen = parser.parse_args(arguments)
    before = README.read_text()
    after = current(before)
    if before == after:
        return 0
    if chosen.check:
        print(f"{README}: not current; python -m deploy.handbook", file=sys.stderr)
        return 1
    README.write_text(after)
    print(f"{README}: written")
    return 0


if __name__ == "__main__":
    sys.exit(main())

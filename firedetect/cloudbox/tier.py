"""The tier as its templates describe it, before anything is deployed.

The templates are those that `deploy` synthesises for AWS; nothing in them is made for the box.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from firedetect.cloudbox.parts import FunctionPart
from firedetect.cloudbox.provisioning import Template
from firedetect.contract.names import PEOPLE_TOPIC
from firedetect.contract.problems import problem_of
from firedetect.errors import BoxError

REGION: Final = "eu-central-1"
ACCOUNT: Final = "123456789012"
STACKS: Final = ("FiredetectCore", "FiredetectFleet", "FiredetectLake", "FiredetectFlow")
"""In the order in which they are deployed; what is opt-in on AWS is opt-in here."""
CHANNELS: Final = "FiredetectChannels"
_CERTIFICATE: Final = "AWS::IoT::Certificate::Id"
_PSEUDO: Final = {
    "AWS::Region": REGION,
    "AWS::AccountId": ACCOUNT,
    "AWS::Partition": "aws",
    "AWS::URLSuffix": "amazonaws.com",
}

Properties = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Tier:
    """The templates by the name of their stack, and what their parameters are given."""

    templates: Mapping[str, Mapping[str, Any]]
    parameters: Mapping[str, str] = field(default_factory=dict)
    region: str = REGION
    account: str = ACCOUNT
    functions: Mapping[str, FunctionPart] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "functions", dict(self._functions()))

    @property
    def bucket(self) -> str:
        """The bucket of the history."""
        return f"firedetect-data-{self.account}-{self.region}"

    @property
    def topics(self) -> list[str]:
        """The topics, that for people first."""
        found = [str(topic["TopicName"]) for topic in self.resources("AWS::SNS::Topic")]
        return sorted(found, key=lambda name: name != PEOPLE_TOPIC)

    def topic_arn(self, topic: str) -> str:
        """Return the address of an SNS topic."""
        return f"arn:aws:sns:{self.region}:{self.account}:{topic}"

    def sql(self) -> dict[str, str]:
        """Return what each rule selects: what the box must hear before it is deployed."""
        return {
            str(rule["RuleName"]): str(rule["TopicRulePayload"]["Sql"])
            for rule in self.resources("AWS::IoT::TopicRule")
        }

    def environment(self) -> dict[str, str]:
        """Return the environment of all functions: they share one process here.

        Raises BoxError if two of them disagree.
        """
        return merged(self.functions)

    def provisioning(self) -> Template:
        """Return how a detector is registered."""
        (found,) = self.resources("AWS::IoT::ProvisioningTemplate")
        body = json.loads(found["TemplateBody"])
        parameters = {
            name: parameter.get("Default")
            for name, parameter in body["Parameters"].items()
            if name != _CERTIFICATE
        }
        configuration = body.get("DeviceConfiguration", {})
        return Template(
            parameters,
            body["Resources"]["thing"]["Properties"]["ThingName"]["Ref"],
            {key: value["Ref"] for key, value in configuration.items()},
        )

    def resources(self, type_name: str) -> Iterator[Properties]:
        """Yield the properties of every resource of a type, as far as they are known."""
        for template in self.templates.values():
            for resource in template["Resources"].values():
                if resource["Type"] == type_name:
                    yield _known(resource.get("Properties", {}))

    def _functions(self) -> Iterator[tuple[str, FunctionPart]]:
        for given in self.resources("AWS::Lambda::Function"):
            variables = given.get("Environment", {}).get("Variables", {})
            yield (
                str(given["FunctionName"]),
                FunctionPart(
                    handler=given["Handler"],
                    timeout_s=float(given["Timeout"]),
                    memory_mb=int(given["MemorySize"]),
                    environment={k: v for k, v in variables.items() if isinstance(v, str)},
                    failure_queue="firedetect-function-errors",
                ),
            )


def merged(functions: Mapping[str, FunctionPart]) -> dict[str, str]:
    """Return one environment for all functions; raises BoxError if two of them disagree."""
    made: dict[str, str] = {}
    for name, function in functions.items():
        for key, value in function.environment.items():
            if made.setdefault(key, value) != value:
                raise BoxError(f"function {name}: the box has one environment, {key} differs")
    return made


def load_tier(folder: Path | None = None, channels: Mapping[str, str] | None = None) -> Tier:
    """Read the templates in a folder, else those that belong to this program; raises BoxError.

    `channels` gives the parameters of Slack and PagerDuty, if they shall hear.
    """
    place = folder or _own()
    templates = {}
    for stack in (*STACKS, CHANNELS) if channels else STACKS:
        path = place / f"{stack}.template.json"
        try:
            templates[stack] = json.loads(path.read_text())
        except (OSError, ValueError) as error:
            raise BoxError(f"{path}: cannot be read: {error}") from error
    try:
        return Tier(templates, dict(channels or {}))
    except ValidationError as error:
        raise BoxError(f"{place}: {problem_of(error)}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise BoxError(f"{place}: no templates of this tier: {error!r}") from error


def _own() -> Path:
    # In a wheel the folder lies beside this module, in a checkout in `deploy`.
    beside = Path(__file__).with_name("templates")
    return beside if beside.exists() else Path(__file__).parents[2] / "deploy" / "templates"


def _known(value: Any) -> Any:  # noqa: ANN401 - whatever a template holds
    """Return a value with what is known without deploying filled in; the rest stays an object."""
    if isinstance(value, list):
        return [_known(item) for item in value]
    if not isinstance(value, dict):
        return value
    if set(value) == {"Ref"} and value["Ref"] in _PSEUDO:
        return _PSEUDO[value["Ref"]]
    inner = {key: _known(item) for key, item in value.items()}
    if set(inner) == {"Fn::Join"}:
        separator, items = inner["Fn::Join"]
        if all(isinstance(item, str) for item in items):
            return separator.join(items)
    return inner

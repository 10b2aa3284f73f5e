"""What is added to moto before it runs: missing types, functions that run, waits that end sooner.

moto keeps these registries by process; the newest box of a process has them.
"""

import json
from collections.abc import Callable
from typing import Any

from firedetect.cloudbox.destinations import Destination, Failed, rendered, send
from firedetect.cloudbox.stack_types import FUNCTION_URL, KINDS, RECORDED, ClientOf, create
from firedetect.errors import BoxError

Invoke = Callable[[str, bytes], bytes]
"""Runs a function by name with a payload and returns its answer; raises BoxError."""


def extend_types(client_of: ClientOf, function_url: Callable[[str], str]) -> None:
    """Let CloudFormation know the types of `stack_types`, and where functions are reached here."""
    from moto.cloudformation import parsing  # noqa: PLC0415 - takes a second

    for name in KINDS:
        _made_type(name, client_of, function_url)
    for name in RECORDED:
        _recorded_type(name)
    parsing.get_model_list.cache_clear()
    parsing.get_model_map.cache_clear()
    parsing.get_name_type_map.cache_clear()


def run_functions(invoke: Invoke) -> None:
    """Let moto's functions run ours instead of echoing their input."""
    from moto.awslambda_simple.models import LambdaSimpleBackend  # noqa: PLC0415
    from moto.core.config import default_user_config  # noqa: PLC0415

    def run(
        _self: object,
        function_name: str,
        _qualifier: str | None,
        body: Any,  # noqa: ANN401 - moto's signature
        _headers: Any,  # noqa: ANN401
        response_headers: dict[str, str],
    ) -> bytes:
        name = function_name.rsplit(":", 1)[-1]
        payload = body.encode() if isinstance(body, str) else (body or b"{}")
        try:
            return invoke(name, payload)
        except BoxError as error:
            response_headers["x-amz-function-error"] = "Unhandled"
            return json.dumps({"errorType": "FunctionFailed", "errorMessage": str(error)}).encode()

    LambdaSimpleBackend.invoke = run  # type: ignore[method-assign,assignment]
    default_user_config["lambda"] = {"use_docker": False}
    default_user_config["stepfunctions"] = {"execute_state_machine": True}


def scale_waits(scale: float) -> None:
    """Let state machines wait so many times as long as they say."""
    from moto.stepfunctions.parser.asl.component.state.wait.wait_function.wait_function import (  # noqa: PLC0415
        WaitFunction,
    )

    def wait(_self: object, env: Any, wait_seconds: float) -> None:  # noqa: ANN401 - moto's own
        env.program_state_event.wait(max(0.0, wait_seconds * scale))

    # The one place to change it.
    WaitFunction._wait_interval = wait  # type: ignore[method-assign,assignment]  # noqa: SLF001


def send_to_destinations(failed: Failed) -> None:
    """Let rules of the event bus reach their API destinations, with what they make of an event."""
    from moto.events.models import Rule  # noqa: PLC0415 - takes a second

    # moto's own, whatever a box before this one made of it.
    others = getattr(Rule.send_to_targets, "moto_s_own", Rule.send_to_targets)

    def deliver(rule: Any, event: Any, transform_input: bool = True) -> None:  # noqa: ANN401, FBT001, FBT002 - moto's signature
        reached = [one for one in rule.targets if ":api-destination/" in one["Arn"]]
        if reached and rule.event_pattern.matches_event(event):
            for target in reached:
                _send_to(rule, target, event, failed)
        kept, rule.targets = rule.targets, [one for one in rule.targets if one not in reached]
        try:
            others(rule, event, transform_input)
        finally:
            rule.targets = kept

    deliver.moto_s_own = others  # type: ignore[attr-defined]
    Rule.send_to_targets = deliver  # type: ignore[method-assign,assignment]


def _send_to(rule: Any, target: Any, event: Any, failed: Failed) -> None:  # noqa: ANN401 - moto's
    found = rule._find_api_destination(target["Arn"].split("/")[-2])  # noqa: SLF001 - moto's
    transformer = target.get("InputTransformer", {})
    body = rendered(
        transformer.get("InputTemplate", json.dumps(event)),
        transformer.get("InputPathsMap", {}),
        event,
    )
    queue = target.get("DeadLetterConfig", {}).get("Arn", "")
    send(
        Destination(found.invocation_endpoint, found.http_method, {}),
        body,
        lambda why: failed(queue, {"error": why, "body": body, "event": event}),
    )


class _Resource:
    """What CloudFormation keeps of a resource of ours."""

    def __init__(self, physical_id: str, attributes: dict[str, str]) -> None:
        self._physical_id = physical_id
        self._attributes = attributes

    @property
    def physical_resource_id(self) -> str:
        return self._physical_id

    def get_cfn_attribute(self, name: str) -> str:
        return self._attributes[name]

    def is_created(self) -> bool:
        return True


def _made_type(type_name: str, client_of: ClientOf, function_url: Callable[[str], str]) -> None:
    def made(logical_id: str, document: dict[str, Any], account: str) -> tuple[str, dict[str, str]]:
        given = document.get("Properties", {})
        identity, attributes = create(type_name, logical_id, given, client_of, account)
        if type_name == FUNCTION_URL:
            attributes = {"FunctionUrl": function_url(identity.rsplit(":", 1)[-1])}
        return identity, attributes

    _register(type_name, tuple(KINDS[type_name].answer), made)


def _recorded_type(type_name: str) -> None:
    def recorded(
        logical_id: str, _document: dict[str, Any], _account: str
    ) -> tuple[str, dict[str, str]]:
        return logical_id, {}

    _register(type_name, (), recorded)


def _register(
    type_name: str,
    attributes: tuple[str, ...],
    make: Callable[[str, dict[str, Any], str], tuple[str, dict[str, str]]],
) -> None:
    """Make a subclass of moto's model for a type; moto takes the newest."""
    from moto.core.common_models import CloudFormationModel  # noqa: PLC0415

    class Model(_Resource, CloudFormationModel):
        @staticmethod
        def cloudformation_name_type() -> str:
            return ""

        @staticmethod
        def cloudformation_type() -> str:
            return type_name

        @classmethod
        def has_cfn_attr(cls, attr: str) -> bool:
            return attr in attributes

        @classmethod
        def create_from_cloudformation_json(
            cls,
            resource_name: str,  # noqa: ARG003 - moto's signature
            cloudformation_json: dict[str, Any],
            account_id: str,
            region_name: str,  # noqa: ARG003
            **kwargs: Any,  # noqa: ANN401
        ) -> "Model":
            return cls(*make(kwargs["LogicalId"], cloudformation_json, account_id))

        @classmethod
        def update_from_cloudformation_json(cls, *_: Any, **__: Any) -> Any:  # noqa: ANN401
            raise BoxError(f"{type_name}: the box does not update stacks")

        @classmethod
        def delete_from_cloudformation_json(cls, *_: Any, **__: Any) -> None:  # noqa: ANN401
            raise BoxError(f"{type_name}: the box does not delete stacks")

    _models.append(Model)


_models: list[type] = []
"""Kept, for moto finds subclasses only as long as somebody holds them."""

"""The state machine of the template on a clock that nobody waits for."""

import json

from tests.lambdas.helpers import TIER


def definition():
    """Return the states as the template has them; what is known at deployment only is a word."""
    (machine,) = (
        resource
        for resource in TIER.templates["FiredetectFlow"]["Resources"].values()
        if resource["Type"] == "AWS::StepFunctions::StateMachine"
    )
    parts = machine["Properties"]["DefinitionString"]
    if isinstance(parts, dict):
        _, parts = parts["Fn::Join"]
    return json.loads("".join(part if isinstance(part, str) else "known-later" for part in parts))


def run(states, given, call, passes):
    """Run states until they end; `call` is the function, `passes` moves the clock.

    Returns how it ended. What no state of ours uses is not understood.
    """
    name, data = states["StartAt"], json.loads(json.dumps(given))
    while True:
        state = states["States"][name]
        kind = state["Type"]
        if kind == "Succeed":
            return data
        if kind == "Task":
            asked = {
                name.removesuffix(".$"): _at(data, path)
                for name, path in state["Parameters"].items()
            }
            try:
                data = json.loads(json.dumps(_tried(state, call, asked, passes)))
                name = state["Next"]
            except Exception as error:  # noqa: BLE001 - States.ALL is all
                (caught,) = state["Catch"]
                data |= {caught["ResultPath"].removeprefix("$."): repr(error)}
                name = caught["Next"]
        elif kind == "Wait":
            path = state.get("SecondsPath")
            seconds = state["Seconds"] if path is None else _at(data, path)
            assert type(seconds) is int
            assert seconds >= 0
            passes(seconds)
            name = state["Next"]
        else:
            assert kind == "Choice", kind
            rules = (rule for rule in state["Choices"] if _holds(rule, data))
            name = next((rule["Next"] for rule in rules), state.get("Default"))


def _tried(state, call, data, passes):
    (retry,) = state["Retry"]
    assert retry["ErrorEquals"] == ["States.ALL"]
    wait_s = retry["IntervalSeconds"]
    for _ in range(retry["MaxAttempts"]):
        try:
            return call(data)
        except Exception:  # noqa: BLE001 - States.ALL is all
            passes(min(wait_s, retry["MaxDelaySeconds"]))
            wait_s *= retry["BackoffRate"]
    return call(data)


def _holds(rule, data):
    return _at(data, rule["Variable"]) is rule["BooleanEquals"]


def _at(data, path):
    for part in path.removeprefix("$.").split("."):
        data = data[part]
    return data

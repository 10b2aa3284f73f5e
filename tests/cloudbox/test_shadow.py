"""The shadow service against AWS's published words; each case names its page, or says it is ours.

Pages of docs.aws.amazon.com/iot/latest/developerguide; read in the sources of that guide
(awsdocs/aws-iot-docs) and its present form.
"""

import json

import pytest

from firedetect.clock import ManualClock
from firedetect.cloudbox.database import open_database
from firedetect.cloudbox.shadow import Shadow, update
from firedetect.cloudbox.shadows import Shadows

DOC = "device-shadow-document"
FLOW = "device-shadow-data-flow"
TOPICS = "device-shadow-mqtt"
ERRORS = "device-shadow-error-messages"
OURS = "not published, our choice"
QUOTAS = "endpoints and quotas (general/latest/gr/iot-core)"
T0 = 1_767_225_600


def desired(**state):
    return {"state": {"desired": state}}


def reported(**state):
    return {"state": {"reported": state}}


def both(want, have):
    return {"state": {"desired": want, "reported": have}}


class Case:
    """Requests one after the other; what is asked about the answers to the last one."""

    def __init__(self, page, rule, *requests, **wanted):
        self.page, self.rule, self.requests, self.wanted = page, rule, requests, wanted


UPDATE, GET, DELETE = "update", "get", "delete"
CASES = [
    Case(
        FLOW,
        "creates a shadow if it doesn't exist",
        (UPDATE, desired(color={"r": 10}, engine="ON")),
        (GET, {}),
        state={
            "desired": {"color": {"r": 10}, "engine": "ON"},
            "delta": {"color": {"r": 10}, "engine": "ON"},
        },
        version=1,
    ),
    Case(
        FLOW,
        "updates affect only the fields specified",
        (UPDATE, reported(a=1, b={"c": 2, "d": 3})),
        (UPDATE, reported(b={"c": 4})),
        (GET, {}),
        state={"reported": {"a": 1, "b": {"c": 4, "d": 3}}},
        version=2,
    ),
    Case(
        FLOW,
        "409 if the version does not match; nothing changes",
        (UPDATE, desired(colors=["RED", "GREEN", "BLUE"])),
        (UPDATE, desired(colors=["BLUE"]) | {"version": 9, "clientToken": "426bfd96"}),
        rejected=(409, "Version conflict"),
        echoed="426bfd96",
    ),
    Case(
        FLOW,
        "version matches: accepted, and the list is replaced whole",
        (UPDATE, desired(colors=["RED", "GREEN", "BLUE"])),
        (UPDATE, desired(colors=["BLUE"]) | {"version": 1}),
        (GET, {}),
        state={"desired": {"colors": ["BLUE"]}, "delta": {"colors": ["BLUE"]}},
        version=2,
    ),
    Case(
        FLOW,
        "fields with a value of null are removed",
        (UPDATE, desired(engine="ON", color="RED")),
        (UPDATE, desired(engine=None)),
        (GET, {}),
        state={"desired": {"color": "RED"}, "delta": {"color": "RED"}},
    ),
    Case(
        FLOW,
        "deleting a shadow does not reset its version number to 0",
        (UPDATE, reported(a=1)),
        (UPDATE, reported(a=2)),
        (DELETE, {}),
        (UPDATE, reported(a=3)),
        version=3,
    ),
    Case(
        FLOW,
        "setting the state to null does not delete the shadow; the version counts on",
        (UPDATE, both({"a": 1}, {"a": 1})),
        (UPDATE, {"state": None, "version": 1}),
        (GET, {}),
        state={},
        version=2,
    ),
    Case(
        DOC,
        "both sections removed by null: an empty document, but a shadow",
        (UPDATE, both({"a": 1}, {"a": 1})),
        (UPDATE, {"state": {"desired": None, "reported": None}}),
        (GET, {}),
        state={},
        version=2,
    ),
    Case(
        OURS,
        "a state of null is echoed as it came, and nothing is left to differ",
        (UPDATE, both({"a": 1}, {"b": 1})),
        (UPDATE, {"state": None, "clientToken": "t"}),
        echoed="t",
        state=None,
        delta=None,
        version=2,
    ),
    Case(FLOW, "a deleted shadow is gone", (UPDATE, reported(a=1)), (DELETE, {}), (GET, {}),
         rejected=(404, "No shadow exists with name: 'thing-1'")),
    Case(TOPICS, "the content of a delete is ignored", (UPDATE, reported(a=1)),
         (DELETE, b"anything"), version=1),
    Case(ERRORS, "404 No shadow exists with name", (GET, {}),
         rejected=(404, "No shadow exists with name: 'thing-1'")),
    Case(ERRORS, "404 also for a delete", (DELETE, {}),
         rejected=(404, "No shadow exists with name: 'thing-1'")),
    Case(
        TOPICS,
        "a message on update/delta contains all attributes that differ, also stored ones",
        (UPDATE, desired(a=1, b=2)),
        (UPDATE, reported(a=1)),
        delta={"b": 2},
    ),
    Case(
        TOPICS,
        "an attribute that is only in reported is not in the delta",
        (UPDATE, both({"a": 1}, {"a": 1, "b": 2})),
        delta=None,
    ),
    Case(
        TOPICS,
        "an attribute that is only in desired is in the delta",
        (UPDATE, both({"a": 1, "b": 2}, {"a": 1})),
        delta={"b": 2},
    ),
    Case(
        TOPICS,
        "an attribute deleted from reported but still desired is in the delta",
        (UPDATE, both({"a": 1}, {"a": 1})),
        (UPDATE, reported(a=None)),
        delta={"a": 1},
    ),
    Case(
        DOC,
        "nested objects are compared leaf by leaf",
        (UPDATE, both({"lights": {"color": "RED", "on": True}}, {"lights": {"color": "GREEN"}})),
        (UPDATE, reported(lights={"color": "RED"})),
        delta={"lights": {"on": True}},
    ),
    Case(DOC, "respects JSON: 0 and false are different values",
         (UPDATE, both({"a": 0}, {"a": False})), delta={"a": 0}),
    Case(DOC, "respects JSON: 1 and 1.0 are the same number",
         (UPDATE, both({"a": 1}, {"a": 1.0})), delta=None),
    Case(
        DOC,
        "the desired section is removed by null",
        (UPDATE, desired(color="red")),
        (UPDATE, {"state": {"reported": {"color": "red"}, "desired": None}}),
        (GET, {}),
        state={"reported": {"color": "red"}},
    ),
    Case(
        DOC,
        "a section that becomes empty is removed",
        (UPDATE, both({"a": 1}, {"b": 1})),
        (UPDATE, desired(a=None)),
        (GET, {}),
        state={"reported": {"b": 1}},
    ),
    Case(
        OURS,
        "empty objects are no values",
        (UPDATE, reported(a={"b": 1}, c=1)),
        (UPDATE, reported(a={"b": None}, d={})),
        (GET, {}),
        state={"reported": {"c": 1}},
    ),
    Case(DOC, "arrays can't have null values",
         (UPDATE, desired(colors=[None, "RED", "GREEN"])),
         rejected=(400, "State contains an invalid node")),
    Case(DOC, "the same client token is in request and response",
         (UPDATE, reported(a=1) | {"clientToken": "t-1"}), echoed="t-1", version=1),
    Case(DOC, "the token of a get comes back", (UPDATE, reported(a=1)),
         (GET, {"clientToken": "t-2"}), echoed="t-2"),
    Case(DOC, "the version is incremented with every update, also one that changes nothing",
         (UPDATE, reported(a=1)), (UPDATE, reported(a=1)), version=2),
    Case(ERRORS, "400 Invalid JSON", (UPDATE, b"{"), rejected=(400, "Invalid JSON")),
    Case(ERRORS, "400 Invalid JSON: NaN is none", (UPDATE, b'{"state":{"reported":{"a":NaN}}}'),
         rejected=(400, "Invalid JSON")),
    Case(ERRORS, "400 Missing required node: state", (UPDATE, {"clientToken": "t"}),
         rejected=(400, "Missing required node: state"), echoed="t"),
    Case(ERRORS, "400 State node must be an object", (UPDATE, {"state": []}),
         rejected=(400, "State node must be an object")),
    Case(ERRORS, "400 Desired node must be an object", (UPDATE, {"state": {"desired": 1}}),
         rejected=(400, "Desired node must be an object")),
    Case(ERRORS, "400 Reported node must be an object", (UPDATE, {"state": {"reported": "x"}}),
         rejected=(400, "Reported node must be an object")),
    Case(ERRORS, "400 Invalid version", (UPDATE, reported(a=1) | {"version": "1"}),
         rejected=(400, "Invalid version")),
    Case(ERRORS, "400 Invalid version: true is none", (UPDATE, reported(a=1) | {"version": True}),
         rejected=(400, "Invalid version")),
    Case(ERRORS, "400 Invalid clientToken: longer than 64 bytes",
         (UPDATE, reported(a=1) | {"clientToken": "x" * 65}),
         rejected=(400, "Invalid clientToken")),
    Case(ERRORS, "400 Invalid clientToken: no string",
         (UPDATE, reported(a=1) | {"clientToken": 7}), rejected=(400, "Invalid clientToken")),
    Case(ERRORS, "400 too many levels of nesting",
         (UPDATE, desired(a={"b": {"c": {"d": {"e": {"f": {"g": 1}}}}}})),
         rejected=(400, "JSON contains too many levels of nesting; maximum is 6")),
    Case(ERRORS, "400 too many levels, even more than a program can follow",
         (UPDATE, b'{"state":{"desired":' + b'{"a":' * 400 + b"[" * 400 + b"]" * 400 + b"}" * 402),
         rejected=(400, "JSON contains too many levels of nesting; maximum is 6")),
    Case(ERRORS, "400 State contains an invalid node", (UPDATE, {"state": {"delta": {"a": 1}}}),
         rejected=(400, "State contains an invalid node")),
    Case(ERRORS, "413 The payload exceeds the maximum size allowed",
         (UPDATE, desired(a="x" * 8192)),
         rejected=(413, "The payload exceeds the maximum size allowed")),
    Case(QUOTAS, "8 KB are the state's, not the request's: two halves make it too large",
         (UPDATE, desired(a="x" * 4096)), (UPDATE, desired(b="x" * 4096)),
         rejected=(413, "The payload exceeds the maximum size allowed")),
    Case(QUOTAS, "metadata do not count: 300 leaves of 20 bytes are below 8 KB",
         (UPDATE, desired(**{f"leaf-{number:03}": "123456789" for number in range(300)})),
         version=1),
    Case(ERRORS, "415 encoding other than UTF-8", (UPDATE, b"\xff\xfe{}"),
         rejected=(415, "Unsupported documented encoding; supported encoding is UTF-8")),
]  # fmt: skip


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def shadows(clock):
    database = open_database(None)
    yield Shadows(database, clock)
    database.close()


async def ask(shadows, verb, request, name=""):
    payload = request if isinstance(request, bytes) else json.dumps(request).encode()
    place = f"name/{name}/" if name else ""
    replies = await shadows.answer(f"$aws/things/thing-1/shadow/{place}{verb}", payload)
    prefix = f"$aws/things/thing-1/shadow/{place}"
    return {reply.topic.removeprefix(prefix): reply.body for reply in replies}


@pytest.mark.parametrize("name", ["", "config"], ids=["classic", "named"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.page}: {case.rule}")
async def test_as_published(shadows, case, name):
    said = {}
    for verb, request in case.requests:
        said = await ask(shadows, verb, request, name)
    verb = case.requests[-1][0]
    wanted = case.wanted
    if "rejected" in wanted:
        assert list(said) == [f"{verb}/rejected"]
        body = said[f"{verb}/rejected"]
        code, message = wanted["rejected"]
        message = message.replace("'thing-1'", f"'{name}'") if name else message
        assert (body["code"], body["message"]) == (code, message)
    else:
        body = said[f"{verb}/accepted"]
    if "echoed" in wanted:
        assert all(body["clientToken"] == wanted["echoed"] for body in said.values())
    if "version" in wanted:
        assert body["version"] == wanted["version"]
    if "state" in wanted:
        assert body["state"] == wanted["state"]
    if "delta" in wanted:
        assert said.get("update/delta", {}).get("state") == wanted["delta"]


def test_there_are_enough_published_cases():
    assert sum(case.page != OURS for case in CASES) >= 25


async def test_metadata_have_a_timestamp_per_leaf_and_only_touched_leaves_change(shadows, clock):
    await ask(shadows, "update", desired(a=1, b={"c": [1, {"d": 2}], "e": 1}))
    clock.advance(10)
    await ask(shadows, "update", desired(b={"e": 2}))
    body = (await ask(shadows, "get", {}))["get/accepted"]
    old, new = {"timestamp": T0}, {"timestamp": T0 + 10}
    assert body["metadata"] == {"desired": {"a": old, "b": {"c": [old, {"d": old}], "e": new}}}
    assert body["timestamp"] == T0 + 10


async def test_delta_carries_the_metadata_of_its_own_leaves(shadows):
    said = await ask(shadows, "update", both({"a": 1, "b": {"c": 1}}, {"a": 1}))
    delta = said["update/delta"]
    assert delta["metadata"] == {"b": {"c": {"timestamp": T0}}}
    assert delta["version"] == 1


async def test_accepted_echoes_the_request_and_documents_hold_before_and_after(shadows):
    await ask(shadows, "update", reported(a=1))
    said = await ask(shadows, "update", reported(a=None, b=2))
    assert said["update/accepted"]["state"] == {"reported": {"a": None, "b": 2}}
    documents = said["update/documents"]
    assert documents["previous"]["state"] == {"reported": {"a": 1}}
    assert documents["previous"]["version"] == 1
    assert documents["current"]["state"] == {"reported": {"b": 2}}
    assert documents["current"]["version"] == 2


async def test_a_deleted_shadow_is_forgotten_after_48_hours(shadows, clock):
    # Published (FLOW): the version of the new one "will be 0". That the version which the first
    # update leaves is 1, as of any new shadow, is our reading: the guide shows no first answer.
    await ask(shadows, "update", reported(a=1))
    await ask(shadows, "delete", {})
    clock.advance(48 * 3600 + 1)
    said = await ask(shadows, "update", reported(a=1))
    assert said["update/accepted"]["version"] == 1


async def test_shadows_of_other_names_and_things_are_others(shadows):
    await ask(shadows, "update", reported(a=1))
    assert "get/rejected" in await ask(shadows, "get", {}, "config")
    other = await shadows.answer("$aws/things/thing-2/shadow/get", b"")
    assert other[0].topic.endswith("get/rejected")


async def test_shadows_survive_a_restart(tmp_path, clock):
    path = tmp_path / "box.db"
    for version in (1, 2):
        database = open_database(path)
        said = await ask(Shadows(database, clock), "update", desired(a=version))
        assert said["update/accepted"]["version"] == version
        database.close()


def test_update_leaves_the_shadow_before_untouched():
    before = Shadow(3, T0, {"desired": {"a": {"b": 1}}}, {"desired": {"a": {"b": {}}}}, False)
    update(before, desired(a={"c": 2}), T0)
    assert before.state == {"desired": {"a": {"b": 1}}}

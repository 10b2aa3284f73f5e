"""As whom the program connects, against the policies as they are deployed: nobody takes a name."""

import ast
import itertools
import json
import re
from pathlib import Path

import pytest

from firedetect.contract.clients import (
    PURPOSES,
    claim_client_id,
    client_id,
    own_client_ids,
    valid_thing,
)
from firedetect.lambdas.provisioning_hook import allowed

ROOT = Path(__file__).parents[2]
FLEET = json.loads((ROOT / "deploy" / "templates" / "FiredetectFleet.template.json").read_text())
THING = "${iot:Connection.Thing.ThingName}"
THINGS = ("office", "office-2", "office-", "off", "claim", "claimed-3", "new", "office-rotate")
"""Names that begin with others, and names that are words of ours."""


class RefusalError(Exception):
    """As boto3's."""


class Registry:
    """An account in which every name is taken."""

    class exceptions:  # noqa: N801 - boto3's name
        """boto3's."""

        ResourceNotFoundException = RefusalError

    def describe_thing(self, thingName):  # noqa: N803 - boto3's name
        return {"thingName": thingName}


def text(value):
    """Return an address of the template in one piece."""
    if isinstance(value, str):
        return value
    if "Ref" in value:
        return value["Ref"]
    separator, parts = value["Fn::Join"]
    return separator.join(text(part) for part in parts)


def connect(policy_name):
    """Return the statement about connections of a policy."""
    (found,) = (
        statement
        for resource in FLEET["Resources"].values()
        if resource["Type"] == "AWS::IoT::Policy"
        and resource["Properties"]["PolicyName"] == policy_name
        for statement in resource["Properties"]["PolicyDocument"]["Statement"]
        if statement["Action"] == "iot:Connect"
    )
    return found


def clients(policy_name, thing=None):
    """Return the patterns of client ids that a policy allows to a certificate of `thing`."""
    for resource in connect(policy_name)["Resource"]:
        pattern = text(resource).partition(":client/")[2]
        if thing is None:
            # AWS leaves out what has a variable that it cannot resolve.
            assert THING not in pattern
        yield pattern.replace(THING, thing or "")


def may_connect(client, thing=None):
    """Whether a certificate of a thing, or a claim's, may use a client id: AWS's `*` and `?`."""
    policy = "firedetect-detector" if thing else "firedetect-claim"
    return any(
        re.fullmatch(re.escape(one).replace(r"\*", ".*").replace(r"\?", "."), client)
        for one in clients(policy, thing)
    )


@pytest.mark.parametrize("thing", THINGS)
def test_a_thing_may_connect_for_all_that_it_does(thing):
    assert may_connect(thing, thing)
    for purpose in PURPOSES:
        assert may_connect(client_id(thing, purpose), thing)
    assert may_connect(claim_client_id(thing))


@pytest.mark.parametrize(("thing", "other"), list(itertools.permutations(THINGS, 2)))
def test_nobody_may_connect_as_another_thing(thing, other):
    for client in own_client_ids(thing):
        assert not may_connect(client, other)


@pytest.mark.parametrize("thing", THINGS)
def test_no_claim_may_connect_as_a_thing(thing):
    for client in own_client_ids(thing):
        assert not may_connect(client)


def test_no_thing_can_be_called_like_a_claim():
    assert valid_thing("office-2")
    for name in ("claim-office", "office.rotate", "-office", "a:b", "", "x" * 65):
        assert not valid_thing(name)
        assert not allowed({"parameters": {"ThingName": name}, "clientId": name}, Registry())


@pytest.mark.parametrize(("thing", "other"), list(itertools.permutations(THINGS, 2)))
def test_no_holder_of_a_name_gets_a_longer_or_shorter_one(thing, other):
    """Under every client id that the policies allow to `other`, beside those that are no names."""
    for client in (*own_client_ids(other), claim_client_id(thing), claim_client_id(other)):
        assert not allowed({"parameters": {"ThingName": thing}, "clientId": client}, Registry())
    for client in own_client_ids(thing):
        assert allowed({"parameters": {"ThingName": thing}, "clientId": client}, Registry())


def test_aws_knows_the_thing_whatever_the_client_id_is():
    """AWS resolves the variable for other client ids only of exclusive things."""
    (body,) = (
        json.loads(resource["Properties"]["TemplateBody"])
        for resource in FLEET["Resources"].values()
        if resource["Type"] == "AWS::IoT::ProvisioningTemplate"
    )
    certificate = body["Resources"]["certificate"]["Properties"]
    assert certificate["ThingPrincipalType"] == "EXCLUSIVE_THING"
    attached = {"Bool": {"iot:Connection.Thing.IsAttached": "true"}}
    assert connect("firedetect-detector")["Condition"] == attached


def made_ids(path):
    """Yield what a module makes up as a client id itself."""
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
            continue
        place = {"Endpoint": 2, "endpoint_of": 1}.get(node.func.id)
        if place is not None:
            given = [word.value for word in node.keywords if word.arg == "client_id"]
            given += node.args[place : place + 1]
            yield from (one for one in given if isinstance(one, ast.JoinedStr | ast.Constant))


def test_client_ids_are_made_in_one_place():
    sources = [path for path in (ROOT / "firedetect").rglob("*.py") if "cloudbox" not in path.parts]
    made = [ast.unparse(one) for path in sources for one in made_ids(path)]
    # Claims of one computer, each in a process of its own.
    assert [one for one in made if not one.startswith("f'claim-")] == []

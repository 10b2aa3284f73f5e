"""What AWS IoT allows a detector, or a claim on the way to become one: nothing of any other."""

from typing import Any, Final

from aws_cdk import Stack

from deploy import names
from firedetect.contract.clients import CLAIM_PREFIX, own_client_ids
from firedetect.contract.names import PICTURES_ROLE_ALIAS

_THING: Final = "${iot:Connection.Thing.ThingName}"
_CERTIFICATES: Final = (
    "$aws/certificates/create-from-csr/*",
    f"$aws/provisioning-templates/{names.PROVISIONING_TEMPLATE}/provision/*",
)


def detector_rights(stack: Stack) -> dict[str, Any]:
    """Return what a detector may do: what is its own, by the name on its certificate."""
    own = f"topic/firedetect/{_THING}"
    things = f"topic/$aws/things/{_THING}"
    heard = ("shadow/name/*/get/*", "shadow/name/*/update/*", "jobs/*", "defender/*")
    said = ("shadow/name/*/get", "shadow/name/*/update", "jobs/*", "defender/metrics/*")
    rules = [
        f"topic/$aws/rules/firedetect_{name}/firedetect/{_THING}/{name}"
        for name in ("telemetry", "beat")
    ]
    hears = [f"{things}/{topic}" for topic in heard]
    certificates = [f"topic/{topic}" for topic in _CERTIFICATES]
    filters = [f"topicfilter/firedetect/{_THING}/down"]
    filters += [one.replace("topic/", "topicfilter/", 1) for one in (*hears, *certificates)]
    document = _document(
        stack,
        ("iot:Connect", [f"client/{one}" for one in own_client_ids(_THING)]),
        (
            "iot:Publish",
            [
                *(f"{own}/{name}" for name in ("alert", "event")),
                *rules,
                *(f"{things}/{topic}" for topic in said),
                *certificates,
            ],
        ),
        ("iot:Receive", [f"{own}/down", *hears, *certificates]),
        ("iot:Subscribe", filters),
        ("iot:AssumeRoleWithCertificate", [f"rolealias/{PICTURES_ROLE_ALIAS}"]),
    )
    # AWS takes the thing from the client id where the certificate is not attached exclusively: the
    # certificate of one thing must not do for a connection that names another.
    document["Statement"][0]["Condition"] = {"Bool": {"iot:Connection.Thing.IsAttached": "true"}}
    return document


def claim_rights(stack: Stack) -> dict[str, Any]:
    """Return what a claim may do: ask for a certificate of its own, and nothing else."""
    topics = [f"topic/{topic}" for topic in _CERTIFICATES]
    return _document(
        stack,
        ("iot:Connect", [f"client/{CLAIM_PREFIX}*"]),
        ("iot:Publish", topics),
        ("iot:Receive", topics),
        ("iot:Subscribe", [f"topicfilter/{topic}" for topic in _CERTIFICATES]),
    )


def _document(stack: Stack, *statements: tuple[str, list[str]]) -> dict[str, Any]:
    """Return a policy of actions and what each is allowed on, by name within AWS IoT."""
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": action,
                "Resource": [names.arn(stack, "iot", resource) for resource in resources],
            }
            for action, resources in statements
        ],
    }

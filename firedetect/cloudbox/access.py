"""Who may say and hear what at the box's broker: the AWS IoT policies as a mosquitto list.

mosquitto grants every subscription and filters at delivery, so these rights show in what
arrives, not in the answer to a subscription. Other than on AWS, whoever may ask for certificates
hears the answers to others who ask: a broker cannot answer one connection only.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from firedetect.contract.clients import CLAIM_PREFIX
from firedetect.contract.names import (
    PROVISIONING_TEMPLATE,
    alert_topic,
    beat_topic,
    down_topic,
    event_topic,
    telemetry_topic,
)

CLOUD: Final = "cloud"
CLAIM: Final = "claim"
OPERATOR: Final = "operator"
"""Names that begin with this are operators."""

_REQUESTS: Final = (
    "shadow/get",
    "shadow/update",
    "shadow/delete",
    "shadow/name/+/get",
    "shadow/name/+/update",
    "shadow/name/+/delete",
    "jobs/get",
    "jobs/start-next",
    "jobs/+/get",
    "jobs/+/update",
)
"""What a thing may ask of the services.

A list of requests and not `shadow/#`: mosquitto's `deny` takes reading and writing together, so
only this keeps a device from forging an `accepted` or a `delta`.
"""
_CSR: Final = "$aws/certificates/create-from-csr"
_KEYS: Final = "$aws/certificates/create"
_PROVISION: Final = f"$aws/provisioning-templates/{PROVISIONING_TEMPLATE}/provision"


def reserved(name: str) -> bool:
    """Whether a name belongs to the box and can be no thing's."""
    return name in {CLOUD, CLAIM} or name.startswith((OPERATOR, CLAIM_PREFIX))


def access_list(issued: Iterable[str], grants: Mapping[str, str]) -> str:
    """Return mosquitto's access file: whoever is not named in it may do nothing.

    `issued` are the users of certificates that the authority made itself: the box's own,
    operators, things by their own names. `grants` maps the user of a provisioned certificate to
    its thing.
    """
    lines = [f"user {CLOUD}", "topic readwrite #", "topic readwrite $aws/#"]
    lines += [f"user {CLAIM}"]
    for create in (_CSR, _KEYS):
        lines += _asked(f"{create}/json", f"{create}/json/+")
    lines += _asked(f"{_PROVISION}/json", f"{_PROVISION}/json/+")
    for user in issued:
        if user.startswith(OPERATOR):
            lines += [f"user {user}", *_operator_rules(user)]
        elif not reserved(user):
            lines += [f"user {user}", *_thing_rules(user)]
    # No `pattern` with `%u`: mosquitto applies it to every user, a claim or operator included.
    for user, thing in grants.items():
        lines += [f"user {user}", *_thing_rules(thing)]
    return "\n".join(lines) + "\n"


def _thing_rules(thing: str) -> list[str]:
    own = f"$aws/things/{thing}"
    said = [
        alert_topic(thing),
        event_topic(thing),
        telemetry_topic(thing),
        beat_topic(thing),
        f"$aws/rules/+/firedetect/{thing}/#",
        f"{own}/defender/metrics/json",
        *(f"{own}/{request}" for request in _REQUESTS),
    ]
    lines = [f"topic write {topic}" for topic in said]
    lines += [f"topic read {topic}" for topic in (down_topic(thing), f"{own}/#")]
    # A certificate is rotated over the connection of the old one.
    lines += _asked(f"{_CSR}/json", f"{_CSR}/json/+")
    lines += _asked(f"{_PROVISION}/json", f"{_PROVISION}/json/+")
    return lines


def _operator_rules(operator: str) -> list[str]:
    # An operator is no thing: it has no shadow of its own.
    lines = [f"topic deny $aws/things/{operator}/#"]
    lines += [f"topic write $aws/things/+/{request}" for request in _REQUESTS]
    return [*lines, "topic read $aws/things/#", "topic read firedetect/#"]


def _asked(request: str, answers: str) -> list[str]:
    return [f"topic write {request}", f"topic read {answers}"]

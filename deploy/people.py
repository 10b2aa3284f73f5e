"""Who hears of it: a deployment tells nobody by itself, so it says whom it would tell."""

import os
from collections.abc import Iterator
from typing import Any, Final

from deploy import names
from deploy.changes import Stacks
from deploy.committed import stack_name
from deploy.session import ClientOf, DeployError, account_of, region_of
from deploy.stage import NOBODY

OPERATOR: Final = "OPERATOR_EMAIL"
"""The variable that the template's parameter `OperatorEmail` is read from."""
_EXAMPLE_ACCOUNT: Final = "123456789012"
"""The number that documentation and emulators have: nobody's."""
_TOPICS: Final = {
    names.PEOPLE_TOPIC: (
        "nobody hears of a fire",
        """ --attributes '{"FilterPolicy": "{\\"tier\\": [\\"0\\"]}"}'""",
    ),
    names.OPERATORS_TOPIC: ("nobody hears when the tier itself fails", ""),
}


def operator(client_of: ClientOf) -> str:
    """Return the operator's address: the environment's, else the one that was given before."""
    known = Stacks(client_of("cloudformation")).parameters(stack_name("Core"))
    return os.environ.get(OPERATOR) or known.get("OperatorEmail") or NOBODY


def require_operator(client_of: ClientOf) -> None:
    """Refuse a budget whose alarm reaches nobody; raises DeployError with what to set."""
    address = operator(client_of)
    if _is_example(address) and account_of(client_of) != _EXAMPLE_ACCOUNT:
        raise DeployError(
            f"the budget's alarm would go to {address}, whom nobody reads: "
            f"set {OPERATOR} to the operator's address"
        )


def unheard(client_of: ClientOf) -> Iterator[str]:
    """Yield for every topic that has no subscriber what does not happen, and the way out."""
    place = f"{region_of(client_of)}:{account_of(client_of)}"
    for topic, (what, policy) in _TOPICS.items():
        address = f"arn:aws:sns:{place}:{topic}"
        confirmed, pending = _subscribers(client_of("sns"), address)
        if confirmed:
            continue
        asked = f", {pending} have not confirmed yet" if pending else ""
        yield (
            f"{topic} has no subscriber{asked}: {what}\n"
            f"  aws sns subscribe --topic-arn {address} --protocol email "
            f"--notification-endpoint ADDRESS{policy}"
        )


def _is_example(address: str) -> bool:
    return address.rpartition("@")[2].lower() in {"example.com", "example.org", "example.net"}


def _subscribers(sns: Any, topic: str) -> tuple[int, int]:  # noqa: ANN401 - boto3
    """Return how many have confirmed, and how many have not."""
    pages = sns.get_paginator("list_subscriptions_by_topic").paginate(TopicArn=topic)
    found = [one["SubscriptionArn"] for page in pages for one in page["Subscriptions"]]
    pending = sum(not one.startswith("arn:") for one in found)
    return len(found) - pending, pending

"""Findings of the reviewers that are accepted, each with its reason, where they arise."""

from typing import Final

from aws_cdk import Acknowledgment, CfnResource, Stack, Validations
from constructs import IConstruct

_NAG: Final = "AwsSolutions::AwsSolutions-"


def accept(place: IConstruct, rule: str, reason: str) -> None:
    """Accept a finding of cdk-nag, such as `L1` or `IAM5[Resource::*]`, at a construct."""
    Validations.of(place).acknowledge(Acknowledgment(id=f"{_NAG}{rule}", reason=reason))


def accept_star(role: IConstruct, resource: str, reason: str) -> None:
    """Accept that a role may act on an address with a star in it."""
    stack = Stack.of(role)
    readable = (
        resource.replace(stack.partition, "<AWS::Partition>")
        .replace(stack.region, "<AWS::Region>")
        .replace(stack.account, "<AWS::AccountId>")
        .replace("${", "<")
        .replace("}", ">")
    )
    accept(role, f"IAM5[Resource::{readable}]", reason)


def skip_checkov(resource: IConstruct, check: str, reason: str) -> None:
    """Accept a finding of checkov, such as `CKV_AWS_115`, at a resource."""
    child = resource if isinstance(resource, CfnResource) else resource.node.default_child
    assert isinstance(child, CfnResource)  # noqa: S101 - what a construct stands for
    known = child.get_metadata("checkov") or {"skip": []}
    known["skip"].append({"id": check, "comment": reason})
    child.add_metadata("checkov", known)

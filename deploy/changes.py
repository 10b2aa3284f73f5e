"""Stacks by change sets: what would change is known before anything does."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError, WaiterError

from deploy.session import DeployError, brief

_WAIT: Final = {"Delay": 5, "MaxAttempts": 360}
"""Half an hour: a table with its backups settles in minutes."""
_NOTHING: Final = ("didn't contain changes", "No updates are to be performed")
_RESTING: Final = frozenset(
    {"CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE", "IMPORT_COMPLETE"}
)
HIDDEN: Final = "****"
"""Told in place of a parameter that nobody may read."""
_EMPTY: Final = frozenset({"", "REVIEW_IN_PROGRESS"})


@dataclass(frozen=True, slots=True)
class ChangeSet:
    """What would happen to a stack."""

    stack: str
    address: str
    is_new: bool
    lines: tuple[str, ...]


class Stacks:
    """CloudFormation, one stack after the other."""

    def __init__(self, cloudformation: Any) -> None:  # noqa: ANN401 - boto3 makes it at run time
        self._cloudformation = cloudformation

    def prepare(
        self,
        stack: str,
        template: Mapping[str, str | bool],
        parameters: Mapping[str, str | None],
    ) -> ChangeSet | None:
        """Return what a template would change, None if nothing; raises DeployError.

        `template` is `TemplateURL` with an address, or `UsePreviousTemplate`. A parameter without
        a value keeps the one that the stack has, one that is new to it the template's own.
        """
        status = str(self._found(stack).get("StackStatus", ""))
        known = self.parameters(stack)
        is_new = status in _EMPTY
        if not is_new and status not in _RESTING:
            raise DeployError(
                f"stack {stack} is {status}: wait, or delete it if its creation has failed"
            )
        try:
            made = self._cloudformation.create_change_set(
                StackName=stack,
                ChangeSetName=f"firedetect-{uuid.uuid4().hex[:12]}",
                ChangeSetType="CREATE" if is_new else "UPDATE",
                Capabilities=["CAPABILITY_NAMED_IAM"],
                Parameters=[
                    _parameter(key, value)
                    for key, value in parameters.items()
                    if value is not None or key in known
                ],
                **template,
            )
            address = str(made["Id"])
            if self._is_empty(stack, address):
                return None
            return ChangeSet(stack, address, is_new, self._lines(address))
        except (BotoCoreError, ClientError) as error:
            raise DeployError(f"stack {stack}: {brief(error)}") from error

    def execute(self, change: ChangeSet) -> None:
        """Carry a change set out and wait; raises DeployError with the first thing that failed.

        CloudFormation itself goes back to what was before.
        """
        kind = "create" if change.is_new else "update"
        try:
            self._cloudformation.execute_change_set(ChangeSetName=change.address)
            self._wait(f"stack_{kind}_complete", StackName=change.stack)
        except WaiterError as error:
            raise DeployError(f"stack {change.stack}: {self._cause(change.stack)}") from error
        except (BotoCoreError, ClientError) as error:
            raise DeployError(f"stack {change.stack}: {brief(error)}") from error

    def discard(self, change: ChangeSet) -> None:
        """Forget a change set, and the stack that would have been new."""
        self._cloudformation.delete_change_set(ChangeSetName=change.address)
        if change.is_new:
            self._cloudformation.delete_stack(StackName=change.stack)

    def outputs(self, stack: str) -> dict[str, str]:
        """Return what a stack tells."""
        (found,) = self._cloudformation.describe_stacks(StackName=stack)["Stacks"]
        return {one["OutputKey"]: one["OutputValue"] for one in found.get("Outputs", ())}

    def parameters(self, stack: str) -> dict[str, str]:
        """Return what the parameters of a stack are, nothing if there is none."""
        given = self._found(stack).get("Parameters", ())
        return {one["ParameterKey"]: one["ParameterValue"] for one in given}

    def _is_empty(self, stack: str, address: str) -> bool:
        """Wait for a change set; one that cannot be made is forgotten. Raises DeployError."""
        try:
            self._wait("change_set_create_complete", ChangeSetName=address)
        except WaiterError as error:
            said = self._cloudformation.describe_change_set(ChangeSetName=address)
            reason = str(said.get("StatusReason", error))
            self._cloudformation.delete_change_set(ChangeSetName=address)
            if any(words in reason for words in _NOTHING):
                return True
            raise DeployError(f"stack {stack}: {reason}") from error
        return False

    def _found(self, stack: str) -> dict[str, Any]:
        """Return what is known of a stack, nothing if there is none."""
        try:
            (found,) = self._cloudformation.describe_stacks(StackName=stack)["Stacks"]
        except ClientError as error:
            if "does not exist" in str(error):
                return {}
            raise DeployError(f"stack {stack}: {brief(error)}") from error
        return dict(found)

    def _lines(self, address: str) -> tuple[str, ...]:
        found: list[str] = []
        token: dict[str, str] = {}
        while True:
            page = self._cloudformation.describe_change_set(ChangeSetName=address, **token)
            found += [_line(one["ResourceChange"]) for one in page.get("Changes", ())]
            if not page.get("NextToken"):
                return tuple(sorted(found))
            token = {"NextToken": page["NextToken"]}

    def _cause(self, stack: str) -> str:
        pages = self._cloudformation.get_paginator("describe_stack_events").paginate(
            StackName=stack
        )
        failed = [
            f"{event['LogicalResourceId']}: {event.get('ResourceStatusReason', 'no reason given')}"
            for page in pages
            for event in page["StackEvents"]
            if event["ResourceStatus"].endswith("_FAILED")
        ]
        # The newest comes first; the oldest is what made the others fail.
        if failed:
            return failed[-1]
        return f"did not get there: {self._found(stack).get('StackStatus')}"

    def _wait(self, name: str, **what: str) -> None:
        self._cloudformation.get_waiter(name).wait(WaiterConfig=_WAIT, **what)


def _parameter(key: str, value: str | None) -> dict[str, str | bool]:
    if value is None:
        return {"ParameterKey": key, "UsePreviousValue": True}
    return {"ParameterKey": key, "ParameterValue": value}


def _line(change: Mapping[str, Any]) -> str:
    replaced = ", replaced" if change.get("Replacement") == "True" else ""
    scope = ", ".join(change.get("Scope", ()))
    where = f" ({scope}{replaced})" if scope or replaced else ""
    return f"{change['Action']} {change['ResourceType']} {change['LogicalResourceId']}{where}"

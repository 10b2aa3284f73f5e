"""What is set once per account: `python -m deploy.account [--stage prod] [--dry-run]`.

Fleet indexing and Device Defender's audit belong to the whole account, and the vault for copies of
backups lies in another region than the stacks. Run it again whenever you like.
"""

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from deploy import names
from deploy.session import ClientOf, account_clients, account_of, brief, region_of
from deploy.stage import STAGES, Stage
from firedetect.errors import FiredetectError

AUDIT: Final = "firedetect-audit"
VAULT: Final = "firedetect-copy"
_AUDIT_POLICY: Final = "arn:aws:iam::aws:policy/service-role/AWSIoTDeviceDefenderAudit"
_CHECKS: Final = (
    "CA_CERTIFICATE_EXPIRING_CHECK",
    "CONFLICTING_CLIENT_IDS_CHECK",
    "DEVICE_CERTIFICATE_EXPIRING_CHECK",
    "DEVICE_CERTIFICATE_SHARED_CHECK",
    "IOT_POLICY_OVERLY_PERMISSIVE_CHECK",
    "IOT_ROLE_ALIAS_OVERLY_PERMISSIVE_CHECK",
    "LOGGING_DISABLED_CHECK",
    "REVOKED_DEVICE_CERTIFICATE_STILL_ACTIVE_CHECK",
)
_INDEX: Final[Mapping[str, Any]] = {
    "thingIndexingMode": "REGISTRY_AND_SHADOW",
    "thingConnectivityIndexingMode": "STATUS",
    "deviceDefenderIndexingMode": "VIOLATIONS",
    "namedShadowIndexingMode": "ON",
    "filter": {"namedShadowNames": ["state"]},
}
_GROUP_INDEX: Final = {"thingGroupIndexingMode": "ON"}


class Account:
    """Compares what is with what should be; changes it unless `dry`."""

    def __init__(self, client_of: ClientOf, stage: Stage, *, dry: bool) -> None:
        self._client_of = client_of
        self._iot = client_of("iot")
        self._stage = stage
        self._dry = dry
        self._number = account_of(client_of)
        # A role belongs to no region, but its rights name a topic in one.
        self._role_name = f"{AUDIT}-{region_of(client_of)}"

    def settle(self) -> list[str]:
        """Bring everything to what it should be; return a line for each."""
        return [
            self._indexing(),
            self._role(),
            self._operators(),
            self._audit(),
            self._schedule(),
            self._vault(),
        ]

    def _indexing(self) -> str:
        known = self._iot.get_indexing_configuration()
        wanted = {
            "thingIndexingConfiguration": dict(_INDEX),
            "thingGroupIndexingConfiguration": dict(_GROUP_INDEX),
        }
        return self._do(
            "fleet indexing",
            _holds(known, wanted),
            lambda: self._iot.update_indexing_configuration(**wanted),
        )

    def _role(self) -> str:
        iam = self._client_of("iam")
        trust = {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Principal": {"Service": "iot.amazonaws.com"},
                    "Action": "sts:AssumeRole",
                    "Condition": {"StringEquals": {"aws:SourceAccount": self._number}},
                }
            ],
        }
        try:
            attached = iam.list_attached_role_policies(RoleName=self._role_name)["AttachedPolicies"]
        except iam.exceptions.NoSuchEntityException:
            attached = None

        def make() -> None:
            if attached is None:
                iam.create_role(
                    RoleName=self._role_name,
                    AssumeRolePolicyDocument=json.dumps(trust),
                    Description="firedetect: what Device Defender's audit may read",
                )
            iam.attach_role_policy(RoleName=self._role_name, PolicyArn=_AUDIT_POLICY)

        is_there = any(one["PolicyArn"] == _AUDIT_POLICY for one in attached or ())
        return self._do(f"role {self._role_name}", is_there, make)

    def _operators(self) -> str:
        """Let the audit tell the operators."""
        iam = self._client_of("iam")
        place = f"{region_of(self._client_of)}:{self._number}"
        # The topic is encrypted with our key, which is known by its alias.
        key = {"ForAnyValue:StringEquals": {"kms:ResourceAliases": names.KEY_ALIAS}}
        wanted = {
            "Version": "2012-10-17",
            "Statement": [
                {"Effect": "Allow", "Action": "sns:Publish", "Resource": self._topic()},
                {
                    "Effect": "Allow",
                    "Action": ["kms:Decrypt", "kms:GenerateDataKey"],
                    "Resource": f"arn:aws:kms:{place}:key/*",
                    "Condition": key,
                },
            ],
        }
        where = {"RoleName": self._role_name, "PolicyName": "tell-operators"}
        try:
            known = iam.get_role_policy(**where)["PolicyDocument"]
        except iam.exceptions.NoSuchEntityException:
            known = None
        return self._do(
            "audit tells operators",
            known == wanted,
            lambda: iam.put_role_policy(**where, PolicyDocument=json.dumps(wanted)),
        )

    def _audit(self) -> str:
        role = f"arn:aws:iam::{self._number}:role/{self._role_name}"
        target = {"targetArn": self._topic(), "roleArn": role, "enabled": True}
        wanted = {
            "roleArn": role,
            "auditNotificationTargetConfigurations": {"SNS": target},
            "auditCheckConfigurations": {check: {"enabled": True} for check in _CHECKS},
        }
        known = self._iot.describe_account_audit_configuration()
        return self._do(
            f"audit, {len(_CHECKS)} checks",
            _holds(known, wanted),
            lambda: self._iot.update_account_audit_configuration(**wanted),
        )

    def _schedule(self) -> str:
        wanted = {
            "scheduledAuditName": AUDIT,
            "frequency": "WEEKLY",
            "dayOfWeek": "MON",
            "targetCheckNames": list(_CHECKS),
        }
        try:
            known = self._iot.describe_scheduled_audit(scheduledAuditName=AUDIT)
        except ClientError as error:
            if error.response["Error"]["Code"] != "ResourceNotFoundException":
                raise
            known = {}
        change = self._iot.update_scheduled_audit if known else self._iot.create_scheduled_audit
        found = dict(known, targetCheckNames=sorted(known.get("targetCheckNames", ())))
        return self._do("audit every Monday", _holds(found, wanted), lambda: change(**wanted))

    def _vault(self) -> str:
        region = self._stage.copy_region
        backup = self._client_of("backup", region)
        vaults = backup.get_paginator("list_backup_vaults").paginate()
        known = {one["BackupVaultName"] for page in vaults for one in page["BackupVaultList"]}
        return self._do(
            f"vault {VAULT} in {region}",
            VAULT in known,
            lambda: backup.create_backup_vault(
                BackupVaultName=VAULT, BackupVaultTags=self._stage.tags()
            ),
        )

    def _topic(self) -> str:
        where = f"{region_of(self._client_of)}:{self._number}"
        return f"arn:aws:sns:{where}:{names.OPERATORS_TOPIC}"

    def _do(self, what: str, is_there: bool, make: Callable[[], object]) -> str:  # noqa: FBT001
        if is_there:
            return f"{what}: as it should be"
        if self._dry:
            return f"{what}: would be set"
        make()
        return f"{what}: set"


def _holds(known: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether all that is wanted is so; what else there is does not matter."""
    for name, value in wanted.items():
        found = known.get(name)
        if isinstance(value, Mapping):
            if not isinstance(found, Mapping) or not _holds(found, value):
                return False
        elif found != value:
            return False
    return True


def main(arguments: Sequence[str] | None = None) -> int:
    """Settle the account; say in one line what stopped it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stage", choices=sorted(STAGES), default="prod")
    parser.add_argument("--dry-run", action="store_true", help="only say what would be set")
    chosen = parser.parse_args(arguments)
    try:
        account = Account(account_clients(), STAGES[chosen.stage], dry=chosen.dry_run)
        for line in account.settle():
            print(line)
    except (FiredetectError, BotoCoreError, ClientError) as error:
        print(brief(error), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

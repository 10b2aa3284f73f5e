"""What is set once per account: on moto, with the audit that it lacks."""

import pytest
from botocore.exceptions import ClientError
from moto.core.config import default_user_config

from deploy import account as module
from deploy.account import VAULT, Account, main
from deploy.session import account_clients
from deploy.stage import STAGES
from firedetect.cloudbox.tier import REGION


class Iot:
    """moto's IoT with Device Defender's audit configuration."""

    def __init__(self, real):
        self._real = real
        self.configuration = {
            "auditCheckConfigurations": {"SOMETHING_ELSE_CHECK": {"enabled": True}}
        }
        self.scheduled = {}

    def __getattr__(self, name):
        return getattr(self._real, name)

    def describe_account_audit_configuration(self):
        return self.configuration

    def update_account_audit_configuration(self, **wanted):
        checks = self.configuration["auditCheckConfigurations"] | wanted["auditCheckConfigurations"]
        self.configuration |= wanted | {"auditCheckConfigurations": checks}

    def describe_scheduled_audit(self, scheduledAuditName):  # noqa: N803 - AWS's name
        if scheduledAuditName not in self.scheduled:
            error = {"Error": {"Code": "ResourceNotFoundException", "Message": "none"}}
            raise ClientError(error, "DescribeScheduledAudit")
        return self.scheduled[scheduledAuditName]

    def create_scheduled_audit(self, **wanted):
        assert wanted["scheduledAuditName"] not in self.scheduled
        self.scheduled[wanted["scheduledAuditName"]] = wanted

    def update_scheduled_audit(self, **wanted):
        self.scheduled[wanted["scheduledAuditName"]] |= wanted


@pytest.fixture
def clients(account, monkeypatch):
    monkeypatch.setitem(default_user_config, "iam", {"load_aws_managed_policies": True})
    account.reset()
    iot = Iot(account.client_of("iot"))

    def client_of(service, region=""):
        return iot if service == "iot" else account.client_of(service, region)

    return client_of


def settle(clients, *, dry):
    return Account(clients, STAGES["prod"], dry=dry).settle()


def test_it_sets_everything_once(clients):
    would = settle(clients, dry=True)
    assert all(line.endswith(": would be set") for line in would), would
    assert settle(clients, dry=True) == would
    assert all(line.endswith(": set") for line in settle(clients, dry=False))
    again = settle(clients, dry=False)
    assert all(line.endswith(": as it should be") for line in again), again
    index = clients("iot").get_indexing_configuration()["thingIndexingConfiguration"]
    assert index["thingConnectivityIndexingMode"] == "STATUS"
    checks = clients("iot").configuration["auditCheckConfigurations"]
    assert checks["SOMETHING_ELSE_CHECK"] == {"enabled": True}, "what others set stays"


def test_the_vault_for_copies_is_in_the_second_region(clients):
    settle(clients, dry=False)
    region = STAGES["prod"].copy_region
    (vault,) = clients("backup", region).list_backup_vaults()["BackupVaultList"]
    assert vault["BackupVaultName"] == VAULT
    assert not clients("backup").list_backup_vaults()["BackupVaultList"]


def test_a_second_region_takes_nothing_from_the_first(clients, monkeypatch):
    """A role belongs to no region; the topic that it may tell does."""
    settle(clients, dry=False)
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    other = account_clients()
    settle(
        lambda service, region="": clients("iot") if service == "iot" else other(service, region),
        dry=False,
    )
    iam = clients("iam")
    for region in (REGION, "eu-west-1"):
        where = {"RoleName": f"firedetect-audit-{region}", "PolicyName": "tell-operators"}
        allowed = iam.get_role_policy(**where)["PolicyDocument"]["Statement"][0]["Resource"]
        assert f":{region}:" in allowed


def test_what_was_changed_by_hand_is_set_again(clients):
    settle(clients, dry=False)
    clients("iot").update_scheduled_audit(scheduledAuditName=module.AUDIT, frequency="MONTHLY")
    said = settle(clients, dry=False)
    assert [line for line in said if line.endswith(": set")] == ["audit every Monday: set"]


@pytest.mark.usefixtures("account")
def test_without_credentials_it_says_so_in_one_line(capsys, monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    assert main([]) == 1
    said = capsys.readouterr().err
    assert said.startswith("no usable credentials")
    assert said.count("\n") == 1

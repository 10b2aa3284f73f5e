"""The committed templates: current, clean for every reviewer, no right wider than its reason."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from deploy import names
from deploy.stage import STAGES
from firedetect.cloudbox.rules_sql import parse
from firedetect.cloudbox.stack_types import RECORDED
from firedetect.cloudbox.tier import load_tier
from firedetect.contract import names as contract

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "templates"
TEMPLATES = {path.stem: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))}
ACKNOWLEDGED = "aws:cdk:acknowledged-rules"


def resources(*types):
    for stack, template in TEMPLATES.items():
        for name, resource in template["Resources"].items():
            if not types or resource["Type"] in types:
                yield stack, name, resource


def run(*command):
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
    )


@pytest.mark.slow
@pytest.mark.parametrize("stage", sorted(STAGES))
def test_the_templates_are_what_the_stacks_make(tmp_path, stage, say):
    """cdk-nag judges every synthesis: a finding that nobody accepted ends it."""
    done = run(sys.executable, "-m", "deploy.synth", "-o", str(tmp_path), "--stage", stage)
    assert done.returncode == 0, done.stderr[-3000:]
    made = {path.stem: json.loads(path.read_text()) for path in tmp_path.glob("*.json")}
    assert set(made) == set(TEMPLATES)
    if stage == "prod":
        assert made == TEMPLATES, "make synth"
    accepted = [
        rule
        for template in made.values()
        for resource in template["Resources"].values()
        for rule in resource.get("Metadata", {}).get("cdk_nag", {}).get("rules_to_suppress", [])
    ]
    assert accepted
    assert all(len(rule["reason"]) > 10 for rule in accepted)
    say(f"cdk-nag: nothing in stage {stage}, {len(accepted)} accepted, each with its reason")


@pytest.mark.slow
def test_cfn_lint_finds_nothing(say):
    # W3005: CDK says a dependency that a reference implies anyway.
    command = (str(Path(sys.executable).with_name("cfn-lint")), "--ignore-checks", "W3005", "--")
    done = run(*command, *map(str, sorted(FOLDER.glob("*.json"))))
    assert (done.returncode, done.stdout) == (0, "")
    say(f"cfn-lint: nothing in {len(TEMPLATES)} templates")


@pytest.mark.slow
def test_checkov_fails_nothing_and_every_skip_has_its_reason(say):
    options = ("--skip-download", "--quiet", "--compact", "--framework", "cloudformation")
    done = run(sys.executable, "-m", "checkov.main", "-d", str(FOLDER), *options)
    assert done.returncode == 0, done.stdout
    (summary,) = re.findall(
        r"Passed checks: \d+, Failed checks: 0, Skipped checks: \d+", done.stdout
    )
    skips = [
        skip
        for _, _, resource in resources()
        for skip in resource.get("Metadata", {}).get("checkov", {}).get("skip", [])
    ]
    assert skips
    assert all(len(skip["comment"]) > 10 for skip in skips)
    say(f"checkov: {summary}, {len(skips)} skips, each with its reason")


def test_names_are_those_of_the_contract():
    tier = load_tier()
    tables = {contract.INCIDENTS_TABLE, contract.DEVICES_TABLE, contract.IDEMPOTENCY_TABLE}
    found = {table["TableName"] for table in tier.resources("AWS::DynamoDB::Table")}
    assert found == tables
    assert tier.topics[0] == contract.PEOPLE_TOPIC
    assert set(tier.functions) == {f"firedetect-{name}" for name in names.FUNCTIONS}
    assert tier.provisioning().parameters == {"ThingName": None, "Site": "", "Proof": ""}
    for sql in tier.sql().values():
        parse(sql)


def test_every_rule_has_an_error_action_and_every_function_a_failure_queue():
    for _, name, rule in resources("AWS::IoT::TopicRule"):
        assert "Sqs" in rule["Properties"]["TopicRulePayload"]["ErrorAction"], name
    functions = [name for _, name, _ in resources("AWS::Lambda::Function")]
    guarded = [
        one["Properties"]["FunctionName"]["Ref"]
        for _, _, one in resources("AWS::Lambda::EventInvokeConfig")
    ]
    assert sorted(functions) == sorted(guarded)


def test_the_alarm_on_errors_looks_where_lambda_writes_their_level():
    """Only in format JSON a line has a level; at a higher one than INFO metrics are dropped."""
    functions = {}
    for _, _, one in resources("AWS::Lambda::Function"):
        written = one["Properties"]["LoggingConfig"]
        levels = (written["ApplicationLogLevel"], written["SystemLogLevel"])
        assert (written["LogFormat"], levels) == ("JSON", ("INFO", "INFO"))
        functions[written["LogGroup"]["Ref"]] = one["Properties"]["FunctionName"]
    filters = [one["Properties"] for _, _, one in resources("AWS::Logs::MetricFilter")]
    assert sorted(functions) == sorted(one["LogGroupName"]["Ref"] for one in filters)
    for one in filters:
        for field in ("level", "log_level"):
            for level in ("ERROR", "CRITICAL"):
                assert f'($.{field} = "{level}")' in one["FilterPattern"], one["FilterPattern"]
    counted = {one["MetricTransformations"][0]["MetricName"] for one in filters}
    alarms = {
        one["Properties"].get("MetricName"): one["Properties"]["AlarmActions"]
        for _, _, one in resources("AWS::CloudWatch::Alarm")
    }
    assert all(alarms[name] for name in counted)


def test_every_alarm_goes_to_the_operators():
    alarms = [(name, one["Properties"]) for _, name, one in resources("AWS::CloudWatch::Alarm")]
    assert alarms
    for name, alarm in alarms:
        (action,) = alarm["AlarmActions"]
        there = action.get("Ref", "").startswith("Operators")
        assert there or flat(action).endswith(":firedetect-operators"), name


def test_one_function_may_ask_the_endpoint_and_only_if_it_is_named():
    found = [
        (policy["Properties"]["Roles"][0]["Ref"], statement)
        for _, _, policy in resources("AWS::IAM::Policy")
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]
        if "sagemaker" in json.dumps(statement["Action"])
    ]
    ((role, statement),) = found
    assert role.startswith("EscalateRole")
    assert statement["Action"] == "sagemaker:InvokeEndpoint"
    assert flat(statement["Resource"]).endswith(":endpoint/fire-mvp-xgb-endpoint")
    core = TEMPLATES["FiredetectCore.template"]
    asked = {
        one["Properties"]["FunctionName"]: one["Properties"]["Environment"]["Variables"].get(
            "SECOND_OPINION_ENDPOINT"
        )
        for one in core["Resources"].values()
        if one["Type"] == "AWS::Lambda::Function"
    }
    assert asked.pop("firedetect-escalate") == {"Ref": "SecondOpinionEndpoint"}
    assert set(asked.values()) == {None}
    parameter = core["Parameters"]["SecondOpinionEndpoint"]
    assert (parameter["Default"], parameter["AllowedValues"]) == ("", ["", names.ENDPOINT])


def test_the_endpoint_is_made_in_one_of_two_ways():
    both = [TEMPLATES[f"Firedetect{name}.template"] for name in ("Ml", "MlServerless")]
    variants = [
        one["Properties"]["ProductionVariants"][0]
        for template in both
        for one in template["Resources"].values()
        if one["Type"] == "AWS::SageMaker::EndpointConfig"
    ]
    assert [sorted({"InstanceType", "ServerlessConfig"} & set(one)) for one in variants] == [
        ["InstanceType"],
        ["ServerlessConfig"],
    ]
    assert len({json.dumps(template["Parameters"]) for template in both}) == 1


GLOBAL = {
    "AWS::IAM::Role": "RoleName",
    "AWS::IAM::ManagedPolicy": "ManagedPolicyName",
    "AWS::IAM::InstanceProfile": "InstanceProfileName",
    "AWS::IAM::User": "UserName",
    "AWS::IAM::Group": "GroupName",
    "AWS::S3::Bucket": "BucketName",
    "AWS::Budgets::Budget": "BudgetName",
    "AWS::CloudWatch::Dashboard": "DashboardName",
}
"""What an account has once, whatever the region, and what it is named by."""


def test_two_regions_of_an_account_share_no_name(say):
    """The way out when a region is lost: the same templates in another one."""
    count = 0
    for stack, name, one in resources(*GLOBAL):
        properties = one["Properties"].get("Budget", one["Properties"])
        # Without a name CloudFormation makes one up.
        given = properties.get(GLOBAL[one["Type"]])
        if given is not None:
            count += 1
            assert {"Ref": "AWS::Region"} in given["Fn::Join"][1], (stack, name, given)
    assert count > 15
    say(f"{count} names that belong to no region, each with the region in it")


def flat(value):
    """Return an address of a template in one piece."""
    if isinstance(value, str):
        return value
    if "Ref" in value:
        return value["Ref"].removeprefix("AWS::")
    separator, parts = value["Fn::Join"]
    return separator.join(flat(part) for part in parts)


@pytest.mark.parametrize(
    ("what", "schedule", "days", "chosen"),
    [
        ("models", "cron(0 3 * * ? *)", 35, {"firedetect-models-AccountId-Region"}),
        ("configuration", "cron(0 4 ? * SUN *)", 90, {"table/firedetect-devices"}),
        (
            "history",
            "cron(0 5 1 * ? *)",
            365,
            {"table/firedetect-incidents", "firedetect-data-AccountId-Region"},
        ),
    ],
)
def test_each_backup_holds_what_it_is_named_after(what, schedule, days, chosen):
    selections = {
        one["Properties"]["BackupSelection"]["SelectionName"]: one["Properties"]
        for _, _, one in resources("AWS::Backup::BackupSelection")
    }
    wanted = selections[what]["BackupSelection"]["Resources"]
    assert {flat(one).rpartition(":")[2] for one in wanted} == chosen
    here = {
        flat(one["Properties"].get("BucketName") or one["Properties"]["TableName"])
        for _, _, one in resources("AWS::S3::Bucket", "AWS::DynamoDB::Table")
    }
    assert {one.removeprefix("table/") for one in chosen} <= here
    plan_of, _ = selections[what]["BackupPlanId"]["Fn::GetAtt"]
    plan = TEMPLATES["FiredetectCore.template"]["Resources"][plan_of]["Properties"]["BackupPlan"]
    (rule,) = plan["BackupPlanRule"]
    assert rule["ScheduleExpression"] == schedule
    assert rule["Lifecycle"]["DeleteAfterDays"] == days
    (copy,) = rule["CopyActions"]
    assert f":{STAGES['prod'].copy_region}:" in flat(copy["DestinationBackupVaultArn"])
    assert flat(copy["DestinationBackupVaultArn"]).endswith(":firedetect-copy")


def test_only_four_types_cannot_be_created_in_the_box():
    assert len(RECORDED) == 4
    here = {resource["Type"] for _, _, resource in resources()}
    assert set(RECORDED) <= here


def stars(document):
    """Yield what a policy allows on everything, or on names with a star."""
    for statement in document["Statement"]:
        if statement["Effect"] != "Allow":
            continue
        given = statement["Resource"]
        for resource in given if isinstance(given, list) else [given]:
            text = json.dumps(resource)
            if "*" in text:
                yield statement["Action"], text


def test_no_right_on_a_star_without_a_written_reason(say):
    count = 0
    for stack, name, policy in resources("AWS::IAM::Policy"):
        found = list(stars(policy["Properties"]["PolicyDocument"]))
        if not found:
            continue
        count += len(found)
        role = policy["Properties"]["Roles"][0]["Ref"]
        reasons = json.dumps(
            [
                policy.get("Metadata", {}),
                TEMPLATES[stack]["Resources"][role].get("Metadata", {}),
            ]
        )
        assert "IAM5" in reasons, (stack, name, found)
    say(f"{count} rights on names with a star, each with a reason at its role")


def test_nothing_is_public_and_all_is_encrypted():
    for _, name, bucket in resources("AWS::S3::Bucket"):
        block = bucket["Properties"]["PublicAccessBlockConfiguration"]
        assert all(block.values()), name
        assert "BucketEncryption" in bucket["Properties"], name
    for _, name, queue in resources("AWS::SQS::Queue"):
        assert "KmsMasterKeyId" in queue["Properties"], name
    for _, name, topic in resources("AWS::SNS::Topic"):
        assert "KmsMasterKeyId" in topic["Properties"], name
    for _, name, table in resources("AWS::DynamoDB::Table"):
        recovery = table["Properties"]["PointInTimeRecoverySpecification"]
        assert recovery["PointInTimeRecoveryEnabled"], name
    for _, name, group in resources("AWS::Logs::LogGroup"):
        assert group["Properties"]["RetentionInDays"] > 0, name


@pytest.mark.fault("F74")
def test_a_detector_may_do_only_what_is_its_own():
    (policy,) = (
        one
        for _, _, one in resources("AWS::IoT::Policy")
        if one["Properties"]["PolicyName"] == "firedetect-detector"
    )
    for statement in policy["Properties"]["PolicyDocument"]["Statement"]:
        for resource in statement["Resource"]:
            text = json.dumps(resource)
            own = "${iot:Connection.Thing.ThingName}" in text
            assert (
                own
                or "$aws/certificates/" in text
                or "rolealias" in text
                or ("provisioning-templates" in text)
            ), text


def test_every_tag_and_no_account_is_in_the_templates():
    text = "".join(path.read_text() for path in FOLDER.glob("*.json"))
    assert '"Value": "firedetect"' in text
    assert "123456789012" not in text

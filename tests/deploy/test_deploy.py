"""The deployment, against moto's server with the box's extension."""

import datetime as dt
import json

import pytest
from botocore.stub import Stubber

from deploy import deploy
from deploy.changes import ChangeSet, Stacks
from deploy.code_bucket import CodeBucket
from deploy.committed import STACKS, stack_name
from deploy.deploy import main
from deploy.session import DeployError

T0 = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
BUCKET = "code-of-somebody"


@pytest.fixture
def package(tmp_path):
    path = tmp_path / "functions.zip"
    path.write_bytes(b"PK\x05\x06" + bytes(18))
    return path


def arguments(package, *more):
    return ["--code-bucket", BUCKET, "--package", str(package), "--yes", *more]


def code_of(account):
    """Return the digest of the code that the functions have."""
    functions = account.client_of("lambda").list_functions()["Functions"]
    (digest,) = {one["CodeSha256"] for one in functions}
    return digest


def test_all_stacks_are_made_and_a_second_run_changes_nothing(account, package, capsys):
    assert main(arguments(package)) == 0, capsys.readouterr().err
    said = capsys.readouterr().out
    assert "Add AWS::SNS::Topic" in said
    assert 'smoke test: {"devices": 0}' in said
    assert account.invoked == [("firedetect-supervisor", {})]
    stacks = account.client_of("cloudformation").describe_stacks()["Stacks"]
    assert {one["StackName"]: one["StackStatus"] for one in stacks} == {
        f"firedetect-{name}": "CREATE_COMPLETE" for name in ("core", "fleet", "lake", "flow")
    }
    s3 = account.client_of("s3")
    assert s3.get_bucket_versioning(Bucket=BUCKET)["Status"] == "Enabled"
    assert all(s3.get_public_access_block(Bucket=BUCKET)["PublicAccessBlockConfiguration"].values())
    assert main(arguments(package)) == 0
    said = capsys.readouterr().out.splitlines()
    assert "nothing to change" in said
    assert sum(line.endswith(": nothing to change") for line in said) == len(STACKS)


def test_what_a_stack_tells_is_read(account):
    # moto gives stacks of change sets no outputs: this one is made at once.
    template = {
        "Resources": {"Topic": {"Type": "AWS::SNS::Topic"}},
        "Outputs": {"Address": {"Value": {"Ref": "Topic"}}},
    }
    cloudformation = account.client_of("cloudformation")
    cloudformation.create_stack(StackName="some", TemplateBody=json.dumps(template))
    assert Stacks(cloudformation).outputs("some")["Address"].startswith("arn:aws:sns:")


@pytest.mark.slow
def test_a_new_package_is_deployed_and_taken_back(account, package, capsys):
    found = []
    # Of three, for moto takes a stack for unchanged that goes back to its first parameters.
    for number in range(3):
        package.write_bytes(package.read_bytes() + bytes([number]))
        assert main(arguments(package)) == 0
        found.append(code_of(account))
    assert len(set(found)) == 3
    capsys.readouterr()
    assert main(["--code-bucket", BUCKET, "--yes", "--rollback"]) == 0, capsys.readouterr().err
    assert code_of(account) == found[1]
    said = capsys.readouterr().out
    assert "functions run packages/" in said
    assert "smoke test" in said
    releases = CodeBucket(account.client_of("s3"), BUCKET).releases("prod")
    assert len(releases) == 2
    assert main(["--code-bucket", BUCKET, "--yes", "--rollback"]) == 0
    assert main(["--code-bucket", BUCKET, "--yes", "--rollback"]) == 1
    assert "no package before" in capsys.readouterr().err


def test_a_stack_that_fails_ends_the_deployment_in_one_line(account, package):
    trust = {"Version": "2012-10-17", "Statement": []}
    account.client_of("iam").create_role(
        RoleName="taken", AssumeRolePolicyDocument=json.dumps(trust)
    )
    wanted = {"RoleName": "taken", "AssumeRolePolicyDocument": trust}
    role = {"Type": "AWS::IAM::Role", "Properties": wanted}
    broken = json.dumps({"Resources": {"Role": role}})
    bucket = CodeBucket(account.client_of("s3"), BUCKET)
    bucket.ensure(lambda _: True)
    made = deploy.Deployment(account.client_of, "prod", bucket, lambda _: True)
    after = deploy.templates_of("prod")["Flow"]
    with pytest.raises(DeployError, match=r"^stack firedetect-fleet: ") as raised:
        made.deploy({"Fleet": broken, "Flow": after}, package)
    assert "\n" not in str(raised.value)
    assert not account.client_of("stepfunctions").list_state_machines()["stateMachines"]


def test_the_first_thing_that_failed_is_named(account):
    cloudformation = account.client_of("cloudformation")
    status = {"StackName": "s", "CreationTime": T0, "StackStatus": "UPDATE_ROLLBACK_COMPLETE"}
    failed = {"ResourceStatus": "UPDATE_FAILED"}
    events = [
        {
            "LogicalResourceId": "Late",
            "ResourceStatusReason": "Resource update cancelled",
            **failed,
        },
        {"LogicalResourceId": "First", "ResourceStatusReason": "name is taken", **failed},
        {"LogicalResourceId": "Good", "ResourceStatus": "UPDATE_COMPLETE"},
    ]
    known = {"StackId": "i", "StackName": "s", "Timestamp": T0}
    with Stubber(cloudformation) as stub:
        stub.add_response("execute_change_set", {})
        stub.add_response("describe_stacks", {"Stacks": [status]})
        stub.add_response(
            "describe_stack_events",
            {"StackEvents": [one | known | {"EventId": str(n)} for n, one in enumerate(events)]},
        )
        change = ChangeSet("s", "arn", is_new=False, lines=())
        with pytest.raises(DeployError, match=r"^stack s: First: name is taken$"):
            Stacks(cloudformation).execute(change)


def test_opt_in_stacks_get_their_parameters_from_the_environment(
    account, package, capsys, monkeypatch
):
    template = {
        "Parameters": {
            "SlackUrl": {"Type": "String"},
            "PagerDutyUrl": {"Type": "String", "Default": "d"},
        },
        "Resources": {
            "Topic": {"Type": "AWS::SNS::Topic", "Properties": {"DisplayName": {"Ref": "SlackUrl"}}}
        },
    }
    bucket = CodeBucket(account.client_of("s3"), BUCKET)
    bucket.ensure(lambda _: True)
    made = deploy.Deployment(account.client_of, "prod", bucket, lambda _: True)
    monkeypatch.setenv("SLACK_URL", "https://slack.example/1")
    assert made.deploy({"Channels": json.dumps(template)}, package) == 1
    sns = account.client_of("sns")
    (topic,) = sns.list_topics()["Topics"]
    told = sns.get_topic_attributes(TopicArn=topic["TopicArn"])["Attributes"]
    assert told["DisplayName"] == "https://slack.example/1"
    assert "slack.example" not in capsys.readouterr().out
    assert deploy.variable_of("PagerDutyKey") == "PAGER_DUTY_KEY"
    assert list(deploy.templates_of("prod", ["channels"]))[-1] == "Channels"


def test_the_second_opinion_comes_in_one_of_two_ways():
    for option, stack in (("ml", "Ml"), ("ml-serverless", "MlServerless")):
        assert list(deploy.templates_of("prod", [option]))[-1] == stack
        assert stack_name(stack) == "firedetect-ml"
    with pytest.raises(DeployError, match="take either"):
        deploy.templates_of("prod", ["ml", "ml-serverless"])


@pytest.mark.usefixtures("account")
def test_without_credentials_it_says_so_in_one_line(package, capsys, monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    assert main(arguments(package)) == 1
    said = capsys.readouterr().err
    assert said.startswith("no usable credentials")
    assert said.count("\n") == 1


@pytest.mark.usefixtures("account")
def test_without_a_bucket_or_a_region_it_says_so(package, capsys, monkeypatch):
    assert main(["--package", str(package)]) == 1
    assert "set CODE_BUCKET" in capsys.readouterr().err
    monkeypatch.delenv("AWS_REGION")
    assert main(arguments(package)) == 1
    assert "no region" in capsys.readouterr().err


def test_nobody_there_to_agree_changes_nothing(account, package, capsys):
    assert main(["--code-bucket", BUCKET, "--package", str(package)]) == 1
    assert "--yes agrees" in capsys.readouterr().err
    assert not account.client_of("s3").list_buckets()["Buckets"]


def test_a_diff_changes_nothing(account, package, capsys):
    assert main(arguments(package, "--diff")) == 0, capsys.readouterr().err
    assert "firedetect-core: 1" in capsys.readouterr().out
    assert not account.client_of("dynamodb").list_tables()["TableNames"]
    assert not account.invoked


def test_a_smoke_test_that_fails_says_how_to_go_back(account, package, capsys):
    account.answers["firedetect-supervisor"] = ValueError("no module")
    assert main(arguments(package)) == 1
    said = capsys.readouterr().err
    assert said.startswith("smoke test: firedetect-supervisor")
    assert "--rollback" in said
    assert said.count("\n") == 1

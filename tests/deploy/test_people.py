"""Who hears of it after a deployment: nobody by itself, and that is said."""

import json
import shlex

import pytest

from deploy import names
from deploy.deploy import main, templates_of
from deploy.people import require_operator, unheard
from deploy.session import DeployError, account_clients
from deploy.stage import NOBODY
from firedetect.cloudbox.tier import REGION

ADDRESS = "fire@operators.invalid"


@pytest.fixture
def real(account, monkeypatch):
    """Return the clients of an account that has a number of its own."""
    monkeypatch.delenv("OPERATOR_EMAIL", raising=False)
    given = account.client_of("sts").assume_role(
        RoleArn="arn:aws:iam::222222222222:role/deploys", RoleSessionName="deploys"
    )["Credentials"]
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", given["AccessKeyId"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", given["SecretAccessKey"])
    monkeypatch.setenv("AWS_SESSION_TOKEN", given["SessionToken"])
    return account_clients()


@pytest.fixture
def topics(account):
    sns = account.client_of("sns")
    return [
        sns.create_topic(Name=name)["TopicArn"]
        for name in (names.PEOPLE_TOPIC, names.OPERATORS_TOPIC)
    ]


def test_a_real_account_is_not_deployed_to_for_nobody(real, tmp_path, capsys, monkeypatch):
    package = tmp_path / "functions.zip"
    package.write_bytes(b"PK\x05\x06" + bytes(18))
    for address in (None, NOBODY, "Somebody@Example.org"):
        if address:
            monkeypatch.setenv("OPERATOR_EMAIL", address)
        assert main(["--code-bucket", "code", "--package", str(package), "--yes"]) == 1
        said = capsys.readouterr().err
        assert "set OPERATOR_EMAIL" in said
        assert said.count("\n") == 1
    assert not real("s3").list_buckets()["Buckets"]
    monkeypatch.setenv("OPERATOR_EMAIL", ADDRESS)
    require_operator(real)


def test_an_address_that_was_given_before_is_enough(real):
    template = {
        "Parameters": {"OperatorEmail": {"Type": "String", "Default": NOBODY}},
        "Resources": {"Topic": {"Type": "AWS::SNS::Topic"}},
    }
    stack = {"StackName": "firedetect-core", "TemplateBody": json.dumps(template)}
    real("cloudformation").create_stack(**stack)
    with pytest.raises(DeployError, match="OPERATOR_EMAIL"):
        require_operator(real)
    given = [{"ParameterKey": "OperatorEmail", "ParameterValue": ADDRESS}]
    real("cloudformation").delete_stack(StackName="firedetect-core")
    real("cloudformation").create_stack(**stack, Parameters=given)
    require_operator(real)


def test_the_budget_tells_the_operator_that_was_named():
    template = json.loads(templates_of("prod")["Core"])
    assert template["Parameters"]["OperatorEmail"]["Default"] == NOBODY
    (budget,) = (
        one for one in template["Resources"].values() if one["Type"] == "AWS::Budgets::Budget"
    )
    told = budget["Properties"]["NotificationsWithSubscribers"]
    assert [one["Subscribers"][0]["Address"] for one in told] == [{"Ref": "OperatorEmail"}] * 2


def test_topics_that_nobody_hears_are_named_with_the_command(account, topics):
    said = list(unheard(account.client_of))
    assert [one.split()[0] for one in said] == [names.PEOPLE_TOPIC, names.OPERATORS_TOPIC]
    for one, topic in zip(said, topics, strict=True):
        command = shlex.split(one.splitlines()[1])
        assert command[:3] == ["aws", "sns", "subscribe"]
        assert command[command.index("--topic-arn") + 1] == topic
    command = shlex.split(said[0].splitlines()[1])
    attributes = json.loads(command[command.index("--attributes") + 1])
    assert json.loads(attributes["FilterPolicy"]) == {"tier": ["0"]}
    assert f":{REGION}:" in said[0]
    sns = account.client_of("sns")
    for topic in topics:
        sns.subscribe(TopicArn=topic, Protocol="email", Endpoint=ADDRESS)
    assert list(unheard(account.client_of)) == []

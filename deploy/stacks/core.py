"""What turns a detector's message into somebody who wakes up: tables, functions, rules, topic."""

from aws_cdk import CfnOutput, CfnParameter, RemovalPolicy, Stack
from aws_cdk import aws_events as events
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from deploy import names
from deploy.parts.functions import Functions
from deploy.parts.keep import backups, budget
from deploy.parts.keys import encryption_key, sign_key
from deploy.parts.review import skip_checkov
from deploy.parts.rules import Rules
from deploy.parts.storage import Storage, text
from deploy.parts.watch import Watch
from deploy.stage import Stage


class CoreStack(Stack):
    """Keys, topics, queues, tables, functions with their schedules, rules, alarms, backups."""

    def __init__(self, scope: Construct, stage: Stage) -> None:
        super().__init__(
            scope,
            "FiredetectCore",
            stack_name="firedetect-core",
            description="firedetect: alarms to people, state of the detectors, agents",
        )
        removal = RemovalPolicy.RETAIN if stage.keep_data else RemovalPolicy.DESTROY
        key = encryption_key(self, removal)
        storage = Storage(self, key, removal)
        people = storage.topic("People", names.PEOPLE_TOPIC)
        operators = storage.topic("Operators", names.OPERATORS_TOPIC)
        queues = {
            "RuleErrors": storage.queue("RuleErrors", names.RULE_ERRORS),
            "FunctionErrors": storage.queue("FunctionErrors", names.FUNCTION_ERRORS),
        }
        incidents = storage.table("Incidents", names.INCIDENTS, "incident_id")
        incidents.add_global_secondary_index(
            index_name=names.OPEN_INCIDENTS, partition_key=text("open"), sort_key=text("opened_at")
        )
        storage.table("Devices", names.DEVICES, "thing", sort="kind")
        storage.table("Idempotency", names.IDEMPOTENCY, "id", time_to_live="expiration")
        events.EventBus(self, "Bus", event_bus_name=names.BUS)
        functions = Functions(self, key, sign_key(self), stage.log_days)
        functions.schedule()
        address = self._acknowledge_address(functions.by_name["acknowledge"])
        for name in ("escalate", "response-agent"):
            functions.by_name[name].add_environment("ACKNOWLEDGE_URL", address)
        functions.by_name["escalate"].add_environment("SECOND_OPINION_ENDPOINT", self._endpoint())
        rules = Rules(self, key, "rules")
        escalate = functions.by_name["escalate"]
        rules.to_function("alert", "Alarms go to people.", escalate)
        rules.to_function(
            "event", "Troubles, restores, acknowledgements and last wills go to people.", escalate
        )
        rules.to_table("beat", "The newest proof of sensing of every thing.", names.DEVICES)
        watch = Watch(self, operators)
        watch.functions(functions.by_name)
        watch.queue("RuleErrors", "messages of detectors", queues["RuleErrors"])
        watch.queue("FunctionErrors", "events of functions", queues["FunctionErrors"])
        watch.topic(people)
        watch.silence()
        watch.dashboard(functions.by_name, queues)
        backups(self, stage, key)
        budget(self, stage)
        CfnOutput(self, "PeopleTopicArn", value=people.topic_arn)

    def _endpoint(self) -> str:
        """Return the name of the endpoint that is asked, nothing where there is none."""
        parameter = CfnParameter(
            self,
            "SecondOpinionEndpoint",
            default="",
            allowed_values=["", names.ENDPOINT],
            description="asked about alarms after people were told; empty for none",
        )
        return parameter.value_as_string

    def _acknowledge_address(self, function: lambda_.Function) -> str:
        """Give the link in a message somewhere to lead to: its signature is the permission."""
        address = function.add_function_url(auth_type=lambda_.FunctionUrlAuthType.NONE)
        skip_checkov(
            address,
            "CKV_AWS_258",
            "whoever is woken has no AWS identity: the link is signed and expires",
        )
        CfnOutput(self, "AcknowledgeUrl", value=address.url)
        return address.url

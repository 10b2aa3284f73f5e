"""Topics, queues and tables, all encrypted with our key."""

from dataclasses import dataclass

from aws_cdk import Duration, RemovalPolicy, Stack
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs

from deploy.parts.review import accept


@dataclass(frozen=True, slots=True)
class Storage:
    """Makes what keeps or carries something in a stack."""

    stack: Stack
    key: kms.Key
    removal: RemovalPolicy

    def topic(self, identity: str, name: str) -> sns.Topic:
        """Return a topic that is spoken to over TLS only."""
        return sns.Topic(
            self.stack, identity, topic_name=name, master_key=self.key, enforce_ssl=True
        )

    def queue(self, identity: str, name: str) -> sqs.Queue:
        """Return a queue that keeps for 14 days what failed, until somebody redrives it."""
        queue = sqs.Queue(
            self.stack,
            identity,
            queue_name=name,
            encryption=sqs.QueueEncryption.KMS,
            encryption_master_key=self.key,
            enforce_ssl=True,
            retention_period=Duration.days(14),
            visibility_timeout=Duration.minutes(3),
        )
        accept(queue, "SQS3", "it is the dead-letter queue itself; its depth raises an alarm")
        return queue

    def table(
        self,
        identity: str,
        name: str,
        key: str,
        sort: str | None = None,
        time_to_live: str | None = None,
    ) -> dynamodb.Table:
        """Return a table of text keys with point-in-time recovery."""
        return dynamodb.Table(
            self.stack,
            identity,
            table_name=name,
            partition_key=text(key),
            sort_key=text(sort) if sort else None,
            time_to_live_attribute=time_to_live,
            billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
            point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
                point_in_time_recovery_enabled=True
            ),
            encryption=dynamodb.TableEncryption.CUSTOMER_MANAGED,
            encryption_key=self.key,
            deletion_protection=self.removal is RemovalPolicy.RETAIN,
            removal_policy=self.removal,
        )


def text(name: str) -> dynamodb.Attribute:
    """Return a key that is text."""
    return dynamodb.Attribute(name=name, type=dynamodb.AttributeType.STRING)

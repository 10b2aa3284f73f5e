"""A phone that is subscribed to the topic for people: what SNS would send it as an SMS."""

import json

import boto3
from moto.sns.models import sns_backends

from firedetect.cloudbox.tier import load_tier
from firedetect.contract.names import PEOPLE_TOPIC

TIER = load_tier()


class Phone:
    """Hears what its filter policy lets through; moto makes the choices, and sends nothing."""

    def __init__(self, number="+4915123456789", policy=None, sns=None):
        self._heard = 0
        backend = sns_backends[TIER.account][TIER.region]
        self._topic = backend.topics[TIER.topic_arn(PEOPLE_TOPIC)]
        attributes = {"FilterPolicy": json.dumps(policy)} if policy else {}
        arn = (sns or boto3.client("sns")).subscribe(
            TopicArn=self._topic.arn, Protocol="sms", Endpoint=number,
            Attributes=attributes, ReturnSubscriptionArn=True,
        )["SubscriptionArn"]  # fmt: skip
        self._subscription = backend.subscriptions[arn]

    def heard(self):
        """Take the texts since the last time."""
        sent = self._topic.sent_notifications[self._heard :]
        self._heard += len(sent)
        return [
            self._subscription._parse_message_structure(message, "sms")
            for _, message, _, attributes, _ in sent
            if self._lets_through(attributes, message)
        ]

    def _lets_through(self, attributes, message):
        matcher = self._subscription._filter_policy_matcher
        return matcher is None or matcher.matches(attributes, message)

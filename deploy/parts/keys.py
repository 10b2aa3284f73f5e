"""Keys: one that everything at rest is encrypted with, one that signs acknowledge links."""

from aws_cdk import RemovalPolicy, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms

from deploy import names
from deploy.parts.review import accept_star, skip_checkov


def encryption_key(stack: Stack, removal: RemovalPolicy) -> kms.Key:
    """Return the key of tables, queues, topics and logs."""
    key = kms.Key(
        stack,
        "Key",
        alias=names.KEY_ALIAS,
        enable_key_rotation=True,
        removal_policy=removal,
        description="firedetect: tables, queues, topics, logs",
    )
    # Logs, alarms and subscriptions go through the key without a role of ours.
    for service in ("logs", "cloudwatch", "events", "sns"):
        key.add_to_resource_policy(
            iam.PolicyStatement(
                actions=["kms:Decrypt", "kms:GenerateDataKey*", "kms:Encrypt", "kms:DescribeKey"],
                principals=[iam.ServicePrincipal(f"{service}.amazonaws.com")],
                resources=["*"],
            )
        )
    return key


def sign_key(stack: Stack) -> kms.CfnKey:
    """Return the key that acknowledge links are signed with (HMAC); it never leaves KMS."""
    root = f"arn:{stack.partition}:iam::{stack.account}:root"
    account = {"Effect": "Allow", "Principal": {"AWS": root}, "Action": "kms:*", "Resource": "*"}
    key = kms.CfnKey(
        stack,
        "SignKey",
        description="firedetect: signs acknowledge links",
        key_spec="HMAC_256",
        key_usage="GENERATE_VERIFY_MAC",
        key_policy={"Version": "2012-10-17", "Statement": [account]},
    )
    skip_checkov(key, "CKV_AWS_7", "KMS does not rotate HMAC keys by itself; links live two days")
    kms.CfnAlias(stack, "SignKeyAlias", alias_name=names.SIGN_ALIAS, target_key_id=key.attr_key_id)
    return key


def use_key_by_alias(role: iam.IRole, stack: Stack, alias: str) -> None:
    """Let a role read and write what a key of another stack encrypts, known by its alias."""
    keys = names.arn(stack, "kms", "key/*")
    role.add_to_principal_policy(
        iam.PolicyStatement(
            actions=["kms:Decrypt", "kms:GenerateDataKey"],
            resources=[keys],
            conditions={"ForAnyValue:StringEquals": {"kms:ResourceAliases": alias}},
        )
    )
    accept_star(role, keys, f"only the key with {alias}, by its condition")


def use_key(role: iam.IRole, key: kms.IKey) -> None:
    """Let a role read and write what the key encrypts."""
    role.add_to_principal_policy(
        iam.PolicyStatement(actions=["kms:Decrypt", "kms:GenerateDataKey"], resources=[key.key_arn])
    )

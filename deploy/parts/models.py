"""Where models lie that jobs deliver, and as whom AWS IoT gives a detector the address of one."""

from aws_cdk import Duration, RemovalPolicy, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3

from deploy import names
from deploy.parts.review import accept_star


def models(stack: Stack, key: kms.Key, access_logs: s3.Bucket, removal: RemovalPolicy) -> None:
    """Make the bucket of models: its own, for a backup takes buckets whole."""
    bucket = s3.Bucket(
        stack,
        "Models",
        bucket_name=names.models_bucket_name(stack),
        encryption=s3.BucketEncryption.KMS,
        encryption_key=key,
        bucket_key_enabled=True,
        block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
        enforce_ssl=True,
        versioned=True,
        server_access_logs_bucket=access_logs,
        server_access_logs_prefix="models/",
        removal_policy=removal,
        lifecycle_rules=[
            s3.LifecycleRule(
                id="unfinished", abort_incomplete_multipart_upload_after=Duration.days(1)
            )
        ],
    )
    role = iam.Role(
        stack,
        "JobsRole",
        role_name=names.everywhere(stack, "jobs"),
        assumed_by=iam.ServicePrincipal(
            "iot.amazonaws.com", conditions={"StringEquals": {"aws:SourceAccount": stack.account}}
        ),
    )
    archives = f"arn:{stack.partition}:s3:::{names.models_bucket_name(stack)}/*"
    role.add_to_policy(iam.PolicyStatement(actions=["s3:GetObject"], resources=[archives]))
    role.add_to_policy(iam.PolicyStatement(actions=["kms:Decrypt"], resources=[key.key_arn]))
    accept_star(role, archives, "models are named by their version; the bucket holds nothing else")
    role.node.add_dependency(bucket)

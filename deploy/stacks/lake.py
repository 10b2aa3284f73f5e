"""Where telemetry goes: a stream into Parquet files by date and thing, a table over them."""

from typing import Final

from aws_cdk import Duration, RemovalPolicy, Stack
from aws_cdk import aws_athena as athena
from aws_cdk import aws_glue as glue
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kinesisfirehose as firehose
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3 as s3
from constructs import Construct

from deploy import names
from deploy.parts.keys import use_key
from deploy.parts.models import models
from deploy.parts.review import accept, skip_checkov
from deploy.parts.rules import Rules
from deploy.stage import Stage
from firedetect.contract.names import PICTURE_TAG

DATABASE: Final = "firedetect"
TABLE: Final = "telemetry"
_PREFIX: Final = "telemetry/date=!{timestamp:yyyy-MM-dd}/thing=!{partitionKeyFromQuery:thing}/"
PICTURE_DAYS: Final = 90
"""So long a picture of an alarm is kept; one that a later picture replaced, a day."""
_BUFFER_S: Final = 900
_BUFFER_MB: Final = 64
_COLUMNS: Final = (
    # As `contract/telemetry.py` writes them: columns of integer deltas, in units of their scale.
    ("v", "int"),
    ("kind", "string"),
    ("device", "string"),
    ("batch_id", "string"),
    ("start", "string"),
    ("seconds", "array<int>"),
    ("columns", "map<string,array<int>>"),
    ("model", "string"),
    ("received_ms", "bigint"),
)


class LakeStack(Stack):
    """Buckets, stream, table, work group and the rule that feeds them."""

    def __init__(self, scope: Construct, stage: Stage) -> None:
        super().__init__(
            scope,
            "FiredetectLake",
            stack_name="firedetect-lake",
            description="firedetect: history of all detectors",
        )
        keep = stage.keep_data
        self._removal = RemovalPolicy.RETAIN if keep else RemovalPolicy.DESTROY
        self._key = kms.Key(
            self,
            "Key",
            alias=names.LAKE_ALIAS,
            enable_key_rotation=True,
            removal_policy=self._removal,
            description="firedetect: history and pictures",
        )
        access_logs = self._access_logs()
        bucket = self._bucket(access_logs)
        models(self, self._key, access_logs, self._removal)
        self._table()
        self._stream(bucket)
        rules = Rules(self, self._key, "lake-rules")
        rules.to_stream("telemetry", "Batches of features and scores.", names.STREAM)
        self._work_group(bucket)

    def _access_logs(self) -> s3.Bucket:
        bucket = s3.Bucket(
            self,
            "AccessLogs",
            bucket_name=f"firedetect-access-{self.account}-{self.region}",
            encryption=s3.BucketEncryption.S3_MANAGED,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            enforce_ssl=True,
            versioned=True,
            lifecycle_rules=[s3.LifecycleRule(expiration=Duration.days(90))],
            removal_policy=self._removal,
        )
        accept(bucket, "S1", "it holds the access logs itself")
        skip_checkov(bucket, "CKV_AWS_18", "it holds the access logs itself")
        return bucket

    def _bucket(self, access_logs: s3.Bucket) -> s3.Bucket:
        tag, _, value = PICTURE_TAG.partition("=")
        return s3.Bucket(
            self,
            "Data",
            bucket_name=names.bucket_name(self),
            encryption=s3.BucketEncryption.KMS,
            encryption_key=self._key,
            bucket_key_enabled=True,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            enforce_ssl=True,
            versioned=True,
            server_access_logs_bucket=access_logs,
            server_access_logs_prefix="data/",
            removal_policy=self._removal,
            lifecycle_rules=[
                s3.LifecycleRule(
                    id="telemetry",
                    prefix="telemetry/",
                    transitions=[
                        s3.Transition(
                            storage_class=s3.StorageClass.INFREQUENT_ACCESS,
                            transition_after=Duration.days(30),
                        ),
                        s3.Transition(
                            storage_class=s3.StorageClass.GLACIER_INSTANT_RETRIEVAL,
                            transition_after=Duration.days(180),
                        ),
                    ],
                    expiration=Duration.days(730),
                    noncurrent_version_expiration=Duration.days(30),
                ),
                s3.LifecycleRule(
                    # Not by prefix: each thing has a folder of its own, for more than pictures.
                    id="pictures",
                    tag_filters={tag: value},
                    expiration=Duration.days(PICTURE_DAYS),
                    noncurrent_version_expiration=Duration.days(1),
                ),
                s3.LifecycleRule(
                    id="unfinished", abort_incomplete_multipart_upload_after=Duration.days(1)
                ),
            ],
        )

    def _table(self) -> None:
        database = glue.CfnDatabase(
            self,
            "Database",
            catalog_id=self.account,
            database_input=glue.CfnDatabase.DatabaseInputProperty(name=DATABASE),
        )
        table = glue.CfnTable(
            self,
            "Telemetry",
            catalog_id=self.account,
            database_name=DATABASE,
            table_input=glue.CfnTable.TableInputProperty(
                name=TABLE,
                table_type="EXTERNAL_TABLE",
                parameters={
                    "classification": "parquet",
                    # No crawler: dates and things are projected.
                    "projection.enabled": "true",
                    "projection.date.type": "date",
                    "projection.date.format": "yyyy-MM-dd",
                    "projection.date.range": "2026-01-01,NOW",
                    "projection.thing.type": "injected",
                },
                partition_keys=[_column("date", "string"), _column("thing", "string")],
                storage_descriptor=glue.CfnTable.StorageDescriptorProperty(
                    location=f"s3://{names.bucket_name(self)}/telemetry/",
                    columns=[_column(name, kind) for name, kind in _COLUMNS],
                    input_format="org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
                    output_format="org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
                    serde_info=glue.CfnTable.SerdeInfoProperty(
                        serialization_library="org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"
                    ),
                ),
            ),
        )
        table.add_dependency(database)

    def _stream(self, bucket: s3.Bucket) -> None:
        role = iam.Role(
            self,
            "StreamRole",
            role_name=names.everywhere(self, "stream"),
            assumed_by=iam.ServicePrincipal("firehose.amazonaws.com"),
        )
        objects = f"{bucket.bucket_arn}/*"
        role.add_to_policy(
            iam.PolicyStatement(
                actions=["s3:PutObject", "s3:AbortMultipartUpload"], resources=[objects]
            )
        )
        role.add_to_policy(
            iam.PolicyStatement(
                actions=["s3:GetBucketLocation", "s3:ListBucket", "s3:ListBucketMultipartUploads"],
                resources=[bucket.bucket_arn],
            )
        )
        glue_parts = ("catalog", f"database/{DATABASE}", f"table/{DATABASE}/{TABLE}")
        role.add_to_policy(
            iam.PolicyStatement(
                actions=["glue:GetTable", "glue:GetTableVersion", "glue:GetTableVersions"],
                resources=[names.arn(self, "glue", part) for part in glue_parts],
            )
        )
        use_key(role, self._key)
        accept(role, "IAM5[Resource::<Data666C94C7.Arn>/*]", "objects of the history, by date")
        log_group = logs.LogGroup(
            self,
            "StreamLogs",
            log_group_name="/aws/kinesisfirehose/firedetect-telemetry",
            retention=logs.RetentionDays.ONE_MONTH,
            removal_policy=RemovalPolicy.DESTROY,
        )
        skip_checkov(log_group, "CKV_AWS_158", "errors of deliveries hold no data of detectors")
        stream = firehose.CfnDeliveryStream(
            self,
            "Stream",
            delivery_stream_name=names.STREAM,
            delivery_stream_type="DirectPut",
            delivery_stream_encryption_configuration_input=firehose.CfnDeliveryStream.DeliveryStreamEncryptionConfigurationInputProperty(
                key_type="CUSTOMER_MANAGED_CMK", key_arn=self._key.key_arn
            ),
            extended_s3_destination_configuration=_destination(self, role, bucket),
        )
        stream.node.add_dependency(role)

    def _work_group(self, bucket: s3.Bucket) -> None:
        athena.CfnWorkGroup(
            self,
            "WorkGroup",
            name="firedetect",
            work_group_configuration=athena.CfnWorkGroup.WorkGroupConfigurationProperty(
                enforce_work_group_configuration=True,
                publish_cloud_watch_metrics_enabled=True,
                # A question that would read more is refused: it forgot its date.
                bytes_scanned_cutoff_per_query=10 * 1024**3,
                result_configuration=athena.CfnWorkGroup.ResultConfigurationProperty(
                    output_location=f"s3://{bucket.bucket_name}/athena/",
                    encryption_configuration=athena.CfnWorkGroup.EncryptionConfigurationProperty(
                        encryption_option="SSE_KMS", kms_key=self._key.key_arn
                    ),
                ),
            ),
        )


def _column(name: str, kind: str) -> glue.CfnTable.ColumnProperty:
    return glue.CfnTable.ColumnProperty(name=name, type=kind)


def _destination(
    stack: Stack, role: iam.Role, bucket: s3.Bucket
) -> firehose.CfnDeliveryStream.ExtendedS3DestinationConfigurationProperty:
    """Return where the stream writes: JSON lines become Parquet by the table's columns."""
    made = firehose.CfnDeliveryStream
    return made.ExtendedS3DestinationConfigurationProperty(
        bucket_arn=bucket.bucket_arn,
        role_arn=role.role_arn,
        prefix=_PREFIX,
        error_output_prefix="telemetry-errors/!{firehose:error-output-type}/!{timestamp:yyyy-MM-dd}/",
        buffering_hints=made.BufferingHintsProperty(
            interval_in_seconds=_BUFFER_S, size_in_m_bs=_BUFFER_MB
        ),
        cloud_watch_logging_options=made.CloudWatchLoggingOptionsProperty(
            enabled=True,
            log_group_name="/aws/kinesisfirehose/firedetect-telemetry",
            log_stream_name="delivery",
        ),
        dynamic_partitioning_configuration=made.DynamicPartitioningConfigurationProperty(
            enabled=True, retry_options=made.RetryOptionsProperty(duration_in_seconds=300)
        ),
        processing_configuration=made.ProcessingConfigurationProperty(
            enabled=True,
            processors=[
                made.ProcessorProperty(
                    type="MetadataExtraction",
                    parameters=[
                        made.ProcessorParameterProperty(
                            parameter_name="MetadataExtractionQuery",
                            parameter_value="{thing:.thing}",
                        ),
                        made.ProcessorParameterProperty(
                            parameter_name="JsonParsingEngine", parameter_value="JQ-1.6"
                        ),
                    ],
                )
            ],
        ),
        data_format_conversion_configuration=made.DataFormatConversionConfigurationProperty(
            enabled=True,
            input_format_configuration=made.InputFormatConfigurationProperty(
                deserializer=made.DeserializerProperty(
                    open_x_json_ser_de=made.OpenXJsonSerDeProperty()
                )
            ),
            output_format_configuration=made.OutputFormatConfigurationProperty(
                serializer=made.SerializerProperty(
                    parquet_ser_de=made.ParquetSerDeProperty(compression="SNAPPY")
                )
            ),
            schema_configuration=made.SchemaConfigurationProperty(
                catalog_id=stack.account,
                database_name=DATABASE,
                table_name=TABLE,
                region=stack.region,
                role_arn=role.role_arn,
                version_id="LATEST",
            ),
        ),
    )

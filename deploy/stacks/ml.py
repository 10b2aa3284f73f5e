"""A second opinion: a model behind an endpoint, serverless or on instances; opt-in: it costs."""

from typing import Final

from aws_cdk import CfnParameter, Duration, Stack
from aws_cdk import aws_applicationautoscaling as scaling
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sagemaker as sagemaker
from aws_cdk import aws_sns as sns
from constructs import Construct

from deploy import names
from deploy.parts.review import accept
from deploy.stage import Stage

VARIANT: Final = "main"
INSTANCE: Final = "ml.m5.large"
LATENCY_US: Final = 1_000_000
CANARY_PCT: Final = 10
BAKE_S: Final = 600
_MOST_INSTANCES: Final = 3
_INVOCATIONS_A_MINUTE: Final = 6000
_SERVERLESS_MB: Final = 2048
_SERVERLESS_AT_ONCE: Final = 20


class MlStack(Stack):
    """Model, endpoint with canary and roll-back by alarm, scaling.

    The image is built from `firedetect[device]` and runs `python -m firedetect.endpoint serve`; it
    verifies the bundle in it at start. Its address is a parameter, so that nothing is built here.
    """

    def __init__(self, scope: Construct, stage: Stage, *, serverless: bool = False) -> None:
        super().__init__(
            scope,
            "FiredetectMlServerless" if serverless else "FiredetectMl",
            stack_name="firedetect-ml",
            description="firedetect: second opinion on scores, opt-in"
            + (", serverless" if serverless else ""),
        )
        self._stage = stage
        image = CfnParameter(self, "Image", description="address of the endpoint's image")
        version = CfnParameter(self, "BundleVersion", description="version of the bundle in it")
        model = sagemaker.CfnModel(
            self,
            "Model",
            execution_role_arn=self._role().role_arn,
            enable_network_isolation=True,
            primary_container=sagemaker.CfnModel.ContainerDefinitionProperty(
                image=image.value_as_string,
                environment={"BUNDLE_VERSION": version.value_as_string},
            ),
        )
        variant = _serverless(model) if serverless else _instance(model)
        config = sagemaker.CfnEndpointConfig(
            self,
            "Config",
            production_variants=[variant],
            kms_key_id=None if serverless else names.KEY_ALIAS,
        )
        alarms = self._alarms()
        endpoint = sagemaker.CfnEndpoint(
            self,
            "Endpoint",
            endpoint_name=names.ENDPOINT,
            endpoint_config_name=config.attr_endpoint_config_name,
            deployment_config=None if serverless else _canary(alarms),
        )
        if not serverless:
            self._scaling(endpoint)

    def _role(self) -> iam.Role:
        role = iam.Role(
            self,
            "Role",
            role_name=names.everywhere(self, "endpoint"),
            assumed_by=iam.ServicePrincipal("sagemaker.amazonaws.com"),
        )
        role.add_to_policy(
            iam.PolicyStatement(
                actions=["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
                resources=[names.arn(self, "ecr", "repository/firedetect-endpoint")],
            )
        )
        role.add_to_policy(
            iam.PolicyStatement(actions=["ecr:GetAuthorizationToken"], resources=["*"])
        )
        role.add_to_policy(
            iam.PolicyStatement(
                actions=["logs:CreateLogStream", "logs:PutLogEvents", "logs:CreateLogGroup"],
                resources=[names.arn(self, "logs", "log-group:/aws/sagemaker/Endpoints/*")],
            )
        )
        accept(role, "IAM5[Resource::*]", "a token for a registry has no narrower resource")
        logs = "arn:<AWS::Partition>:logs:<AWS::Region>:<AWS::AccountId>"
        accept(
            role,
            f"IAM5[Resource::{logs}:log-group:/aws/sagemaker/Endpoints/*]",
            "SageMaker names the log group by the endpoint",
        )
        return role

    def _alarms(self) -> list[cloudwatch.Alarm]:
        """Return what turns a new model back: it answers slowly, or not at all."""
        dimensions = {"EndpointName": names.ENDPOINT, "VariantName": VARIANT}
        latency = cloudwatch.Metric(
            namespace="AWS/SageMaker",
            metric_name="ModelLatency",
            dimensions_map=dimensions,
            statistic="p99",
            period=Duration.minutes(5),
        )
        errors = cloudwatch.Metric(
            namespace="AWS/SageMaker",
            metric_name="Invocation5XXErrors",
            dimensions_map=dimensions,
            statistic="Sum",
            period=Duration.minutes(1),
        )
        alarms = [
            cloudwatch.Alarm(
                self,
                "SlowAlarm",
                alarm_name="firedetect-EndpointSlow",
                alarm_description="the endpoint takes longer than 1 s for 10 min",
                metric=latency,
                threshold=LATENCY_US,
                evaluation_periods=2,
                comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
                treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
            ),
            cloudwatch.Alarm(
                self,
                "FailsAlarm",
                alarm_name="firedetect-EndpointFails",
                alarm_description="the endpoint answers with errors",
                metric=errors,
                threshold=0,
                evaluation_periods=1,
                comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
                treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
            ),
        ]
        topic = names.arn(self, "sns", names.OPERATORS_TOPIC)
        operators = sns.Topic.from_topic_arn(self, "Operators", topic)
        for alarm in alarms:
            alarm.add_alarm_action(actions.SnsAction(operators))
        return alarms

    def _scaling(self, endpoint: sagemaker.CfnEndpoint) -> None:
        resource = f"endpoint/{names.ENDPOINT}/variant/{VARIANT}"
        target = scaling.CfnScalableTarget(
            self,
            "Target",
            service_namespace="sagemaker",
            scalable_dimension="sagemaker:variant:DesiredInstanceCount",
            resource_id=resource,
            min_capacity=1,
            max_capacity=_MOST_INSTANCES,
        )
        target.add_dependency(endpoint)
        policy = scaling.CfnScalingPolicy(
            self,
            "Scaling",
            policy_name="firedetect-endpoint",
            policy_type="TargetTrackingScaling",
            service_namespace="sagemaker",
            scalable_dimension="sagemaker:variant:DesiredInstanceCount",
            resource_id=resource,
            target_tracking_scaling_policy_configuration=scaling.CfnScalingPolicy.TargetTrackingScalingPolicyConfigurationProperty(
                target_value=_INVOCATIONS_A_MINUTE,
                predefined_metric_specification=scaling.CfnScalingPolicy.PredefinedMetricSpecificationProperty(
                    predefined_metric_type="SageMakerVariantInvocationsPerInstance"
                ),
            ),
        )
        policy.add_dependency(target)


def _instance(model: sagemaker.CfnModel) -> sagemaker.CfnEndpointConfig.ProductionVariantProperty:
    return sagemaker.CfnEndpointConfig.ProductionVariantProperty(
        model_name=model.attr_model_name,
        variant_name=VARIANT,
        initial_instance_count=1,
        initial_variant_weight=1.0,
        instance_type=INSTANCE,
    )


def _serverless(model: sagemaker.CfnModel) -> sagemaker.CfnEndpointConfig.ProductionVariantProperty:
    return sagemaker.CfnEndpointConfig.ProductionVariantProperty(
        model_name=model.attr_model_name,
        variant_name=VARIANT,
        initial_variant_weight=1.0,
        serverless_config=sagemaker.CfnEndpointConfig.ServerlessConfigProperty(
            memory_size_in_mb=_SERVERLESS_MB, max_concurrency=_SERVERLESS_AT_ONCE
        ),
    )


def _canary(alarms: list[cloudwatch.Alarm]) -> sagemaker.CfnEndpoint.DeploymentConfigProperty:
    """Return how a new model comes: a tenth of the traffic first, back at the first alarm."""
    made = sagemaker.CfnEndpoint
    return made.DeploymentConfigProperty(
        auto_rollback_configuration=made.AutoRollbackConfigProperty(
            alarms=[made.AlarmProperty(alarm_name=alarm.alarm_name) for alarm in alarms]
        ),
        blue_green_update_policy=made.BlueGreenUpdatePolicyProperty(
            maximum_execution_timeout_in_seconds=3600,
            termination_wait_in_seconds=BAKE_S,
            traffic_routing_configuration=made.TrafficRoutingConfigProperty(
                type="CANARY",
                canary_size=made.CapacitySizeProperty(type="CAPACITY_PERCENT", value=CANARY_PCT),
                wait_interval_in_seconds=BAKE_S,
            ),
        ),
    )

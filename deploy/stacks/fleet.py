"""What a detector is to AWS IoT: type, rights, how it gets a certificate, how it behaves."""

import json
from typing import Final

from aws_cdk import Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_iot as iot
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from deploy import names
from deploy.parts.keys import use_key_by_alias
from deploy.parts.review import accept, accept_star, skip_checkov
from deploy.stacks.fleet_rights import claim_rights, detector_rights
from deploy.stage import Stage
from firedetect.contract.names import PICTURE_TAG, PICTURES_ROLE_ALIAS

_CREDENTIAL_S: Final = 3600
_BEHAVIOURS: Final = (
    # A detector says little: these are ten times what a quiet one does, or what a hung one does.
    ("too-many-messages", "aws:num-messages-sent", "greater-than", 2000, 300),
    ("large-messages", "aws:message-byte-size", "greater-than", 128 * 1024, None),
    ("many-failed-rights", "aws:num-authorization-failures", "greater-than", 5, 300),
    ("many-connects", "aws:num-connection-attempts", "greater-than", 30, 300),
    ("disconnected-long", "aws:disconnect-duration", "greater-than", 15 * 60, None),
)


class FleetStack(Stack):
    """Thing type and group, policies, provisioning by claim, Defender, jobs, pictures."""

    def __init__(self, scope: Construct, stage: Stage) -> None:
        super().__init__(
            scope,
            "FiredetectFleet",
            stack_name="firedetect-fleet",
            description="firedetect: identity, rights and behaviour of the detectors",
        )
        self._stage = stage
        iot.CfnThingType(self, "Detector", thing_type_name="firedetect-detector")
        group = iot.CfnThingGroup(self, "Detectors", thing_group_name="firedetect-detectors")
        iot.CfnPolicy(
            self,
            "DetectorPolicy",
            policy_name="firedetect-detector",
            policy_document=detector_rights(self),
        )
        iot.CfnPolicy(
            self,
            "ClaimPolicy",
            policy_name="firedetect-claim",
            policy_document=claim_rights(self),
        )
        self._provisioning()
        self._pictures()
        self._behaviour(group)
        self._jobs()

    def _arn(self, rest: str) -> str:
        return names.arn(self, "iot", rest)

    def _provisioning(self) -> None:
        role = iam.Role(
            self,
            "ProvisioningRole",
            role_name=names.everywhere(self, "provisioning"),
            assumed_by=iam.ServicePrincipal("iot.amazonaws.com"),
        )
        role.add_to_policy(
            iam.PolicyStatement(
                actions=[
                    "iot:CreateThing",
                    "iot:DescribeThing",
                    "iot:UpdateThing",
                    "iot:AddThingToThingGroup",
                    "iot:ListThingGroupsForThing",
                ],
                resources=[self._arn("thing/*"), self._arn("thinggroup/firedetect-detectors")],
            )
        )
        role.add_to_policy(
            iam.PolicyStatement(
                actions=[
                    "iot:AttachPolicy",
                    "iot:AttachThingPrincipal",
                    "iot:DescribeCertificate",
                    "iot:ListPrincipalPolicies",
                    "iot:ListPrincipalThings",
                    "iot:ListThingPrincipals",
                    "iot:RegisterThing",
                    "iot:UpdateCertificate",
                    "iot:DescribeThingType",
                    "iot:DescribeThingGroup",
                    "iot:GetPolicy",
                ],
                resources=["*"],
            )
        )
        why = "things and certificates get their names while this role makes them"
        accept(role, "IAM5[Resource::*]", why)
        accept_star(role, self._arn("thing/*"), why)
        accept(
            role,
            "IAM5[Resource::arn:<AWS::Partition>:iot:<AWS::Region>:<AWS::AccountId>:thing/*]",
            why,
        )
        skip_checkov(role.node.find_child("DefaultPolicy"), "CKV_AWS_111", why)
        skip_checkov(role.node.find_child("DefaultPolicy"), "CKV_AWS_109", why)
        hook = lambda_.Function.from_function_name(self, "Hook", "firedetect-provisioning-hook")
        lambda_.CfnPermission(
            self,
            "HookPermission",
            action="lambda:InvokeFunction",
            function_name=hook.function_name,
            principal="iot.amazonaws.com",
            source_account=self.account,
            source_arn=self._arn(f"provisioningtemplate/{names.PROVISIONING_TEMPLATE}"),
        )
        iot.CfnProvisioningTemplate(
            self,
            "Provisioning",
            template_name=names.PROVISIONING_TEMPLATE,
            description="A claim becomes a detector with a certificate of its own.",
            enabled=True,
            provisioning_role_arn=role.role_arn,
            template_body=json.dumps(_provisioning_body()),
            pre_provisioning_hook=iot.CfnProvisioningTemplate.ProvisioningHookProperty(
                payload_version="2020-04-01",
                target_arn=names.function_arn(self, "provisioning-hook"),
            ),
        )

    def _pictures(self) -> None:
        """Let a detector whose site opted in put pictures of its alarms under its own name."""
        role = iam.Role(
            self,
            "PicturesRole",
            role_name=names.everywhere(self, "pictures"),
            assumed_by=iam.ServicePrincipal("credentials.iot.amazonaws.com"),
        )
        prefix = f"arn:{self.partition}:s3:::{names.bucket_name(self)}/"
        own = f"{prefix}${{credentials-iot:ThingName}}/pictures/*"
        tag, _, value = PICTURE_TAG.partition("=")
        role.add_to_policy(
            iam.PolicyStatement(
                actions=["s3:PutObject", "s3:PutObjectTagging"],
                resources=[own],
                # By this tag the bucket deletes pictures: none is kept longer for lack of it.
                conditions={"StringEquals": {f"s3:RequestObjectTag/{tag}": value}},
            )
        )
        use_key_by_alias(role, self, names.LAKE_ALIAS)
        accept_star(role, own, "pictures of one thing, named by their alarm")
        iot.CfnRoleAlias(
            self,
            "Pictures",
            role_alias=PICTURES_ROLE_ALIAS,
            role_arn=role.role_arn,
            credential_duration_seconds=_CREDENTIAL_S,
        )

    def _behaviour(self, group: iot.CfnThingGroup) -> None:
        behaviours = [
            iot.CfnSecurityProfile.BehaviorProperty(
                name=name,
                metric=metric,
                criteria=iot.CfnSecurityProfile.BehaviorCriteriaProperty(
                    comparison_operator=operator,
                    value=iot.CfnSecurityProfile.MetricValueProperty(count=str(count)),
                    duration_seconds=seconds,
                    consecutive_datapoints_to_alarm=1,
                    consecutive_datapoints_to_clear=1,
                ),
            )
            for name, metric, operator, count, seconds in _BEHAVIOURS
        ]
        role = iam.Role(
            self,
            "DefenderRole",
            role_name=names.everywhere(self, "defender"),
            assumed_by=iam.ServicePrincipal("iot.amazonaws.com"),
        )
        operators = names.arn(self, "sns", names.OPERATORS_TOPIC)
        role.add_to_policy(iam.PolicyStatement(actions=["sns:Publish"], resources=[operators]))
        use_key_by_alias(role, self, names.KEY_ALIAS)
        iot.CfnSecurityProfile(
            self,
            "Behaviour",
            security_profile_name="firedetect-detector",
            security_profile_description="How a detector behaves",
            behaviors=behaviours,
            alert_targets={
                "SNS": iot.CfnSecurityProfile.AlertTargetProperty(
                    alert_target_arn=operators, role_arn=role.role_arn
                )
            },
            target_arns=[group.attr_arn],
        )
        iot.CfnFleetMetric(
            self,
            "Connected",
            metric_name="firedetect-connected",
            index_name="AWS_Things",
            query_string="connectivity.connected:true",
            aggregation_field="registry.version",
            aggregation_type=iot.CfnFleetMetric.AggregationTypeProperty(
                name="Statistics", values=["count"]
            ),
            period=300,
        )

    def _jobs(self) -> None:
        for op, description, document in (
            ("drill", "Sound the outputs for ten seconds, marked as a drill.", {"duration_s": 10}),
            (
                "calibrate",
                "Take the clean-air baseline of the gas board anew.",
                {"duration_s": 300},
            ),
        ):
            iot.CfnJobTemplate(
                self,
                f"{op.title()}Job",
                job_template_id=f"firedetect-{op}",
                description=description,
                document=json.dumps({"v": 1, "op": op, **document}),
            )


def _provisioning_body() -> dict[str, object]:
    return {
        "Parameters": {
            "ThingName": {"Type": "String"},
            "Site": {"Type": "String", "Default": ""},
            "Proof": {"Type": "String", "Default": ""},
            "AWS::IoT::Certificate::Id": {"Type": "String"},
        },
        "Resources": {
            "thing": {
                "Type": "AWS::IoT::Thing",
                "OverrideSettings": {"AttributePayload": "MERGE"},
                "Properties": {
                    "ThingName": {"Ref": "ThingName"},
                    "ThingTypeName": "firedetect-detector",
                    "ThingGroups": ["firedetect-detectors"],
                },
            },
            "certificate": {
                "Type": "AWS::IoT::Certificate",
                "Properties": {
                    "CertificateId": {"Ref": "AWS::IoT::Certificate::Id"},
                    "Status": "ACTIVE",
                    # Else AWS knows the thing only while the client id is its name.
                    "ThingPrincipalType": "EXCLUSIVE_THING",
                },
            },
            "policy": {
                "Type": "AWS::IoT::Policy",
                "Properties": {"PolicyName": "firedetect-detector"},
            },
        },
        "DeviceConfiguration": {"site": {"Ref": "Site"}},
    }

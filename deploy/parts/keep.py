"""Backups and the budget."""

from typing import Final

from aws_cdk import CfnParameter, Stack
from aws_cdk import aws_backup as backup
from aws_cdk import aws_budgets as budgets
from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms

from deploy import names
from deploy.parts.review import accept
from deploy.stage import NOBODY, Stage

_BACKUP_POLICIES: Final = (
    "service-role/AWSBackupServiceRolePolicyForBackup",
    "service-role/AWSBackupServiceRolePolicyForRestores",
    "AWSBackupServiceRolePolicyForS3Backup",
    "AWSBackupServiceRolePolicyForS3Restore",
)
_NOTIFY_PCT: Final = (80, 100)


def backups(stack: Stack, stage: Stage, key: kms.Key) -> None:
    """Back models up daily, configuration weekly, history monthly; copy all to a second region."""
    vault = backup.CfnBackupVault(
        stack, "Vault", backup_vault_name="firedetect", encryption_key_arn=key.key_arn
    )
    copy_to = (
        f"arn:{stack.partition}:backup:{stage.copy_region}:{stack.account}:"
        "backup-vault:firedetect-copy"
    )
    rules = (
        ("models", events.Schedule.cron(hour="3", minute="0"), 35),
        ("configuration", events.Schedule.cron(hour="4", minute="0", week_day="SUN"), 90),
        ("history", events.Schedule.cron(hour="5", minute="0", day="1"), 365),
    )
    role = iam.Role(
        stack,
        "BackupRole",
        role_name=names.everywhere(stack, "backup"),
        assumed_by=iam.ServicePrincipal("backup.amazonaws.com"),
        managed_policies=[
            iam.ManagedPolicy.from_aws_managed_policy_name(name) for name in _BACKUP_POLICIES
        ],
    )
    for name in _BACKUP_POLICIES:
        accept(
            role,
            f"IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/{name}]",
            "AWS Backup changes what it needs; its own policies are kept in step",
        )
    for name, schedule, days in rules:
        plan = backup.CfnBackupPlan(
            stack,
            f"{name.title()}Plan",
            backup_plan=backup.CfnBackupPlan.BackupPlanResourceTypeProperty(
                backup_plan_name=f"firedetect-{name}",
                backup_plan_rule=[
                    backup.CfnBackupPlan.BackupRuleResourceTypeProperty(
                        rule_name=name,
                        target_backup_vault=vault.backup_vault_name,
                        schedule_expression=schedule.expression_string,
                        start_window_minutes=60,
                        completion_window_minutes=180,
                        lifecycle=backup.CfnBackupPlan.LifecycleResourceTypeProperty(
                            delete_after_days=days
                        ),
                        copy_actions=[
                            backup.CfnBackupPlan.CopyActionResourceTypeProperty(
                                destination_backup_vault_arn=copy_to
                            )
                        ],
                    )
                ],
            ),
        )
        plan.add_dependency(vault)
        backup.CfnBackupSelection(
            stack,
            f"{name.title()}Selection",
            backup_plan_id=plan.attr_backup_plan_id,
            backup_selection=backup.CfnBackupSelection.BackupSelectionResourceTypeProperty(
                selection_name=name, iam_role_arn=role.role_arn, resources=_chosen(stack, name)
            ),
        )


def _chosen(stack: Stack, name: str) -> list[str]:
    """Return what a plan backs up; AWS Backup takes tables and buckets whole."""
    bucket = f"arn:{stack.partition}:s3:::"
    return {
        "models": [bucket + names.models_bucket_name(stack)],
        "configuration": [names.arn(stack, "dynamodb", f"table/{names.DEVICES}")],
        "history": [
            names.arn(stack, "dynamodb", f"table/{names.INCIDENTS}"),
            bucket + names.bucket_name(stack),
        ],
    }[name]


def budget(stack: Stack, stage: Stage) -> None:
    """Tell the operator by e-mail when the month gets dearer than planned."""
    operator = CfnParameter(
        stack, "OperatorEmail", default=NOBODY, description="who hears when the month gets dear"
    )
    subscriber = budgets.CfnBudget.SubscriberProperty(
        address=operator.value_as_string, subscription_type="EMAIL"
    )
    budgets.CfnBudget(
        stack,
        "Budget",
        budget=budgets.CfnBudget.BudgetDataProperty(
            budget_name=names.everywhere(stack, "month"),
            budget_type="COST",
            time_unit="MONTHLY",
            budget_limit=budgets.CfnBudget.SpendProperty(amount=stage.budget_usd, unit="USD"),
        ),
        notifications_with_subscribers=[
            budgets.CfnBudget.NotificationWithSubscribersProperty(
                notification=budgets.CfnBudget.NotificationProperty(
                    comparison_operator="GREATER_THAN",
                    notification_type="ACTUAL",
                    threshold=percent,
                    threshold_type="PERCENTAGE",
                ),
                subscribers=[subscriber],
            )
            for percent in _NOTIFY_PCT
        ],
    )

"""Whom we speak to: the account of the environment's credentials, or a box that runs."""

import json
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Final

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from firedetect.errors import FiredetectError

CALL: Final = Config(connect_timeout=5, read_timeout=150, retries={"total_max_attempts": 3})
"""The longest function may take two minutes; whoever asks here can wait."""
_OF_IOT: Final = frozenset({"iot", "iot-data"})

ClientOf = Callable[..., Any]
"""Returns boto3's client for a service; a second argument names another region."""


class DeployError(FiredetectError):
    """Something cannot be done in the account; the message says what, where and what to do."""


def account_clients() -> ClientOf:
    """Return the clients of the environment; raises DeployError without a region."""
    # boto3 itself knows only the other variable and the profile.
    session = boto3.Session(region_name=os.environ.get("AWS_REGION") or None)
    if not session.region_name:
        raise DeployError("no region: set AWS_REGION, such as eu-central-1")

    @cache
    def client_of(service: str, region: str = "") -> Any:  # noqa: ANN401 - made at run time
        return session.client(service, region_name=region or session.region_name, config=CALL)

    return client_of


def box_clients(folder: Path) -> ClientOf:
    """Return the clients of the box in a folder; raises DeployError if none runs there."""
    path = folder / "box.json"
    try:
        said = json.loads(path.read_text())
        # A box that was killed leaves its description behind.
        os.kill(int(said["pid"]), 0)
        addresses = {True: said["iot_data_endpoint"], False: said["aws_endpoint"]}
        region = said["region"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DeployError(f"{path}: no box runs there; start it with `firedetect box`") from error

    @cache
    def client_of(service: str, _region: str = "") -> Any:  # noqa: ANN401 - made at run time
        return boto3.client(
            service,
            endpoint_url=addresses[service in _OF_IOT],
            region_name=region,
            aws_access_key_id="box",
            aws_secret_access_key="box",  # noqa: S106 - the box asks for none
            config=CALL,
        )

    return client_of


def account_of(client_of: ClientOf) -> str:
    """Return the account's number; raises DeployError if there are no credentials for one."""
    try:
        return str(client_of("sts").get_caller_identity()["Account"])
    except (BotoCoreError, ClientError) as error:
        raise DeployError(
            f"no usable credentials for AWS ({brief(error)}); sign in or set AWS_PROFILE"
        ) from error


def region_of(client_of: ClientOf) -> str:
    """Return the region that is spoken to."""
    return str(client_of("sts").meta.region_name)


def brief(error: Exception) -> str:
    """Return what AWS says in one line."""
    if isinstance(error, ClientError):
        told = error.response.get("Error", {})
        words = " ".join(str(told.get("Message")).split())
        if "<" in words:
            # A page for people, not an answer of a service.
            words = f"{error.operation_name} is not known there"
        return f"{told.get('Code')}: {words}"
    return " ".join(str(error).split()) or type(error).__name__

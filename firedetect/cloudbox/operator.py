"""What a person or a test does to a box that runs elsewhere: jobs for things, objects to fetch."""

import json
import os
import uuid
from pathlib import Path
from typing import Any, Final

import boto3

from firedetect.cloudbox.box import DESCRIPTION
from firedetect.errors import BoxError

_VALID_S: Final = 3600


class RunningBox:
    """The box of a folder, reached through its `box.json`; raises BoxError if none runs."""

    def __init__(self, folder: Path) -> None:
        path = folder / DESCRIPTION
        try:
            self.said: dict[str, Any] = json.loads(path.read_text())
            # A box that was killed leaves its description behind.
            os.kill(int(self.said["pid"]), 0)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BoxError(f"{path}: no box runs there; start it with `firedetect box`") from error

    def create_job(self, thing: str, document: dict[str, Any], job_id: str = "") -> str:
        """Queue a job for a thing and return its name."""
        name = job_id or f"{document.get('op', 'job')}-{uuid.uuid4().hex[:8]}"
        iot = self._client("iot", self.said["iot_data_endpoint"])
        target = f"arn:aws:iot:{self.said['region']}:123456789012:thing/{thing}"
        iot.create_job(jobId=name, targets=[target], document=json.dumps(document))
        return name

    def job(self, thing: str, job_id: str) -> dict[str, Any]:
        """Return how a job stands at a thing, also when it is over."""
        iot = self._client("iot", self.said["iot_data_endpoint"])
        found: dict[str, Any] = iot.describe_job_execution(thingName=thing, jobId=job_id)
        execution: dict[str, Any] = found["execution"]
        return execution | {"statusDetails": execution["statusDetails"]["detailsMap"]}

    def release(self, thing: str) -> None:
        """Free the name of a thing: its certificates lose their rights, a claim may take it."""
        self._client("iot", self.said["iot_data_endpoint"]).delete_thing(thingName=thing)

    def upload(self, key: str, body: bytes) -> str:
        """Store an object and return an address from which anybody may get it for an hour."""
        self._s3().put_object(Bucket=self.said["bucket"], Key=key, Body=body)
        return self._address("get_object", key)

    def upload_address(self, key: str) -> str:
        """Return an address to which anybody may put one object for an hour."""
        return self._address("put_object", key)

    def fetch(self, key: str) -> bytes:
        """Return an object."""
        body: bytes = self._s3().get_object(Bucket=self.said["bucket"], Key=key)["Body"].read()
        return body

    def _address(self, operation: str, key: str) -> str:
        address: str = self._s3().generate_presigned_url(
            operation, Params={"Bucket": self.said["bucket"], "Key": key}, ExpiresIn=_VALID_S
        )
        return address

    def _s3(self) -> Any:  # noqa: ANN401 - boto3 makes its clients at run time
        return self._client("s3", self.said["aws_endpoint"])

    def _client(self, service: str, endpoint: str) -> Any:  # noqa: ANN401
        return boto3.client(
            service,
            endpoint_url=endpoint,
            region_name=self.said["region"],
            aws_access_key_id="box",
            aws_secret_access_key="box",  # noqa: S106 - the box asks for none
        )

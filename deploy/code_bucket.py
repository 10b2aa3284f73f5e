"""The bucket of packages and templates, and which package was deployed after which."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from botocore.exceptions import ClientError

from deploy.session import DeployError

_RELEASES: Final = "releases/{stage}.json"
_KEPT: Final = 50
_ABSENT: Final = frozenset({"404", "NoSuchBucket", "NoSuchKey", "NotFound"})


class CodeBucket:
    """A private, versioned, encrypted bucket; made if it is absent and `agreed` says so."""

    def __init__(self, s3: Any, name: str) -> None:  # noqa: ANN401 - boto3 makes it at run time
        self._s3 = s3
        self.name = name
        self._region = str(s3.meta.region_name)

    def ensure(self, agreed: Callable[[str], bool]) -> None:
        """Make the bucket if it is absent; raises DeployError if nobody agrees or it is foreign."""
        try:
            self._s3.head_bucket(Bucket=self.name)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code not in _ABSENT:
                raise DeployError(
                    f"bucket {self.name} is not ours ({code}): choose another name"
                ) from error
        else:
            return
        if not agreed(f"make the bucket {self.name} (private, versioned, encrypted)?"):
            raise DeployError(f"bucket {self.name} is absent and was not made")
        place = {"CreateBucketConfiguration": {"LocationConstraint": self._region}}
        self._s3.create_bucket(Bucket=self.name, **(place if self._region != "us-east-1" else {}))
        self._s3.put_public_access_block(
            Bucket=self.name,
            PublicAccessBlockConfiguration={
                "BlockPublicAcls": True,
                "IgnorePublicAcls": True,
                "BlockPublicPolicy": True,
                "RestrictPublicBuckets": True,
            },
        )
        self._s3.put_bucket_versioning(
            Bucket=self.name, VersioningConfiguration={"Status": "Enabled"}
        )
        encrypted = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
        self._s3.put_bucket_encryption(
            Bucket=self.name, ServerSideEncryptionConfiguration={"Rules": [encrypted]}
        )

    def put_package(self, path: Path) -> str:
        """Store a package under its own digest and return the key."""
        return self._put("packages", path.read_bytes(), "zip")

    def put_template(self, text: str) -> str:
        """Store a template and return where CloudFormation finds it."""
        key = self._put("templates", text.encode(), "json")
        return f"https://{self.name}.s3.{self._region}.amazonaws.com/{key}"

    def releases(self, stage: str) -> list[str]:
        """Return the keys of the packages that were deployed, the newest last."""
        try:
            answer = self._s3.get_object(Bucket=self.name, Key=_RELEASES.format(stage=stage))
        except ClientError as error:
            if error.response["Error"]["Code"] in _ABSENT:
                return []
            raise
        return [str(key) for key in json.loads(answer["Body"].read())]

    def released(self, stage: str, key: str) -> None:
        """Note that a package is deployed; those after it, if it was before, are forgotten."""
        known = self.releases(stage)
        kept = known[: known.index(key)] if key in known else known
        body = json.dumps([*kept, key][-_KEPT:], indent=1).encode()
        self._s3.put_object(Bucket=self.name, Key=_RELEASES.format(stage=stage), Body=body)

    def before(self, stage: str) -> str:
        """Return the package before the newest; raises DeployError if there is none."""
        known = self.releases(stage)
        if len(known) < 2:
            raise DeployError(f"bucket {self.name} knows no package before the newest of {stage}")
        return known[-2]

    def _put(self, folder: str, body: bytes, ending: str) -> str:
        key = f"{folder}/{hashlib.sha256(body).hexdigest()}.{ending}"
        self._s3.put_object(Bucket=self.name, Key=key, Body=body)
        return key

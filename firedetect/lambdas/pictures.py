"""Pictures of alarms in the bucket: is there one, and where may somebody look at it for a while."""

from collections.abc import Callable
from typing import Any, Final

from botocore.config import Config
from botocore.exceptions import ClientError

from firedetect.lambdas.rows import QUICK, client

VALID_S: Final = 300
"""Time to load one picture: who presses the link in the message again gets a new address."""
_SIGNED: Final = QUICK.merge(Config(signature_version="s3v4", s3={"addressing_style": "virtual"}))
"""What a key of KMS encrypts is given only to addresses with this signature.

Said so, an address names the region; else a young bucket's leads elsewhere first.
"""
_NOT_THERE: Final = frozenset({"403", "404", "NoSuchKey", "NotFound"})
"""Without the right to list, S3 says 403 of what is not there: nobody may find out names."""


class Pictures:
    """The bucket; without one there are no pictures. `s3` makes the client when it is needed."""

    def __init__(self, s3: Callable[[], Any], bucket: str) -> None:
        self._s3 = s3
        self._bucket = bucket
        self._client: Any = None

    def address(self, key: str) -> str:
        """Return where a picture can be seen for VALID_S, nothing if it is not there (yet).

        Raises what S3 refuses.
        """
        if not key or not self._bucket:
            return ""
        self._client = self._client or self._s3()
        where = {"Bucket": self._bucket, "Key": key}
        try:
            self._client.head_object(**where)
        except ClientError as error:
            if error.response["Error"]["Code"] in _NOT_THERE:
                return ""
            raise
        address: str = self._client.generate_presigned_url(
            "get_object", Params=where, ExpiresIn=VALID_S
        )
        return address


def pictures_in(bucket: str) -> Pictures:
    """Return the pictures in a bucket of this environment's AWS."""
    return Pictures(lambda: client("s3", _SIGNED), bucket)

"""Puts an object into a bucket of S3, signed with rights that hold for a while."""

import asyncio
import hashlib
from datetime import datetime
from typing import Final
from urllib.parse import SplitResult, urlsplit

import aiohttp
from awscrt import auth, exceptions, http

from firedetect.errors import LinkDownError, TransferError
from firedetect.uplink.requests import uncancelled
from firedetect.uplink.rights import Rights

LIMIT_S: Final = 30.0
"""For all of it: a picture has some 10 KB."""
_CONNECT_S: Final = 10.0
_TIMEOUT: Final = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_S)
_SHOWN: Final = 300


async def put_object(
    bucket_url: str,
    key: str,
    content: bytes,
    headers: dict[str, str],
    *,
    rights: Rights,
    region: str,
    now: datetime,
) -> None:
    """Put `content` at `key`, once; `bucket_url` is the bucket's address, in either form.

    The bucket encrypts by its own default: no header names a key. Raises LinkDownError if that did
    not come to its end, TransferError if S3 refuses it.
    """
    url = f"{bucket_url}/{key}"
    host = urlsplit(url).netloc
    try:
        async with asyncio.timeout(LIMIT_S):
            signed = await _signed(urlsplit(url), content, headers, rights, region, now)
            async with (
                aiohttp.ClientSession(timeout=_TIMEOUT) as session,
                session.put(url, data=content, headers=signed, allow_redirects=False) as answer,
            ):
                if answer.ok:
                    return
                said = (await answer.content.read(_SHOWN)).decode("utf-8", "replace")
                status = answer.status
    except TimeoutError as error:
        raise LinkDownError(f"{host}: no answer within {LIMIT_S:.0f} s") from error
    except (aiohttp.ClientError, OSError) as error:
        raise LinkDownError(f"{host}: {type(error).__name__}: {error}") from error
    except (ValueError, exceptions.AwsCrtError) as error:
        raise TransferError(f"{bucket_url}: cannot be used: {error}") from error
    kind = LinkDownError if status >= 500 else TransferError
    raise kind(f"{host}: {key} is refused with status {status}: {said}")


async def _signed(
    url: SplitResult,
    content: bytes,
    headers: dict[str, str],
    rights: Rights,
    region: str,
    now: datetime,
) -> dict[str, str]:
    """Return the headers with the signature (version 4) of a PUT."""
    sent = http.HttpHeaders([("Host", url.netloc), *headers.items()])
    request = http.HttpRequest("PUT", url.path, sent)
    config = auth.AwsSigningConfig(
        algorithm=auth.AwsSigningAlgorithm.V4,
        signature_type=auth.AwsSignatureType.HTTP_REQUEST_HEADERS,
        credentials_provider=auth.AwsCredentialsProvider.new_static(
            rights.key_id, rights.secret, rights.token
        ),
        region=region,
        service="s3",
        date=now,
        # As S3 wants it: a key is a name, not a path.
        use_double_uri_encode=False,
        should_normalize_uri_path=False,
        signed_body_value=hashlib.sha256(content).hexdigest(),
        signed_body_header_type=auth.AwsSignedBodyHeaderType.X_AMZ_CONTENT_SHA_256,
    )
    done: http.HttpRequest = await uncancelled(auth.aws_sign_request(request, config))
    return dict(done.headers)

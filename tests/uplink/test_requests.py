"""What becomes of a service's errors: refused for good, or to be asked again."""

from concurrent.futures import Future

import pytest
from awsiot import V2ServiceException, iotidentity, iotjobs, iotshadow

from firedetect.errors import JobRefusedError, LinkDownError, ShadowRefusedError, UplinkError
from firedetect.uplink.requests import answered


async def error_of(stated, refused, inner=None):
    """Return the error that a request with this answer ends in."""
    request = Future()
    request.set_exception(V2ServiceException("update failure", inner, stated))
    with pytest.raises(UplinkError) as found:
        await answered(request, "what", refused)
    return found.value


def job(code):
    return iotjobs.V2ErrorResponse.from_payload({"code": code, "message": "why"})


def shadow(code):
    return iotshadow.V2ErrorResponse.from_payload({"code": code, "message": "why"})


def identity(code):
    return iotidentity.V2ErrorResponse.from_payload(
        {"statusCode": code, "errorCode": "Code", "errorMessage": "why"}
    )


@pytest.mark.parametrize("code", ["RequestThrottled", "InternalError"])
async def test_a_busy_jobs_service_has_ended_no_job(code):
    error = await error_of(job(code), JobRefusedError)
    assert type(error) is LinkDownError
    assert str(error) == f"what: {code} why"


@pytest.mark.parametrize(
    "code",
    [
        "InvalidTopic",
        "InvalidJson",
        "InvalidRequest",
        "InvalidStateTransition",
        "ResourceNotFound",
        "VersionMismatch",
        "TerminalStateReached",
        "of tomorrow",
        None,
        ["RequestThrottled"],
    ],
)
async def test_any_other_code_of_the_jobs_service_is_a_refusal(code):
    error = await error_of(job(code), JobRefusedError)
    assert type(error) is JobRefusedError
    assert str(error) == f"what: {code} why"


def test_every_code_that_the_sdk_knows_is_decided_on():
    known = {name for name in vars(iotjobs.RejectedErrorCode) if name.isupper()}
    assert known == {
        "INTERNAL_ERROR",
        "INVALID_JSON",
        "INVALID_REQUEST",
        "INVALID_STATE_TRANSITION",
        "INVALID_TOPIC",
        "REQUEST_THROTTLED",
        "RESOURCE_NOT_FOUND",
        "TERMINAL_STATE_REACHED",
        "VERSION_MISMATCH",
    }


@pytest.mark.parametrize("made", [shadow, identity])
@pytest.mark.parametrize("code", [429, 500, 503, 599])
async def test_a_busy_service_is_asked_again(made, code):
    error = await error_of(made(code), ShadowRefusedError)
    assert type(error) is LinkDownError
    assert str(error) == f"what: {code} why"


@pytest.mark.parametrize("made", [shadow, identity])
@pytest.mark.parametrize("code", [400, 401, 403, 404, 409, 413, 415, 428, 430, 499, 600])
async def test_a_refusal_is_a_refusal(made, code):
    error = await error_of(made(code), ShadowRefusedError)
    assert type(error) is ShadowRefusedError
    assert str(error) == f"what: {code} why"


async def test_no_answer_is_a_lost_link():
    error = await error_of(None, JobRefusedError, RuntimeError("timed out"))
    assert type(error) is LinkDownError
    assert "timed out" in str(error)

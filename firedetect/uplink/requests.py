"""Requests over MQTT with an answer: shared by the shadow, jobs and provisioning clients."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from awscrt import mqtt_request_response
from awsiot import ServiceStreamOptions, V2ServiceException, iotjobs

from firedetect.errors import LinkDownError, UplinkError

if TYPE_CHECKING:
    from concurrent.futures import Future

REQUEST_TIMEOUT_S = 10
_SUBSCRIPTIONS = 16
"""Topics of answers that stay subscribed; AWS allows 50 subscriptions on a connection."""
_STREAMS = 6
_PASSING = (
    iotjobs.RejectedErrorCode.REQUEST_THROTTLED,
    iotjobs.RejectedErrorCode.INTERNAL_ERROR,
)
_TOO_MANY = 429
_OF_THE_SERVICE = range(500, 600)


def uncancelled(future: "Future[Any]") -> "asyncio.Future[Any]":
    """Return a future of the SDK for the loop; who stops to wait does not cancel it.

    The SDK completes its futures in its own threads and fails on cancelled ones.
    """
    inner = asyncio.wrap_future(future)
    inner.add_done_callback(_look_at)
    return asyncio.shield(inner)


def _look_at(done: "asyncio.Future[Any]") -> None:
    if not done.cancelled():
        done.exception()


def client_options() -> mqtt_request_response.ClientOptions:
    """Return the limits of a request-response client."""
    return mqtt_request_response.ClientOptions(
        max_request_response_subscriptions=_SUBSCRIPTIONS,
        max_streaming_subscriptions=_STREAMS,
        operation_timeout_in_seconds=REQUEST_TIMEOUT_S,
    )


async def answered(request: "Future[Any]", what: str, refused: Callable[[str], UplinkError]) -> Any:  # noqa: ANN401 - the SDK has no types
    """Return the service's answer.

    Raises what `refused` makes of its error, LinkDownError if there was no answer in time or the
    service has trouble of its own: the same request may be taken later.
    """
    try:
        async with asyncio.timeout(2 * REQUEST_TIMEOUT_S):
            return await uncancelled(request)
    except TimeoutError as error:
        raise LinkDownError(f"{what}: no answer") from error
    except V2ServiceException as error:
        stated = error.modeled_error
        if stated is None:
            raise LinkDownError(f"{what}: {error.inner_error}") from error
        code = getattr(stated, "code", None) or getattr(stated, "status_code", None)
        text = getattr(stated, "message", None) or getattr(stated, "error_message", None)
        said = f"{what}: {code} {text}"
        raise (LinkDownError(said) if _passes(code) else refused(said)) from error


def _passes(code: object) -> bool:
    """Whether an error is of the moment: jobs name it in words, the others in HTTP's numbers."""
    if isinstance(code, int):
        return code == _TOO_MANY or code in _OF_THE_SERVICE
    return code in _PASSING


def stream_options(hear: Callable[[], None]) -> ServiceStreamOptions[Any]:
    """Return a stream that calls `hear`, in the loop, when something came or may have been missed.

    Only that something came is handed on: what it is, is asked for, so that an old, forged or
    flooding message changes nothing.
    """
    loop = asyncio.get_running_loop()

    def call(_event: object) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(hear)

    return ServiceStreamOptions(
        incoming_event_listener=call,
        subscription_status_listener=call,
        deserialization_failure_listener=call,
    )

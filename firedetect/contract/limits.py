"""Limits of AWS IoT Core that the device enforces itself: a broker that does not is no excuse.

Source: AWS IoT Core endpoints and quotas; AWS IoT Device Shadow service restrictions.
"""

import json
from typing import Any, Final

PAYLOAD_MAX_BYTES: Final = 128 * 1024
TOPIC_MAX_BYTES: Final = 256
TOPIC_MAX_SLASHES: Final = 7
SHADOW_MAX_BYTES: Final = 8 * 1024
SHADOW_MAX_DEPTH: Final = 4
"""AWS documents 6 in one place and 8 in another: we stay below both."""
BATCH_MAX_BYTES: Final = 5 * 1024
"""AWS meters messages in steps of 5 KB."""
_BASIC_INGEST: Final = "$aws/rules/"


def refused_publish(topic: str, payload: bytes) -> str:
    """Return why AWS IoT Core would refuse this publish, nothing if it would not."""
    if len(payload) > PAYLOAD_MAX_BYTES:
        return f"the payload has {len(payload)} bytes, at most {PAYLOAD_MAX_BYTES}"
    counted = topic
    if topic.startswith(_BASIC_INGEST):
        # `$aws/rules/<rule>/` is not counted.
        counted = topic.removeprefix(_BASIC_INGEST).partition("/")[2]
    slashes = counted.count("/")
    if slashes > TOPIC_MAX_SLASHES:
        return f"the topic has {slashes} slashes, at most {TOPIC_MAX_SLASHES}"
    if len(counted.encode()) > TOPIC_MAX_BYTES:
        return f"the topic has {len(counted.encode())} bytes, at most {TOPIC_MAX_BYTES}"
    if "+" in topic or "#" in topic:
        return "a wildcard cannot be published to"
    return ""


def refused_state(state: object) -> str:
    """Return why a shadow's state is too large or too deep for us, nothing if it is not."""
    too_deep = depth_of(state, SHADOW_MAX_DEPTH + 1) > SHADOW_MAX_DEPTH
    if too_deep:
        return f"is nested deeper than {SHADOW_MAX_DEPTH} levels"
    text = json.dumps(state, ensure_ascii=False, separators=(",", ":"))
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        # JSON may escape half a character; no answer could name it.
        return "holds half a character"
    if size > SHADOW_MAX_BYTES:
        return f"has {size} bytes, at most {SHADOW_MAX_BYTES}"
    return ""


def depth_of(value: Any, enough: int) -> int:  # noqa: ANN401 - any JSON value
    """Return how many objects or lists lie inside one another, at most `enough`."""
    depth, layer = 0, [value]
    while layer and depth < enough:
        inner: list[Any] = []
        found = False
        for item in layer:
            if isinstance(item, dict):
                found = True
                inner.extend(item.values())
            elif isinstance(item, list):
                found = True
                inner.extend(item)
        if not found:
            break
        depth += 1
        layer = inner
    return depth

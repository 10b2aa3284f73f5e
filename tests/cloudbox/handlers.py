"""Handlers that succeed and fail in their ways, run by handler string."""

import sys
import threading
from itertools import count as counter

TICKS = []
_COUNTER = counter(1)
_TRIES = counter(1)


def echo(event, context):
    return {
        "event": event,
        "function": context.function_name,
        "remaining_ms": context.get_remaining_time_in_millis(),
        "thread": threading.current_thread().name,
    }


def count(_event, _context):
    return {"count": next(_COUNTER)}


def broken(_event, _context):
    raise ValueError("broken")


def third(_event, _context):
    if next(_TRIES) < 3:
        raise ValueError("not yet")


def no_json(_event, _context):
    return {"a": object()}


def leaves(_event, _context):
    sys.exit(3)


def hangs(_event, _context):
    threading.Event().wait(3)


def slow(event, _context):
    with open(event["log"], "a") as log:  # noqa: PTH123
        log.write("begin\n")
        log.flush()
        threading.Event().wait(event["takes_s"])
        log.write("end\n")


def tick(event, _context):
    TICKS.append(event)

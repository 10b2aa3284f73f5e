"""Log lines: text for people, JSON with a priority prefix for services, or the journal itself."""

import contextlib
import logging
import os
import socket
import sys
from collections.abc import MutableMapping
from typing import Any, Protocol, TextIO

import structlog

from firedetect.config import LogSettings

_PRIORITY = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}
_JOURNAL = "/run/systemd/journal/socket"


class Lines(Protocol):
    """What log lines are written to."""

    def write(self, text: str, /) -> int:
        """Take some text."""

    def flush(self) -> None:
        """Hand it on."""

    def isatty(self) -> bool:
        """Whether a person sees it at once."""


def configure_logging(settings: LogSettings, stream: Lines | None = None) -> None:
    """Set the program's logging up once; `stream` is standard output unless given."""
    out = stream or sys.stdout
    choice = settings.format
    if choice == "auto":
        under_systemd = "JOURNAL_STREAM" in os.environ or "INVOCATION_ID" in os.environ
        choice = "journal" if under_systemd and os.path.exists(_JOURNAL) else "text"  # noqa: PTH110
    processors: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if choice == "text":
        processors.append(
            structlog.dev.ConsoleRenderer(
                colors=out.isatty(), pad_event_to=0, exception_formatter=_short_trace
            )
        )
    else:
        processors.append(structlog.processors.format_exc_info)
        processors.append(_to_journal if choice == "journal" else _prefixed_json)
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.getLevelNamesMapping()[settings.level.upper()]
        ),
        logger_factory=lambda *_: _Logger(out),
        cache_logger_on_first_use=False,
    )


class _Logger:
    """Writes lines and never fails: a full disk or a closed pipe must not stop detection."""

    def __init__(self, out: Lines) -> None:
        self._out = out

    def msg(self, message: str) -> None:
        """Write one line."""
        with contextlib.suppress(OSError, ValueError):
            self._out.write(message + "\n")
            self._out.flush()

    debug = info = warning = error = critical = msg


def _short_trace(out: TextIO, trace: Any) -> None:  # noqa: ANN401 - structlog's signature
    out.write(f"\n{trace[0].__name__}: {trace[1]}")


def _prefixed_json(_logger: object, method: str, fields: MutableMapping[str, Any]) -> str:
    """Return `<N>{...}`: the form in which systemd reads the priority from a service's output."""
    line = structlog.processors.JSONRenderer(ensure_ascii=False)(None, method, fields)
    return f"<{_PRIORITY.get(method, 6)}>{line!s}"


def _to_journal(logger: object, method: str, fields: MutableMapping[str, Any]) -> str:
    """Send a native journal record; where the journal does not take it, print it instead."""
    record = {key.upper(): str(value) for key, value in fields.items() if key != "event"}
    record["MESSAGE"] = str(fields.get("event", ""))
    record["PRIORITY"] = str(_PRIORITY.get(method, 6))
    record["SYSLOG_IDENTIFIER"] = "firedetect"
    data = b"".join(_journal_field(key, value) for key, value in record.items())
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as journal:
            # A journal that hangs on a dying disk must not hold the detector.
            journal.settimeout(0.0)
            journal.sendto(data, _JOURNAL)
    except OSError:
        return _prefixed_json(logger, method, fields)
    raise structlog.DropEvent


def _journal_field(key: str, value: str) -> bytes:
    data = value.encode()
    if b"\n" not in data:
        return key.encode() + b"=" + data + b"\n"
    return key.encode() + b"\n" + len(data).to_bytes(8, "little") + data + b"\n"

"""The push button where the siren hangs: a GPIO line that it pulls to ground."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Protocol

import gpiod

from firedetect.config import OutputSettings
from firedetect.outputs.local import find_chip, only_os_errors

_BOUNCES = timedelta(milliseconds=20)


class Contact(Protocol):
    """Something that is pressed and let go; every call may raise OSError."""

    def open(self) -> int:
        """Return the descriptor that can be read when it has changed."""

    def pressed(self) -> bool:
        """Whether it is pressed just now."""

    def changes(self) -> list[bool]:
        """Return what it has changed to since the last call, in order; True is pressed."""

    def close(self) -> None:
        """Give the line free."""


def request_button(settings: OutputSettings, line: int) -> gpiod.LineRequest:
    """Take the button's line with its edges; raises OSError."""
    pressed_to_ground = gpiod.LineSettings(
        direction=gpiod.line.Direction.INPUT,
        edge_detection=gpiod.line.Edge.BOTH,
        bias=gpiod.line.Bias.PULL_UP,
        active_low=True,
        debounce_period=_BOUNCES,
    )
    path = find_chip(settings.chip_label)
    return gpiod.request_lines(path, consumer="firedetect", config={line: pressed_to_ground})


class GpioButton:
    """The button at a line of the chip that the outputs hang at."""

    def __init__(
        self,
        settings: OutputSettings,
        line: int,
        request: Callable[[OutputSettings, int], gpiod.LineRequest] = request_button,
    ) -> None:
        self._settings = settings
        self._line = line
        self._new_request = request
        self._request: gpiod.LineRequest | None = None

    def open(self) -> int:
        """Return the descriptor that can be read when it has changed; raises OSError."""
        with only_os_errors():
            self._request = self._new_request(self._settings, self._line)
            return self._request.fd

    def pressed(self) -> bool:
        """Whether it is pressed just now; raises OSError."""
        with self._opened() as request:
            return bool(request.get_value(self._line) is gpiod.line.Value.ACTIVE)

    def changes(self) -> list[bool]:
        """Return what it has changed to since the last call, in order; raises OSError."""
        with self._opened() as request:
            rising = gpiod.EdgeEvent.Type.RISING_EDGE
            return [event.event_type is rising for event in request.read_edge_events()]

    def close(self) -> None:
        """Give the line free."""
        request, self._request = self._request, None
        if request is not None:
            with only_os_errors():
                request.release()

    @contextmanager
    def _opened(self) -> Iterator[gpiod.LineRequest]:
        if self._request is None:
            raise OSError("the button's line is not open")
        with only_os_errors():
            yield self._request

"""Local outputs: siren, light and trouble relay follow the newest outcome."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import gpiod

from firedetect.config import OutputSettings
from firedetect.contract.level import LATCHING_FROM, Health
from firedetect.decision.machine import AUDIBLE
from firedetect.decision.outcome import Outcome


@dataclass(frozen=True, slots=True)
class Pattern:
    """Which outputs are on. `trouble` drives a relay that rests closed, so power loss shows too."""

    siren: bool = False
    light: bool = False
    trouble: bool = True


_DEVICES = Path("/dev")


class Lines(Protocol):
    """Something that switches the outputs; may block, may raise OSError."""

    def set(self, pattern: Pattern) -> None:
        """Switch all outputs."""

    def close(self) -> None:
        """Leave siren and light off and let the trouble relay fall."""


def pattern_of(outcome: Outcome) -> Pattern:
    """Return what the outputs show for an outcome; a drill sounds like an alarm."""
    return Pattern(
        siren=outcome.alarm in AUDIBLE or outcome.drill,
        light=outcome.level >= LATCHING_FROM or outcome.drill,
        trouble=outcome.health is not Health.OK or bool(outcome.troubles),
    )


def request_line(settings: OutputSettings, line: int) -> gpiod.LineRequest:
    """Take one line as an output, inactive; raises OSError."""
    output = gpiod.LineSettings(direction=gpiod.line.Direction.OUTPUT)
    path = find_chip(settings.chip_label)
    return gpiod.request_lines(path, consumer="firedetect", config={line: output})


class _Line:
    """One line: requested when it is first driven, and again after a failure."""

    def __init__(self, request: Callable[[], gpiod.LineRequest], number: int) -> None:
        self._new_request = request
        self._number = number
        self._request: gpiod.LineRequest | None = None

    def drive(self, *, on: bool) -> None:
        """Switch it; raises OSError."""
        with only_os_errors():
            try:
                if self._request is None:
                    self._request = self._new_request()
                self._set(self._request, on=on)
            except Exception:
                # Not switched to rest: a siren that may still sound must not stop for this.
                request, self._request = self._request, None
                if request is not None:
                    with contextlib.suppress(Exception):
                        request.release()
                raise

    def rest(self) -> None:
        """Switch it off, then give it free; raises OSError.

        A kernel may keep a line as it was last driven: giving it free alone would not silence it.
        """
        request, self._request = self._request, None
        if request is None:
            return
        with only_os_errors():
            try:
                self._set(request, on=False)
            finally:
                request.release()

    def _set(self, request: gpiod.LineRequest, *, on: bool) -> None:
        values = gpiod.line.Value
        request.set_value(self._number, values.ACTIVE if on else values.INACTIVE)


class GpioLines:
    """Lines of the GPIO chip with a given label; numbers of chips move between kernels.

    One that is missing or taken is a trouble and no end, and keeps no other from being switched.
    """

    def __init__(
        self,
        settings: OutputSettings,
        request: Callable[[OutputSettings, int], gpiod.LineRequest] = request_line,
    ) -> None:
        numbers = (settings.siren_line, settings.light_line, settings.trouble_line)
        self._siren, self._light, self._trouble = (
            _Line(partial(request, settings, number), number) for number in numbers
        )

    def set(self, pattern: Pattern) -> None:
        """Switch all lines; the trouble line is high while there is no trouble.

        Raises OSError once every line was tried, the siren first.
        """
        _try_all(
            partial(self._siren.drive, on=pattern.siren),
            partial(self._light.drive, on=pattern.light),
            partial(self._trouble.drive, on=not pattern.trouble),
        )

    def close(self) -> None:
        """Switch all lines to rest and give them free; raises OSError once each was tried."""
        _try_all(self._siren.rest, self._light.rest, self._trouble.rest)


def _try_all(*steps: Callable[[], None]) -> None:
    failed = []
    for step in steps:
        try:
            step()
        except OSError as error:
            failed.append(error)
    if failed:
        raise failed[0]


def find_chip(label: str, devices: Path = _DEVICES) -> str:
    """Return the path of the GPIO chip with this label; raises OSError.

    A chip that may not be opened is passed over, as another one may be the one that is meant.
    """
    closed = []
    for path in sorted(devices.glob("gpiochip*")):
        try:
            with gpiod.Chip(str(path)) as chip:
                if chip.get_info().label == label:
                    return str(path)
        except OSError as error:
            closed.append(f"{path} ({error.strerror or error})")
    unread = f"; not readable: {', '.join(closed)}" if closed else ""
    msg = f"no GPIO chip with label {label}{unread}"
    raise OSError(msg)


@contextlib.contextmanager
def only_os_errors() -> Iterator[None]:
    """Turn every error, gpiod has types of its own, into an OSError with the same text."""
    try:
        yield
    except OSError:
        raise
    except Exception as error:
        raise OSError(str(error)) from error

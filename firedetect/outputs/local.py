"""Local outputs: siren, light and trouble relay follow the newest outcome."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
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


AT_REST = Pattern()
"""What stays behind when nobody switches the outputs any more."""
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


def request_lines(settings: OutputSettings) -> gpiod.LineRequest:
    """Take the three lines as outputs, all inactive; raises OSError."""
    lines = (settings.siren_line, settings.light_line, settings.trouble_line)
    output = gpiod.LineSettings(direction=gpiod.line.Direction.OUTPUT)
    path = find_chip(settings.chip_label)
    return gpiod.request_lines(path, consumer="firedetect", config={lines: output})


class GpioLines:
    """Lines of the GPIO chip with a given label; numbers of chips move between kernels.

    They are requested at the first `set` and again after a failure, so that a line that is missing
    or taken is a trouble and no end.
    """

    def __init__(
        self,
        settings: OutputSettings,
        request: Callable[[OutputSettings], gpiod.LineRequest] = request_lines,
    ) -> None:
        self._settings = settings
        self._new_request = request
        self._request: gpiod.LineRequest | None = None

    def set(self, pattern: Pattern) -> None:
        """Switch all lines at once; the trouble line is high while there is no trouble."""
        with only_os_errors():
            try:
                if self._request is None:
                    self._request = self._new_request(self._settings)
                self._switch(self._request, pattern)
            except Exception:
                # Not switched to rest: a siren that may still sound must not stop for this.
                request, self._request = self._request, None
                if request is not None:
                    with contextlib.suppress(Exception):
                        request.release()
                raise

    def close(self) -> None:
        """Switch all lines to rest, then give them free.

        A kernel may keep a line as it was last driven: giving it free alone would not silence it.
        """
        request, self._request = self._request, None
        if request is None:
            return
        with only_os_errors():
            try:
                self._switch(request, AT_REST)
            finally:
                request.release()

    def _switch(self, request: gpiod.LineRequest, pattern: Pattern) -> None:
        wanted = {
            self._settings.siren_line: pattern.siren,
            self._settings.light_line: pattern.light,
            self._settings.trouble_line: not pattern.trouble,
        }
        values = gpiod.line.Value
        request.set_values(
            {line: values.ACTIVE if on else values.INACTIVE for line, on in wanted.items()}
        )


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

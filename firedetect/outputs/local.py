"""Local outputs: siren, light and trouble relay follow the newest outcome."""

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


class GpioLines:
    """Lines of the GPIO chip with a given label; numbers of chips move between kernels.

    They are requested at the first `set` and again after a failure, so that a line that is missing
    or taken is a trouble and no end.
    """

    def __init__(self, settings: OutputSettings) -> None:
        self._settings = settings
        self._request: gpiod.LineRequest | None = None

    def set(self, pattern: Pattern) -> None:
        """Switch all lines at once; the trouble line is high while there is no trouble."""
        wanted = {
            self._settings.siren_line: pattern.siren,
            self._settings.light_line: pattern.light,
            self._settings.trouble_line: not pattern.trouble,
        }
        values = gpiod.line.Value
        try:
            if self._request is None:
                self._request = self._requested()
            self._request.set_values(
                {line: values.ACTIVE if on else values.INACTIVE for line, on in wanted.items()}
            )
        except OSError:
            self.close()
            raise

    def close(self) -> None:
        """Give the lines free; their pull resistors decide from now on."""
        if self._request is not None:
            self._request.release()
            self._request = None

    def _requested(self) -> gpiod.LineRequest:
        lines = (
            self._settings.siren_line,
            self._settings.light_line,
            self._settings.trouble_line,
        )
        output = gpiod.LineSettings(direction=gpiod.line.Direction.OUTPUT)
        path = find_chip(self._settings.chip_label)
        return gpiod.request_lines(path, consumer="firedetect", config={lines: output})


def find_chip(label: str) -> str:
    """Return the path of the GPIO chip with this label; raises OSError."""
    for path in sorted(Path("/dev").glob("gpiochip*")):
        with gpiod.Chip(str(path)) as chip:
            if chip.get_info().label == label:
                return str(path)
    msg = f"no GPIO chip with label {label}"
    raise OSError(msg)

"""Local outputs: siren, light and trouble relay follow the newest outcome."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

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
    """Lines of the GPIO chip with a given label; numbers of chips move between kernels."""

    def __init__(self, settings: OutputSettings) -> None:
        import gpiod  # noqa: PLC0415 - only where there are outputs

        self._active = gpiod.line.Value.ACTIVE
        self._inactive = gpiod.line.Value.INACTIVE
        self._settings = settings
        self._request = gpiod.request_lines(
            _chip_path(settings.chip_label),
            consumer="firedetect",
            config={
                (settings.siren_line, settings.light_line, settings.trouble_line): (
                    gpiod.LineSettings(direction=gpiod.line.Direction.OUTPUT)
                )
            },
        )

    def set(self, pattern: Pattern) -> None:
        """Switch all lines at once; the trouble line is high while there is no trouble."""
        wanted = {
            self._settings.siren_line: pattern.siren,
            self._settings.light_line: pattern.light,
            self._settings.trouble_line: not pattern.trouble,
        }
        self._request.set_values(
            {line: self._active if on else self._inactive for line, on in wanted.items()}
        )

    def close(self) -> None:
        """Give the lines free; their pull resistors decide from now on."""
        self._request.release()


def _chip_path(label: str) -> str:
    import gpiod  # noqa: PLC0415

    for path in sorted(Path("/dev").glob("gpiochip*")):
        with gpiod.Chip(str(path)) as chip:
            if chip.get_info().label == label:
                return str(path)
    msg = f"no GPIO chip with label {label}"
    raise OSError(msg)

"""What every calibration at the device has in common."""

from typing import Final, Protocol

NS_PER_S: Final = 1_000_000_000


class Sitting(Protocol):
    """A calibration that is going on."""

    @property
    def share(self) -> float:
        """How much of what is needed has been taken, 0 to 1."""

    @property
    def problem(self) -> str:
        """What stands between now and a result, in words; empty if nothing does."""

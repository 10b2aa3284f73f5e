"""What fails after people were told: it is kept while the rest is done, and raised at the end."""

import logging
from collections.abc import Callable
from typing import TypeVar

_log = logging.getLogger(__name__)
_Answer = TypeVar("_Answer")


class Failures(list[Exception]):
    """The failures of one event, the first one first."""

    def attempt(self, do: Callable[[], _Answer]) -> _Answer | None:
        """Do what must not stop what comes after it; returns None if it failed."""
        try:
            return do()
        except Exception as error:  # noqa: BLE001 - it is raised when the rest is done
            _log.warning("not done: %s", error)
            self.append(error)
            return None

    def settle(self) -> None:
        """Raise the first one, if there is one."""
        if self:
            raise self[0]

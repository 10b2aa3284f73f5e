"""Does what must be done once, by the table of what was done already."""

import logging
from collections.abc import Callable
from typing import Final

from aws_lambda_powertools.utilities.idempotency import (
    BasePersistenceLayer,
    IdempotencyConfig,
    idempotent_function,
)
from aws_lambda_powertools.utilities.idempotency.exceptions import (
    IdempotencyAlreadyInProgressError,
)

REMEMBERED_S: Final = 7 * 24 * 3600
"""Longer than a detector keeps an alarm that nobody acknowledged (72 h)."""

_log = logging.getLogger(__name__)

Do = Callable[[], str | None]
"""Does something and returns the message id of SNS if people were told."""


class Once:
    """Knows by thing and occurrence what was done: the occurrence alone could be another's."""

    def __init__(self, done: BasePersistenceLayer) -> None:
        self._config = IdempotencyConfig(
            event_key_jmespath="[thing, occurrence]",
            raise_on_no_idempotency_key=True,
            expires_after_seconds=REMEMBERED_S,
        )
        self._done = idempotent_function(
            _done, data_keyword_argument="key", persistence_store=done, config=self._config
        )

    def begin(self, context: object) -> None:
        """Take the time limit of this invocation: what it leaves undone may be done after it."""
        self._config.register_lambda_context(context)  # type: ignore[arg-type]

    def do(self, thing: str, occurrence: str, do: Do) -> str | None:
        """Do it, or return what it returned before; raises what it raises."""
        answer: str | None = self._done(key={"thing": thing, "occurrence": occurrence}, do=do)
        return answer

    def surely(self, thing: str, occurrence: str, do: Do, failures: list[Exception]) -> str | None:
        """Do it once, or more than once if it is not known; raises only what `do` raises.

        A memory that refuses goes to `failures`.
        """
        tried: list[str | None] = []

        def noted() -> str | None:
            tried.append(None)
            tried.append(do())
            return tried[-1]

        try:
            told = self.do(thing, occurrence, noted)
        except IdempotencyAlreadyInProgressError:
            # Somebody else is at it; if that fails, the retry finds it over.
            raise
        except Exception as error:
            if tried and tried[-1] is None:
                raise
            _log.warning("%s: it is not kept that people know: %s", thing, error)
            failures.append(error)
            return tried[-1] if tried else do()
        # Nobody is believed to know without a message that SNS took.
        return told or do()


def _done(
    *,
    key: dict[str, str],  # noqa: ARG001 - what powertools knows it by
    do: Do,
) -> str | None:
    return do()

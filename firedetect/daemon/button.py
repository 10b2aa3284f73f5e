"""What a push button at the device asks for: who stands before the siren needs no password."""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

import structlog

from firedetect.decision.outcome import Outcome
from firedetect.errors import ControlError
from firedetect.outputs.button import Contact
from firedetect.readings import CommandAction, CommandSource

RESET_AFTER_S: Final = 5.0
"""Nobody holds a button for so long by mistake; until then it is a short press."""
STUCK_AFTER_S: Final = 60.0
CALM_S: Final = 60.0
PRESSES_MAX: Final = 5
"""So many within a minute are no person: a wet or melting cable would silence a fire for ever."""
_OPEN_AGAIN_S: Final = 5.0
_TROUBLE: Final = "button"

_log = structlog.get_logger()

Ask = Callable[[CommandAction, CommandSource, float | None], Awaitable[Outcome]]


class Button:
    """Acknowledges and silences when pressed, resets when held; refused like any other command.

    A line that cannot be read, is held for a minute or chatters is a trouble until it has been calm
    for a minute, and asks for nothing; detection needs no button.
    """

    def __init__(
        self, contact: Contact, ask: Ask, report: Callable[[str, str | None], None]
    ) -> None:
        self._contact = contact
        self._ask = ask
        self._report = report
        self._presses: deque[float] = deque(maxlen=PRESSES_MAX + 1)

    async def run(self) -> None:
        """Follow the button for ever."""
        while True:
            try:
                async with self._watched() as changes:
                    await self._follow(changes)
            except OSError as error:
                self._report(_TROUBLE, f"the line cannot be read: {error}")
            await asyncio.sleep(_OPEN_AGAIN_S)

    async def _follow(self, changes: "asyncio.Queue[bool | OSError]") -> None:
        if self._contact.pressed():
            # Nobody was seen to press it: perhaps a short circuit.
            await self._let_go(changes, STUCK_AFTER_S)
        while True:
            await self._pressed(changes)
            if self._chatters():
                self._report(_TROUBLE, "chatters: its cable, or the button itself")
                await self._let_go(changes, STUCK_AFTER_S)
                continue
            if await _released(changes, RESET_AFTER_S):
                await self._do(CommandAction.ACKNOWLEDGE)
                await self._do(CommandAction.SILENCE)
                continue
            await self._do(CommandAction.RESET)
            await self._let_go(changes, STUCK_AFTER_S - RESET_AFTER_S)

    async def _pressed(self, changes: "asyncio.Queue[bool | OSError]") -> None:
        """Wait for a press; a line that was calm for a minute is in order."""
        while True:
            try:
                async with asyncio.timeout(CALM_S):
                    if await _next(changes):
                        return
            except TimeoutError:
                self._report(_TROUBLE, None)

    async def _let_go(self, changes: "asyncio.Queue[bool | OSError]", within_s: float) -> None:
        if not await _released(changes, within_s):
            self._report(_TROUBLE, "is held: a short circuit, or a button that sticks")
            while await _next(changes):
                pass

    def _chatters(self) -> bool:
        now_s = asyncio.get_running_loop().time()
        self._presses.append(now_s)
        return len(self._presses) > PRESSES_MAX and now_s - self._presses[0] < CALM_S

    async def _do(self, action: CommandAction) -> None:
        try:
            outcome = await self._ask(action, CommandSource.LOCAL, None)
        except (TimeoutError, ControlError) as error:
            _log.error("button", asked=action.value, error=str(error) or "no answer")
            return
        answer = outcome.answer
        _log.info("button", asked=action.value, answer=answer.detail if answer else "")

    @contextlib.asynccontextmanager
    async def _watched(self) -> AsyncIterator["asyncio.Queue[bool | OSError]"]:
        """Open the line; what it changes to, or what ends that, comes in a queue."""
        changes: asyncio.Queue[bool | OSError] = asyncio.Queue()
        loop = asyncio.get_running_loop()
        descriptor = self._contact.open()

        def changed() -> None:
            try:
                for pressed in self._contact.changes():
                    changes.put_nowait(pressed)
            except OSError as error:
                loop.remove_reader(descriptor)
                changes.put_nowait(error)

        loop.add_reader(descriptor, changed)
        try:
            yield changes
        finally:
            loop.remove_reader(descriptor)
            with contextlib.suppress(OSError):
                self._contact.close()


async def _next(changes: "asyncio.Queue[bool | OSError]") -> bool:
    change = await changes.get()
    if isinstance(change, OSError):
        raise change
    return change


async def _released(changes: "asyncio.Queue[bool | OSError]", within_s: float) -> bool:
    """Whether a pressed button is let go in time."""
    try:
        async with asyncio.timeout(within_s):
            while await _next(changes):
                pass
    except TimeoutError:
        return False
    return True

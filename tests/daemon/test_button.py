"""The button beside the siren: a press acknowledges and silences, holding it resets."""

import asyncio
import errno
import os
from types import SimpleNamespace

import gpiod
import pytest
from gpiod.line import Value
from pydantic import ValidationError

from firedetect.clock import ManualClock, run_virtual
from firedetect.config import OutputSettings
from firedetect.daemon.button import Button
from firedetect.decision.machine import AlarmState
from firedetect.errors import ControlError
from firedetect.outputs.button import GpioButton
from firedetect.readings import CommandAction, CommandSource
from tests.fakes.detector import running, virtual

ACK, SILENCE, RESET = CommandAction.ACKNOWLEDGE, CommandAction.SILENCE, CommandAction.RESET
RISING = gpiod.EdgeEvent.Type.RISING_EDGE
FALLING = gpiod.EdgeEvent.Type.FALLING_EDGE


class Wire:
    """A button at the end of a pipe."""

    def __init__(self):
        self.problems = []
        self.opened = 0
        self.shorted = False
        self._ends = None

    def open(self):
        self.opened += 1
        self._fail()
        self._ends = os.pipe()
        return self._ends[0]

    def pressed(self):
        return self.shorted

    def changes(self):
        self._fail()
        return [sign == ord("1") for sign in os.read(self._ends[0], 64)]

    def close(self):
        for end in self._ends or ():
            os.close(end)
        self._ends = None

    def press(self, *, down):
        os.write(self._ends[1], b"1" if down else b"0")

    def _fail(self):
        if self.problems:
            raise self.problems.pop(0)


class Desk:
    def __init__(self):
        self.asked, self.problem = [], None

    async def __call__(self, action, source, duration_s):
        self.asked.append(action)
        assert (source, duration_s) == (CommandSource.LOCAL, None)
        if self.problem is not None:
            raise self.problem
        return SimpleNamespace(answer=None)


class Troubles(list):
    def __call__(self, name, detail):
        assert name == "button"
        if not self or self[-1] != detail:
            self.append(detail)


def hall():
    """A button with its desk; `press` holds it for some seconds."""
    made = SimpleNamespace(wire=Wire(), desk=Desk(), troubles=Troubles())
    made.button = Button(made.wire, made.desk, made.troubles)

    async def press(seconds):
        made.wire.press(down=True)
        await asyncio.sleep(seconds)
        made.wire.press(down=False)
        await asyncio.sleep(0.5)

    made.press = press
    return made


def followed(test, *, shorted=False):
    """Run an async test on a manual clock with a button that is followed."""

    async def follow():
        made = hall()
        made.wire.shorted = shorted
        task = asyncio.create_task(made.button.run())
        await asyncio.sleep(0.5)
        try:
            await test(made)
        finally:
            task.cancel()
            await asyncio.wait({task})

    def run():
        run_virtual(follow(), ManualClock())

    run.__name__ = test.__name__
    return run


@followed
async def test_a_press_acknowledges_and_silences(hall):
    await hall.press(0.3)
    assert hall.desk.asked == [ACK, SILENCE]
    await hall.press(4.5)
    assert hall.desk.asked == [ACK, SILENCE] * 2
    assert hall.troubles == []


@followed
async def test_a_held_button_resets_once(hall):
    await hall.press(20.0)
    assert hall.desk.asked == [RESET]
    await hall.press(0.3)
    assert hall.desk.asked == [RESET, ACK, SILENCE]


@followed
async def test_a_button_that_sticks_is_a_trouble_until_it_is_let_go(hall):
    await hall.press(61.0)
    assert hall.desk.asked == [RESET]
    assert "is held" in hall.troubles[-1]
    await asyncio.sleep(61.0)
    assert hall.troubles[1:] == [None]
    await hall.press(0.3)
    assert hall.desk.asked[1:] == [ACK, SILENCE]


@followed
async def test_a_cable_that_chatters_silences_a_fire_a_few_times_only(hall):
    for _ in range(600):
        await hall.press(0.1)
        await asyncio.sleep(2.4)
    assert hall.desk.asked == [ACK, SILENCE] * 5
    assert "chatters" in hall.troubles[-1]
    await asyncio.sleep(61.0)
    assert hall.troubles[1:] == [None]
    await hall.press(0.3)
    assert hall.desk.asked == [ACK, SILENCE] * 6


def test_a_line_that_is_short_from_the_start_is_a_trouble_and_asks_for_nothing():
    async def short(made):
        await asyncio.sleep(50.0)
        assert (made.desk.asked, made.troubles) == ([], [])
        await asyncio.sleep(20.0)
        assert (made.desk.asked, "is held" in made.troubles[-1]) == ([], True)
        made.wire.press(down=False)
        await asyncio.sleep(61.0)
        assert made.troubles[1:] == [None]
        await made.press(0.3)
        assert made.desk.asked == [ACK, SILENCE]

    followed(short, shorted=True)()


@followed
async def test_a_detector_that_does_not_answer_ends_nothing(hall):
    for problem in (TimeoutError(), ControlError("too many commands at once"), None):
        hall.desk.problem = problem
        await hall.press(0.3)
    assert hall.desk.asked == [ACK, SILENCE] * 3


@followed
async def test_a_line_that_fails_is_opened_again(hall):
    hall.wire.problems = [OSError(errno.ENODEV, "gone"), OSError(errno.EBUSY, "in use")]
    hall.wire.press(down=True)
    await asyncio.sleep(1.0)
    assert "gone" in hall.troubles[-1]
    await asyncio.sleep(6.0)
    assert "in use" in hall.troubles[-1]
    await asyncio.sleep(5.0)
    assert (hall.wire.opened, "in use" in hall.troubles[-1]) == (3, True)
    await hall.press(0.3)
    assert hall.desk.asked == [ACK, SILENCE]
    await asyncio.sleep(61.0)
    assert hall.troubles[-1] is None


@virtual
async def test_in_a_fire_the_button_silences_and_cannot_reset(tmp_path, clock):
    wire = Wire()
    async with running(tmp_path, "waste-bin", clock=clock, button=wire) as site:
        await asyncio.sleep(5.0)
        await site.until(lambda: site.last.alarm is AlarmState.SOUNDING, 60)
        wire.press(down=True)
        await asyncio.sleep(0.2)
        wire.press(down=False)
        await asyncio.sleep(1.0)
        assert site.last.alarm is AlarmState.ACKNOWLEDGED_SILENCED
        wire.press(down=True)
        await asyncio.sleep(6.0)
        wire.press(down=False)
        await asyncio.sleep(1.0)
        assert site.last.latched


class FakeRequest:
    def __init__(self, edges=()):
        self.fd, self.edges, self.released = 7, list(edges), False

    def get_value(self, line):
        assert line == 23
        return Value.ACTIVE if self.edges else Value.INACTIVE

    def read_edge_events(self):
        if not self.edges:
            raise gpiod.RequestReleasedError
        return [SimpleNamespace(event_type=self.edges.pop(0))]

    def release(self):
        self.released = True


def test_a_line_to_ground_is_read_by_its_edges():
    settings = OutputSettings(enabled=True, button_line=23)
    request = FakeRequest([RISING, FALLING])
    asked = []

    def requested(*what):
        asked.append(what)
        return request

    button = GpioButton(settings, 23, requested)
    with pytest.raises(OSError, match="not open"):
        button.changes()
    assert button.open() == 7
    assert asked == [(settings, 23)]
    assert button.pressed()
    assert [button.changes(), button.changes()] == [[True], [False]]
    assert not button.pressed()
    with pytest.raises(OSError, match="released"):
        button.changes()
    button.close()
    button.close()
    assert request.released


def test_without_its_chip_the_error_says_so():
    settings = OutputSettings(enabled=True, chip_label="no-such-chip", button_line=23)
    with pytest.raises(OSError, match="no GPIO chip with label no-such-chip"):
        GpioButton(settings, 23).open()


def test_a_button_that_nobody_would_read_is_refused():
    with pytest.raises(ValidationError, match="outputs are enabled"):
        OutputSettings(button_line=23)


def test_no_two_things_share_a_line():
    with pytest.raises(ValidationError, match="a line each"):
        OutputSettings(enabled=True, button_line=17)
    with pytest.raises(ValidationError, match="a line each"):
        OutputSettings(siren_line=22)

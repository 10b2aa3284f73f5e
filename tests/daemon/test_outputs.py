"""Siren, light and trouble relay on GPIO lines: what is left behind, what survives a failure."""

import errno
from types import SimpleNamespace

import gpiod
import pytest
from gpiod.exception import RequestReleasedError
from gpiod.line import Value

from firedetect.config import OutputSettings
from firedetect.outputs import local
from firedetect.outputs.local import GpioLines, Pattern, find_chip

SETTINGS = OutputSettings()
SIREN, LIGHT, TROUBLE = SETTINGS.siren_line, SETTINGS.light_line, SETTINGS.trouble_line
ALARM = Pattern(siren=True, light=True, trouble=False)


LINES = [SIREN, LIGHT, TROUBLE]


class FakeLines:
    """Three lines that keep what they were driven to, as a kernel does, also when released."""

    def __init__(self):
        self.log = []
        self.driven = {}
        self.failures = []
        self.release_failure = None

    def request(self, settings, line):
        assert settings is SETTINGS
        self.note("request", line)
        return FakeLine(self, line)

    def note(self, step, line):
        self.log.append((step, line))
        if self.failures:
            failure = self.failures.pop(0)
            if failure is not None:
                raise failure


class FakeLine:
    def __init__(self, lines, line):
        self.lines, self.line = lines, line

    def set_value(self, line, value):
        assert line == self.line
        self.lines.note("set", line)
        self.lines.driven[line] = value

    def release(self):
        self.lines.log.append(("release", self.line))
        if self.lines.release_failure is not None:
            raise self.lines.release_failure


@pytest.fixture
def fake():
    return FakeLines()


@pytest.fixture
def lines(fake):
    return GpioLines(SETTINGS, fake.request)


def steps(*names, lines=LINES):
    return [(name, line) for line in lines for name in names]


def test_trouble_line_is_active_without_trouble(fake, lines):
    lines.set(ALARM)
    assert fake.driven == {SIREN: Value.ACTIVE, LIGHT: Value.ACTIVE, TROUBLE: Value.ACTIVE}
    assert fake.log == steps("request", "set")
    lines.set(Pattern())
    assert set(fake.driven.values()) == {Value.INACTIVE}
    assert fake.log[6:] == steps("set")


def test_close_switches_to_rest_before_it_gives_the_lines_free(fake, lines):
    lines.set(ALARM)
    del fake.log[:]
    lines.close()
    assert fake.log == steps("set", "release")
    assert fake.driven == dict.fromkeys(LINES, Value.INACTIVE)
    lines.close()
    assert fake.log == steps("set", "release")


def test_close_releases_lines_that_cannot_be_switched(fake, lines):
    lines.set(ALARM)
    del fake.log[:]
    fake.failures = [RequestReleasedError()]
    with pytest.raises(OSError, match="have been released"):
        lines.close()
    assert fake.log == steps("set", "release")
    assert [fake.driven[line] for line in LINES] == [Value.ACTIVE, Value.INACTIVE, Value.INACTIVE]


def test_close_without_lines_does_nothing(fake, lines):
    lines.close()
    assert fake.log == []


@pytest.mark.fault("F65")
@pytest.mark.parametrize(
    "failure",
    [OSError(errno.EIO, "Input/output error"), RequestReleasedError(), ValueError("unknown line")],
    ids=lambda failure: type(failure).__name__,
)
@pytest.mark.parametrize("release_failure", [None, RequestReleasedError()])
@pytest.mark.parametrize("place", range(3), ids=["siren", "light", "trouble"])
def test_a_line_is_requested_again_after_a_failure(fake, lines, failure, release_failure, place):
    lines.set(ALARM)
    del fake.log[:]
    fake.failures, fake.release_failure = [*[None] * place, failure], release_failure
    failed, others = LINES[place], LINES[:place] + LINES[place + 1 :]
    with pytest.raises(OSError, match=str(failure).replace("[", r"\[")):
        lines.set(ALARM)
    assert ("release", failed) in fake.log
    # The alarm that sounds is not switched off by the failure, and the others are driven.
    assert set(fake.driven.values()) == {Value.ACTIVE}
    assert [("set", line) in fake.log for line in others] == [True, True]
    del fake.log[:]
    lines.set(ALARM)
    assert [line for step, line in fake.log if step == "request"] == [failed]


def test_failed_request_is_tried_again(fake, lines):
    busy, missing = OSError(errno.EBUSY, "Device or resource busy"), TypeError("no such line")
    for failure in (busy, missing):
        fake.failures = [failure]
        with pytest.raises(OSError, match=str(failure).replace("[", r"\[")):
            lines.set(ALARM)
        assert SIREN not in fake.driven
        assert fake.driven == {LIGHT: Value.ACTIVE, TROUBLE: Value.ACTIVE}
    lines.set(ALARM)
    assert fake.driven[SIREN] is Value.ACTIVE


@pytest.fixture
def chips(tmp_path, monkeypatch):
    """Three chips, of which the first may not be opened."""

    class Chip:
        def __init__(self, path):
            self.number = int(path[-1])
            if self.number == 0:
                raise PermissionError(errno.EACCES, "Permission denied")

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def get_info(self):
            return SimpleNamespace(label=f"chip-{self.number}")

    for number in range(3):
        (tmp_path / f"gpiochip{number}").touch()
    monkeypatch.setattr(gpiod, "Chip", Chip)
    return tmp_path


def test_chip_is_found_past_one_that_may_not_be_opened(chips):
    assert find_chip("chip-2", chips) == str(chips / "gpiochip2")


def test_missing_chip_is_an_error_that_names_what_was_not_readable(chips):
    with pytest.raises(OSError, match=r"label pinctrl-rp1; .*gpiochip0 \(Permission denied\)"):
        find_chip("pinctrl-rp1", chips)


def test_no_chip_at_all_is_an_error(tmp_path):
    with pytest.raises(OSError, match=r"no GPIO chip with label chip-1$"):
        find_chip("chip-1", tmp_path)


def test_lines_of_a_missing_chip_are_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(local, "find_chip", lambda label: find_chip(label, tmp_path))
    with pytest.raises(OSError, match="no GPIO chip"):
        GpioLines(SETTINGS).set(ALARM)


class Kernel:
    """Gives lines to those who ask for them, but for the ones that another program has taken."""

    def __init__(self, *taken):
        self.taken, self.driven = taken, {}

    def request_lines(self, _path, consumer, config):  # noqa: ARG002 - as gpiod is asked
        lines = [line for key in config for line in (key if isinstance(key, tuple) else (key,))]
        if set(lines) & set(self.taken):
            raise OSError(errno.EBUSY, "Device or resource busy")
        return self

    def set_values(self, values):
        self.driven.update(values)

    def set_value(self, line, value):
        self.driven[line] = value

    def release(self):
        pass


@pytest.mark.fault("F65")
@pytest.mark.parametrize("taken", [SIREN, LIGHT, TROUBLE])
def test_one_line_that_fails_leaves_the_others_driven(tmp_path, monkeypatch, taken):
    kernel = Kernel(taken)
    (tmp_path / "gpiochip0").touch()
    monkeypatch.setattr(gpiod, "request_lines", kernel.request_lines)
    monkeypatch.setattr(local, "find_chip", lambda _label: str(tmp_path / "gpiochip0"))
    with pytest.raises(OSError, match="busy"):
        GpioLines(SETTINGS).set(ALARM)
    others = {SIREN, LIGHT, TROUBLE} - {taken}
    assert kernel.driven == dict.fromkeys(others, Value.ACTIVE)

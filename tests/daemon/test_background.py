"""A reader that stops reading holds nobody; what was written comes in order."""

import io
import threading

import pytest

from firedetect.daemon.background import LINES_MAX, BackgroundStream
from firedetect.daemon.commands import _write_json
from firedetect.pipeline import Pipeline
from firedetect.readings import Tick


class SlowReader(io.StringIO):
    """Takes nothing until told to."""

    def __init__(self):
        super().__init__()
        self.go = threading.Event()

    def write(self, text):
        self.go.wait(10.0)
        return super().write(text)


class FullDisk(io.StringIO):
    def write(self, _text):
        raise OSError(28, "no space left")


def test_lines_come_in_order():
    out = io.StringIO()
    stream = BackgroundStream(out, end_unread=False)
    for number in range(100):
        stream.write(f"{number}\n")
    stream.close()
    assert out.getvalue().split() == [str(number) for number in range(100)]


def test_a_reader_that_stops_holds_nobody_and_what_is_too_much_is_counted():
    out = SlowReader()
    stream = BackgroundStream(out, end_unread=False)
    for number in range(LINES_MAX + 50):
        stream.write(f"{number}\n")
    assert 40 <= stream.dropped <= 50
    out.go.set()
    stream.close()
    assert out.getvalue().startswith("0\n1\n2\n")


def test_lost_json_lines_end_the_listener_instead_of_leaving_a_gap():
    stream = BackgroundStream(FullDisk(), end_unread=False)
    outcomes = list(Pipeline(None).run([Tick(0), Tick(10**9)]))
    _write_json(stream, outcomes[0])
    stream.close()
    with pytest.raises(OSError, match="lines are lost"):
        _write_json(stream, outcomes[-1])


def test_a_full_disk_is_survived_and_counted():
    stream = BackgroundStream(FullDisk(), end_unread=False)
    stream.write("one\n")
    stream.close()
    assert stream.dropped == 1
    assert not stream.isatty()

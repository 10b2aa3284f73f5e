"""Log lines never stop the detector, whatever is behind them."""

import io
import json

import pytest
import structlog

from firedetect.config import LogSettings
from firedetect.daemon.logs import configure_logging


@pytest.fixture(autouse=True)
def _restored_configuration():
    yield
    structlog.reset_defaults()


class FullDisk(io.StringIO):
    def write(self, _text):
        raise OSError(28, "no space left")


@pytest.mark.parametrize("form", ["text", "json", "journal"])
def test_a_log_that_cannot_be_written_is_survived(form):
    configure_logging(LogSettings(format=form), FullDisk())
    log = structlog.get_logger()
    log.info("one")
    log.error("two", exc_info=ValueError("three"))
    closed = io.StringIO()
    configure_logging(LogSettings(format=form), closed)
    closed.close()
    structlog.get_logger().warning("four")


def test_json_lines_carry_priority_fields_and_no_lower_level():
    out = io.StringIO()
    configure_logging(LogSettings(format="json", level="warning"), out)
    log = structlog.get_logger()
    log.info("quiet")
    log.warning("loud", t_s=1.5, reasons=["H1"])
    (line,) = out.getvalue().splitlines()
    assert line.startswith("<4>")
    assert json.loads(line[3:]).items() >= {"event": "loud", "t_s": 1.5, "reasons": ["H1"]}.items()


def test_text_tells_the_error_in_one_line():
    out = io.StringIO()
    configure_logging(LogSettings(format="text"), out)
    structlog.get_logger().error("failed", exc_info=ValueError("why"))
    assert "ValueError: why" in out.getvalue()
    assert "Traceback" not in out.getvalue()

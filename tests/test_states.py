"""The tables in the documentation are the tables in the code."""

from pathlib import Path

from firedetect.contract.level import Health
from firedetect.decision.health import HEALTH_TABLE, Trust
from firedetect.decision.machine import ALARM_TABLE, AlarmInput, AlarmState

PAGE = Path(__file__).parent.parent / "docs" / "states.md"


def alarm_rows():
    yield "| what happens | " + " | ".join(AlarmState) + " |"
    yield "|---" * (len(AlarmState) + 1) + "|"
    for happened in AlarmInput:
        cells = []
        for state in AlarmState:
            step = ALARM_TABLE[state, happened]
            cells.append(f"refused: {step.refused}" if step.refused else str(step.state))
        yield f"| {happened.value} | " + " | ".join(cells) + " |"


def health_rows():
    yield "| trusted fire inputs | " + " | ".join(Health) + " |"
    yield "|---" * (len(Health) + 1) + "|"
    for trust in Trust:
        cells = [HEALTH_TABLE[health, trust] for health in Health]
        yield f"| {trust.value} | " + " | ".join(cells) + " |"


def test_the_page_shows_both_tables():
    text = PAGE.read_text()
    for rows in (alarm_rows(), health_rows()):
        assert "\n".join(rows) in text

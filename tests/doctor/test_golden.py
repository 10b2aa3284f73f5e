"""What the doctor prints for each planted failure, to the letter."""

import re
from pathlib import Path

import pytest

from tests.doctor.machine import Pi
from tests.doctor.plants import PLANTS
from tests.doctor.rewrite import GOLDEN, text_of

WIRING = Path(__file__).parents[2] / "docs" / "wiring.md"
FIELD_FAILURES = range(1, 11)
HEALTHY = {"healthy", "sleeping-scd41"}


@pytest.mark.parametrize("name", PLANTS)
def test_the_doctor_says_what_it_is_known_to_say(name, tmp_path):
    assert text_of(name, tmp_path) == (GOLDEN / f"{name}.txt").read_text()


def test_every_golden_text_has_its_plant():
    assert {path.stem for path in GOLDEN.glob("*.txt")} == set(PLANTS)


def test_a_healthy_pi_lacks_a_cloud_and_nothing_else(tmp_path):
    unwell = [finding.name for finding in Pi(tmp_path).findings() if finding.state != "ok"]
    assert unwell == ["cloud"]


@pytest.mark.parametrize("name", sorted(set(PLANTS) - HEALTHY))
def test_every_failure_is_seen_and_every_line_that_is_not_ok_says_what_to_do(name, tmp_path):
    pi = Pi(tmp_path)
    PLANTS[name](pi)
    found = [finding for finding in pi.findings() if finding.state != "ok"]
    assert [finding.name for finding in found] != ["cloud"]
    for finding in found:
        assert finding.advice, finding.name


def test_the_page_on_wiring_shows_what_the_doctor_says():
    said = {line for path in GOLDEN.glob("*.txt") for line in path.read_text().splitlines()}
    text = WIRING.read_text()
    blocks = re.findall(r"^```\n((?:ok  |warn|FAIL).*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
    shown = [line for block in blocks for line in block.splitlines()]
    assert len(shown) > 20
    assert set(shown) <= said


def test_the_page_on_wiring_has_a_row_for_each_field_failure():
    rows = re.findall(
        r"^\| (\d+) \|.*?golden/([a-z0-9-]+\.txt)", WIRING.read_text(), flags=re.MULTILINE
    )
    assert {int(number) for number, _ in rows} == set(FIELD_FAILURES)
    for _, golden in rows:
        assert (GOLDEN / golden).exists(), golden

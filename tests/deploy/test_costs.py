"""What a detector costs: from prices with dates, and the handbook says the same."""

import csv
import json

import pytest

from deploy import handbook
from deploy.costs import (
    BATCH_BYTES,
    BEAT_S,
    LEASE_S,
    PRICES,
    SHADOW_S,
    Setting,
    costs,
    main,
    prices,
)
from firedetect.lambdas.supervisor import LEASE_EVERY_S
from firedetect.uplink import beat, meter, shadow_sync


def test_every_price_has_unit_region_date_and_source():
    with PRICES.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert len({row["name"] for row in rows}) == len(rows)
    for row in rows:
        assert all(row.values()), row
        assert float(row["usd"]) > 0
        assert row["mark"] in {"known", "source"}


def test_the_prices_of_iot_are_those_that_the_detector_reckons_with():
    price = prices()
    assert price["iot_connected_minute"] == meter.USD_PER_CONNECTED_MINUTE
    assert price["iot_message"] == meter.USD_PER_MESSAGE
    assert price["iot_shadow_operation"] == meter.USD_PER_SHADOW_OPERATION
    both = price["iot_rule"] + price["iot_action"]
    assert both == pytest.approx(meter.USD_PER_RULE_AND_ACTION)


def test_intervals_are_those_of_the_program():
    assert BEAT_S == beat.BEAT_EVERY_S
    assert LEASE_S == LEASE_EVERY_S
    assert SHADOW_S == shadow_sync.KEEP_FRESH_S


def test_iot_core_and_rules_cost_what_the_detector_says_itself_and_what_the_cloud_sends():
    found = costs(Setting())
    messages = 3 * meter.MONTH_S * (1 / LEASE_S + 1 / SHADOW_S)
    sent = meter.expected()["usd"] + messages * prices()["iot_message"]
    assert found["IoT Core"] + found["rules"] == pytest.approx(sent, rel=0.01)


def test_more_of_anything_costs_more_and_more_detectors_share():
    def total(**changes):
        return sum(costs(Setting(**changes)).values())

    plain = total()
    assert total(telemetry="1s") > total(telemetry="10s") > plain
    assert total(pictures=10) > plain
    assert total(incidents=5) > plain
    assert total(sms=2) > plain
    assert total(endpoint=True) == pytest.approx(plain + 84 / 100, rel=0.01)
    assert total(devices=1000) < plain < total(devices=10)
    assert set(BATCH_BYTES) == {"60s", "10s", "1s"}


def test_the_items_add_up(capsys):
    assert main(["--devices", "40", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == costs(Setting(devices=40))
    assert main(["--telemetry", "10s"]) == 0
    said = capsys.readouterr().out
    assert f"**{sum(costs(Setting(telemetry='10s')).values()):.3f}**" in said
    with pytest.raises(SystemExit):
        main(["--devices", "0"])


def test_the_made_parts_of_the_handbook_are_current():
    text = handbook.README.read_text()
    assert handbook.current(text) == text, "python -m deploy.handbook"
    made = ("costs", "rights", "stacks", "wide")
    assert all(text.count(f"<!-- made: {name} -->") == 1 for name in made)


def test_a_stale_handbook_is_noticed():
    text = handbook.README.read_text()
    stale = text.replace("| **total** | **0.", "| **total** | **9.")
    assert stale != text
    assert handbook.current(stale) == text


def test_every_star_has_its_reason():
    for line in handbook.wide()[2:]:
        assert len(line.split("|")[3].strip()) > 10, line

"""A small fleet: nothing that a thing sends is left without an answer."""

import sys
from dataclasses import asdict

import pytest

from firedetect.cloudbox import fleet
from firedetect.errors import BoxError
from tests.fakes.box import running_broker


@pytest.mark.slow
async def test_every_message_of_two_hundred_things_is_acknowledged(tmp_path):
    async with running_broker(tmp_path) as broker:
        found = await fleet.run_fleet(broker, 200, 10.0)
    sys.stdout.write(f"{asdict(found)}\n")
    assert (found.connected, found.connections_lost) == (200, 0)
    assert found.sent == 2000
    assert found.acknowledged_pct == 100.0


def test_more_things_than_files_may_be_open_is_said():
    with pytest.raises(BoxError, match="ulimit"):
        fleet.raise_file_limit(10**9)


@pytest.mark.parametrize(("size", "header"), [(0, "1000"), (127, "107f"), (128, "108001")])
def test_lengths_are_written_as_mqtt_wants_them(size, header):
    assert fleet._packet(0x10, b"x" * size).hex().startswith(header)

"""The whole daemon with an SCD41 and a BME280 on the emulated bus, in virtual time."""

import errno
import math
from dataclasses import replace

import pytest

from firedetect.clock import ManualClock, run_virtual
from firedetect.config import AirSettings, Co2Settings, DeviceSettings, Settings
from firedetect.contract.level import Health, Level
from firedetect.daemon.app import run_daemon
from firedetect.daemon.emulation import emulated_port
from firedetect.daemon.models.choose import load_scorer
from firedetect.daemon.parts import Surroundings
from firedetect.daemon.replay import Overrides, replay
from firedetect.readings import AirReading, Co2Reading, Sensor, Started
from firedetect.sensors.recording import read_events
from firedetect.simulation.families import draw_episode
from firedetect.simulation.stage import Choice

NS = 1_000_000_000
WITH_BOTH = Choice(
    lens="narrow", co2=True, air=True, films=True, commissioned=False, in_view=True,
    lead_s=20.0, ambient_c=21.5,
)  # fmt: skip
FAULT_LIMIT_S = 10.0
"""Within which a lost fire input other than the array must be told."""


class Site:
    """A daemon on the bus of an episode; `at` maps seconds to what happens to the bus then."""

    def __init__(self, folder, choice=WITH_BOTH):
        self.clock = ManualClock()
        self.settings = Settings(
            device=DeviceSettings(data_dir=folder / "var"),
            co2=Co2Settings(enabled=True),
            air=AirSettings(enabled=True),
        )
        self.episode = draw_episode("people", (2,), choice)
        self.bus = emulated_port(self.episode, self.settings, self.clock)
        self.outcomes = []

    def run(self, seconds, at=None, record=None):
        due = sorted((at or {}).items())

        def hear(outcome):
            self.outcomes.append(outcome)
            while due and outcome.t_s >= due[0][0]:
                due.pop(0)[1](self.bus)

        around = Surroundings(
            clock=self.clock,
            open_port=lambda _number: self.bus,
            powered_s=lambda: 1e9,
            listeners=(hear,),
            duration_s=seconds,
            record=record,
            served=False,
        )
        run_virtual(run_daemon(self.settings, around), self.clock)
        return self.outcomes

    def told_s(self, trouble):
        """Return when a trouble was first told."""
        return next(o.t_s for o in self.outcomes if trouble in o.troubles)


def of(events, kind):
    return [event for event in events if isinstance(event, kind)]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    folder = tmp_path_factory.mktemp("optional")
    site = Site(folder)
    site.run(80.0, record=folder / "r.mcap")
    return site, folder / "r.mcap"


def test_both_deliver_what_the_episode_has(recorded):
    site, path = recorded
    events = list(read_events(path))
    readings = site.episode.readings
    begin = site.outcomes[0].t_s
    co2, air = of(events, Co2Reading), of(events, AirReading)
    assert 13 <= len(co2) <= 16
    assert 38 <= len(air) <= 41
    zero_ns = events[0].t_ns
    for reading in co2:
        # The chip measures every 5 s and is asked up to 0.25 s later.
        second = int((reading.t_ns - zero_ns) / NS - begin)
        assert reading.co2_ppm in readings.co2_ppm[max(second - 6, 0) : second + 2]
    for reading in air:
        second = int((reading.t_ns - zero_ns) / NS - begin)
        near = slice(max(second - 1, 0), second + 2)
        assert abs(readings.air_c[near] - reading.temp_c).min() < 0.01
        assert abs(readings.rh_pct[near] - reading.rh_pct).min() < 0.03
        assert reading.pressure_hpa == pytest.approx(1013.25, abs=0.02)


def test_they_are_fire_inputs_and_columns_of_the_model(recorded):
    site, path = recorded
    streams = {s.sensor: s.stale_s for s in of(list(read_events(path)), Started)[0].streams}
    assert (streams[Sensor.CO2], streams[Sensor.AIR]) == (20.0, 8.0)
    last = site.outcomes[-1]
    assert (last.level, last.health, last.troubles) == (Level.NORMAL, Health.OK, ())
    # With an SCD41 the gas value is its concentration.
    assert last.features["gas_val"] in site.episode.readings.co2_ppm[60:]
    for name in ("co2_excess_ppm", "co2_rate_ppm_per_min", "air_rate_c_per_min", "rh_delta_pct"):
        assert math.isfinite(last.features[name])


def test_the_recording_replays_to_the_same_outcomes(recorded):
    site, path = recorded
    again = []
    replay(path, load_scorer(None), Overrides(), again.append)
    assert [o.as_json() for o in again] == [o.as_json() for o in site.outcomes]


@pytest.mark.fault("F24")
@pytest.mark.parametrize(
    ("sensor", "address"), [(Sensor.CO2, 0x62), (Sensor.AIR, 0x76)], ids=["co2", "air"]
)
def test_a_lost_one_is_told_in_time_and_comes_back(tmp_path, sensor, address):
    site = Site(tmp_path)
    site.run(
        65.0,
        at={
            30.0: lambda bus: bus.faults(address).fail(errno.EREMOTEIO),
            45.0: lambda bus: bus.faults(address).clear(),
        },
    )
    assert 30.0 <= site.told_s(f"{sensor}:no-answer") <= 30.0 + FAULT_LIMIT_S
    lost = [o for o in site.outcomes if 41.0 < o.t_s < 45.0]
    assert {o.health for o in lost} == {Health.DEGRADED}
    # Only the one that failed is in trouble.
    assert {t for o in lost for t in o.troubles} <= {f"{sensor}:no-answer", "gas:learning"}
    after = [o for o in site.outcomes if o.t_s > 45.0]
    assert min(o.t_s for o in after if not any(str(sensor) in t for t in o.troubles)) < 57.0


@pytest.mark.fault("F24")
def test_wrong_checksums_that_do_not_end_are_told_in_time(tmp_path):
    site = Site(tmp_path)
    # Just after a reading: the longest time to the next one.
    site.run(50.0, at={31.0: lambda bus: bus.faults(0x62).flip(2, 0xFF)})
    assert 31.0 <= site.told_s("co2:no-answer") <= 31.0 + FAULT_LIMIT_S


def test_an_enabled_sensor_that_the_episode_has_not_is_a_trouble_and_no_silence(tmp_path):
    site = Site(tmp_path, replace(WITH_BOTH, co2=False, air=False))
    last = site.run(15.0)[-1]
    assert {"co2:no-answer", "air:no-answer"} <= set(last.troubles)
    assert last.health is Health.DEGRADED

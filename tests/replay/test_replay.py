"""Replay: recorded events through the same pipeline, summed up as the contract says."""

import json
import math

import numba
import numpy as np
import pytest

from firedetect.clock import ManualClock
from firedetect.config import GasBaseline, GasSettings, Settings
from firedetect.contract.level import Level
from firedetect.contract.settings import Confirmation, DecisionSettings, Thresholds
from firedetect.daemon.models.choose import load_scorer
from firedetect.daemon.replay import Overrides, Summary, replay, replay_all
from firedetect.emulator.eeprom import encode_eeprom, typical_terms
from firedetect.emulator.mlx90640 import SceneSource
from firedetect.errors import BundleError, RecordingError
from firedetect.features.gas import counts_at, log_resistance
from firedetect.pipeline import Pipeline
from firedetect.readings import (
    Co2Reading,
    GasCounts,
    Restored,
    Sensor,
    SensorOpened,
    SettingsChanged,
    Started,
    Stream,
    SubPage,
    Tick,
)
from firedetect.sensors.recording import RecordingWriter

NS = 1_000_000_000
WALL_NS = 1_767_225_600 * NS
BEGIN_NS = 5_000 * NS
CONTROL = 0x1A01
"""Chess pattern, 18 bits, 8 Hz."""
AT_ONCE = DecisionSettings(
    confirm=Confirmation(k=1, n=1), confirm_emergency=Confirmation(k=1, n=1), hold_s=10.0
)


class ByCo2:
    """Hazard by CO2: 0 at 400 ppm, 1 at 1400 ppm."""

    version = "by-co2"

    def score(self, row):
        return 0.0 if math.isnan(row[15]) else min(max((float(row[15]) - 400.0) / 1000.0, 0.0), 1.0)


def written(path, events):
    with RecordingWriter(path) as writer:
        for event in events:
            writer.write(event)
    return path


def begin(*streams, decision=AT_ONCE):
    return [
        Started(BEGIN_NS, "dev", 4, WALL_NS, streams),
        SettingsChanged(BEGIN_NS, decision),
        Restored(BEGIN_NS),
    ]


def co2_course(*courses):
    """Seconds of CO2: (seconds, ppm) pairs, one reading and one tick a second."""
    events, second = begin(Stream(Sensor.CO2, 5.0)), 0
    for seconds, ppm in courses:
        for _ in range(seconds):
            t_ns = BEGIN_NS + second * NS
            events += [Co2Reading(t_ns, ppm), Tick(t_ns)]
            second += 1
    return events


def heard(path, scorer=None, overrides=None, pace=None):
    outcomes = []
    summary = replay(path, scorer, overrides or Overrides(), outcomes.append, pace)
    return summary, outcomes


@pytest.fixture
def rising(tmp_path):
    """Normal for 5 s, a warning at 5, an alert at 7, an emergency at 9, then fresh air."""
    course = co2_course((5, 410.0), (2, 850.0), (2, 1050.0), (1, 1250.0), (30, 410.0))
    return written(tmp_path / "rising.mcap", course)


@pytest.fixture
def three_alarms(tmp_path):
    course = co2_course(*[(20, 410.0), (3, 1050.0), (40, 410.0)] * 3)
    return written(tmp_path / "three.mcap", course)


def test_the_summary_is_what_the_contract_says(rising):
    summary, outcomes = heard(rising, ByCo2())
    record = summary.as_record(rising, took_s=2.0)
    assert " ".join(record) == (
        "recording duration_s max_level first declarations reasons troubles images images_per_s"
    )
    assert record["recording"] == str(rising)
    assert record["duration_s"] == 39.0
    assert record["max_level"] == "emergency"
    assert record["first"] == {
        "informational": 5.0,
        "warning": 5.0,
        "alert": 7.0,
        "emergency": 9.0,
    }
    assert record["declarations"] == {
        "informational": 0,
        "warning": 1,
        "alert": 1,
        "emergency": 1,
    }
    assert record["reasons"] == ["score"]
    assert record["troubles"] == ["co2:starting"]
    assert (record["images"], record["images_per_s"]) == (0, 0.0)
    assert outcomes[-1].level is Level.EMERGENCY
    json.dumps(record, allow_nan=False)


def test_what_was_never_declared_is_null(tmp_path):
    quiet = written(tmp_path / "quiet.mcap", co2_course((12, 410.0)))
    record = heard(quiet, ByCo2())[0].as_record(quiet, took_s=0.0)
    assert record["max_level"] == "normal"
    assert set(record["first"].values()) == {None}
    assert set(record["declarations"].values()) == {0}
    assert record["images_per_s"] is None


def test_without_a_reset_an_alarm_hides_the_next_ones(three_alarms):
    summary, _ = heard(three_alarms, ByCo2())
    assert summary.declarations == {Level.ALERT: 1}
    assert summary.first[Level.ALERT] == 20.0


def test_auto_reset_shows_every_alarm(three_alarms):
    summary, outcomes = heard(three_alarms, ByCo2(), Overrides(auto_reset_s=5.0))
    assert summary.declarations == {Level.ALERT: 3}
    assert summary.first[Level.ALERT] == 20.0
    resets = [outcome for outcome in outcomes if outcome.answer is not None]
    assert all(outcome.answer.accepted for outcome in resets)
    assert [o.answer.action for o in resets] == ["reset"] * 3
    # The alarm ends 3 s after it began, is held for 10 s, and is reset after 5 s of normal input.
    assert [o.t_s - 63.0 * k for k, o in enumerate(resets)] == pytest.approx([38.0] * 3, abs=2.0)
    assert len({o.incident_id for o in outcomes if o.incident_id}) == 3


def test_auto_reset_waits_for_normal_input(three_alarms):
    summary, outcomes = heard(three_alarms, ByCo2(), Overrides(auto_reset_s=1e6))
    assert summary.declarations == {Level.ALERT: 1}
    assert not any(outcome.answer for outcome in outcomes)


def test_every_level_that_is_newly_declared_counts(tmp_path):
    wave = written(tmp_path / "wave.mcap", co2_course(*[(15, 410.0), (3, 850.0), (40, 410.0)] * 2))
    summary, _ = heard(wave, ByCo2())
    assert summary.declarations == {Level.WARNING: 2}


def test_settings_of_the_user_replace_the_recorded_ones(rising):
    sharp = DecisionSettings(
        thresholds=Thresholds(informational=0.05, warning=0.1, alert=0.4, emergency=0.9),
        confirm=Confirmation(k=1, n=1),
    )
    summary, _ = heard(rising, ByCo2(), Overrides(settings=Settings(decision=sharp)))
    assert summary.first == {Level.INFORMATIONAL: 5.0, Level.WARNING: 5.0, Level.ALERT: 5.0}
    recorded, _ = heard(rising, ByCo2())
    assert recorded.first[Level.ALERT] == 7.0


def gas_course(seconds, co=760.0):
    events = begin(Stream(Sensor.GAS, 8.0))
    for second in range(seconds):
        t_ns = BEGIN_NS + second * NS
        events += [GasCounts(t_ns, 40.0, 70.0, 90.0, co), Tick(t_ns)]
    return events


def test_a_calibration_of_the_user_replaces_the_learnt_baseline(tmp_path):
    path = written(tmp_path / "gas.mcap", gas_course(15, co=800.0))
    clean = GasBaseline(no2=40.0, c2h5oh=70.0, voc=90.0, co=760.0)
    learnt, given = (
        heard(path, None, overrides)[1][-1].features["gas_delta"]
        for overrides in (Overrides(), Overrides(gas_baseline=clean))
    )
    assert learnt == pytest.approx(0.0, abs=1e-9)
    assert given == pytest.approx(50.0 * (log_resistance(760.0) - log_resistance(800.0)))


def test_replay_gives_what_the_pipeline_gave(rising):
    events = co2_course((5, 410.0), (2, 850.0), (2, 1050.0), (1, 1250.0), (30, 410.0))
    live = [outcome.as_json() for outcome in Pipeline(ByCo2()).run(events)]
    assert [outcome.as_json() for outcome in heard(rising, ByCo2())[1]] == live
    assert '"t_s": 39.0, "ts": "2026-01-01T00:00:39.000Z"' in live[-1]


def test_real_time_keeps_the_pace_of_the_recording(rising):
    clock = ManualClock()
    seen = []

    def hear(outcome):
        seen.append((outcome.t_s, clock.monotonic_ns() / NS))

    replay(rising, ByCo2(), Overrides(), hear, clock)
    assert clock.monotonic_ns() == 39 * NS
    assert all(now_s == pytest.approx(t_s) for t_s, now_s in seen)


def room(hot_c=22.0):
    scene = np.full((24, 32), 22.0)
    scene[10:13, 10:13] = hot_c
    return scene


def sub_pages(seconds, scene=room):
    """The raw words of an emulated array, eight sub-pages a second."""
    eeprom = encode_eeprom(typical_terms())
    # Without noise the pixels would be those of a frozen array.
    rng = np.random.default_rng(7)
    source = SceneSource(eeprom, lambda _t_s: scene() + rng.uniform(-0.1, 0.1, (24, 32)))
    events = begin(Stream(Sensor.THERMAL, 3.0))
    events.append(SensorOpened(BEGIN_NS, Sensor.THERMAL, 100.0, eeprom))
    for count in range(8 * seconds):
        t_ns = BEGIN_NS + count * NS // 8
        page, words = source(count, count / 8, CONTROL)
        events.append(SubPage(t_ns, np.append(words, np.array([CONTROL, page], dtype=np.uint16))))
        if count % 8 == 7:
            events.append(Tick(t_ns))
    return events


def test_raw_words_are_decoded_again(tmp_path):
    path = written(tmp_path / "raw.mcap", sub_pages(3, lambda: room(70.0)))
    summary, outcomes = heard(path)
    scored = [outcome for outcome in outcomes if outcome.features]
    assert summary.images == len(scored) == 12
    assert [o.t_s for o in scored] == [0.125 + 0.25 * k for k in range(12)]
    assert scored[-1].features["t_max"] == pytest.approx(70.0, abs=2.0)
    assert scored[-1].health.value == "ok"


def test_a_recording_that_was_cut_off_is_replayed_to_the_cut(tmp_path):
    whole = written(tmp_path / "whole.mcap", sub_pages(8))
    complete = heard(whole)[1]
    cut = tmp_path / "cut.mcap"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 3 // 5])
    outcomes = []
    with pytest.raises(RecordingError, match=r"cut\.mcap: is cut off or damaged after \d"):
        replay(cut, None, Overrides(), outcomes.append)
    assert 4 < len(outcomes) < len(complete)
    lines = [outcome.as_json() for outcome in outcomes]
    assert lines == [outcome.as_json() for outcome in complete[: len(outcomes)]]


# What is printed


def printed(capsys, *paths, **options):
    given = {"settings": None, "bundle": None, "auto_reset_s": None, "real_time": False}
    replay_all(list(paths), **{**given, **options})
    captured = capsys.readouterr()
    assert captured.err == ""
    return captured.out.splitlines()


def test_json_prints_one_object_per_outcome(rising, capsys):
    lines = printed(capsys, rising, form="json")
    records = [json.loads(line) for line in lines]
    assert len(records) == len(heard(rising)[1])
    for record in records:
        assert {
            *("t_s", "ts", "level", "score", "reasons", "current", "latched", "incident_id"),
            *("health", "troubles", "features", "model", "event_id"),
        } <= set(record)
    assert not any("NaN" in line for line in lines)
    assert records[-1]["features"]["t_max"] is None
    assert records[-1]["model"] == load_scorer(None).version


def test_summary_prints_one_object_per_recording(rising, three_alarms, capsys):
    records = [json.loads(line) for line in printed(capsys, rising, three_alarms, form="summary")]
    assert [record["recording"] for record in records] == [str(rising), str(three_alarms)]
    assert [record["duration_s"] for record in records] == [39.0, 188.0]


def test_text_prints_changes_of_level_and_health_and_the_summary(rising, capsys):
    lines = printed(capsys, rising, form="text")
    assert json.loads(lines[-1])["recording"] == str(rising)
    changes = [line.split() for line in lines[:-1]]
    assert changes[0][:3] == ["0.00", "s", "normal"]
    assert changes[0][-1] in {"ok", "blind"}
    assert 2 <= len(changes) < 10


def test_settings_and_calibration_of_a_file_reach_the_replay(tmp_path, capsys):
    path = written(tmp_path / "gas.mcap", gas_course(15, co=800.0))
    calibration = tmp_path / "gas.toml"
    calibration.write_text("[gas]\nno2 = 40\nc2h5oh = 70\nvoc = 90\nco = 760\n")
    settings = Settings(gas=GasSettings(calibration=calibration))
    records = [json.loads(line) for line in printed(capsys, path, settings=settings, form="json")]
    assert records[-1]["features"]["gas_delta"] > 10.0


def test_a_bundle_that_is_none_is_said(rising, tmp_path, capsys):
    with pytest.raises(BundleError):
        printed(capsys, rising, form="json", bundle=tmp_path / "nothing")


def test_everything_readable_is_printed_before_the_error(rising, tmp_path, capsys):
    cut = written(tmp_path / "cut.mcap", co2_course((300, 410.0)))
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size * 4 // 5])
    with pytest.raises(RecordingError, match=r"cut\.mcap"):
        printed(capsys, rising, cut, rising, form="json")
    out = capsys.readouterr().out.splitlines()
    assert len(out) > len(heard(rising)[1])


def test_a_summary_forgets_nothing_between_outcomes():
    summary = Summary()
    assert summary.as_record("x", 1.0)["max_level"] == "normal"


# Real sensors


def melexis_pages(folder):
    """The two sub-pages of the maker's example, as the driver would deliver them at 8 Hz."""
    example = json.loads((folder / "example.json").read_text())
    pages = [
        np.array([*frame["ram_words"], CONTROL, number], dtype=np.uint16)
        for number, frame in enumerate(example["frames"])
    ]
    return np.array(example["eeprom_words"], dtype=np.uint16), pages


SUBSTANCES = 20
STRONGEST = ("dill", "nutmeg", "peach")


def recordings_of(folder):
    """Every recording of odours by its substance: rows of time (s) and four counts, in order."""
    parquet = pytest.importorskip("pyarrow.parquet")
    columns = ["substance", "recording", "t_s", "no2", "c2h5oh", "voc", "co"]
    table = parquet.read_table(folder / "offline_training.parquet", columns=columns).to_pydict()
    found = {}
    for substance, recording, t_s, *counts in zip(*table.values(), strict=True):
        rows = found.setdefault(substance, {}).setdefault(recording, [])
        rows.append((t_s, tuple(map(float, counts))))
    return {
        substance: {name: sorted(rows) for name, rows in sorted(recordings.items())}
        for substance, recordings in sorted(found.items())
    }


def first_recordings(folder):
    """The alphabetically first recording of each of the alphabetically first substances."""
    every = list(recordings_of(folder).values())[:SUBSTANCES]
    return dict(next(iter(recordings.items())) for recordings in every)


def with_carbon_monoxide(rows):
    """The same counts with the CO film's ln resistance lowered by 1.5 between 200 s and 320 s."""
    planted = []
    for t_s, (no2, c2h5oh, voc, co) in rows:
        share = min(max((t_s - 200.0) / 120.0, 0.0), 1.0)
        smooth = share * share * (3.0 - 2.0 * share)
        raised = min(counts_at(log_resistance(co) - 1.5 * smooth), 1015.0)
        planted.append((t_s, (no2, c2h5oh, voc, raised if smooth else co)))
    return planted


def real_recording(path, arrays, rows, page_s=20):
    """Real words of the array for `page_s` seconds, real counts of the gas board once a second."""
    eeprom, pages = arrays
    events = begin(
        Stream(Sensor.THERMAL, 3.0), Stream(Sensor.GAS, 8.0), decision=DecisionSettings()
    )
    events.append(SensorOpened(BEGIN_NS, Sensor.THERMAL, 3600.0, eeprom, emissivity=1.0))
    events.append(SensorOpened(BEGIN_NS, Sensor.GAS, 3600.0))
    for count in range(8 * page_s):
        events.append(SubPage(BEGIN_NS + count * NS // 8, pages[count % 2]))
    for t_s, counts in rows:
        t_ns = BEGIN_NS + round(t_s * NS)
        events += [GasCounts(t_ns, *counts), Tick(t_ns)]
    return written(path, sorted(events, key=lambda event: event.t_ns))


@pytest.fixture
def real(shared_data):
    """The array's words, the gas counts by recording, and the bundle that comes along."""
    arrays = melexis_pages(shared_data("mlx90640_melexis_example"))
    return arrays, first_recordings(shared_data("gas_smellnet")), load_scorer(None)


def judged(path, real, count):
    """Return for each of the first `count` substances: as measured, and with planted CO."""
    arrays, recordings, scorer = real
    pairs = []
    for number, rows in enumerate(list(recordings.values())[:count]):
        quiet = real_recording(path / f"{number}.mcap", arrays, rows)
        planted = real_recording(path / f"{number}-co.mcap", arrays, with_carbon_monoxide(rows))
        pairs.append((heard(quiet, scorer)[0], heard(planted, scorer)[0]))
    return pairs


def test_real_words_and_counts_are_normal_and_planted_carbon_monoxide_is_not(tmp_path, real):
    """Odours of food at a few centimetres, the first five substances of the alphabet."""
    pairs = judged(tmp_path, real, 2 if numba.config.DISABLE_JIT else 5)
    for quiet, planted in pairs:
        assert quiet.max_level is Level.NORMAL
        assert "thermal:frozen" in quiet.troubles
        assert 1 <= quiet.images <= 20
        for level, t_s in planted.first.items():
            assert t_s > 200.0, level
    # One spice may hide it: its odour has moved the other films before.
    warned = [planted for _, planted in pairs if planted.max_level >= Level.WARNING]
    assert len(warned) >= len(pairs) - 1
    assert all(planted.first[Level.WARNING] < 320.0 for planted in warned)


@pytest.mark.slow
def test_of_twenty_odours_none_is_a_warning_and_planted_carbon_monoxide_mostly_is(tmp_path, real):
    pairs = judged(tmp_path, real, SUBSTANCES)
    assert len(pairs) == SUBSTANCES
    assert all(quiet.max_level < Level.WARNING for quiet, _ in pairs)
    assert sum(quiet.max_level is Level.NORMAL for quiet, _ in pairs) >= 18
    assert sum(planted.max_level >= Level.WARNING for _, planted in pairs) >= 17


@pytest.mark.slow
def test_of_the_strongest_odours_few_are_an_alert_for_films_alone(tmp_path, shared_data, say):
    """Of 250 recordings with the board alone only some of these three substances are an alert.

    Why nothing keeps them from it: docs/adr/0011-films-alone-do-not-wait.md.
    """
    every, scorer = recordings_of(shared_data("gas_smellnet")), load_scorer(None)
    found = []
    for substance in STRONGEST:
        for name, rows in every[substance].items():
            events = begin(Stream(Sensor.GAS, 8.0), decision=DecisionSettings())
            events.append(SensorOpened(BEGIN_NS, Sensor.GAS, 3600.0))
            for t_s, counts in rows:
                t_ns = BEGIN_NS + round(t_s * NS)
                events += [GasCounts(t_ns, *counts), Tick(t_ns)]
            found.append(heard(written(tmp_path / f"{name}.mcap", events), scorer)[0].max_level)
    alerts = sum(level >= Level.ALERT for level in found)
    say(f"films alone: {alerts} of {len(found)} recordings of the strongest odours are an alert")
    assert 1 <= alerts <= 4
    assert max(found) is Level.ALERT


@pytest.mark.fault("F05")
def test_a_real_array_that_repeats_itself_is_frozen_in_time(tmp_path, shared_data):
    arrays = melexis_pages(shared_data("mlx90640_melexis_example"))
    rows = [(second, (40.0, 70.0, 90.0, 760.0)) for second in range(12)]
    _, outcomes = heard(real_recording(tmp_path / "still.mcap", arrays, rows, page_s=12))
    shown = [o.features for o in outcomes if o.features and not math.isnan(o.features["t_max"])]
    assert shown[0]["t_max"] == pytest.approx(34.564, abs=0.05)
    assert 27.168 < shown[0]["t_mean"] < 34.564
    frozen = next(outcome for outcome in outcomes if "thermal:frozen" in outcome.troubles)
    assert frozen.t_s <= 5.0
    assert math.isnan(outcomes[-1].features["t_max"])
    assert all(outcome.level is Level.NORMAL for outcome in outcomes)

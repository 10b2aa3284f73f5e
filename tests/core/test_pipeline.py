"""Whole lives of a detector as lists of events: what is declared, when, and with which words."""

import itertools
import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firedetect.config import GasBaseline
from firedetect.contract.level import Health, Level
from firedetect.contract.settings import Confirmation, DecisionSettings, HardLimits, Thresholds
from firedetect.decision.machine import AlarmState
from firedetect.features.gas import counts_at, log_resistance
from firedetect.features.vector import COLUMNS, N_FEATURES
from firedetect.pipeline import Pipeline
from firedetect.readings import (
    AirReading,
    ClockSet,
    Co2Reading,
    Command,
    CommandAction,
    CommandSource,
    FaultKind,
    FrameRejected,
    GasCounts,
    Restored,
    ScoreOverrun,
    Sensor,
    SensorFault,
    SensorOpened,
    SettingsChanged,
    Started,
    Stream,
    SystemTrouble,
    ThermalImage,
    Tick,
)

NS = 1_000_000_000
WALL_NS = 1_767_225_600 * NS
THERMAL, GAS = Stream(Sensor.THERMAL, 3.0), Stream(Sensor.GAS, 8.0)
CO2, AIR = Stream(Sensor.CO2, 30.0), Stream(Sensor.AIR, 10.0)
CLEAN = (40.0, 70.0, 90.0, 760.0)
T_MAX = COLUMNS.index("t_max")
BASELINE = GasBaseline(no2=40.0, c2h5oh=70.0, voc=90.0, co=760.0)
KNOWN = Restored(0, gas_baseline=BASELINE)
AT_ONCE = DecisionSettings(confirm=Confirmation(k=1, n=1), confirm_emergency=Confirmation(k=1, n=1))


class Says:
    """A scorer that says what it is told to and remembers what it was asked."""

    version = "test-1"

    def __init__(self, *answers):
        self.answers = list(answers)
        self.rows = []

    def score(self, row):
        self.rows.append(row.copy())
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer(row) if callable(answer) else answer


def by_heat(row):
    """Hazard by the hottest pixel: 0 at 20 °C, 1 at 120 °C; 0 without one."""
    return 0.0 if math.isnan(row[T_MAX]) else min(max((float(row[T_MAX]) - 20.0) / 100.0, 0.0), 1.0)


def ns(t_s):
    return round(t_s * NS)


def started(*streams, boot=1):
    return Started(0, "dev", boot, WALL_NS, streams or (THERMAL, GAS))


def image(t_s, hot_c=21.0, px=12, *, shape=(24, 32), air_c=math.nan):
    temp_c = np.full(shape, 21.0, dtype=np.float32)
    temp_c.reshape(-1)[:px] = hot_c
    return ThermalImage(ns(t_s), temp_c, air_c)


def gas(t_s, co=760.0):
    return GasCounts(ns(t_s), *CLEAN[:3], co)


def tick(t_s):
    return Tick(ns(t_s))


def fire(t_s, count=2):
    """Images of which 10 % are at 250 °C: two of them are an emergency by rule H3."""
    return [image(t_s + k / 4, 250.0, 77) for k in range(count)]


def command(t_s, action, source=CommandSource.LOCAL, duration_s=None):
    return Command(ns(t_s), action, source, f"c{t_s}", duration_s)


def room(seconds, start=0, *, step=1):
    """An image every `step` seconds, gas and a tick every second; nothing happens."""
    for second in range(start, start + seconds):
        yield gas(second)
        if (second - start) % step == 0:
            yield image(second)
        yield tick(second)


def run(pipeline, events):
    return list(pipeline.run(events))


def life(events, scorer=None, decision=None):
    return run(Pipeline(scorer, decision), events)


def images_of(outcomes):
    return [outcome for outcome in outcomes if outcome.features]


# The model comes second


@pytest.mark.fault("F30")
def test_a_hard_alarm_is_handed_on_before_the_model_is_asked():
    scorer = Says(AssertionError("asked too early"))
    pipeline = Pipeline(scorer)
    run(pipeline, [started(THERMAL), image(0.0)])
    asked = len(scorer.rows)
    pipeline.step(fire(1.0)[0])
    outcome = pipeline.step(fire(1.0)[1])
    assert (outcome.level, outcome.reasons) == (Level.EMERGENCY, ("H3",))
    assert math.isnan(outcome.score)
    assert len(scorer.rows) == asked
    scored = pipeline.score()
    assert len(scorer.rows) == asked + 1
    assert scored.level is Level.EMERGENCY
    assert scored.features["t_max"] == 250.0


def test_every_image_gives_exactly_one_scored_outcome():
    scorer = Says(0.125)
    outcomes = life([started(), *room(12)], scorer)
    scored = images_of(outcomes)
    assert [outcome.t_s for outcome in scored] == [float(second) for second in range(12)]
    assert {outcome.score for outcome in scored} == {0.125}
    assert len(scorer.rows) == 12
    assert all(tuple(outcome.features) == COLUMNS for outcome in scored)
    assert {outcome.model for outcome in scored} == {"test-1"}
    assert Pipeline(scorer).score() is None


def test_the_scorer_gets_the_row_that_the_outcome_shows():
    scorer = Says(0.1)
    for outcome, row in zip(
        images_of(life([started(), *room(3), image(3, 90.0)], scorer)), scorer.rows, strict=True
    ):
        assert row.dtype == np.float32
        shown = np.array([*outcome.features.values()], dtype=np.float32)
        np.testing.assert_array_equal(row, shown)


# Sensors missing


def co_rise(seconds, start_s=70, slope=4.0):
    return [gas(s, min(760.0 + slope * max(s - start_s, 0), 1015.0)) for s in range(seconds)]


def test_without_images_each_second_is_judged_and_gas_still_alarms():
    def by_gas(row):
        delta = float(row[COLUMNS.index("gas_delta")])
        return 0.0 if math.isnan(delta) else min(max(delta / 100.0, 0.0), 1.0)

    events = [started(GAS)]
    for reading in co_rise(140):
        events += [reading, Tick(reading.t_ns)]
    scorer = Says(by_gas)
    outcomes = life(events, scorer)
    scored = images_of(outcomes)
    assert [outcome.t_s for outcome in scored] == [float(second) for second in range(140)]
    assert all(math.isnan(v) for v in list(scored[-1].features.values())[:15])
    assert scored[20].features["gas_val"] == pytest.approx(400.0)
    assert scored[20].health is Health.OK
    assert outcomes[-1].level >= Level.ALERT
    assert outcomes[-1].reasons == ("score",)


@pytest.mark.fault("F02")
def test_a_silent_array_is_stale_in_time_and_gas_goes_on():
    outcomes = life(
        [started(), KNOWN, *room(5), *(e for s in range(5, 20) for e in (gas(s), tick(s)))]
    )
    stale = next(outcome for outcome in outcomes if "thermal:stale" in outcome.troubles)
    assert 7.0 <= stale.t_s <= 9.0
    assert stale.health is Health.DEGRADED
    after = images_of(outcomes)[-1]
    assert all(math.isnan(value) for value in list(after.features.values())[:15])
    assert after.t_s == 19.0


def test_all_silent_is_blind_without_a_score():
    scorer = Says(0.3)
    outcomes = life([started(), *room(5), *map(tick, range(5, 30))], scorer)
    last = outcomes[-1]
    assert last.health is Health.BLIND
    assert last.troubles == ("gas:stale", "thermal:stale")
    assert math.isnan(last.score)
    assert last.as_record()["score"] is None
    assert all(math.isnan(value) for value in list(last.features.values())[:N_FEATURES])
    assert not any(np.isnan(row[:N_FEATURES]).all() for row in scorer.rows)


def test_sensors_that_never_speak_are_blind_and_never_normal_by_score():
    outcomes = life([started(), *map(tick, range(12))], Says(0.0))
    assert {outcome.health for outcome in outcomes} == {Health.BLIND}
    assert outcomes[0].troubles == ("gas:starting", "thermal:starting")
    assert outcomes[-1].troubles == ("gas:stale", "thermal:stale")
    assert all(math.isnan(outcome.score) for outcome in outcomes)


def test_a_returning_sensor_is_trusted_again():
    outcomes = life([started(), KNOWN, *room(3), *map(tick, range(3, 15)), *room(2, 15)])
    assert outcomes[-1].health is Health.OK
    assert outcomes[-1].troubles == ("model:none",)


SUBSETS = [
    subset for size in range(5) for subset in itertools.combinations((THERMAL, GAS, CO2, AIR), size)
]


@pytest.mark.parametrize("streams", SUBSETS, ids=lambda s: "+".join(x.sensor for x in s) or "none")
def test_any_subset_of_the_sensors_works(streams):
    make = {
        Sensor.THERMAL: lambda s: image(s, 30.0),
        Sensor.GAS: gas,
        Sensor.CO2: lambda s: Co2Reading(ns(s), 420.0),
        Sensor.AIR: lambda s: AirReading(ns(s), 21.0, 40.0),
    }
    events = [Started(0, "dev", 1, WALL_NS, streams)]
    for second in range(12):
        events += [make[stream.sensor](second) for stream in streams] + [tick(second)]
    outcomes = life(events, Says(0.05))
    last = outcomes[-1]
    assert last.level is Level.NORMAL
    assert last.troubles == ()
    assert last.health is (Health.OK if streams else Health.BLIND)
    known = any(stream.sensor is not Sensor.AIR for stream in streams)
    assert math.isnan(last.score) == (not known)
    assert math.isnan(last.features["t_max"]) == (THERMAL not in streams)
    assert math.isnan(last.features["gas_val"]) == (GAS not in streams and CO2 not in streams)
    assert last.t_s == 11.0


def test_air_alone_alarms_by_rate_of_rise():
    events = [started(AIR)]
    for s in range(120):
        events += [AirReading(ns(s), 21.0 + max(s - 40, 0) * 0.25), tick(s)]
    outcomes = life(events)
    assert "H2" in outcomes[-1].reasons
    first = next(o for o in outcomes if o.level >= Level.ALERT)
    assert 70.0 < first.t_s < 100.0


def test_carbon_dioxide_with_a_warm_spot_is_an_alert_and_alone_is_none():
    for hot_c, wanted in ((40.0, Level.ALERT), (22.0, Level.NORMAL)):
        events = [started(THERMAL, CO2)]
        for s in range(0, 64, 2):
            rising = max(s - 30, 0)
            events += [image(s, hot_c if rising else 21.0)]
            events += [Co2Reading(ns(s), 420.0 + 20.0 * rising), tick(s)]
        assert life(events)[-1].level is wanted


def test_calibrated_carbon_monoxide_alarms_by_dose():
    calibrated = BASELINE.model_copy(update={"co_a": 10.0, "co_beta": 0.5})
    # R0/Rs = (ppm / a) ** beta: at 120 ppm the film's ln Rs lies ln(12)/2 below clean air.
    co = counts_at(log_resistance(760.0) - 0.5 * math.log(12.0))
    events = [started(GAS), Restored(0, gas_baseline=calibrated)]
    events += [e for s in range(200) for e in (gas(s, co), tick(s))]
    outcomes = life(events)
    alert = next(outcome for outcome in outcomes if outcome.level is Level.ALERT)
    assert alert.reasons == ("H5",)
    assert 178.0 <= alert.t_s <= 183.0


# The model fails


@pytest.mark.fault("F29")
@pytest.mark.parametrize(
    ("answer", "word"),
    [
        (math.nan, "model:no valid score"),
        (2.0, "model:no valid score"),
        (-0.1, "model:no valid score"),
        (math.inf, "model:no valid score"),
        (None, "model:failed TypeError"),
        ("0.5", "model:failed TypeError"),
        (ValueError("broken"), "model:failed ValueError"),
        (MemoryError(), "model:failed MemoryError"),
    ],
)
def test_three_wrong_scores_set_the_model_aside_and_the_hard_rules_go_on(answer, word):
    scorer = Says(answer)
    outcomes = life([started(THERMAL), *map(image, range(6)), *fire(6.0)], scorer)
    assert len(scorer.rows) == 3
    scored = images_of(outcomes)
    assert [word in o.troubles for o in scored[:3]] == [True, True, False]
    assert f"{word}, set aside" in scored[2].troubles
    assert all(math.isnan(outcome.score) for outcome in scored)
    assert outcomes[-1].level is Level.EMERGENCY
    assert outcomes[-1].model is None


def test_two_wrong_scores_are_forgiven():
    scorer = Says(math.nan, math.nan, 0.2, math.nan, math.nan, 0.2)
    outcomes = images_of(life([started(THERMAL), *map(image, range(8))], scorer))
    assert len(scorer.rows) == 8
    assert outcomes[-1].troubles == ()


@pytest.mark.fault("F30")
def test_three_late_scores_in_a_row_set_the_model_aside():
    late = [e for s in range(3) for e in (image(s), ScoreOverrun(ns(s + 0.3), 0.3))]
    outcomes = life([started(THERMAL), *late, image(3), *fire(4.0)], scorer := Says(0.1))
    assert len(scorer.rows) == 3
    assert [o.troubles for o in images_of(outcomes)[:2]] == [(), ("model:slow",)]
    assert "model:set aside, too slow" in outcomes[-1].troubles
    assert outcomes[-1].level is Level.EMERGENCY


@pytest.mark.fault("F31")
def test_a_model_that_always_says_nothing_stops_no_hard_rule():
    assert life([started(THERMAL), image(0), *fire(1.0)], Says(0.0))[-1].level is Level.EMERGENCY


# Explanations


class Explains(Says):
    """A scorer that says what its score is made of, and remembers of which rows it was asked."""

    def __init__(self, *answers, fault=None):
        super().__init__(*answers)
        self.fault = fault
        self.explained = []

    def contributions(self, row):
        self.explained.append(row.copy())
        if self.fault is not None:
            raise self.fault
        parts = np.zeros(len(COLUMNS) + 1)
        parts[0], parts[T_MAX] = -0.125, row[T_MAX]
        return parts


RISING = [
    started(THERMAL),
    *(image(s, hot_c) for s, hot_c in enumerate((21, 45, 65, 85, 110, 110))),
]


def test_whatever_level_the_score_raises_is_explained_by_the_row_that_was_scored():
    scorer = Explains(by_heat)
    outcomes = life(RISING, scorer, AT_ONCE)
    explained = [outcome for outcome in outcomes if outcome.contributions]
    assert [o.level for o in explained] == [*Level][1:]
    for outcome, row in zip(explained, scorer.explained, strict=True):
        assert outcome.reasons == ("score",)
        assert row[T_MAX] == np.float32(outcome.features["t_max"])
        assert outcome.contributions == {"t_mean": -0.125, "t_max": outcome.features["t_max"]}
        assert outcome.event_id is not None
        # The record tells the strongest first.
        assert list(outcome.as_record()["contributions"]) == ["t_max", "t_mean"]
    others = [outcome for outcome in outcomes if not outcome.contributions]
    assert others
    assert not any("contributions" in outcome.as_record() for outcome in others)


def test_explanations_change_nothing_else():
    plain = life(RISING, Says(by_heat), AT_ONCE)
    for scorer in (Explains(by_heat), Explains(by_heat, fault=ValueError("broken"))):
        outcomes = life(RISING, scorer, AT_ONCE)
        assert len(scorer.explained) == 4
        bare = [o.as_record() | {"contributions": None} for o in outcomes]
        assert bare == [o.as_record() | {"contributions": None} for o in plain]
    assert not any(outcome.contributions for outcome in outcomes)


def test_a_level_that_rises_again_under_a_latched_alarm_is_explained():
    calm = [e for s in range(10, 160) for e in (image(s), tick(s))]
    scorer = Explains(by_heat)
    outcomes = life([*RISING, *calm, image(160, 110.0)], scorer, AT_ONCE)
    assert outcomes[-2].current is Level.NORMAL
    assert outcomes[-1].current is Level.EMERGENCY
    assert outcomes[-1].contributions
    assert len(scorer.explained) == 5


def test_what_hard_rules_raise_is_not_explained_and_waits_for_no_explanation():
    scorer = Explains(0.3)
    pipeline = Pipeline(scorer, AT_ONCE)
    run(pipeline, [started(THERMAL), image(0)])
    assert len(scorer.explained) == 1
    for event in fire(1.0):
        outcome = pipeline.step(event)
        assert outcome is None or (outcome.contributions, outcome.reasons) == ({}, ("score", "H3"))
        assert not pipeline.score().contributions
    assert outcome.level is Level.EMERGENCY
    assert len(scorer.explained) == 1


# Settings


def test_settings_hold_from_the_next_image_on():
    sensitive = DecisionSettings(
        thresholds=Thresholds(informational=0.1, warning=0.2, alert=0.3, emergency=0.9),
        confirm=Confirmation(k=1, n=1),
    )
    before = [started(THERMAL), SettingsChanged(0, AT_ONCE), image(0), image(1)]
    outcomes = life([*before, SettingsChanged(ns(1.5), sensitive), image(2)], Says(0.35), AT_ONCE)
    assert [o.level for o in images_of(outcomes)] == [
        Level.INFORMATIONAL,
        Level.INFORMATIONAL,
        Level.ALERT,
    ]


def test_sharper_hard_limits_hold_from_the_next_image_on():
    warm = [image(t / 4, 120.0, 77) for t in range(6)]
    sharper = DecisionSettings(hard=HardLimits(pixel_emergency_c=110.0))
    assert life([started(THERMAL), *warm])[-1].level is Level.NORMAL
    changed = [*warm[:3], SettingsChanged(ns(0.6), sharper), *warm[3:]]
    outcomes = life([started(THERMAL), *changed])
    assert outcomes[-1].level is Level.EMERGENCY
    assert next(o for o in outcomes if o.level).t_s == 1.0


def test_settings_never_end_a_latched_alarm():
    dull = DecisionSettings(
        thresholds=Thresholds(informational=0.4, warning=0.6, alert=0.75, emergency=0.9)
    )
    events = [started(THERMAL), *fire(0.0), SettingsChanged(ns(1), dull), image(1)]
    assert life(events)[-1].level is Level.EMERGENCY


# What people do


def burnt_out(seconds=75):
    """A fire, then an image every three seconds until the hard rules have let go."""
    cool = [e for s in range(2, seconds, 3) for e in (image(s), tick(s))]
    return [started(THERMAL), image(0), *fire(0.25), *cool]


def test_the_level_stays_latched_while_the_current_one_falls():
    outcomes = life(burnt_out())
    last = outcomes[-1]
    assert (last.level, last.current) == (Level.EMERGENCY, Level.NORMAL)
    assert last.latched
    assert last.reasons == ("H3",)
    assert {o.incident_id for o in outcomes if o.level} == {last.incident_id}


def test_no_alarm_ends_before_its_hold_time():
    current = {o.t_s: o.current for o in life(burnt_out()) if o.t_s >= 0.5}
    assert {level for t_s, level in current.items() if t_s < 60.5} == {Level.EMERGENCY}
    assert {level for t_s, level in current.items() if t_s >= 60.5} == {Level.NORMAL}


def answer_to(pipeline, asked):
    outcome = pipeline.step(asked)
    assert outcome.answer.action is asked.action
    assert outcome.answer.command_id == asked.command_id
    assert outcome.event_id is not None
    return outcome


@pytest.mark.fault("F67")
def test_a_reset_is_refused_while_it_burns_and_accepted_later():
    pipeline = Pipeline(None)
    run(pipeline, [started(THERMAL), image(0), *fire(0.25)])
    refused = answer_to(pipeline, command(1, CommandAction.RESET))
    assert not refused.answer.accepted
    assert "H3" in refused.answer.detail
    assert refused.level is Level.EMERGENCY
    assert refused.as_record()["command"]["accepted"] is False
    run(pipeline, [image(2)])
    done = answer_to(pipeline, command(2.5, CommandAction.RESET))
    assert done.answer.accepted
    assert (done.level, done.current, done.incident_id) == (Level.NORMAL, Level.NORMAL, None)
    again = answer_to(pipeline, command(3, CommandAction.RESET))
    assert not again.answer.accepted
    second = run(pipeline, fire(4.0))[-1]
    assert second.level is Level.EMERGENCY
    assert second.incident_id is not None


@pytest.mark.fault("F67")
def test_a_reset_is_refused_by_a_blind_detector():
    pipeline = Pipeline(None)
    run(pipeline, burnt_out())
    run(pipeline, [SensorFault(ns(76), Sensor.THERMAL, FaultKind.NO_ANSWER)])
    refused = answer_to(pipeline, command(77, CommandAction.RESET))
    assert "blind" in refused.answer.detail
    assert refused.level is Level.EMERGENCY
    run(pipeline, [image(78)])
    assert answer_to(pipeline, command(79, CommandAction.RESET)).answer.accepted


@pytest.mark.fault("F67")
def test_a_reset_is_refused_while_the_score_is_high():
    pipeline = Pipeline(Says(by_heat), AT_ONCE)
    run(pipeline, [started(THERMAL), image(0), image(1, 95.0)])
    refused = answer_to(pipeline, command(1.5, CommandAction.RESET))
    assert "score" in refused.answer.detail
    run(pipeline, [image(2), image(3)])
    done = answer_to(pipeline, command(3.5, CommandAction.RESET))
    assert done.answer.accepted
    assert done.level is Level.NORMAL


@pytest.mark.fault("F67")
def test_acknowledging_and_silencing_change_no_level():
    pipeline = Pipeline(None)
    alarm = run(pipeline, [started(THERMAL), image(0), *fire(0.25)])[-1]
    assert alarm.alarm is AlarmState.SOUNDING
    seen = answer_to(pipeline, command(1, CommandAction.ACKNOWLEDGE))
    assert (seen.alarm, seen.level) == (AlarmState.ACKNOWLEDGED, Level.EMERGENCY)
    far = answer_to(pipeline, command(2, CommandAction.SILENCE, CommandSource.REMOTE))
    assert not far.answer.accepted
    assert far.alarm is AlarmState.ACKNOWLEDGED
    quiet = answer_to(pipeline, command(3, CommandAction.SILENCE, duration_s=20.0))
    assert (quiet.alarm, quiet.level) == (AlarmState.ACKNOWLEDGED_SILENCED, Level.EMERGENCY)
    ended = run(pipeline, [image(22), image(23)])
    assert [o.alarm for o in ended] == [
        AlarmState.ACKNOWLEDGED_SILENCED,
        AlarmState.ACKNOWLEDGED,
    ]
    assert ended[-1].event_id is not None


@pytest.mark.fault("F59")
def test_a_far_silence_of_an_alert_is_allowed_and_broken_by_a_rise():
    pipeline = Pipeline(Says(by_heat), AT_ONCE)
    run(pipeline, [started(THERMAL), image(0), image(1, 95.0)])
    quiet = answer_to(pipeline, command(2, CommandAction.SILENCE, CommandSource.REMOTE))
    assert quiet.alarm is AlarmState.SILENCED
    assert run(pipeline, [image(3, 110.0)])[-1].alarm is AlarmState.SOUNDING


@pytest.mark.fault("F68")
def test_a_drill_changes_no_level_and_a_real_alarm_goes_over_it():
    pipeline = Pipeline(None)
    run(pipeline, [started(THERMAL), image(0)])
    drill = answer_to(pipeline, command(1, CommandAction.DRILL, duration_s=30.0))
    assert drill.drill
    assert (drill.level, drill.current, drill.alarm) == (
        Level.NORMAL,
        Level.NORMAL,
        AlarmState.CLEAR,
    )
    alarm = run(pipeline, fire(2.0))[-1]
    assert (alarm.level, alarm.alarm) == (Level.EMERGENCY, AlarmState.SOUNDING)
    assert alarm.incident_id is not None
    after = run(pipeline, [image(32), tick(32)])
    assert not after[-1].drill
    assert after[-1].level is Level.EMERGENCY


# Identity over restarts


def test_event_ids_rise_and_the_incident_is_named_by_its_first_transition():
    events = [
        *burnt_out(),
        command(80, CommandAction.ACKNOWLEDGE),
        SystemTrouble(ns(81), "disk", active=True, detail="full"),
        SystemTrouble(ns(82), "disk", active=False),
        command(83, CommandAction.RESET),
        *fire(90.0),
    ]
    outcomes = life(events)
    ids = [outcome.event_id for outcome in outcomes if outcome.event_id]
    assert ids == [f"dev-1-{number}" for number in range(1, len(ids) + 1)]
    first = next(o for o in outcomes if o.latched)
    assert first.incident_id == first.event_id
    last = outcomes[-1]
    rose = next(o for o in outcomes if o.t_s >= 90.0 and o.latched)
    assert last.incident_id == rose.event_id != first.incident_id


def test_nothing_new_has_no_event_id():
    outcomes = life([started(), *room(20)])
    assert sum(outcome.event_id is not None for outcome in outcomes) <= 4


def test_a_restored_alarm_is_told_once_with_its_old_names():
    pipeline = Pipeline(None)
    outcomes = run(pipeline, [*burnt_out(), command(80, CommandAction.ACKNOWLEDGE)])
    remembered = pipeline.remembered(0)
    told = outcomes[-1]
    assert remembered.event_id == told.event_id
    again = Pipeline(None)
    first = run(again, [started(THERMAL, boot=2), SettingsChanged(0, DecisionSettings())])
    assert first == []
    restored = run(again, [remembered])
    assert len(restored) == 1
    assert restored[0].event_id == told.event_id
    assert restored[0].incident_id == told.incident_id
    assert (restored[0].level, restored[0].alarm) == (Level.EMERGENCY, AlarmState.ACKNOWLEDGED)
    assert restored[0].reasons == ("H3",)
    later = run(again, [image(1), image(2)])
    assert {o.event_id for o in later if o.event_id} == {"dev-2-1"}
    assert {o.level for o in later} == {Level.EMERGENCY}


@pytest.mark.fault("F71")
def test_a_second_restart_within_the_same_fire_still_uses_the_old_names():
    first = Pipeline(None)
    told = run(first, [started(THERMAL), image(0), *fire(0.25)])[-1]
    remembered = first.remembered(0)
    assert remembered.event_id is not None
    for boot in (2, 3, 4):
        pipeline = Pipeline(None)
        outcomes = run(pipeline, [started(THERMAL, boot=boot), remembered])
        assert [o.event_id for o in outcomes] == [remembered.event_id]
        assert outcomes[0].incident_id == told.incident_id
        remembered = pipeline.remembered(0)


def test_before_the_restart_is_remembered_nothing_is_said():
    pipeline = Pipeline(None)
    events = [started(THERMAL, boot=2), SettingsChanged(0, DecisionSettings())]
    assert run(pipeline, events) == []
    quiet = run(pipeline, [Restored(0, event_id="dev-1-7")])
    assert [(o.event_id, o.level, o.health) for o in quiet] == [
        ("dev-2-1", Level.NORMAL, Health.BLIND)
    ]


def test_the_gas_baseline_survives_a_restart():
    pipeline = Pipeline(None)
    run(pipeline, [started(GAS), *(e for s in range(70) for e in (gas(s), tick(s)))])
    remembered = pipeline.remembered(0)
    assert remembered.gas_baseline.co == pytest.approx(760.0)
    again = Pipeline(Says(0.0))
    outcomes = run(again, [started(GAS, boot=2), remembered, gas(0, 800.0), tick(0)])
    assert outcomes[-1].features["gas_delta"] > 10.0
    assert Pipeline(None).remembered(0) == Restored(0)


def test_clean_air_of_the_co2_sensor_survives_a_restart_in_smoke():
    pipeline = Pipeline(None)
    events = (e for s in range(70) for e in (Co2Reading(ns(s), 420.0), tick(s)))
    run(pipeline, [started(CO2), *events])
    remembered = pipeline.remembered(0)
    assert (remembered.co2_cleanest_ppm, remembered.co2_clean_ppm) == pytest.approx((420.0, 420.0))
    again = Pipeline(Says(0.0))
    smoke = run(again, [started(CO2, boot=2), remembered, Co2Reading(0, 3000.0), tick(0)])
    assert smoke[-1].features["co2_excess_ppm"] == pytest.approx(2580.0)
    # What no air has is not taken over: it would be far from everything for ever.
    for never in (math.nan, 0.0, -5.0, 1e9):
        unknown = Pipeline(None)
        run(
            unknown,
            [started(CO2, boot=2), Restored(0, co2_clean_ppm=never, co2_cleanest_ppm=400.0)],
        )
        assert math.isnan(unknown.remembered(0).co2_clean_ppm)


def test_what_is_told_has_the_time_of_a_clock_that_was_set_meanwhile():
    pipeline = Pipeline(None)
    outcomes = run(
        pipeline, [started(GAS), gas(0), tick(1), ClockSet(ns(5), ns(1_000_005)), tick(10)]
    )
    assert [outcome.wall_ns for outcome in outcomes if outcome.t_ns >= ns(5)] == [ns(1_000_010)]
    assert outcomes[-1].t_s == 10.0


@pytest.mark.fault("F21")
def test_a_drifted_out_baseline_is_a_trouble():
    tracked = BASELINE.model_copy(update={"co": counts_at(log_resistance(760.0) - math.log(1.5))})
    events = [started(GAS), Restored(0, gas_baseline=BASELINE, gas_tracked=tracked)]
    assert "gas:drift" in life([*events, gas(0), tick(0)])[-1].troubles


@pytest.mark.fault("F23")
def test_a_smoulder_as_slow_as_drift_is_not_taken_for_it(say):
    calibrated = BASELINE.model_copy(update={"co_a": 10.0, "co_beta": 0.5})
    events = [started(GAS), Restored(0, gas_baseline=calibrated)]
    for s in range(5, 4 * 3600, 5):
        # 0.5 ppm a minute; below 10 ppm this film shows nothing.
        answer = 0.5 * math.log(max(ppm_at(s) / 10.0, 1.0))
        noise = s // 5 % 2
        events += [gas(s, round(counts_at(log_resistance(760.0) - answer)) + noise), tick(s)]
    alert = next(outcome for outcome in life(events) if outcome.level is Level.ALERT)
    say(f"0.5 ppm a minute: {'+'.join(alert.reasons)} at {ppm_at(alert.t_s):.0f} ppm")
    assert alert.reasons == ("H5",)
    assert ppm_at(alert.t_s) <= 105.0


def ppm_at(t_s):
    return 0.5 * t_s / 60.0


# Gas faults


@pytest.mark.fault("F20")
def test_the_gas_board_warms_up_while_the_array_works():
    opened = SensorOpened(0, Sensor.GAS, 0.0)
    outcomes = life([started(), opened, *room(195, step=3)], Says(0.0))
    scored = images_of(outcomes)
    cold = [o for o in scored if o.t_s < 180.0]
    assert all("gas:warm-up" in o.troubles for o in cold)
    assert all(o.health is Health.DEGRADED for o in cold)
    assert all(math.isnan(o.features["gas_val"]) for o in cold)
    assert all(o.features["t_max"] == 21.0 and o.score == 0.0 for o in cold)
    assert scored[-1].t_s > 190.0
    assert scored[-1].troubles == ()
    assert scored[-1].features["gas_val"] == pytest.approx(400.0)


@pytest.mark.fault("F20")
def test_a_fire_in_the_first_images_alarms_while_the_gas_board_warms_up():
    opened = SensorOpened(0, Sensor.GAS, 0.0)
    outcomes = life([started(), KNOWN, opened, gas(0), *fire(0.25)])
    assert "gas:warm-up" in outcomes[-1].troubles
    assert (outcomes[-1].level, outcomes[-1].t_s) == (Level.EMERGENCY, 0.5)


def test_a_board_without_a_baseline_learns_first_and_says_so():
    events = [started(GAS), *(e for s in range(12) for e in (gas(s), tick(s)))]
    outcomes = images_of(life(events, Says(0.0)))
    learning = [o for o in outcomes if "gas:learning" in o.troubles]
    assert [o.t_s for o in learning] == [float(second) for second in range(9)]
    assert all(o.health is Health.BLIND and math.isnan(o.score) for o in learning)
    assert outcomes[-1].health is Health.OK


@pytest.mark.parametrize("powered_s", [0.0, 3600.0])
def test_a_board_that_falls_silent_before_it_is_ready_is_stale(powered_s):
    events = [started(GAS), SensorOpened(0, Sensor.GAS, powered_s), gas(0), gas(1)]
    outcomes = life([*events, *map(tick, range(2, 15))])
    stale = next(outcome for outcome in outcomes if "gas:stale" in outcome.troubles)
    assert stale.t_s == 10.0
    assert stale.health is Health.BLIND


def test_a_restart_is_no_power_up():
    opened = SensorOpened(0, Sensor.GAS, 3600.0)
    assert life([started(), opened, *room(12)], Says(0.0))[-1].troubles == ()


@pytest.mark.fault("F17")
@pytest.mark.parametrize("rail", [0.0, 1023.0])
def test_a_film_at_the_rail_is_a_fault_and_no_clean_air(rail):
    events = [started(GAS)]
    for s in range(90):
        events += [gas(s, rail if s >= 70 else 760.0), tick(s)]
    outcomes = life(events, Says(0.0))
    fault = next(o for o in outcomes if "gas:at-rail" in o.troubles)
    assert fault.t_s <= 75.0
    assert outcomes[-1].health is Health.BLIND
    assert math.isnan(outcomes[-1].features["gas_val"])
    assert math.isnan(outcomes[-1].score)


@pytest.mark.fault("F18")
def test_one_glitch_changes_nothing():
    events, glitched = [started(GAS)], [started(GAS)]
    for s in range(90):
        events += [gas(s, 760.0 + s % 2), tick(s)]
        glitched += [gas(s, {75: 1023.0, 80: 0.0, 85: 5.0}.get(s, 760.0 + s % 2)), tick(s)]

    def gas_delta(row):
        delta = abs(float(row[COLUMNS.index("gas_delta")]))
        return 0.0 if math.isnan(delta) else min(delta / 10.0, 1.0)

    assert life(events, Says(gas_delta))[-1].level is Level.NORMAL
    outcomes = life(glitched, Says(gas_delta), AT_ONCE)
    assert {o.level for o in outcomes} == {Level.NORMAL}
    assert outcomes[-1].health is Health.OK


def test_a_reading_behind_its_tick_spoils_no_velocity():
    events = [started(GAS), KNOWN]
    for s in range(1, 50):
        # The board's thread is late: the clock's tick of the next second comes first.
        events += [tick(s), gas(s - 0.01, 760.0 + s), gas(s + 0.5, 760.0 + s)]
    pipeline = Pipeline(Says(0.0))
    velocities = [o.features["gas_vel"] for o in images_of(run(pipeline, events))]
    assert len(velocities) == 49
    assert all(0.2 < velocity < 1.0 for velocity in velocities[12:])
    # One mean for each second: the late reading did not make a second one.
    means = pipeline._perception.features._gas
    seconds = means._seconds[: means._count]
    assert len(seconds) == len(set(seconds)) > 40


@pytest.mark.fault("F16")
def test_frozen_counts_are_a_fault_within_a_quarter_of_an_hour():
    events = [started(GAS)]
    for s in range(0, 640, 5):
        events += [gas(s), tick(s)]
    outcomes = life(events, Says(0.0))
    frozen = next(o for o in outcomes if "gas:frozen" in o.troubles)
    assert 600.0 < frozen.t_s <= 900.0
    assert math.isnan(outcomes[-1].features["gas_val"])
    thawed = life([*events, gas(640, 761.0), tick(640)], Says(0.0))[-1]
    assert thawed.troubles == ()


# Thermal faults


@pytest.mark.fault("F10")
def test_few_valid_pixels_are_a_fault_with_unknown_features():
    broken = image(1)
    broken.temp_c.reshape(-1)[:69] = np.nan
    outcomes = life([started(), KNOWN, gas(0), image(0), broken, tick(1)], Says(0.0))
    lost = outcomes[-1]
    assert "thermal:few-valid-pixels" in lost.troubles
    assert lost.health is Health.DEGRADED
    assert all(math.isnan(value) for value in list(lost.features.values())[:15])
    enough = image(2)
    enough.temp_c.reshape(-1)[:68] = np.nan
    assert life([started(), KNOWN, gas(0), image(0), broken, enough], Says(0.0))[-1].troubles == ()


@pytest.mark.fault("F13")
def test_hot_air_alarms_even_through_an_unusable_image():
    blank = [
        ThermalImage(ns(t / 4), np.full((24, 32), np.nan, dtype=np.float32), 60.0) for t in range(2)
    ]
    outcomes = life([started(THERMAL), *blank])
    assert outcomes[-1].level is Level.EMERGENCY
    assert outcomes[-1].reasons == ("H1",)


def test_air_that_warms_fast_alarms_even_through_an_unusable_image():
    def blind(t_s, air_c):
        dead = image(t_s, air_c=air_c)
        dead.temp_c.reshape(-1)[:100] = np.nan
        return dead

    events = [blind(s, 24.0 if s < 40 else 24.0 + 0.5 * (s - 40)) for s in range(80)]
    outcomes = life([started(THERMAL), *events])
    assert outcomes[-1].level >= Level.ALERT
    assert outcomes[-1].reasons == ("H2",)
    assert "thermal:few-valid-pixels" in outcomes[-1].troubles


def test_an_air_sensor_that_fails_now_and_then_beside_a_cooler_array_still_alarms():
    pipeline = Pipeline(None)
    run(pipeline, [started(THERMAL, AIR), image(0, air_c=24.0), AirReading(0, 22.0)])
    outcomes = []
    for second in range(1, 9, 2):
        outcomes += run(
            pipeline,
            [
                AirReading(ns(second), 85.0),
                image(second + 0.25, air_c=24.0),
                SensorFault(ns(second + 1), Sensor.AIR, FaultKind.NO_ANSWER),
                image(second + 1.25, air_c=24.0),
            ],
        )
    emergency = next(o for o in outcomes if o.level is Level.EMERGENCY)
    assert (emergency.t_s, emergency.reasons) == (3.0, ("H1",))
    refused = answer_to(pipeline, command(9, CommandAction.RESET))
    assert not refused.answer.accepted


@pytest.mark.parametrize("spoke", [[], [AirReading(0, 22.0)]])
def test_an_array_in_hot_air_stands_in_at_once_for_a_lost_air_sensor(spoke):
    lost = SensorFault(ns(1), Sensor.AIR, FaultKind.NO_ANSWER)
    hot = [image(1 + s / 4, air_c=70.0) for s in range(2)]
    outcomes = life([started(THERMAL, AIR), image(0, air_c=24.0), *spoke, lost, *hot])
    assert (outcomes[-1].level, outcomes[-1].reasons) == (Level.EMERGENCY, ("H1",))


def test_an_array_in_cooler_air_stands_in_when_the_last_reading_is_stale():
    pipeline = Pipeline(None)
    warming = [image(s, air_c=24.0 + 0.4 * max(0, s - 40)) for s in range(80)]
    run(pipeline, [started(THERMAL, AIR), warming[0], AirReading(0, 22.0)])
    run(pipeline, [SensorFault(1, Sensor.AIR, FaultKind.NO_ANSWER), *warming[1:]])
    assert pipeline.remembered(ns(80)).reasons == ("H2",)


def test_a_calibration_beyond_all_reason_is_judged_and_no_error():
    absurd = GasBaseline(no2=40.0, c2h5oh=70.0, voc=90.0, co=1e-300, co_a=1.0, co_beta=0.06)
    events = [gas(s, 760.0 + s % 2) for s in range(40)]
    outcomes = life([started(GAS), Restored(0, gas_baseline=absurd), *events])
    assert outcomes[-1].reasons == ("H5",)


def test_large_images_work_and_alarm():
    outcomes = life(
        [
            started(THERMAL),
            image(0, shape=(120, 160)),
            image(0.25, 250.0, 1920, shape=(120, 160)),
            image(0.5, 250.0, 1920, shape=(120, 160)),
        ],
        Says(by_heat),
    )
    assert outcomes[-1].level is Level.EMERGENCY
    assert outcomes[-1].features["t_max"] == 250.0


def test_the_image_size_may_change_in_mid_stream():
    large = image(0.5, 30.0, shape=(120, 160))
    outcomes = life([started(THERMAL), image(0), image(0.25), large, image(0.75)], Says(0.0))
    scored = images_of(outcomes)
    assert [math.isnan(o.features["t_diff_mean"]) for o in scored] == [True, False, True, True]
    assert scored[2].features["t_max"] == 30.0
    assert scored[3].features["t_max"] == 21.0


def test_a_rejected_frame_is_no_fault_until_none_follows():
    rejected = [
        FrameRejected(ns(t), Sensor.THERMAL, FaultKind.IMPLAUSIBLE, "Ta") for t in range(1, 8)
    ]
    events = [started(THERMAL), image(0)]
    assert life([*events, *rejected[:2], image(3)])[-1].troubles == ("model:none",)
    silent = [e for r in rejected for e in (r, Tick(r.t_ns))]
    assert "thermal:stale" in life([*events, *silent])[-1].troubles


@pytest.mark.fault("F69")
def test_a_lost_array_leaves_the_alarm_latched():
    events = [*burnt_out(8), SensorFault(ns(9), Sensor.THERMAL, FaultKind.NO_ANSWER)]
    events += [tick(s) for s in range(10, 200)]
    outcomes = life(events)
    last = outcomes[-1]
    assert last.level is Level.EMERGENCY
    assert last.health is Health.BLIND
    assert "thermal:no-answer" in last.troubles
    assert math.isnan(last.score)


@pytest.mark.fault("F69")
def test_a_lost_array_ends_no_hard_rule_that_was_true():
    events = [started(THERMAL), image(0), *fire(0.25)]
    events += [SensorFault(ns(1), Sensor.THERMAL, FaultKind.NO_ANSWER), *map(tick, range(2, 300))]
    assert life(events)[-1].current is Level.EMERGENCY


@pytest.mark.fault("F47")
def test_a_gap_of_thirty_seconds_leaves_no_velocity_and_no_alarm():
    warm = [image(s, 30.0, air_c=21.0) for s in range(16)]
    warm += [image(s, 45.0, air_c=27.0) for s in range(46, 60)]
    outcomes = images_of(life([started(THERMAL), *warm], Says(0.0)))
    after = [o for o in outcomes if 46.0 <= o.t_s < 56.0]
    assert len(after) == 10
    for outcome in after:
        assert math.isnan(outcome.features["tproxy_vel"])
        assert math.isnan(outcome.features["air_rate_c_per_min"])
        assert math.isnan(outcome.features["t_diff_mean"])
    assert math.isfinite(outcomes[15].features["tproxy_vel"])
    assert math.isfinite(outcomes[-1].features["tproxy_vel"])
    assert {o.level for o in outcomes} == {Level.NORMAL}


# Other troubles


def test_system_troubles_come_and_go_and_touch_no_health():
    pipeline = Pipeline(None)
    run(pipeline, [started(GAS), KNOWN, gas(0), tick(0)])
    full = pipeline.step(SystemTrouble(ns(1), "disk", active=True, detail="full"))
    assert "disk:full" in full.troubles
    assert full.health is Health.OK
    assert full.event_id is not None
    assert pipeline.step(SystemTrouble(ns(2), "disk", active=True, detail="full")) is None
    bare = pipeline.step(SystemTrouble(ns(2), "link", active=True))
    assert {"disk:full", "link"} <= set(bare.troubles)
    gone = pipeline.step(SystemTrouble(ns(3), "disk", active=False))
    assert gone.troubles == ("model:none", "link")
    assert pipeline.step(SystemTrouble(ns(4), "never-seen", active=False)) is None


def test_faults_of_one_sensor_name_it_and_its_kind():
    outcomes = life(
        [started(), *room(2), SensorFault(ns(3), Sensor.GAS, FaultKind.NO_ANSWER, "EIO")]
    )
    assert "gas:no-answer" in outcomes[-1].troubles
    assert outcomes[-1].health is Health.DEGRADED


# Same events, same outcomes


def eventful():
    return [
        started(THERMAL, GAS, CO2, AIR),
        Restored(0, gas_baseline=BASELINE),
        *room(12),
        Co2Reading(ns(12), 430.0),
        AirReading(ns(12), 22.0, 41.0, 1013.0),
        image(13, 60.0),
        *fire(14.0),
        command(15, CommandAction.SILENCE, duration_s=5.0),
        SensorFault(ns(16), Sensor.GAS, FaultKind.NO_ANSWER),
        *map(tick, range(16, 26)),
        image(26),
        command(27, CommandAction.RESET),
    ]


def test_the_same_events_give_the_same_outcomes():
    first = [outcome.as_json() for outcome in life(eventful(), Says(by_heat))]
    second = [outcome.as_json() for outcome in life(eventful(), Says(by_heat))]
    assert first == second
    for line in first:
        record = json.loads(line)
        assert record["ts"].startswith("2026-01-01T00:00:")
        assert "NaN" not in line


@pytest.mark.fault("F45")
def test_the_clock_of_the_machine_shifts_nothing():
    """Monotonic time alone decides: an offset of hours changes names of no level."""

    def levels(offset_ns, wall_ns):
        events = [Started(offset_ns, "dev", 1, wall_ns, (THERMAL,))]
        events += [
            ThermalImage(e.t_ns + offset_ns, e.temp_c) for e in [image(0), *fire(0.25), image(2)]
        ]
        return [(o.t_s, o.level, o.current, o.event_id) for o in life(events)]

    assert levels(0, WALL_NS) == levels(5000 * NS, 0)


# Properties


@settings(max_examples=25, deadline=None)
@given(data=st.data(), hotter=st.floats(0.0, 200.0))
def test_a_hotter_image_after_the_same_past_is_never_judged_lower(data, hotter):
    def scene(t_s):
        hot_c = data.draw(st.sampled_from([21.0, 90.0, 149.0, 151.0, 199.0, 201.0, 290.0]))
        return image(t_s, hot_c, data.draw(st.integers(0, 60)), air_c=hot_c / 5.0)

    past = [scene(k / 2) for k in range(data.draw(st.integers(0, 5)))]
    now = scene(3.0)
    warmer = ThermalImage(now.t_ns, now.temp_c + np.float32(hotter), now.air_c + hotter)
    cool, warm = (life([started(THERMAL), *past, last])[-1] for last in (now, warmer))
    assert warm.current >= cool.current
    assert warm.level >= cool.level


@settings(max_examples=25, deadline=None)
@given(
    hot=st.lists(st.tuples(st.floats(150.0, 299.0), st.integers(0, 60)), min_size=2, max_size=6),
    hotter=st.floats(0.0, 150.0),
)
def test_a_hotter_scene_is_never_judged_lower_by_its_area(hot, hotter):
    """The area rule for an emergency has no growth in it, so it holds for whole scenes."""

    def emergency(extra_c):
        scene = [image(k / 2, c + extra_c, px) for k, (c, px) in enumerate(hot)]
        return any(o.level is Level.EMERGENCY for o in life([started(THERMAL), *scene]))

    assert emergency(hotter) >= emergency(0.0)


@settings(max_examples=60, deadline=None)
@given(
    airs=st.lists(st.floats(10.0, 70.0), min_size=20, max_size=60),
    hotter=st.floats(0.0, 40.0),
)
def test_hotter_air_over_a_whole_scene_is_never_judged_lower(airs, hotter):
    def level(extra_c):
        events = [AirReading(ns(s), air_c + extra_c) for s, air_c in enumerate(airs)]
        return life([started(AIR), *events])[-1].level

    assert level(hotter) >= level(0.0)


NOTHING = [
    lambda t_s: GasCounts(ns(t_s), math.nan, math.nan, math.nan, math.nan),
    lambda t_s: GasCounts(ns(t_s), *CLEAN[:3], math.nan),
    lambda t_s: AirReading(ns(t_s), math.nan),
    lambda t_s: AirReading(ns(t_s), math.inf, math.nan, math.nan),
    lambda t_s: AirReading(ns(t_s), -1e9, math.inf, math.inf),
    lambda t_s: Co2Reading(ns(t_s), math.nan),
    lambda t_s: Co2Reading(ns(t_s), math.inf),
    lambda t_s: ThermalImage(ns(t_s), np.full((24, 32), np.nan, dtype=np.float32)),
    lambda t_s: ThermalImage(ns(t_s), np.full((24, 32), np.inf, dtype=np.float32)),
]
"""Readings that say nothing."""


def growing_fire(second):
    """Air, CO2, gas and the picture get worse from second 12 on."""
    burning = max(second - 12, 0)
    return [
        AirReading(ns(second), 21.0 + burning * 0.5, 40.0),
        Co2Reading(ns(second), 420.0 + burning * 15.0),
        gas(second, min(760.0 + burning * 5.0, 1010.0)),
        image(second, 21.0 + burning * 4.0, 6 + burning // 4),
        tick(second),
    ]


@settings(max_examples=12, deadline=None)
@given(
    inserted=st.dictionaries(st.integers(1, 29), st.sampled_from(NOTHING), min_size=1, max_size=6)
)
def test_readings_that_say_nothing_never_lower_a_level(inserted):
    whole, holed = [started(THERMAL, GAS, CO2, AIR)], [started(THERMAL, GAS, CO2, AIR)]
    for second in range(30):
        whole += growing_fire(second)
        holed += growing_fire(second)
        if second in inserted:
            holed.append(inserted[second](second + 0.5))
    without, with_them = (life(events, Says(by_heat)) for events in (whole, holed))
    reached = max(outcome.level for outcome in without)
    assert reached >= Level.WARNING
    assert max(outcome.level for outcome in with_them) >= reached
    assert with_them[-1].level >= without[-1].level
    for outcome in with_them:
        json.loads(outcome.as_json())


@pytest.mark.parametrize("nothing", NOTHING)
def test_readings_that_say_nothing_never_raise_a_level(nothing):
    events = [started(THERMAL, GAS, CO2, AIR)]
    for second in range(20):
        events += [nothing(second), tick(second)]
    outcomes = life(events, Says(0.0), AT_ONCE)
    assert {outcome.level for outcome in outcomes} == {Level.NORMAL}
    assert {outcome.health for outcome in outcomes} == {Health.BLIND}
    assert all(math.isnan(outcome.score) for outcome in outcomes)


@pytest.mark.parametrize("absurd", [NOTHING[2], NOTHING[3], NOTHING[4]])
def test_one_absurd_air_reading_does_not_reset_the_rate_of_rise(absurd):
    def first_alert(events):
        return next(o.t_s for o in life(events) if o.level >= Level.ALERT)

    events = [started(AIR)]
    for s in range(120):
        events += [AirReading(ns(s), 21.0 + max(s - 40, 0) * 0.25), tick(s)]
        if s == 60:
            broken = [*events, absurd(60.5)]
        elif s > 60:
            broken += events[-2:]
    assert first_alert(broken) == first_alert(events)


@pytest.mark.fault("F73")
@settings(max_examples=30, deadline=None)
@given(
    readings=st.lists(
        st.one_of(
            st.builds(lambda v: ("gas", v), st.tuples(*[st.floats(width=32)] * 4)),
            st.builds(lambda v: ("co2", v), st.floats()),
            st.builds(lambda v: ("air", v), st.tuples(*[st.floats()] * 3)),
            st.builds(lambda v: ("image", v), st.floats(width=32)),
        ),
        max_size=30,
    )
)
def test_no_reading_raises_and_every_outcome_can_be_written(readings):
    make = {
        "gas": lambda t, v: GasCounts(t, *v),
        "co2": Co2Reading,
        "air": lambda t, v: AirReading(t, *v),
        "image": lambda t, v: ThermalImage(t, np.full((24, 32), v, dtype=np.float32), float(v)),
    }
    events = [started(THERMAL, GAS, CO2, AIR)]
    for second, (kind, value) in enumerate(readings):
        events += [make[kind](second * NS, value), Tick(second * NS)]
    for outcome in life(events, Says(by_heat)):
        json.loads(outcome.as_json())


def test_a_slow_array_can_still_confirm_a_fire():
    pipeline = Pipeline(Always(0.95))
    slow = []
    for second in range(30):
        slow.extend([image(second)] if second % 3 == 0 else [])
        slow.append(Tick(ns(second)))
    outcomes = run(pipeline, [started(Stream(Sensor.THERMAL, 15.0)), *slow])
    assert outcomes[-1].level is Level.EMERGENCY


class Always:
    version = "always"

    def __init__(self, score):
        self.value = score

    def score(self, _row):
        return self.value

"""Levels, latching and health: every state meets every input."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from firedetect.contract.level import Health, Level
from firedetect.contract.settings import Confirmation, DecisionSettings, Thresholds
from firedetect.decision.alarm import Alarm
from firedetect.decision.confirm import ScoreLevel
from firedetect.decision.health import HEALTH_TABLE, HealthMachine, Trust
from firedetect.decision.machine import (
    ACKNOWLEDGED,
    ALARM_TABLE,
    AUDIBLE,
    SILENCED,
    AlarmInput,
    AlarmState,
)
from firedetect.readings import (
    Command,
    CommandAction,
    CommandSource,
    FaultKind,
    Restored,
    Sensor,
    Stream,
)

NS = 1_000_000_000


def scored(scores, settings=None, start_s=0):
    machine = ScoreLevel(settings or DecisionSettings())
    for second, score in enumerate(scores, start=start_s):
        machine.fold(second * NS, score)
    return machine


def test_three_of_five_seconds_confirm():
    assert scored([0.7, 0.0, 0.7]).level is Level.NORMAL
    assert scored([0.7, 0.0, 0.7, 0.0, 0.7]).level is Level.ALERT
    assert scored([0.7, 0.0, 0.7, 0.0, 0.0, 0.7]).level is Level.NORMAL


def test_an_emergency_takes_four_of_six():
    assert scored([0.9, 0.9, 0.9]).level is Level.ALERT
    assert scored([0.9, 0.9, 0.9, 0.0, 0.0, 0.9]).level is Level.EMERGENCY


def test_a_second_takes_its_highest_score_and_counts_once():
    machine = ScoreLevel(DecisionSettings())
    for quarter in range(8):
        machine.fold(quarter * NS // 4, 0.9 if quarter % 4 == 1 else 0.0)
    assert machine.level is Level.NORMAL
    machine.fold(2 * NS, 0.9)
    assert machine.level is Level.ALERT


def test_release_takes_a_quiet_minute_below_the_hysteresis():
    fire = [0.45] * 5
    assert scored(fire + [0.35] * 120).level is Level.WARNING
    assert scored(fire + [0.0] * 55).level is Level.WARNING
    assert scored(fire + [0.0] * 62).level is Level.NORMAL


def test_unknown_scores_release_nothing():
    assert scored([0.45] * 5 + [math.nan] * 600).level is Level.WARNING


def test_settings_move_the_levels():
    sensitive = DecisionSettings(
        thresholds=Thresholds(informational=0.1, warning=0.2, alert=0.3, emergency=0.4),
        confirm=Confirmation(k=1, n=1),
    )
    assert scored([0.31], sensitive).level is Level.ALERT


@settings(max_examples=200, deadline=None)
@given(scores=st.lists(st.floats(0.0, 1.0), min_size=1, max_size=40), extra=st.floats(0.0, 0.5))
def test_a_higher_score_is_never_judged_lower(scores, extra):
    higher = [min(score + extra, 1.0) for score in scores]
    assert scored(higher).level >= scored(scores).level


@pytest.mark.fault("F67")
def test_every_alarm_state_meets_every_input():
    assert set(ALARM_TABLE) == {(s, i) for s in AlarmState for i in AlarmInput}


@pytest.mark.fault("F67")
def test_only_a_reset_clears_an_alarm():
    for (state, happened), step in ALARM_TABLE.items():
        if state is not AlarmState.CLEAR and happened is not AlarmInput.RESET:
            assert step.state is not AlarmState.CLEAR


def test_a_rise_always_sounds_again():
    for state in AlarmState:
        if state is not AlarmState.CLEAR:
            assert ALARM_TABLE[state, AlarmInput.RISE].state is AlarmState.SOUNDING


def command(action, t_s=0.0, source=CommandSource.LOCAL, duration_s=None):
    return Command(round(t_s * NS), action, source, "c", duration_s)


def alarm_at(level):
    alarm = Alarm(DecisionSettings())
    assert alarm.declare(level, ("score",), "e1")
    return alarm


def test_an_alarm_latches_and_keeps_its_incident():
    alarm = alarm_at(Level.ALERT)
    assert not alarm.declare(Level.NORMAL, (), "e2")
    assert alarm.level is Level.ALERT
    assert alarm.declare(Level.EMERGENCY, ("H1",), "e3")
    assert (alarm.level, alarm.incident_id, alarm.reasons) == (Level.EMERGENCY, "e1", ("H1",))


def test_a_warning_does_not_latch():
    alarm = Alarm(DecisionSettings())
    assert not alarm.declare(Level.WARNING, ("score",), "e1")
    assert alarm.state is AlarmState.CLEAR


@pytest.mark.fault("F44", "F59")
def test_silence_ends_by_itself_and_never_lasts_longer_than_ten_minutes():
    alarm = alarm_at(Level.ALERT)
    assert not alarm.silence(command(CommandAction.SILENCE, 0.0, duration_s=1e9))
    alarm.advance(599 * NS)
    assert alarm.state in SILENCED
    alarm.advance(600 * NS)
    assert alarm.state in AUDIBLE


@pytest.mark.fault("F59")
def test_a_rising_level_breaks_the_silence():
    alarm = alarm_at(Level.ALERT)
    alarm.silence(command(CommandAction.SILENCE))
    alarm.declare(Level.EMERGENCY, ("H1",), "e2")
    assert alarm.state is AlarmState.SOUNDING


@pytest.mark.fault("F59")
def test_an_emergency_is_not_silenced_from_afar():
    alarm = alarm_at(Level.EMERGENCY)
    assert alarm.silence(command(CommandAction.SILENCE, source=CommandSource.REMOTE))
    assert alarm.state in AUDIBLE
    assert not alarm.silence(command(CommandAction.SILENCE))
    assert alarm.state in SILENCED


def test_an_acknowledgement_is_no_reset():
    alarm = alarm_at(Level.ALERT)
    assert not alarm.acknowledge()
    assert alarm.level is Level.ALERT
    assert alarm.state in AUDIBLE & ACKNOWLEDGED


def test_there_is_nothing_to_acknowledge_without_an_alarm():
    alarm = Alarm(DecisionSettings())
    assert alarm.acknowledge()
    assert alarm.silence(command(CommandAction.SILENCE))
    assert alarm.reset()


@pytest.mark.fault("F44")
def test_a_restart_restores_the_alarm_but_no_silence():
    alarm = Alarm(DecisionSettings())
    alarm.restore(Restored(0, Level.EMERGENCY, "i", "e", True, ("H3",)))
    assert (alarm.level, alarm.incident_id, alarm.state) == (
        Level.EMERGENCY,
        "i",
        AlarmState.ACKNOWLEDGED,
    )
    quiet = Alarm(DecisionSettings())
    quiet.restore(Restored(0))
    assert quiet.state is AlarmState.CLEAR


@pytest.mark.fault("F68")
def test_a_drill_ends_by_itself():
    alarm = Alarm(DecisionSettings())
    assert not alarm.start_drill(command(CommandAction.DRILL, 0.0, duration_s=1e9))
    alarm.advance(3599 * NS)
    assert alarm.drill
    alarm.advance(3600 * NS)
    assert not alarm.drill
    assert alarm.level is Level.NORMAL


class AlarmLife(RuleBasedStateMachine):
    """Commands in any order: latched until reset, and never more silent than allowed."""

    def __init__(self):
        super().__init__()
        self.alarm = Alarm(DecisionSettings())
        self.t_s = 0
        self.events = 0

    @rule(level=st.sampled_from(Level))
    def declare(self, level):
        before = self.alarm.level
        self.events += 1
        self.alarm.declare(level, ("score",), f"e{self.events}")
        assert self.alarm.level >= before
        if level > before and level >= Level.ALERT:
            assert self.alarm.state is AlarmState.SOUNDING

    @rule(seconds=st.integers(1, 700))
    def wait(self, seconds):
        self.t_s += seconds
        before = self.alarm.level
        self.alarm.advance(self.t_s * NS)
        assert self.alarm.level is before

    @rule(source=st.sampled_from(CommandSource), duration=st.floats(1, 1e6))
    def silence(self, source, duration):
        before = self.alarm.level
        self.alarm.silence(command(CommandAction.SILENCE, self.t_s, source, duration))
        assert self.alarm.level is before

    @rule()
    def acknowledge(self):
        before = self.alarm.level
        self.alarm.acknowledge()
        assert self.alarm.level is before

    @rule()
    def reset(self):
        self.alarm.reset()
        assert self.alarm.level is Level.NORMAL
        assert self.alarm.incident_id is None

    @invariant()
    def latched_or_clear(self):
        latched = self.alarm.level >= Level.ALERT
        assert latched == (self.alarm.state is not AlarmState.CLEAR)
        assert latched == (self.alarm.incident_id is not None)

    @invariant()
    def silent_for_ten_minutes_at_most(self):
        if self.alarm.state in SILENCED:
            assert self.t_s * NS < self.alarm._silent_until_ns <= (self.t_s + 600) * NS


TestAlarmLife = pytest.mark.fault("F67")(AlarmLife.TestCase)


def test_every_health_meets_every_trust():
    assert set(HEALTH_TABLE) == {(h, t) for h in Health for t in Trust}


def machine():
    health = HealthMachine()
    health.configure(0, (Stream(Sensor.THERMAL, 3.0), Stream(Sensor.GAS, 8.0)))
    return health


def test_a_detector_that_has_heard_nothing_is_blind():
    health = machine()
    assert health.health is Health.BLIND
    assert health.troubles == ("gas:starting", "thermal:starting")
    health.reading(0, Sensor.THERMAL)
    assert health.health is Health.DEGRADED
    health.reading(0, Sensor.GAS)
    assert (health.health, health.troubles) == (Health.OK, ())


def test_a_silent_sensor_is_stale():
    health = machine()
    health.reading(0, Sensor.THERMAL)
    health.reading(0, Sensor.GAS)
    assert health.advance(3 * NS) == ()
    assert health.advance(3 * NS + 1) == (Sensor.THERMAL,)
    assert health.advance(4 * NS) == ()
    assert health.troubles == ("thermal:stale",)
    assert not health.trusted(Sensor.THERMAL)
    health.reading(5 * NS, Sensor.THERMAL)
    assert health.health is Health.OK


def test_a_sensor_that_never_speaks_turns_from_starting_to_stale():
    health = machine()
    assert set(health.advance(9 * NS)) == {Sensor.THERMAL, Sensor.GAS}
    assert health.health is Health.BLIND


def test_faults_of_sensors_that_are_not_configured_are_no_loss():
    health = machine()
    health.reading(0, Sensor.THERMAL)
    health.reading(0, Sensor.GAS)
    health.fault(Sensor.CO2, FaultKind.NO_ANSWER)
    assert health.health is Health.OK


def test_losing_all_is_blind_and_losing_one_is_degraded():
    health = machine()
    health.reading(0, Sensor.THERMAL)
    health.reading(0, Sensor.GAS)
    health.fault(Sensor.GAS, FaultKind.NO_ANSWER)
    assert health.health is Health.DEGRADED
    health.fault(Sensor.THERMAL, FaultKind.FROZEN)
    assert health.health is Health.BLIND


def test_no_sensor_at_all_is_blind():
    health = HealthMachine()
    health.configure(0, ())
    assert health.health is Health.BLIND


@pytest.mark.parametrize("label", ["normal", "informational", "warning", "alert", "emergency"])
def test_labels_go_both_ways(label):
    assert Level.from_label(label).label == label


@pytest.mark.parametrize("duration_s", [math.nan, math.inf, -math.inf])
def test_a_duration_that_is_no_number_is_refused_and_changes_nothing(duration_s):
    alarm = alarm_at(Level.EMERGENCY)
    assert alarm.silence(command(CommandAction.SILENCE, duration_s=duration_s))
    assert alarm.start_drill(command(CommandAction.DRILL, duration_s=duration_s))
    assert alarm.state is AlarmState.SOUNDING
    assert not alarm.drill


def test_a_silence_without_an_alarm_ends_a_drill():
    alarm = Alarm(DecisionSettings())
    alarm.start_drill(command(CommandAction.DRILL, duration_s=600.0))
    assert not alarm.silence(command(CommandAction.SILENCE))
    assert not alarm.drill


def test_the_lowest_threshold_can_still_be_released():
    low = DecisionSettings(thresholds=Thresholds(informational=0.05))
    assert scored([0.06] * 5 + [0.0] * 70, low).level is Level.NORMAL


def test_no_drill_begins_while_there_is_a_real_alarm():
    alarm = Alarm(DecisionSettings())
    assert alarm.declare(Level.ALERT, ("H3",), "d-1-1")
    assert alarm.start_drill(command(CommandAction.DRILL, 0.0, duration_s=600.0))
    assert not alarm.drill
    assert not alarm.reset()
    assert not alarm.start_drill(command(CommandAction.DRILL, 1.0, duration_s=600.0))


@pytest.mark.fault("F68")
def test_a_real_alarm_ends_a_drill():
    alarm = Alarm(DecisionSettings())
    alarm.start_drill(command(CommandAction.DRILL, 0.0, duration_s=600.0))
    assert alarm.drill
    assert alarm.declare(Level.ALERT, ("score",), "d-1-1")
    assert not alarm.drill

"""What a trial says of a change, and which changes it forbids."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firedetect.contract.level import Health, Level
from firedetect.contract.settings import Confirmation, DecisionSettings, HardLimits, Thresholds
from firedetect.contract.shadow import HistoryVerdict, LibraryVerdict, Verdict
from firedetect.contract.telemetry import HARD, STEP, TelemetryBatch, packed
from firedetect.decision.hard_rules import HardInputs, HardVerdict
from firedetect.decision.judge import Judge
from firedetect.errors import TrialError
from firedetect.features.vector import COLUMNS, INDEX
from firedetect.model.bundle import default_bundle_path, load_bundle
from firedetect.model.scorer import Scorer
from firedetect.readings import Command, CommandAction
from firedetect.trial.history import (
    AUTO_RESET_S,
    HistoryBlock,
    Setup,
    count_alarms,
    history_block,
    joined,
    try_history,
)
from firedetect.trial.library import Library, load_library
from firedetect.trial.sensitivity import only_more_sensitive
from firedetect.trial.verdict import refusal, try_model, try_settings

NS = 1_000_000_000
PRESENT = DecisionSettings()
BLUNT = DecisionSettings(thresholds=Thresholds(alert=0.75, emergency=0.9))
SHARP = DecisionSettings(
    thresholds=Thresholds(informational=0.1, warning=0.3, alert=0.5, emergency=0.7)
)


@pytest.fixture(scope="module")
def library():
    return load_library()


@pytest.fixture(scope="module")
def scorer():
    return Scorer(load_bundle(default_bundle_path()))


class Column:
    """A scorer whose score is the first column."""

    hash = "column"

    def scores(self, rows):
        return rows[:, 0].astype(np.float64)


class Fixed:
    """A scorer with one score for everything."""

    def __init__(self, score):
        self.score = score
        self.hash = f"fixed {score}"

    def scores(self, rows):
        return np.full(len(rows), self.score)


def block(scores, hard=None, start=1_000_000):
    rows = np.full((len(scores), len(COLUMNS)), np.nan, np.float32)
    rows[:, 0] = scores
    levels = np.zeros(len(scores)) if hard is None else hard
    return HistoryBlock(
        start + np.arange(len(scores), dtype=np.int64), rows, np.array(levels, np.int8)
    )


def test_the_present_settings_change_nothing(library, scorer):
    tried = try_settings(PRESENT, PRESENT, scorer, library)
    assert tried.refused == ""
    assert tried.verdict.library == LibraryVerdict(tried=6)
    assert tried.verdict.only_more_sensitive
    assert tried.verdict.history == HistoryVerdict(
        hours=0.0, alarms=0, alarms_before=0, complete=False
    )


def test_settings_that_miss_a_library_fire_are_refused_by_its_name(library, scorer):
    tried = try_settings(BLUNT, PRESENT, scorer, library)
    assert tried.verdict.library.missed == ("smoulder",)
    assert not tried.verdict.only_more_sensitive
    assert tried.refused == "misses the library fire smoulder"


def test_a_delay_is_told_and_not_refused(library, scorer):
    slower = DecisionSettings(confirm=Confirmation(k=6, n=8))
    tried = try_settings(slower, PRESENT, scorer, library)
    assert tried.refused == ""
    assert tried.verdict.library.delayed_s.keys() <= {"waste-bin", "smoulder"}
    assert min(tried.verdict.library.delayed_s.values()) > 0.5


def test_more_sensitive_settings_pass_and_tell_their_false_alarms(library, scorer):
    tried = try_settings(SHARP, PRESENT, scorer, library)
    assert tried.refused == ""
    assert tried.verdict.only_more_sensitive
    keen = DecisionSettings(
        thresholds=Thresholds(informational=0.05, warning=0.06, alert=0.07, emergency=0.9),
        confirm=Confirmation(k=1, n=1),
    )
    nervous = try_settings(keen, PRESENT, Fixed(0.08), library).verdict
    assert nervous.library.false_alarms == ("quiet-room", "people", "kettle", "candle")


def test_a_fire_that_the_present_settings_miss_too_is_told_and_allows_only_sharper_ones(library):
    blunt = try_settings(BLUNT, PRESENT, Fixed(0.0), library)
    assert blunt.verdict.library.missed == ("smoulder",)
    assert blunt.refused == "misses the library fire smoulder"
    sharp = try_settings(SHARP, PRESENT, Fixed(0.0), library)
    assert sharp.verdict.library.missed == ("smoulder",)
    assert sharp.refused == ""


def test_a_model_that_misses_what_the_present_one_misses_too_may_come(library):
    tried = try_model(Fixed(0.001), Fixed(0.0), PRESENT, library)
    assert tried.verdict.library.missed == ("smoulder",)
    assert tried.refused == ""


def test_without_a_model_only_more_sensitive_settings_pass(library):
    assert "library fire smoulder" in try_settings(BLUNT, PRESENT, None, library).refused
    assert try_settings(SHARP, PRESENT, None, library).refused == ""
    hard_only = Library(tuple(trace for trace in library.traces if trace.name != "smoulder"))
    tried = try_settings(BLUNT, PRESENT, None, hard_only)
    assert tried.verdict.library.missed == ()
    assert "there is no model" in tried.refused


def test_only_more_sensitive_changes_may_miss():
    missed = LibraryVerdict(tried=6, missed=("smoulder",))
    history = HistoryVerdict(hours=1.0, alarms=0, alarms_before=0, complete=True)
    for sensitive in (True, False):
        verdict = Verdict(library=missed, history=history, only_more_sensitive=sensitive)
        assert bool(refusal(verdict)) != sensitive


def test_a_model_that_sees_nothing_is_refused(library, scorer):
    tried = try_model(Fixed(0.0), scorer, PRESENT, library)
    assert tried.refused == "misses the library fire smoulder"
    assert not tried.verdict.only_more_sensitive


def test_a_model_that_misses_a_fire_is_refused_though_there_is_none_at_present(library):
    assert "smoulder" in try_model(Fixed(0.0), None, PRESENT, library).refused


def test_a_model_that_sees_fire_everywhere_is_refused(library, scorer):
    for present in (scorer, None):
        tried = try_model(Fixed(0.99), present, PRESENT, library)
        assert tried.refused == "raises alert in the nuisance quiet-room, people, kettle, candle"
        assert tried.verdict.library.false_alarms == ("quiet-room", "people", "kettle", "candle")


def test_the_model_in_use_may_be_installed_again(library, scorer):
    for present in (scorer, None):
        tried = try_model(scorer, present, PRESENT, library)
        assert tried.refused == ""
        assert tried.verdict.library.delayed_s == {}


# History


def slow_count(history, setup):
    """Every second through a judge, none skipped."""
    judge, alarms, normal_since = Judge(setup.settings), 0, None
    for second, level, score in zip(
        history.seconds.tolist(),
        history.hard.tolist(),
        setup.scorer.scores(history.rows).tolist(),
        strict=True,
    ):
        t_ns = second * NS
        latched = judge.alarm.level
        judge.hold(t_ns, HardVerdict(Level(level)))
        judge.declare("")
        judge.score(t_ns, score)
        judge.declare("")
        alarms += latched is Level.NORMAL and judge.alarm.level is not Level.NORMAL
        if judge.alarm.level is Level.NORMAL or judge.current is not Level.NORMAL:
            normal_since = None
            continue
        normal_since = second if normal_since is None else normal_since
        if second - normal_since >= AUTO_RESET_S:
            normal_since = None
            judge.obey(Command(t_ns, CommandAction.RESET), Health.OK)
    return alarms


def stretches():
    """Runs of one score and hard level, so that alarms begin and end."""
    run = st.tuples(
        st.sampled_from([0.0, 0.1, 0.25, 0.45, 0.62, 0.7, 0.95, math.nan]),
        st.sampled_from([0, 0, 0, 0, 3, 4]),
        st.sampled_from([1, 2, 3, 5, 9, 30, 80, 150]),
    )
    return st.lists(run, min_size=1, max_size=14)


@settings(max_examples=200, deadline=None, database=None)
@given(stretches(), st.sampled_from([PRESENT, BLUNT, SHARP, DecisionSettings(hold_s=10.0)]))
def test_skipping_quiet_seconds_changes_no_count(runs, decision):
    scores = list(itertools.chain.from_iterable([s] * n for s, _, n in runs))
    hard = list(itertools.chain.from_iterable([h] * n for _, h, n in runs))
    history = block(scores, hard)
    # Gaps: every third stretch of ten seconds is missing.
    kept = (np.arange(len(scores)) // 10) % 3 != 1
    gaps = HistoryBlock(history.seconds[kept], history.rows[kept], history.hard[kept])
    for part in (history, gaps):
        setup = Setup(decision, Column())
        assert count_alarms(part, setup) == slow_count(part, setup)


def test_alarms_are_counted_once_until_a_normal_minute():
    quiet, fire = [0.0] * 300, [0.7] * 5
    assert count_alarms(block(quiet), Setup(PRESENT, Column())) == 0
    assert count_alarms(block(fire + quiet + fire + quiet), Setup(PRESENT, Column())) == 2
    assert count_alarms(block(fire + [0.0] * 50 + fire), Setup(PRESENT, Column())) == 1
    rising = [0.7] * 5 + [0.95] * 10
    assert count_alarms(block(rising + quiet), Setup(PRESENT, Column())) == 1


def test_recorded_hard_levels_count_without_a_model():
    hard = [0] * 10 + [4] * 3 + [0] * 300
    history = block([0.0] * len(hard), hard)
    assert count_alarms(history, Setup(PRESENT, None)) == 1


def test_the_history_grows_chunk_by_chunk_and_ends_complete():
    fire, quiet = block([0.7] * 1800), block([0.1] * 1800, start=2_000_000)
    before = Setup(BLUNT, Column())
    *running, last = try_history([fire, quiet], Setup(PRESENT, Column()), before)
    assert [(v.hours, v.alarms, v.alarms_before) for v in running] == [(0.5, 1, 0), (1.0, 1, 0)]
    assert {v.complete for v in running} == {False}
    assert last == running[-1].model_copy(update={"complete": True})
    more = [*try_history([fire], Setup(PRESENT, Column()), before, last)][-1]
    assert (more.hours, more.alarms) == (1.5, 2)


def test_too_many_added_alarms_are_refused(library):
    often = block(([0.7] * 5 + [0.0] * 200) * 4)
    tried = try_settings(PRESENT, BLUNT, Column(), library, [often])
    assert tried.verdict.history.alarms == 4
    assert "4 alarms in 0.2 stored hours, 4 more than now" in tried.refused
    tried = try_settings(PRESENT, BLUNT, Column(), library, [block(([0.7] * 5 + [0.0] * 200) * 3)])
    assert tried.refused == ""


def batch(columns, seconds=(0, 1, 3), **changed):
    told = {
        "device": "d",
        "batch_id": "b-1",
        "start": "2026-01-01T00:00:00.000Z",
        "seconds": seconds,
        "columns": columns,
        "model": None,
    }
    return TelemetryBatch(**(told | changed))


def test_a_telemetry_batch_becomes_history():
    found = history_block(
        batch(
            {
                "t_max": packed([21.04, math.nan, 30.0], STEP["t_max"]),
                HARD: packed([0, 3, 4], 1.0),
            }
        )
    )
    assert (found.seconds - found.seconds[0]).tolist() == [0, 1, 3]
    assert found.seconds[0] == 1_767_225_600
    assert found.rows.dtype == np.float32
    np.testing.assert_allclose(found.rows[:, INDEX["t_max"]], [21.0, np.nan, 30.0], rtol=1e-6)
    assert np.isnan(found.rows[:, INDEX["t_mean"]]).all()
    assert found.hard.tolist() == [0, 3, 4]


def test_a_batch_without_hard_levels_or_of_wrong_length():
    assert history_block(batch({})).hard.tolist() == [0, 0, 0]
    with pytest.raises(TrialError, match="b-1: t_max has 1 values for 3 seconds"):
        history_block(batch({"t_max": (1,)}))


def test_blocks_are_joined_in_order_of_time_without_doubles():
    early, late = block([0.1, 0.2, 0.3]), block([0.9, 0.4, 0.5], start=1_000_002)
    whole = joined([late, early])
    assert whole.seconds.tolist() == list(range(1_000_000, 1_000_005))
    np.testing.assert_allclose(whole.rows[:, 0], [0.1, 0.2, 0.9, 0.4, 0.5], rtol=1e-6)
    assert len(joined([]).seconds) == 0


# Only more sensitive


def confirmations():
    return st.tuples(st.integers(1, 8), st.integers(1, 8)).map(
        lambda pair: Confirmation(k=min(pair), n=max(pair))
    )


def thresholds():
    steps = st.lists(st.integers(1, 5), min_size=4, max_size=4)
    return steps.map(
        lambda s: (
            Thresholds(
                informational=0.05 * s[0],
                warning=0.05 * (s[0] + s[1]),
                alert=0.05 * sum(s[:3]),
                emergency=min(0.05 * sum(s), 0.9),
            )
            if 0.05 * sum(s[:3]) <= 0.75 and 0.05 * sum(s[:2]) <= 0.6 and sum(s[:3]) < 18
            else Thresholds()
        )
    )


def limits():
    return st.builds(
        HardLimits,
        air_emergency_c=st.sampled_from([45.0, 50.0, 58.0]),
        air_rate_c_per_min=st.sampled_from([5.0, 8.3]),
        air_rise_alert_c=st.sampled_from([5.0, 8.0]),
        air_rise_emergency_c=st.sampled_from([8.0, 15.0]),
        pixel_alert_c=st.sampled_from([150.0, 150.0, 120.0]),
        pixel_emergency_c=st.sampled_from([100.0, 200.0]),
        co_alert_ppm=st.sampled_from([50.0, 100.0]),
        co2_rise_ppm_per_min=st.sampled_from([150.0, 300.0]),
    )


def decisions():
    return st.builds(
        DecisionSettings,
        thresholds=thresholds(),
        confirm=confirmations(),
        confirm_emergency=confirmations(),
        hold_s=st.sampled_from([10.0, 60.0]),
        hysteresis=st.sampled_from([0.0, 0.1]),
        silence_max_s=st.sampled_from([60.0, 600.0]),
        hard=limits(),
        remote_emergency_silence=st.booleans(),
    )


def sharper(one, other):
    """The more sensitive of two settings, field by field, so that comparable pairs are common."""

    def least(section_one, section_other):
        return {
            name: min(getattr(section_one, name), getattr(section_other, name))
            for name in type(section_one).model_fields
        }

    def sooner(a, b):
        return Confirmation(k=min(a.k, b.k), n=max(a.n, b.n))

    return DecisionSettings(
        thresholds=Thresholds(**least(one.thresholds, other.thresholds)),
        confirm=sooner(one.confirm, other.confirm),
        confirm_emergency=sooner(one.confirm_emergency, other.confirm_emergency),
        hold_s=max(one.hold_s, other.hold_s),
        hysteresis=max(one.hysteresis, other.hysteresis),
        silence_max_s=min(one.silence_max_s, other.silence_max_s),
        hard=HardLimits(
            **(least(one.hard, other.hard) | {"pixel_alert_c": one.hard.pixel_alert_c})
        ),
        remote_emergency_silence=one.remote_emergency_silence and other.remote_emergency_silence,
    )


TEMPS = [21.0, 48.0, 55.0, 60.0]


def lives():
    """Steps of a life: how much later, what the hard rules see, what the model says."""
    pixels = st.lists(st.sampled_from([90.0, 110.0, 160.0, 250.0, 300.0]), max_size=50)
    step = st.tuples(
        st.sampled_from([0.25, 0.25, 1.0, 1.0, 5.0, 20.0]),
        st.sampled_from(TEMPS),
        st.sampled_from([0.0, 6.0, 9.0, 20.0]),
        st.sampled_from([0.0, 6.0, 10.0]),
        pixels,
        st.sampled_from([0.0, 60.0, 120.0, 400.0]),
        st.sampled_from([400.0, 600.0, 900.0]),
        st.sampled_from([0.0, 0.07, 0.2, 0.4, 0.55, 0.65, 0.8, 0.95, math.nan]),
        st.integers(1, 12),
    )
    return st.lists(step, min_size=1, max_size=8)


def events(life):
    """The steps as (time, hard inputs for limits, score)."""
    t_s = 0.0
    for gap, air, rise, rate, pixels, co, co2, score, repeat in life:
        for _ in range(repeat):
            t_s += gap
            yield t_s, air, rise, rate, pixels, co, co2, score


def seen(t_s, air, rise, rate, pixels, co, co2, hard):
    return HardInputs(
        round(t_s * NS),
        air_c=air,
        air_rise_c=rise,
        air_rate_c_per_min=rate,
        region_px=sum(p >= hard.pixel_alert_c for p in pixels),
        emergency_share=sum(p >= hard.pixel_emergency_c for p in pixels) / 768.0,
        clipped_px=sum(p >= 300.0 for p in pixels),
        co_ppm=co,
        co2_ppm=co2,
        spot_rise_c=rise,
    )


def first_declared(life, decision):
    """When each level or a higher one is first declared, and the latched level after each step."""
    judge, first, latched = Judge(decision), {}, []
    for t_s, *physical, score in events(life):
        for fold in (
            lambda s=t_s, p=physical: judge.hard(seen(s, *p, decision.hard)),
            lambda s=t_s, v=score: judge.score(round(s * NS), v),
        ):
            fold()
            judge.declare("")
            for level in Level:
                if judge.level >= level:
                    first.setdefault(level, t_s)
            latched.append(judge.alarm.level)
    return first, latched


@settings(max_examples=400, deadline=None, database=None)
@given(decisions(), decisions(), lives(), st.sampled_from(sorted(HardLimits.model_fields)))
def test_what_is_called_only_more_sensitive_never_declares_later_nor_lower(one, other, life, limit):
    sharp = sharper(one, other)
    limits = {limit: getattr(other.hard, limit)}
    mixed = sharp.model_copy(update={"hard": sharp.hard.model_copy(update=limits)})
    for candidate in (sharp, mixed, other):
        if not only_more_sensitive(candidate, one):
            assert candidate is not sharp
            continue
        first, latched = first_declared(life, one)
        first_now, latched_now = first_declared(life, candidate)
        for level, t_s in first.items():
            assert first_now[level] <= t_s
        assert all(now >= then for now, then in zip(latched_now, latched, strict=True))


LESS = [
    {"thresholds": Thresholds(alert=0.61)},
    {"thresholds": Thresholds(informational=0.1, emergency=0.81)},
    {"confirm": Confirmation(k=4, n=5)},
    {"confirm": Confirmation(k=2, n=4)},
    {"confirm_emergency": Confirmation(k=5, n=6)},
    {"hold_s": 59.0},
    {"hysteresis": 0.05},
    {"remote_emergency_silence": True},
]
MORE = [
    {},
    {"thresholds": Thresholds(informational=0.1, alert=0.5)},
    {"confirm": Confirmation(k=2, n=5)},
    {"confirm": Confirmation(k=3, n=8)},
    {"hold_s": 120.0},
    {"silence_max_s": 60.0},
    {"hard": HardLimits(air_emergency_c=50.0, co_alert_ppm=60.0, pixel_emergency_c=150.0)},
]


@pytest.mark.parametrize("changes", LESS, ids=str)
def test_one_field_that_may_be_blunter_is_enough(changes):
    candidate = DecisionSettings(**changes)
    assert not only_more_sensitive(candidate, PRESENT)
    assert only_more_sensitive(candidate, candidate)


LOW = HardLimits(
    air_emergency_c=50.0,
    air_rate_c_per_min=6.0,
    air_rise_alert_c=6.0,
    air_rise_emergency_c=10.0,
    pixel_alert_c=100.0,
    pixel_emergency_c=150.0,
    co_alert_ppm=60.0,
    co2_rise_ppm_per_min=200.0,
)


@pytest.mark.parametrize("limit", sorted(HardLimits.model_fields))
def test_one_higher_hard_limit_is_enough(limit):
    higher = LOW.model_copy(update={limit: getattr(HardLimits(), limit)})
    present, candidate = DecisionSettings(hard=LOW), DecisionSettings(hard=higher)
    assert not only_more_sensitive(candidate, present)
    assert only_more_sensitive(present, candidate) == (limit != "pixel_alert_c")


@pytest.mark.parametrize("changes", MORE, ids=str)
def test_fields_that_only_sharpen(changes):
    assert only_more_sensitive(DecisionSettings(**changes), PRESENT)
    assert only_more_sensitive(PRESENT, DecisionSettings(**changes)) == (changes == {})


def test_a_lower_pixel_limit_is_not_called_more_sensitive_because_growth_may_come_later():
    lower = DecisionSettings(hard=HardLimits(pixel_alert_c=80.0))
    assert not only_more_sensitive(lower, PRESENT)
    # A warm plate of 40 pixels at 90 °C, on which 8 flames of 160 °C appear: new above 150 °C,
    # hardly growth above 80 °C.
    plate = [90.0] * 40
    life = [(0.25, 21.0, 0.0, 0.0, plate, 0.0, 400.0, 0.0, 100)]
    life += [(0.25, 21.0, 0.0, 0.0, plate + [160.0] * 8, 0.0, 400.0, 0.0, 60)]
    assert Level.ALERT in first_declared(life, PRESENT)[0]
    assert Level.ALERT not in first_declared(life, lower)[0]

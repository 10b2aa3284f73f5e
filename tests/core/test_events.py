"""Events as JSON and back: every bit comes back, and nothing else is taken for an event."""

import dataclasses
import json
import math
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from firedetect.config import GasBaseline
from firedetect.contract.level import Level
from firedetect.contract.settings import Confirmation, DecisionSettings, HardLimits, Thresholds
from firedetect.readings import (
    SUBPAGE_WORDS,
    AirReading,
    ClockSet,
    Co2Reading,
    Command,
    CommandAction,
    CommandSource,
    Event,
    FaultKind,
    FilmActivity,
    FrameRejected,
    GasCalibrated,
    GasCounts,
    MaskApproved,
    Restored,
    ScoreOverrun,
    Sensor,
    SensorFault,
    SensorOpened,
    SettingsChanged,
    Started,
    Stream,
    SubPage,
    SystemTrouble,
    ThermalImage,
    Tick,
)
from firedetect.sensors.codec import EVENT_TYPES, decode, encode, json_schema

NS = 1_000_000_000
times = st.integers(0, 2**62)
finite = st.floats(allow_nan=False, allow_infinity=False)
numbers = st.one_of(finite, st.just(math.nan))
texts = st.text(max_size=20)
counts = st.floats(0.5, 1022.5)
baselines = st.builds(
    GasBaseline,
    no2=counts,
    c2h5oh=counts,
    voc=counts,
    co=counts,
    co_a=st.none() | st.floats(0.1, 1000.0),
    co_beta=st.none() | st.floats(0.1, 1.9),
)
deviations = st.tuples(*[st.floats(0.0, 10.0)] * 4)
activities = st.builds(
    FilmActivity,
    st.just(()) | deviations,
    st.lists(deviations, max_size=3).map(tuple),
    st.integers(0, 287),
    st.tuples(*[st.floats(-5.0, 5.0)] * 4),
    deviations,
)
decisions = st.builds(
    DecisionSettings,
    thresholds=st.builds(
        Thresholds,
        informational=st.floats(0.05, 0.39),
        warning=st.floats(0.4, 0.59),
        alert=st.floats(0.6, 0.74),
        emergency=st.floats(0.75, 0.9),
    ),
    confirm=st.builds(Confirmation, k=st.integers(1, 4), n=st.integers(4, 8)),
    hold_s=st.floats(10.0, 600.0),
    remote_emergency_silence=st.booleans(),
    hard=st.builds(HardLimits, pixel_alert_c=st.floats(80.0, 150.0)),
)


def words(length):
    # Few distinct words keep the examples small; the codec sees bytes only.
    return hnp.arrays(np.uint16, length, elements=st.integers(0, 0xFFFF), fill=st.just(0x8001))


images = st.sampled_from([(24, 32), (120, 160)]).flatmap(
    lambda shape: hnp.arrays(
        np.float32, shape, elements=st.floats(width=32), fill=st.just(np.float32(21.3))
    )
)

STRATEGIES = {
    ClockSet: st.builds(ClockSet, times, times),
    Started: st.builds(
        Started,
        times,
        texts,
        st.integers(0, 2**40),
        times,
        st.lists(st.builds(Stream, st.sampled_from(Sensor), st.floats(0.1, 1e6))).map(tuple),
    ),
    SettingsChanged: st.builds(SettingsChanged, times, decisions),
    Restored: st.builds(
        Restored,
        times,
        st.sampled_from(Level),
        st.none() | texts,
        st.none() | texts,
        st.booleans(),
        st.lists(texts).map(tuple),
        st.none() | baselines,
        st.none() | baselines,
        st.none() | activities,
        numbers,
        numbers,
    ),
    SensorOpened: st.builds(
        SensorOpened,
        times,
        st.sampled_from(Sensor),
        finite,
        st.none() | words(832),
        finite,
        finite,
        st.none() | words(832),
        finite,
        st.lists(st.integers(0, 767), max_size=4).map(tuple),
        numbers,
        texts,
        st.booleans(),
        numbers,
        texts,
    ),
    MaskApproved: st.builds(MaskApproved, times, images, times),
    SubPage: st.builds(SubPage, times, words(SUBPAGE_WORDS)),
    ThermalImage: st.builds(ThermalImage, times, images, numbers),
    GasCounts: st.builds(GasCounts, times, numbers, numbers, numbers, numbers),
    Co2Reading: st.builds(Co2Reading, times, numbers),
    AirReading: st.builds(AirReading, times, numbers, numbers, numbers),
    FrameRejected: st.builds(
        FrameRejected, times, st.sampled_from(Sensor), st.sampled_from(FaultKind), texts
    ),
    SensorFault: st.builds(
        SensorFault, times, st.sampled_from(Sensor), st.sampled_from(FaultKind), texts
    ),
    SystemTrouble: st.builds(SystemTrouble, times, texts, st.booleans(), texts),
    ScoreOverrun: st.builds(ScoreOverrun, times, finite),
    GasCalibrated: st.builds(GasCalibrated, times, baselines),
    Tick: st.builds(Tick, times),
    Command: st.builds(
        Command,
        times,
        st.sampled_from(CommandAction),
        st.sampled_from(CommandSource),
        texts,
        st.none() | finite,
    ),
}
any_event = st.one_of(*STRATEGIES.values())

ONE_OF_EACH = [
    Started(5, "dev", 3, NS << 30, (Stream(Sensor.THERMAL, 3.0), Stream(Sensor.GAS, 8.0))),
    SettingsChanged(5, DecisionSettings(hold_s=30.0, hard=HardLimits(pixel_alert_c=90.0))),
    Restored(
        5,
        Level.ALERT,
        "dev-2-7",
        "dev-2-9",
        acknowledged=True,
        reasons=("score", "H3"),
        gas_baseline=GasBaseline(no2=40, c2h5oh=70, voc=90, co=760, co_a=10.0, co_beta=0.5),
        gas_tracked=GasBaseline(no2=40.5, c2h5oh=70, voc=90, co=760),
        gas_activity=FilmActivity((0.1,) * 4, ((0.2,) * 4, (0.3,) * 4), 7, (-0.1,) * 4, (0.5,) * 4),
    ),
    SensorOpened(6, Sensor.THERMAL, 12.5, np.arange(832, dtype=np.uint16) * 77, 0.9, 5.0),
    SensorOpened(6, Sensor.GAS, 0.0),
    SubPage(7, np.arange(SUBPAGE_WORDS, dtype=np.uint16) * 78),
    ThermalImage(8, np.linspace(-40, 300, 768, dtype=np.float32).reshape(24, 32), 20.25),
    ThermalImage(9, np.full((120, 160), np.nan, dtype=np.float32)),
    GasCounts(NS, 40.0, 70.0, 90.0, 760.0),
    Co2Reading(NS, 421.7),
    AirReading(NS, 21.1, 45.0),
    FrameRejected(NS, Sensor.THERMAL, FaultKind.TORN, "sub-page changed"),
    SensorFault(NS, Sensor.GAS, FaultKind.NO_ANSWER),
    SystemTrouble(NS, "disk", active=True, detail="full: 100 % \u00e9"),
    ScoreOverrun(NS, 0.25),
    GasCalibrated(NS, GasBaseline(no2=400.0, c2h5oh=401.0, voc=402.0, co=403.5)),
    MaskApproved(NS, np.full((24, 32), np.nan, dtype=np.float32), NS << 30),
    ClockSet(NS, NS << 30),
    Tick(NS),
    Command(2 * NS, CommandAction.SILENCE, CommandSource.REMOTE, "c-1", 30.0),
    Command(2 * NS, CommandAction.RESET),
]


def equal(a, b):
    """Field for field, NaN equal to NaN, arrays bit for bit with their type."""
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return (
            isinstance(a, np.ndarray)
            and isinstance(b, np.ndarray)
            and a.dtype == b.dtype
            and a.shape == b.shape
            and a.tobytes() == b.tobytes()
        )
    if isinstance(a, float) and isinstance(b, float):
        return (math.isnan(a) and math.isnan(b)) or a == b
    if type(a) is not type(b):
        return False
    if isinstance(a, tuple):
        return len(a) == len(b) and all(map(equal, a, b))
    if dataclasses.is_dataclass(a):
        return all(equal(getattr(a, f.name), getattr(b, f.name)) for f in dataclasses.fields(a))
    return a == b


def there_and_back(event):
    text = json.dumps(encode(event), allow_nan=False)
    return decode(type(event).__name__, json.loads(text))


def test_every_event_has_a_strategy_and_an_example():
    assert set(STRATEGIES) == set(get_args(Event)) == {type(event) for event in ONE_OF_EACH}
    assert {*EVENT_TYPES.values()} == set(STRATEGIES)


@pytest.mark.parametrize("event", ONE_OF_EACH, ids=lambda event: type(event).__name__)
def test_one_of_each_comes_back(event):
    assert equal(there_and_back(event), event)


@pytest.mark.parametrize("kind", STRATEGIES, ids=lambda kind: kind.__name__)
def test_every_event_comes_back_exactly(kind):
    @settings(max_examples=25, deadline=None)
    @given(event=STRATEGIES[kind])
    def check(event):
        assert equal(there_and_back(event), event)

    check()


def test_arrays_come_back_in_the_byte_order_of_this_machine_and_can_be_used():
    page = SubPage(1, np.arange(SUBPAGE_WORDS, dtype=np.uint16).astype(">u2"))
    back = there_and_back(page)
    assert back.words.dtype == np.dtype(np.uint16)
    assert back.words.dtype.isnative
    np.testing.assert_array_equal(back.words, page.words)


def test_infinity_is_no_number():
    assert math.isnan(there_and_back(Co2Reading(1, math.inf)).co2_ppm)


def changed(event, **values):
    return type(event).__name__, {**encode(event), **values}


IMAGE = encode(ONE_OF_EACH[6])["temp_c"]
BAD = [
    ("Fire", {"t_ns": 1}),
    ("", {}),
    ("Tick", {}),
    ("Tick", {"t_ns": 1, "colour": "red"}),
    ("Tick", {"t_ns": None}),
    ("Tick", {"t_ns": "soon"}),
    ("Tick", {"t_ns": math.nan}),
    ("Tick", {"t_ns": math.inf}),
    ("Tick", {"t_ns": 1.5}),
    ("Tick", {"t_ns": True}),
    ("Co2Reading", {"t_ns": 1, "co2_ppm": 10**400}),
    ("Co2Reading", {"t_ns": 1, "co2_ppm": "421"}),
    ("Tick", {"t_ns": [1]}),
    ("Co2Reading", {"t_ns": 1, "co2_ppm": "much"}),
    ("Co2Reading", {"t_ns": 1, "co2_ppm": {}}),
    changed(Command(1, CommandAction.RESET), action="explode"),
    changed(Command(1, CommandAction.RESET), source=None),
    changed(SensorFault(1, Sensor.GAS, FaultKind.STALE), sensor="nose"),
    changed(SensorFault(1, Sensor.GAS, FaultKind.STALE), kind=7),
    changed(Restored(1), level="burning"),
    changed(Restored(1), level=None),
    changed(Restored(1), gas_baseline={"no2": 40}),
    changed(Restored(1), gas_baseline={"no2": 0, "c2h5oh": 1, "voc": 1, "co": 1}),
    changed(Restored(1), reasons=7),
    changed(Restored(1), reasons="H3"),
    changed(Restored(1), acknowledged="no"),
    changed(Restored(1), event_id=7),
    changed(Started(1, "d", 1, 1, ()), streams=[{"sensor": "thermal"}]),
    changed(Started(1, "d", 1, 1, ()), streams=["thermal"]),
    changed(Started(1, "d", 1, 1, ()), streams=None),
    changed(SettingsChanged(1, DecisionSettings()), decision={"hold_s": 1.0}),
    changed(SettingsChanged(1, DecisionSettings()), decision={"surprise": 1.0}),
    changed(SettingsChanged(1, DecisionSettings()), decision=None),
    changed(ONE_OF_EACH[6], temp_c=IMAGE | {"dtype": "float64"}),
    changed(ONE_OF_EACH[6], temp_c=IMAGE | {"dtype": "object"}),
    changed(ONE_OF_EACH[6], temp_c=IMAGE | {"shape": [24, 33]}),
    changed(ONE_OF_EACH[6], temp_c=IMAGE | {"shape": "24"}),
    changed(ONE_OF_EACH[6], temp_c=IMAGE | {"shape": [-1, -1]}),
    changed(ONE_OF_EACH[6], temp_c=IMAGE | {"shape": [2**70]}),
    changed(ONE_OF_EACH[6], temp_c=IMAGE | {"data": "!!!"}),
    changed(ONE_OF_EACH[6], temp_c=IMAGE | {"data": IMAGE["data"][:-6]}),
    changed(ONE_OF_EACH[6], temp_c=IMAGE | {"data": 5}),
    changed(ONE_OF_EACH[6], temp_c={"dtype": "float32"}),
    changed(ONE_OF_EACH[6], temp_c=None),
    changed(ONE_OF_EACH[6], temp_c=21.0),
    changed(ONE_OF_EACH[6], temp_c=encode(SubPage(1, np.zeros((24, 32), np.uint16)))["words"]),
    changed(ONE_OF_EACH[6], temp_c=encode(ThermalImage(1, np.zeros((8, 8), np.float32)))["temp_c"]),
    changed(ONE_OF_EACH[5], words=None),
    changed(ONE_OF_EACH[5], words=[1, 2, 3]),
    changed(ONE_OF_EACH[3], eeprom=7),
]


@pytest.mark.parametrize(("name", "values"), BAD)
def test_what_is_no_event_is_refused(name, values):
    with pytest.raises((KeyError, TypeError, ValueError)):
        decode(name, values)


@pytest.mark.fault("F73")
@settings(max_examples=300, deadline=None)
@given(
    name=st.sampled_from([*EVENT_TYPES, "Fire"]),
    data=st.data(),
)
def test_no_json_makes_the_decoder_fail_in_another_way(name, data):
    """Any JSON in any field: an event, or one of the three stated errors."""
    fields = [field.name for field in dataclasses.fields(EVENT_TYPES.get(name, Tick))]
    junk = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | texts,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
        max_leaves=5,
    )
    values = data.draw(st.dictionaries(st.sampled_from([*fields, "other"]), junk))
    example = next((encode(e) for e in ONE_OF_EACH if type(e).__name__ == name), {})
    for mixed in (values, {**example, **values}):
        try:
            event = decode(name, mixed)
        except (KeyError, TypeError, ValueError):
            continue
        assert type(event).__name__ == name


def test_schemas_name_every_field():
    for name, kind in EVENT_TYPES.items():
        schema = json_schema(name)
        assert set(schema["properties"]) == {field.name for field in dataclasses.fields(kind)}
        assert json.loads(json.dumps(schema)) == schema

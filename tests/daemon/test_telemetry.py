"""Telemetry: one vector a second in batches below 5 KB, whatever clock and values do."""

import asyncio
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firedetect.clock import ManualClock, cancel_and_wait, run_virtual
from firedetect.contract.level import Health, Level
from firedetect.contract.limits import BATCH_MAX_BYTES
from firedetect.contract.telemetry import HARD, LEVEL, SCORE, STEP, TelemetryBatch, unpacked
from firedetect.daemon.remote.telemetry import SECONDS_MAX, TelemetryCollector
from firedetect.decision.machine import AlarmState
from firedetect.decision.outcome import Outcome
from firedetect.features.vector import COLUMNS
from firedetect.trial.history import history_block, joined
from tests.fakes.detector import running, virtual

NS = 1_000_000_000
BEGIN_S = 1_800_000_000


def outcome(wall_s, features, *, score=0.1, level=Level.NORMAL, reasons=(), model="1.0.0"):
    return Outcome(
        t_ns=0,
        t_s=0.0,
        wall_ns=round(wall_s * NS),
        level=level,
        current=level,
        score=score,
        reasons=reasons,
        incident_id=None,
        health=Health.OK,
        troubles=(),
        alarm=AlarmState.CLEAR,
        model=model,
        event_id=None,
        features=features,
    )


class Collected:
    """A collector and the batches that it stored."""

    def __init__(self, batch_s=60):
        self.payloads = []
        self.fault = None
        self.collector = TelemetryCollector("d" * 64, 7, lambda: batch_s, self.store)

    async def store(self, payload):
        if self.fault is not None:
            raise self.fault
        self.payloads.append(payload)

    @property
    def batches(self):
        return [TelemetryBatch.model_validate_json(payload) for payload in self.payloads]

    def pack(self):
        """Pack everything that was collected, as at the end of the program."""

        async def go():
            await self.collector._pack(list(self.collector._seconds))

        asyncio.run(go())

    def column(self, name):
        return [
            value
            for batch in self.batches
            for value in (
                unpacked(batch.columns[name], STEP[name])
                if name in batch.columns
                else [math.nan] * len(batch.seconds)
            )
        ]


@pytest.mark.parametrize("batch_s", [10, 60, 300])
def test_every_second_comes_in_a_batch_of_the_set_length(batch_s):
    made = Collected(batch_s)

    async def go():
        task = asyncio.create_task(made.collector.run())
        for second in range(1000):
            made.collector.heard(outcome(BEGIN_S + second, {"t_mean": 20.0 + 0.05 * second}))
            await asyncio.sleep(1)
        await cancel_and_wait(task)

    run_virtual(go(), ManualClock())
    assert len(made.column("t_mean")) == 1000
    assert made.column("t_mean") == pytest.approx([20.0 + 0.05 * s for s in range(1000)])
    lengths = [len(batch.seconds) for batch in made.batches[:-1]]
    assert all(batch_s - 1 <= length <= batch_s + 1 for length in lengths)
    assert len({batch.batch_id for batch in made.batches}) == len(made.batches)


def test_a_second_keeps_its_highest_score_and_levels_and_its_last_features():
    made = Collected()
    for score, level, reasons, mean in (
        (0.2, Level.NORMAL, (), 20.0),
        (0.7, Level.ALERT, ("score",), 21.0),
        (0.5, Level.EMERGENCY, ("H3",), 22.0),
        (math.nan, Level.EMERGENCY, ("score",), 23.0),
    ):
        features = {"t_mean": mean}
        made.collector.heard(outcome(BEGIN_S, features, score=score, level=level, reasons=reasons))
    made.collector.heard(outcome(BEGIN_S, {}, score=1.0))
    made.pack()
    assert made.column(SCORE) == pytest.approx([0.7])
    assert made.column(LEVEL) == [4.0]
    assert made.column(HARD) == [4.0]
    assert made.column("t_mean") == pytest.approx([23.0])


def test_what_is_missing_is_null_and_whole_columns_are_left_out():
    made = Collected()
    for second in range(5):
        value = math.nan if second == 2 else 20.0
        made.collector.heard(
            outcome(BEGIN_S + second, {"t_mean": value, "gas_val": math.nan}, score=math.nan)
        )
    made.pack()
    (batch,) = made.batches
    assert batch.columns["t_mean"][2] is None
    assert "gas_val" not in batch.columns
    assert SCORE not in batch.columns


WILD = st.floats() | st.floats(-1e4, 1e4)


@pytest.mark.fault("F55")
@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(-400, 400),
            st.lists(WILD, min_size=len(COLUMNS), max_size=len(COLUMNS)),
        ),
        max_size=80,
    ),
    WILD,
)
def test_every_batch_is_below_five_kilobytes_and_comes_back_as_history(seconds, score):
    made = Collected()
    for offset, values in seconds:
        features = dict(zip(COLUMNS, values, strict=True))
        made.collector.heard(outcome(BEGIN_S + offset, features, score=score))
    made.pack()
    assert all(len(payload) <= BATCH_MAX_BYTES for payload in made.payloads)
    block = joined([history_block(batch) for batch in made.batches])
    assert set(block.seconds.tolist()) == {BEGIN_S + offset for offset, _ in seconds}
    assert block.rows.shape == (len(block.seconds), len(COLUMNS))


def test_wild_minutes_are_split_and_lose_no_second():
    made = Collected()
    rng = np.random.default_rng(0)
    sent = []
    for second in range(300):
        values = rng.uniform(-1e9, 1e9, len(COLUMNS))
        sent.append(values[0])
        made.collector.heard(
            outcome(BEGIN_S + second, dict(zip(COLUMNS, values.tolist(), strict=True)))
        )
    made.pack()
    assert len(made.batches) > 10
    assert all(len(payload) <= BATCH_MAX_BYTES for payload in made.payloads)
    assert made.column(COLUMNS[0]) == pytest.approx(sent, abs=STEP[COLUMNS[0]])


@pytest.mark.fault("F45")
@pytest.mark.parametrize("jump_s", [3600.0, -3600.0, -BEGIN_S + 10, 1e8, 0.0])
def test_a_clock_that_jumps_stops_nothing(jump_s):
    made = Collected(10)

    async def go():
        task = asyncio.create_task(made.collector.run())
        for second in range(100):
            wall_s = BEGIN_S + second + (jump_s if second >= 55 else 0.0)
            made.collector.heard(outcome(wall_s, {"t_mean": float(second)}))
            await asyncio.sleep(1)
        assert not task.done()
        await cancel_and_wait(task)

    run_virtual(go(), ManualClock())
    assert made.column("t_mean") == pytest.approx([float(s) for s in range(100)])
    for batch in made.batches:
        history_block(batch)


def test_a_task_that_hangs_fills_no_memory():
    made = Collected()
    for second in range(3 * SECONDS_MAX):
        made.collector.heard(outcome(BEGIN_S + second, {"t_mean": 20.0}))
    assert len(made.collector._seconds) == SECONDS_MAX


@virtual
async def test_a_running_detector_stores_minutes_that_a_trial_can_read(tmp_path, clock):
    async with running(tmp_path, "waste-bin", clock=clock) as site:
        await asyncio.sleep(85)
        trial = site.parts.trial
        block = await asyncio.to_thread(trial.newest)
        assert 58 <= len(block.seconds) <= 62
        assert np.isfinite(block.rows[:, 2]).all()
    last = joined([block])
    assert last.hard.max() >= Level.ALERT

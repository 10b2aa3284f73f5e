"""A change proves itself in two minutes of local health; exactly one end is told."""

import asyncio

import pytest

from firedetect.clock import ManualClock, run_virtual
from firedetect.contract.level import Health
from firedetect.daemon.probation import PROBATION_S, WORSE_FOR_S, Probation
from tests.daemon.test_remote_config import outcome


def test_probation_ends_once_and_can_be_stopped():
    async def go():
        ends = []
        watched = Probation()
        watched.begin(lambda: ends.append("first"), ends.append)
        watched.begin(lambda: ends.append("second"), ends.append)
        assert watched.running
        watched.heard(outcome())
        await asyncio.sleep(300)
        assert ends == ["second"]
        watched.begin(lambda: ends.append("third"), ends.append)
        watched.heard(outcome(Health.OK, "model:slow"))
        await asyncio.sleep(4)
        watched.stop()
        await asyncio.sleep(300)
        assert ends == ["second"]
        # Worse only at the very end.
        watched.heard(outcome())
        watched.begin(lambda: ends.append("fourth"), ends.append)
        await asyncio.sleep(118)
        watched.heard(outcome(Health.BLIND, "thermal:stale"))
        await asyncio.sleep(10)
        assert ends[1:] == ["health became blind"]

    run_virtual(go(), ManualClock())


def test_without_a_proof_nothing_is_confirmed():
    async def go():
        for heard, proof, end in (
            ([], lambda _: True, "nothing was judged within 120 s"),
            ([outcome()], lambda _: False, "nothing was judged within 120 s"),
            ([outcome()], lambda _: True, "passed"),
        ):
            ends = []
            watched = Probation()
            watched.begin(lambda ends=ends: ends.append("passed"), ends.append, proof)
            for one in heard:
                watched.heard(one)
            await asyncio.sleep(PROBATION_S + 1)
            assert ends == [end]

    run_virtual(go(), ManualClock())


@pytest.mark.parametrize(
    ("trouble", "end"), [("gas:no-answer", "passed"), ("late:3 s behind", "late")]
)
def test_after_a_restart_a_sensor_that_was_lost_before_is_no_complaint(trouble, end):
    async def go():
        ends = []
        watched = Probation()
        watched.begin(lambda: ends.append("passed"), ends.append, resumed=True)
        watched.heard(outcome(Health.DEGRADED, trouble))
        await asyncio.sleep(PROBATION_S + 1)
        assert ends == [end]

    run_virtual(go(), ManualClock())


@pytest.mark.fault("F60")
@pytest.mark.parametrize("trouble", ["link:lost", "receipt:none", "disk:slow", "gas:warm-up"])
def test_what_a_change_cannot_cause_is_no_complaint(trouble):
    async def go():
        ends = []
        watched = Probation()
        watched.heard(outcome())
        watched.begin(lambda: ends.append("passed"), ends.append)
        health = Health.DEGRADED if trouble.startswith("gas") else Health.OK
        watched.heard(outcome(health, trouble))
        await asyncio.sleep(PROBATION_S + 1)
        assert ends == ["passed"]

    run_virtual(go(), ManualClock())


def test_a_warm_up_hides_no_sensor_that_is_lost_beside_it():
    async def go():
        ends = []
        watched = Probation()
        watched.begin(lambda: ends.append("passed"), ends.append)
        watched.heard(outcome(Health.BLIND, "gas:warm-up", "thermal:no-answer"))
        await asyncio.sleep(WORSE_FOR_S + 1)
        assert ends == ["health became blind"]
        assert not watched.running

    run_virtual(go(), ManualClock())

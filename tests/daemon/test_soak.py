"""Days without a pause, told faster than they pass: memory, files and queues do not grow."""

import asyncio
import gc

import numpy as np
import psutil
import pytest

from firedetect.clock import ManualClock, run_virtual
from firedetect.config import GasBaseline
from firedetect.contract.level import Health, Level
from firedetect.daemon.models.choose import load_scorer
from firedetect.pipeline import Pipeline
from firedetect.readings import GasCounts, Restored, Sensor, Started, Stream, ThermalImage, Tick
from tests.fakes.detector import running

pytestmark = [pytest.mark.slow, pytest.mark.fault("F72")]

NS = 1_000_000_000
DAY_S = 86_400
DAYS = 3
CLEAN = np.array([40.0, 70.0, 90.0, 760.0])
MB = 1_000_000


def resident():
    gc.collect()
    return psutil.Process().memory_info().rss


def days(rng):
    """Yield what three days bring: every second a tick and gas, now and then people and cooking."""
    rooms = [rng.normal(21.0, 0.15, (24, 32)).astype(np.float32) for _ in range(50)]
    for second in range(DAYS * DAY_S):
        at = second * NS
        cooking = max(0.0, 1.0 - abs(second % 20_000 - 10_000) / 900.0)
        counts = np.rint(CLEAN * (1.0 + 0.05 * cooking) + rng.normal(0.0, 0.6, 4))
        yield GasCounts(at, *counts.tolist())
        if second % 4 == 0:
            image = rooms[second // 4 % 50]
            if second % 3000 < 300:
                image = image.copy()
                image[8:14, 5:9] = 31.0
            yield ThermalImage(at, image, 21.0)
        yield Tick(at + NS // 2)


def test_three_days_of_readings_leave_nothing_behind(say):
    pipeline = Pipeline(load_scorer(None))
    streams = (Stream(Sensor.THERMAL, 15.0), Stream(Sensor.GAS, 8.0))
    names = ("no2", "c2h5oh", "voc", "co")
    baseline = GasBaseline(**dict(zip(names, CLEAN.tolist(), strict=True)))
    list(pipeline.run([Started(0, "d", 1, 0, streams), Restored(0, gas_baseline=baseline)]))
    sizes, steps, last = [], 0, None
    for event in days(np.random.default_rng(72)):
        for outcome in pipeline.run([event]):
            assert outcome.level < Level.ALERT
            last = outcome
        steps += 1
        if isinstance(event, Tick) and event.t_ns // NS % DAY_S == DAY_S - 1:
            sizes.append(resident())
    grown = (sizes[-1] - sizes[0]) / (DAYS - 1)
    say(f"{steps} events in {DAYS} days: {grown / MB:+.2f} MB a day (limit 1)")
    assert last.health is Health.OK
    assert grown < MB


def test_the_whole_detector_keeps_no_file_and_no_event(tmp_path, say):
    clock = ManualClock(wall_ns=1_800_000_000 * NS)
    files, queued, late_s = run_virtual(lived(tmp_path, clock, 600), clock)
    say(f"open files {min(files)} to {max(files)}, at most {max(queued)} events wait")
    assert max(files) == min(files)
    assert max(queued) < 50
    assert late_s <= 1.0


async def lived(folder, clock, seconds):
    """Return open files and waiting events once a minute, and the longest time without a word."""
    files, queued = [], []
    async with running(folder, "people", clock=clock) as site:
        await asyncio.sleep(120)
        for _ in range(seconds // 60):
            await asyncio.sleep(60)
            files.append(psutil.Process().num_fds())
            queued.append(len(site.parts.queue))
        times = [outcome.t_s for outcome in site.outcomes]
    return files, queued, max(np.diff(times))

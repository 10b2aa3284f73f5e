"""Settings from afar: what is bad changes nothing, what does harm is taken back by itself."""

import asyncio
import json
import math
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firedetect.clock import ManualClock, cancel_and_wait, run_virtual
from firedetect.config import Settings
from firedetect.contract.level import Health, Level
from firedetect.contract.limits import SHADOW_MAX_BYTES, SHADOW_MAX_DEPTH, depth_of, refused_state
from firedetect.contract.settings import DecisionRules, DecisionSettings, RemoteSettings
from firedetect.contract.shadow import HistoryVerdict, LibraryVerdict, ReportedConfig, Verdict
from firedetect.contract.telemetry import SCORE, STEP, TelemetryBatch, packed
from firedetect.daemon.remote.config import RemoteConfig
from firedetect.daemon.trials import StoredTrial
from firedetect.decision.machine import AlarmState
from firedetect.decision.outcome import Outcome
from firedetect.features.vector import COLUMNS
from firedetect.model.bundle import default_bundle_path, load_bundle
from firedetect.model.scorer import Scorer
from firedetect.readings import SettingsChanged
from firedetect.storage.store import Store
from firedetect.uplink.shadow_client import ShadowDocument
from firedetect.uplink.shadow_sync import ShadowSync
from tests.fakes.cloud import FIRST_S, MemoryLink, MemoryShadows
from tests.fakes.detector import running, virtual
from tests.fakes.disk import ImmediateDisk

NAN, INF = math.nan, math.inf


def verdict(missed=(), *, complete=True):
    return Verdict(
        library=LibraryVerdict(tried=6, missed=missed),
        history=HistoryVerdict(hours=2.0, alarms=0, alarms_before=0, complete=complete),
        only_more_sensitive=False,
    )


class SetTrial:
    """A trial with set answers: (seconds, refusal) each; counts how often it was asked."""

    def __init__(self, *answers):
        self.answers = answers or ((0.0, ""),)
        self.asked = []

    async def verdicts(self, candidate, present):
        self.asked.append((candidate, present))
        for after_s, refused in self.answers:
            if after_s:
                await asyncio.sleep(after_s)
            yield verdict(), refused


class Site:
    """A RemoteConfig on a folder, as a start of the program makes it."""

    def __init__(self, folder, trial=None, *, shadows=None, **own):
        self.folder = folder
        self.trial = trial or SetTrial()
        self.said = {}
        self.applied = []
        self.outcome = outcome()
        self.link = MemoryLink()
        self.shadows = shadows or MemoryShadows()
        self.shadows.watchers = {}
        self.config = RemoteConfig(
            Settings(**own),
            folder,
            self.trial,
            self.said.__setitem__,
            self.applied.append,
            ImmediateDisk(),
            asyncio.Lock(),
        )
        self.config.restore()
        self.sync = ShadowSync(
            "config", self.shadows, self.link, self.config.reported, self.config.consider
        )
        self.config.on_change = self.sync.local_changed

    @property
    def reported(self):
        return self.shadows.reported("config")

    def start(self):
        self.config.watch()
        self.task = asyncio.create_task(self.sync.run())
        self.judging = asyncio.create_task(self._judge())

    async def _judge(self):
        """Say every second what was said last, as the detector does."""
        while True:
            self.config.probation.heard(self.outcome)
            await asyncio.sleep(1.0)

    async def stop(self):
        await cancel_and_wait(self.judging)
        assert not self.task.done(), self.task.exception()
        await cancel_and_wait(self.task)
        await self.config.close()
        self.config.probation.stop()

    async def desire(self, desired, *, wait_s=2.0):
        self.shadows.desire("config", desired)
        await asyncio.sleep(wait_s)

    def on_disk(self):
        if self.folder is None:
            return {}
        return {path.name: path.read_bytes() for path in self.folder.glob("*.json")}

    def hear(self, health=Health.OK, *troubles):
        self.outcome = outcome(health, *troubles)
        self.config.probation.heard(self.outcome)


def outcome(health=Health.OK, *troubles):
    return Outcome(
        t_ns=0,
        t_s=0.0,
        wall_ns=0,
        level=Level.NORMAL,
        current=Level.NORMAL,
        score=0.0,
        reasons=(),
        incident_id=None,
        health=health,
        troubles=troubles,
        alarm=AlarmState.CLEAR,
        model="1",
        event_id=None,
    )


def started(test):
    """Run a test with a started site on a manual clock; it may stop and start others."""

    def run(tmp_path):
        async def go():
            site = Site(tmp_path)
            site.start()
            await asyncio.sleep(1)
            await test(site)

        run_virtual(go(), ManualClock())

    run.__name__ = test.__name__
    return run


async def again(site, trial=None, **own):
    """End the site and start it again on the same folder and shadow."""
    await site.stop()
    other = Site(site.folder, trial, shadows=site.shadows, **own)
    other.start()
    await asyncio.sleep(1)
    return other


def nested(levels):
    document = 1
    for _ in range(levels):
        document = {"a": document}
    return document


BAD = {
    "a threshold above 1": ({"thresholds": {"alert": 1.01}}, "thresholds.alert", "0.75"),
    "a threshold at its floor and above": ({"thresholds": {"alert": 0.76}}, "thresholds.alert", ""),
    "emergency never": ({"thresholds": {"emergency": 0.91}}, "thresholds.emergency", "0.9"),
    "a warning floor": ({"thresholds": {"warning": 0.61}}, "thresholds.warning", ""),
    "an informational floor": ({"thresholds": {"informational": 0.5}}, "thresholds.infor", ""),
    "NaN": ({"thresholds": {"alert": NAN}}, "thresholds.alert", "no finite number"),
    "infinity": ({"hold_s": INF}, "hold_s", "no finite number"),
    "minus infinity": ({"hysteresis": -INF}, "hysteresis", "no finite number"),
    "NaN in an unknown list": ({"x": [1, {"y": NAN}]}, "x.1.y", "no finite number"),
    "minus one": ({"thresholds": {"alert": -1}}, "thresholds.alert", "0.05"),
    "zero": ({"thresholds": {"informational": 0}}, "thresholds.informational", "0.05"),
    "a string": ({"thresholds": {"alert": "0.5"}}, "thresholds.alert", "number"),
    "a boolean": ({"thresholds": {"alert": True}}, "thresholds.alert", "number"),
    "a boolean count": ({"confirm": {"k": True}}, "confirm.k", "integer"),
    "a huge number": ({"hold_s": 10**400}, "hold_s", ""),
    "a list": ({"thresholds": [0.1, 0.2]}, "thresholds", ""),
    "a number for a section": ({"confirm": 3}, "confirm", ""),
    "a string for a section": ({"hard": "off"}, "hard", ""),
    "false for a section": ({"hard": False}, "hard", ""),
    "the order": ({"thresholds": {"warning": 0.6}}, "thresholds", "increase strictly"),
    "equal thresholds": ({"thresholds": {"alert": 0.4}}, "thresholds", "increase strictly"),
    "k above n": ({"confirm": {"k": 6}}, "confirm", "k must not exceed n"),
    "k as a float": ({"confirm": {"k": 3.0}}, "confirm.k", "integer"),
    "k of zero": ({"confirm": {"k": 0}}, "confirm.k", "1"),
    "n of nine": ({"confirm_emergency": {"n": 9}}, "confirm_emergency.n", "8"),
    "hold for ever": ({"hold_s": 601.0}, "hold_s", "600"),
    "no hold": ({"hold_s": 0}, "hold_s", "10"),
    "silence for an hour": ({"silence_max_s": 3600}, "silence_max_s", "600"),
    "hysteresis": ({"hysteresis": 0.5}, "hysteresis", "0.2"),
    "hot air": ({"hard": {"air_emergency_c": 58.1}}, "hard.air_emergency_c", "58"),
    "air rate": ({"hard": {"air_rate_c_per_min": 8.4}}, "hard.air_rate_c_per_min", "8.3"),
    "air rise": ({"hard": {"air_rise_alert_c": 8.1}}, "hard.air_rise_alert_c", "8"),
    "air rise high": ({"hard": {"air_rise_emergency_c": 15.1}}, "hard.air_rise_emergency_c", ""),
    "pixels": ({"hard": {"pixel_alert_c": 151}}, "hard.pixel_alert_c", "150"),
    "pixels high": ({"hard": {"pixel_emergency_c": 201}}, "hard.pixel_emergency_c", "200"),
    "CO": ({"hard": {"co_alert_ppm": 101}}, "hard.co_alert_ppm", "100"),
    "CO2": ({"hard": {"co2_rise_ppm_per_min": 301}}, "hard.co2_rise_ppm_per_min", "300"),
    "a hard rule off": ({"hard": {"enabled": False}}, "hard.enabled", "unknown key"),
    "batches of a second": ({"telemetry": {"batch_s": 1}}, "telemetry.batch_s", "60"),
    "batches of half a minute and a bit": (
        {"telemetry": {"batch_s": 30.5}},
        "telemetry.batch_s",
        "",
    ),
    "gas once a minute": ({"sensors": {"gas": {"interval_s": 60}}}, "sensors.gas.interval_s", "5"),
    "an unknown key": ({"alarms": False}, "alarms", "unknown key"),
    "an unknown key below": ({"thresholds": {"fire": 0.5}}, "thresholds.fire", "unknown key"),
    "an unknown sensor": ({"sensors": {"smoke": {}}}, "sensors.smoke", "unknown key"),
    "an unknown key at the bottom": (
        {"sensors": {"gas": {"enabled": False}}},
        "sensors.gas.enabled",
        "unknown key",
    ),
    "emergency silence": (
        {"remote_emergency_silence": True},
        "remote_emergency_silence",
        "unknown",
    ),
    "the outputs": ({"outputs": {"enabled": False}}, "outputs", "unknown key"),
    "the model": ({"model": {"bundle": "/x"}}, "model", "unknown key"),
    "the keys": ({"model": {"trusted_keys": "/x"}}, "model", "unknown key"),
    "what is reported": ({"status": "confirmed"}, "status", "unknown key"),
    "an empty key": ({"": 1}, "", "unknown key"),
    "a key of another script": ({"пороги": {"тревога": 1}}, "пороги", "unknown key"),
    "an invisible key": ({"hold_s\u200b": 60}, "hold_s\u200b", "unknown key"),
    "a long key": ({"k" * 1000: 1}, "k" * 200, "unknown key"),
    "another version": ({"v": 2}, "v", "version 1"),
    "a version as text": ({"v": "1"}, "v", "version 1"),
    "a version as a float": ({"v": 1.0}, "v", "version 1"),
    "no version": ({"v": None}, "v", "version 1"),
    "one good and one bad": (
        {"hold_s": 30.0, "thresholds": {"alert": 0.5, "emergency": 2}},
        "thresholds.emergency",
        "0.9",
    ),
    "too deep": (nested(5), "", "nested deeper than 4"),
    "far too deep": (nested(900), "", "nested deeper than 4"),
    "deep lists": ({"a": [[[[1]]]]}, "", "nested deeper than 4"),
    "just over 8 KB": ({"x": "y" * (SHADOW_MAX_BYTES - 7)}, "", "8193 bytes"),
    "a megabyte": ({"x": "y" * (1 << 20)}, "", "bytes, at most 8192"),
    "8 KB of wide letters": ({"x": "Ж" * 4096}, "", "bytes, at most 8192"),
    "half a character": ({"\ud800": 1}, "", "half a character"),
    "a list as document": ([1, 2], "", "is no object"),
    "text as document": ("off", "", "is no object"),
    "a number as document": (0, "", "is no object"),
    "false as document": (False, "", "is no object"),
}


@pytest.mark.fault("F56")
@pytest.mark.parametrize("name", BAD)
def test_a_bad_document_is_refused_with_path_and_reason_and_changes_nothing(tmp_path, name):
    document, path, reason = BAD[name]

    async def go():
        site = Site(tmp_path)
        await site.config.consider(ShadowDocument(1, {"hold_s": 30.0}, {}, FIRST_S))
        site.hear()
        site.applied.clear()
        before = site.config.settings, site.config.decision, site.on_disk()
        await site.config.consider(ShadowDocument(2, document, {}, FIRST_S + 1))
        assert (site.config.settings, site.config.decision, site.on_disk()) == before
        assert site.applied == []
        assert len(site.trial.asked) == 1
        reported = site.config.reported()
        assert reported["refused"]["version"] == 2
        assert reported["refused"]["path"].startswith(path)
        assert bool(reported["refused"]["path"]) == bool(path)
        assert reason in reported["refused"]["reason"]
        assert (reported["version"], reported["hold_s"]) == (1, 30.0)
        assert refused_state(reported) == ""
        site.config.probation.stop()
        await site.config.close()

    run_virtual(go(), ManualClock())


def test_the_table_is_long_enough():
    assert len(BAD) >= 30


@pytest.mark.parametrize(
    "desired", [{"thresholds": None}, {"hold_s": None}, {"v": 1}, {}, {"sensors": {"gas": None}}]
)
def test_null_and_nothing_stand_for_the_detectors_own_value(tmp_path, desired):
    async def go():
        site = Site(tmp_path)
        await site.config.consider(ShadowDocument(3, desired, {}, FIRST_S))
        assert site.config.settings == RemoteSettings()
        assert site.config.reported()["refused"] is None
        site.config.probation.stop()
        await site.config.close()

    run_virtual(go(), ManualClock())


KEYS = st.sampled_from(
    ["thresholds", "alert", "warning", "confirm", "k", "n", "hold_s", "hard", "sensors", "gas", "v"]
) | st.text(max_size=6)
NUMBERS = st.floats() | st.integers(-(10**18), 10**18) | st.sampled_from([0.3, 0.5, 3, 60.0])
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)
NEAR = st.fixed_dictionaries(
    {},
    optional={
        "thresholds": st.dictionaries(
            st.sampled_from(["informational", "warning", "alert", "emergency"]),
            st.floats(0.0, 1.0) | st.none(),
        ),
        "confirm": st.dictionaries(st.sampled_from("kn"), st.integers(0, 9)),
        "hold_s": st.floats(0.0, 700.0),
        "hard": st.dictionaries(
            st.sampled_from(["air_emergency_c", "pixel_alert_c"]), st.floats(40.0, 220.0)
        ),
        "v": st.integers(0, 2),
        "telemetry": st.dictionaries(st.just("batch_s"), st.integers(0, 400)),
    },
)


@pytest.mark.fault("F56", "F73")
@settings(max_examples=300, deadline=None)
@given(st.lists(JSON | NEAR, min_size=1, max_size=3), st.integers(1, 5))
def test_no_document_raises_or_crosses_a_floor(documents, version):
    async def go():
        site = Site(None)
        # Everything may be stored here: what is not adopted was refused for its content.
        kept = []
        site.config._kept = KeptInMemory(kept)
        for number, document in enumerate(documents):
            before = site.config.settings
            await site.config.consider(
                ShadowDocument(version + number, document, {}, FIRST_S + number)
            )
            after = site.config.settings
            assert RemoteSettings.model_validate(after.model_dump(), strict=True) == after
            if after != before:
                assert kept[-1].desired == ({} if document is None else document)
                assert site.applied[-1] == after
            reported = site.config.reported()
            json.dumps(reported, allow_nan=False).encode()
            assert ReportedConfig.model_validate_json(json.dumps(reported))
            assert len(json.dumps(reported, ensure_ascii=False).encode()) <= SHADOW_MAX_BYTES
            assert depth_of(reported, 9) <= SHADOW_MAX_DEPTH
        site.config.probation.stop()
        await site.config.close()

    run_virtual(go(), ManualClock())


class KeptInMemory:
    def __init__(self, kept):
        self.kept = kept

    async def propose(self, adopted):
        json.dumps(adopted.desired, allow_nan=False)
        self.kept.append(adopted)

    def confirm(self):
        pass


def test_the_largest_report_is_within_the_limits():
    document = ReportedConfig(
        version=2**40,
        status="reverted",
        verdict=Verdict(
            library=LibraryVerdict(
                tried=40,
                missed=tuple(f"missed-scenario-{n}" for n in range(20)),
                delayed_s={f"delayed-scenario-{n}": 123.456 for n in range(40)},
                false_alarms=tuple(f"nuisance-scenario-{n}" for n in range(20)),
            ),
            history=HistoryVerdict(hours=72.0, alarms=99, alarms_before=99, complete=True),
            only_more_sensitive=False,
        ),
        refused={"version": 2**40, "path": "\u0001" * 200, "reason": "Ж" * 400},
    )
    assert refused_state(document.model_dump(mode="json")) == ""


# Adopted, proven, taken back


@started
async def test_a_good_change_is_adopted_at_once_and_confirmed_after_two_minutes(site):
    site.hear()
    await site.desire({"hold_s": 30.0})
    assert site.config.decision.hold_s == 30.0
    assert [found.hold_s for found in site.applied] == [30.0]
    assert site.reported["status"] == "adopted"
    assert site.reported["version"] == 2
    assert site.reported["hold_s"] == 30.0
    assert site.reported["verdict"]["library"]["tried"] == 6
    await asyncio.sleep(110)
    assert site.reported["status"] == "adopted"
    await asyncio.sleep(10)
    assert site.reported["status"] == "confirmed"
    assert len(site.shadows.requests) <= 12
    await asyncio.sleep(1200)
    assert len(site.shadows.requests) <= 14
    await site.stop()


@started
async def test_a_refused_document_makes_no_loop_though_every_report_is_a_new_version(site):
    await site.desire({"thresholds": {"alert": 1.01}})
    refused = dict(site.reported["refused"])
    assert refused["path"] == "thresholds.alert"
    before = len(site.shadows.requests)
    await asyncio.sleep(1800)
    assert len(site.shadows.requests) - before <= 1
    site.sync.remote_changed()
    await asyncio.sleep(10)
    assert site.reported["refused"] == refused
    # A person corrects it, and the refusal goes.
    await site.desire({"thresholds": {"alert": 0.55}})
    assert site.config.decision.thresholds.alert == 0.55
    assert "refused" not in site.reported
    await site.stop()


@started
async def test_a_change_is_restored_at_the_next_start_and_not_tried_again(site):
    site.hear()
    await site.desire({"hold_s": 30.0}, wait_s=130)
    site = await again(site)
    assert site.config.decision.hold_s == 30.0
    assert site.reported["status"] == "confirmed"
    await asyncio.sleep(10)
    assert site.trial.asked == []
    assert site.said == {}
    await site.stop()


@pytest.mark.parametrize(
    ("health", "troubles", "why"),
    [
        (Health.DEGRADED, ("gas:stale",), "health became degraded"),
        (Health.BLIND, ("gas:stale", "thermal:no-answer"), "health became blind"),
        (Health.OK, ("late:detection is 3 s behind",), "late"),
        (Health.OK, ("model:slow",), "model"),
        (Health.OK, ("task:detect: KeyError",), "task"),
    ],
)
def test_worse_health_takes_a_change_back_within_seconds(tmp_path, health, troubles, why):
    async def go():
        site = Site(tmp_path)
        site.start()
        site.hear()
        await site.desire({"hold_s": 30.0})
        site.hear(health, *troubles)
        await asyncio.sleep(6)
        assert site.config.settings == RemoteSettings()
        assert site.applied[-1].hold_s == 60.0
        assert site.reported["status"] == "reverted"
        assert (
            site.reported["refused"]
            == {
                "v": 1,
                "version": 2,
                "path": "",
                "reason": f"taken back: {why}",
            }
            or why in site.reported["refused"]["reason"]
        )
        asked = len(site.trial.asked)
        site.hear()
        # The shadow still desires it, also at the next start.
        site.sync.remote_changed()
        await asyncio.sleep(10)
        site = await again(site)
        await asyncio.sleep(10)
        assert site.config.settings == RemoteSettings()
        assert site.trial.asked == []
        assert asked == 1
        assert why in site.reported["refused"]["reason"]
        # Written again, it is tried again.
        await site.desire({"hold_s": 30.0})
        assert site.config.decision.hold_s == 30.0
        await site.stop()

    run_virtual(go(), ManualClock())


@pytest.mark.parametrize(
    ("health", "troubles"),
    [
        (Health.OK, ("link:the broker no longer answers",)),
        (Health.OK, ("uplink:denied", "receipt:none", "disk:takes longer")),
        (Health.DEGRADED, ("gas:warm-up",)),
        (Health.DEGRADED, ("gas:learning",)),
        (Health.BLIND, ("gas:starting", "thermal:starting")),
    ],
)
def test_a_link_or_a_warm_up_says_nothing_against_a_change(tmp_path, health, troubles):
    async def go():
        site = Site(tmp_path)
        site.start()
        site.hear()
        await site.desire({"hold_s": 30.0})
        site.hear(health, *troubles)
        await asyncio.sleep(130)
        assert site.reported["status"] == "confirmed"
        await site.stop()

    run_virtual(go(), ManualClock())


@started
async def test_a_short_trouble_and_one_that_was_there_before_are_no_reason(site):
    site.hear(Health.DEGRADED, "gas:stale")
    await site.desire({"hold_s": 30.0})
    site.hear(Health.DEGRADED, "gas:stale")
    await asyncio.sleep(20)
    site.hear(Health.BLIND, "gas:stale", "thermal:no-answer")
    await asyncio.sleep(4)
    site.hear(Health.OK)
    await asyncio.sleep(110)
    assert site.reported["status"] == "confirmed"
    await site.stop()


@started
async def test_taken_back_goes_to_the_change_before(site):
    site.hear()
    await site.desire({"hold_s": 30.0}, wait_s=125)
    await site.desire({"hold_s": 20.0})
    site.hear(Health.BLIND, "thermal:no-answer")
    await asyncio.sleep(6)
    assert site.config.decision.hold_s == 30.0
    assert (site.reported["status"], site.reported["refused"]["version"]) == ("reverted", 5)
    # The operator agrees: that is what is in force. It makes no delta, so it is seen later.
    site.hear()
    await site.desire({"hold_s": 30.0}, wait_s=3601)
    assert site.reported["status"] == "confirmed"
    assert "refused" not in site.reported
    await site.stop()


@pytest.mark.fault("F34")
@started
async def test_two_starts_without_a_confirmation_take_it_back(site):
    site.hear()
    await site.desire({"hold_s": 30.0})
    for _ in range(2):
        site = await again(site)
        assert (site.reported["status"], site.config.decision.hold_s) == ("adopted", 30.0)
    site = await again(site)
    assert (site.reported["status"], site.config.decision.hold_s) == ("reverted", 60.0)
    assert "started 2 times" in site.reported["refused"]["reason"]
    site = await again(site)
    await asyncio.sleep(300)
    assert site.config.decision.hold_s == 60.0
    assert site.trial.asked == []
    await site.desire({"hold_s": 45.0}, wait_s=130)
    assert (site.reported["status"], site.config.decision.hold_s) == ("confirmed", 45.0)
    await site.stop()


def test_an_unconfirmed_change_is_confirmed_after_a_start(tmp_path):
    async def go():
        site = Site(tmp_path)
        site.start()
        await site.desire({"hold_s": 30.0})
        site = await again(site)
        site.hear(Health.DEGRADED, "gas:warm-up")
        await asyncio.sleep(130)
        assert site.reported["status"] == "confirmed"
        await site.stop()

    run_virtual(go(), ManualClock())


# Versions


@pytest.mark.fault("F57")
@started
async def test_an_older_document_is_refused_and_a_new_shadow_is_not(site):
    for hold_s in (20.0, 30.0, 40.0):
        await site.desire({"hold_s": hold_s})
    site.shadows.now_s -= 2
    site.shadows.force("config", {"hold_s": 20.0}, 2)
    await asyncio.sleep(2)
    assert site.config.decision.hold_s == 40.0
    assert site.reported["refused"]["path"] == "version"
    assert "is older than" in site.reported["refused"]["reason"]
    site.shadows.now_s += 2
    site.shadows.delete("config", forgotten=True)
    await site.desire({"hold_s": 50.0})
    assert site.shadows.shadows["config"].version <= 3
    assert site.config.decision.hold_s == 50.0
    await site.stop()


@started
async def test_a_deleted_shadow_leaves_the_detectors_own_settings_and_gets_its_report(site):
    await site.desire({"hold_s": 30.0}, wait_s=130)
    site.shadows.delete("config", forgotten=True)
    site.sync.remote_changed()
    await asyncio.sleep(10)
    assert site.config.decision.hold_s == 60.0
    assert site.reported["hold_s"] == 60.0
    await site.stop()


# Trials and disks


@started
async def test_a_refused_trial_and_a_broken_one_change_nothing(site):
    for trial, why in (
        (SetTrial((0.0, "misses x")), "misses x"),
        (BrokenTrial(), "cannot be tried"),
    ):
        site.config._trial = trial
        await site.desire({"hold_s": 30.0})
        assert site.config.settings == RemoteSettings()
        assert why in site.reported["refused"]["reason"]
    assert site.on_disk() == {}
    await site.stop()


class BrokenTrial:
    async def verdicts(self, _candidate, _present):
        raise KeyError("broken")
        yield


class BrokenLater:
    async def verdicts(self, _candidate, _present):
        yield verdict(complete=False), ""
        raise KeyError("broken")


@started
async def test_a_fuller_trial_that_breaks_stops_nothing(site):
    site.config._trial = BrokenLater()
    for hold_s in (30.0, 40.0):
        await site.desire({"hold_s": hold_s})
        assert site.config.decision.hold_s == hold_s
    await site.stop()


@pytest.mark.parametrize("after_s", [30.0, 500.0])
def test_the_fuller_verdict_takes_a_change_back_also_when_it_was_confirmed(tmp_path, after_s):
    async def go():
        site = Site(tmp_path, SetTrial((0.0, ""), (after_s, "would have raised 9 alarms")))
        site.start()
        await site.desire({"hold_s": 30.0}, wait_s=after_s - 5)
        assert site.config.decision.hold_s == 30.0
        await asyncio.sleep(10)
        assert site.config.decision.hold_s == 60.0
        assert site.reported["status"] == "reverted"
        assert "9 alarms" in site.reported["refused"]["reason"]
        site = await again(site)
        assert site.config.decision.hold_s == 60.0
        await site.stop()

    run_virtual(go(), ManualClock())


@started
async def test_a_newer_change_ends_the_trial_of_the_one_before(site):
    site.config._trial = SetTrial((0.0, ""), (60.0, "bad"))
    await site.desire({"hold_s": 30.0})
    site.config._trial = SetTrial()
    await site.desire({"hold_s": 40.0}, wait_s=100)
    assert site.config.decision.hold_s == 40.0
    await site.stop()


def test_without_a_disk_nothing_is_adopted(tmp_path):
    (tmp_path / "file").touch()

    async def go(folder, why):
        site = Site(folder)
        site.start()
        await site.desire({"hold_s": 30.0})
        assert site.config.settings == RemoteSettings()
        assert why in site.reported["refused"]["reason"]
        await site.stop()

    run_virtual(go(None, "no disk can be used"), ManualClock())
    run_virtual(go(tmp_path / "file", "cannot be written"), ManualClock())


@pytest.mark.fault("F43")
def test_damaged_slots_are_said_and_the_detectors_own_settings_hold(tmp_path):
    async def go():
        site = Site(tmp_path)
        site.start()
        await site.desire({"hold_s": 30.0}, wait_s=130)
        for path in tmp_path.glob("config-?.json"):
            path.write_bytes(path.read_bytes().replace(b"30.0", b"31.0"))
        site = await again(site)
        assert "is damaged" in site.said["config"]
        await asyncio.sleep(5)
        # The shadow still desires it: it is tried and adopted anew.
        assert site.config.decision.hold_s == 30.0
        await site.stop()

    run_virtual(go(), ManualClock())


def test_stored_settings_that_no_longer_fit_are_left(tmp_path):
    async def go():
        site = Site(tmp_path)
        site.start()
        await site.desire({"thresholds": {"alert": 0.45}}, wait_s=130)
        own = DecisionSettings(thresholds={"informational": 0.2, "warning": 0.5, "alert": 0.6})
        site = await again(site, decision=own)
        assert site.config.decision == own
        assert "thresholds" in site.said["config"]
        assert site.reported["refused"]["path"] == "thresholds"
        await site.stop()

    run_virtual(go(), ManualClock())


def test_emergency_silence_is_the_devices_own(tmp_path):
    own = DecisionSettings(remote_emergency_silence=True)

    async def go():
        site = Site(tmp_path, decision=own)
        await site.config.consider(ShadowDocument(1, {"hold_s": 30.0}, {}, FIRST_S))
        assert site.config.decision.remote_emergency_silence
        assert site.trial.asked[0][0].remote_emergency_silence
        site.config.probation.stop()
        await site.config.close()

    run_virtual(go(), ManualClock())


# The true trial


@pytest.fixture(scope="module")
def scorer():
    return Scorer(load_bundle(default_bundle_path()))


def tried(trial, candidate):
    async def go():
        return [found async for found in trial.verdicts(candidate, DecisionSettings())]

    return run_virtual(go(), ManualClock())


def test_a_change_that_misses_a_library_fire_is_refused_by_name(tmp_path, scorer):
    async def go():
        site = Site(tmp_path, StoredTrial(None, lambda: scorer))
        site.start()
        await site.desire({"thresholds": {"alert": 0.75}})
        assert "smoulder" in site.reported["refused"]["reason"]
        assert "smoulder" in site.reported["verdict"]["library"]["missed"]
        assert site.config.settings == RemoteSettings()
        await site.desire({"thresholds": {"alert": 0.5}})
        assert site.config.decision.thresholds.alert == 0.5
        assert site.reported["verdict"]["only_more_sensitive"] is True
        await site.stop()

    run_virtual(go(), ManualClock())


def batches(count, score_column, hot_every=0):
    """Telemetry of quiet minutes, with a hot one now and then."""
    for number in range(count):
        day, hour, minute = 1 + number // 1440, number // 60 % 24, number % 60
        hot = hot_every and number % hot_every == 0
        yield TelemetryBatch(
            device="d",
            batch_id=f"d-1-t{number}",
            start=f"2026-01-{day:02}T{hour:02}:{minute:02}:00.000Z",
            seconds=tuple(range(60)),
            columns={
                name: packed([score_column if hot else 0.0] * 60, STEP[name])
                for name in ("t_mean", SCORE)
            },
            model="1",
        )


def test_the_older_history_can_take_a_change_back(tmp_path):
    """Two quiet hours are tried before the adoption; before them nuisances came every 10 min."""
    store = Store(tmp_path / "firedetect.db")
    for number, batch in enumerate(batches(400, 0.0)):
        busy = number < 250 and number % 10 == 0
        made = batch if not busy else heated(batch)
        store.add_batch(made.model_dump_json().encode(), 0)
    store.close()
    trial = StoredTrial(tmp_path / "firedetect.db", WarmIsThreeTenths)
    more = DecisionSettings(
        thresholds={"informational": 0.05, "warning": 0.06, "alert": 0.07, "emergency": 0.8},
        confirm={"k": 1, "n": 5},
    )
    (first, refused), (full, refused_later) = tried(trial, more)
    assert (refused, first.history.complete, first.history.hours) == ("", False, 2.0)
    assert full.history.complete
    assert full.history.hours == pytest.approx(400 / 60, abs=0.01)
    assert full.history.alarms - full.history.alarms_before > 3
    assert "more than now" in refused_later
    trial.close()


class WarmIsThreeTenths:
    """A scorer that gives 0.3 to what is warm, and nothing to the rest."""

    hash = "warm"

    def scores(self, rows):
        return np.where(rows[:, COLUMNS.index("t_max")] > 60.0, 0.3, 0.0)


def heated(batch):
    """A minute with something warm."""
    warm = {"t_mean": 22.0, "t_max": 80.0}
    columns = batch.columns | {name: packed([at] * 60, STEP[name]) for name, at in warm.items()}
    return batch.model_copy(update={"columns": columns})


def test_a_history_that_cannot_be_read_leaves_the_library_to_decide(tmp_path, scorer):
    (tmp_path / "firedetect.db").write_bytes(b"x" * 5000)
    trial = StoredTrial(tmp_path / "firedetect.db", lambda: scorer)
    found = tried(trial, DecisionSettings(hold_s=70.0))
    assert [why for _, why in found] == ["", ""]
    history = found[-1][0].history
    assert "the stored features cannot be read" in history.problem
    assert history == HistoryVerdict(
        hours=0.0, alarms=0, alarms_before=0, complete=False, problem=history.problem
    )
    trial.close()


async def test_a_disk_that_hangs_during_a_trial_refuses_the_change(tmp_path, scorer):
    trial = StoredTrial(tmp_path / "firedetect.db", lambda: scorer, limit_s=0.2)
    hung = threading.Event()
    trial._thread.submit(hung.wait)
    try:
        candidate, present = DecisionSettings(hold_s=70.0), DecisionSettings()
        found = [found async for found in trial.verdicts(candidate, present)]
        assert found == [(None, "cannot be tried: the trial did not end within 0.2 s")]
    finally:
        hung.set()
        trial.close()


# The whole daemon


@virtual
async def test_a_change_takes_effect_between_two_images_within_two_seconds(tmp_path, clock):
    async with running(tmp_path, clock=clock) as site:
        await site.until(lambda: len(site.outcomes) > 20, 30)
        site.shadows.desire("config", {"thresholds": {"alert": 0.55}, "hold_s": 30.0})
        took_s = await site.until(
            lambda: site.parts.detector.pipeline._settings.hold_s == 30.0, 2.0
        )
        assert took_s < 2.0
        assert site.parts.view.thresholds.alert == 0.55
        await site.until(lambda: site.reported().get("status") == "adopted", 2.0)
        changes = [e for e in site.events if isinstance(e, SettingsChanged)]
        assert [e.decision.hold_s for e in changes] == [60.0, 30.0]
        assert all(found.model for found in site.outcomes if found.features)
        # The interval of the gas board comes with the next change.
        site.shadows.desire("config", {"sensors": {"gas": {"interval_s": 5.0}}})
        await site.until(lambda: site.parts.remote.settings.sensors.gas.interval_s == 5.0, 2.0)
    services = site
    async with running(tmp_path, clock=clock, services=services) as site:
        assert site.parts.detector.pipeline._settings.hold_s == 30.0
        await asyncio.sleep(130)
        assert site.reported()["status"] == "confirmed"
        assert {found.health for found in site.outcomes[-20:]} == {Health.OK}


@pytest.mark.fault("F56")
@virtual
async def test_bad_documents_do_not_touch_the_pipeline(tmp_path, clock):
    async with running(tmp_path, clock=clock) as site:
        await site.until(lambda: len(site.outcomes) > 20, 30)
        before = site.parts.detector.pipeline._settings
        for document in ({"thresholds": {"alert": 1.01}}, {"outputs": {}, "x": 1}, {"hold_s": -1}):
            site.shadows.desire("config", document)
            await asyncio.sleep(2)
            assert site.reported()["refused"]
        assert site.parts.detector.pipeline._settings is before
        assert not list(tmp_path.glob("config-*.json"))
        assert len([e for e in site.events if isinstance(e, SettingsChanged)]) == 1
        assert site.last.troubles in ((), ("gas:learning",))


@virtual
async def test_a_sensor_that_dies_after_a_change_takes_it_back(tmp_path, clock):
    async with running(tmp_path, clock=clock) as site:
        await asyncio.sleep(75)
        site.shadows.desire("config", {"hold_s": 30.0})
        await site.until(lambda: site.parts.remote.decision.hold_s == 30.0, 2.0)
        site.bus.faults(0x33).fail(5)
        await site.until(lambda: site.parts.detector.pipeline._settings.hold_s == 60.0, 20.0)
        await asyncio.sleep(2)
        assert "health became degraded" in site.reported()["refused"]["reason"]


def test_every_rule_of_the_decision_is_within_the_remote_settings():
    assert set(DecisionRules.model_fields) <= set(RemoteSettings.model_fields)

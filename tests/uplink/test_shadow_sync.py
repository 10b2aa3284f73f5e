"""A shadow is kept in step with few requests, whatever the service and the link do."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firedetect.clock import ManualClock, cancel_and_wait, run_virtual
from firedetect.cloudbox.shadow import Shadow, update
from firedetect.errors import LinkDownError, ShadowRefusedError
from firedetect.uplink.jobs_client import printable
from firedetect.uplink.shadow_client import replacing
from firedetect.uplink.shadow_sync import ShadowSync
from tests.fakes.cloud import MemoryLink, MemoryShadows

NAME = "config"


class Followed:
    """One shadow with a detector that says `own` and hears what is desired."""

    def __init__(self, own):
        self.own = own
        self.taken = []
        self.link = MemoryLink()
        self.shadows = MemoryShadows(self.link)
        self.sync = ShadowSync(NAME, self.shadows, self.link, lambda: self.own, self.take)
        self.task = asyncio.create_task(self.sync.run())

    async def take(self, document):
        self.taken.append(document)

    async def end(self):
        assert not self.task.done()
        await cancel_and_wait(self.task)

    def requests_since(self, before):
        return len(self.shadows.requests) - before


def followed(test):
    """Run a test with one followed shadow on a manual clock."""

    def run():
        async def go():
            made = Followed({"a": 1, "empty": {}, "none": None})
            try:
                await test(made)
            finally:
                await made.end()

        run_virtual(go(), ManualClock())

    run.__name__ = test.__name__
    return run


@followed
async def test_what_the_detector_says_is_reported_once(f):
    await asyncio.sleep(10)
    assert f.shadows.reported(NAME) == {"a": 1}
    assert f.shadows.requests == [("get", NAME), ("report", NAME)]
    await asyncio.sleep(3000)
    assert len(f.shadows.requests) == 2


@followed
async def test_a_day_in_step_costs_one_request_an_hour(f):
    await asyncio.sleep(24 * 3600)
    assert f.shadows.count("report") == 1
    assert f.shadows.count("get") <= 25


@followed
async def test_a_desired_part_that_is_never_met_makes_no_loop(f):
    f.shadows.desire(NAME, {"a": 2, "b": [1, {"c": True}]})
    await asyncio.sleep(600)
    assert len(f.shadows.requests) <= 4
    assert f.taken[-1].desired == {"a": 2, "b": [1, {"c": True}]}


@followed
async def test_numbers_that_the_service_writes_otherwise_make_no_loop(f):
    f.own = {"a": 60.0, "on": True}
    await asyncio.sleep(5)
    f.shadows.shadows[NAME].state["reported"]["a"] = 60
    before = len(f.shadows.requests)
    f.shadows.desire(NAME, {"a": 1})
    await asyncio.sleep(600)
    assert f.requests_since(before) == 1


@pytest.mark.fault("F58")
@followed
async def test_a_flood_of_deltas_costs_four_requests_a_second(f):
    await asyncio.sleep(5)
    before = len(f.shadows.requests)
    for _ in range(10_000):
        for hear in f.shadows.watchers[NAME]:
            hear()
        await asyncio.sleep(0.001)
    assert f.requests_since(before) <= 45
    await asyncio.sleep(5)
    still = len(f.shadows.requests)
    await asyncio.sleep(60)
    assert f.requests_since(still) == 0


@followed
async def test_local_changes_are_reported_soon_and_together(f):
    await asyncio.sleep(5)
    before = len(f.shadows.requests)
    for number in range(1000):
        f.own = {"a": number}
        f.sync.local_changed()
        await asyncio.sleep(0.001)
    await asyncio.sleep(1)
    assert f.shadows.reported(NAME) == {"a": 999}
    assert f.requests_since(before) <= 8


@followed
async def test_what_changed_without_a_link_is_reported_after_it(f):
    await asyncio.sleep(5)
    f.link.go(up=False)
    f.own = {"a": 2}
    f.sync.local_changed()
    before = len(f.shadows.requests)
    f.shadows.desire(NAME, {"a": 7})
    await asyncio.sleep(3600)
    assert f.requests_since(before) <= 1
    f.link.go(up=True)
    await asyncio.sleep(6)
    assert f.shadows.reported(NAME) == {"a": 2}
    assert f.taken[-1].desired == {"a": 7}


@followed
async def test_an_answer_that_is_lost_is_asked_for_again_within_seconds(f):
    await asyncio.sleep(5)
    f.shadows.fault = lambda what, _: LinkDownError("no answer") if what == "get" else None
    f.shadows.desire(NAME, {"a": 3})
    await asyncio.sleep(6)
    f.shadows.fault = lambda *_: None
    await asyncio.sleep(20)
    assert f.taken[-1].desired == {"a": 3}


@followed
async def test_a_refused_document_is_said_and_tried_ever_more_rarely(f):
    f.shadows.fault = lambda what, _: (
        ShadowRefusedError("shadow config: 413 too large") if what == "report" else None
    )
    await asyncio.sleep(3600)
    assert "413" in f.link.refusals[f"shadow {NAME}"]
    assert len(f.shadows.requests) <= 50
    f.shadows.fault = lambda *_: None
    await asyncio.sleep(301)
    assert f.link.refusals == {}
    assert f.shadows.reported(NAME) == {"a": 1}


@followed
async def test_a_shadow_that_was_deleted_is_reported_anew(f):
    await asyncio.sleep(5)
    f.shadows.delete(NAME)
    f.sync.remote_changed()
    await asyncio.sleep(5)
    assert f.shadows.reported(NAME) == {"a": 1}


LEAVES = st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from([1.0, 0.5, "", "x"])
VALUES = st.recursive(
    LEAVES | st.lists(st.booleans() | st.integers(0, 2), max_size=2),
    lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)
SECTIONS = st.dictionaries(st.sampled_from("abc"), VALUES, max_size=3)


def merged(present, changes):
    """Return a reported section after an update, as the service does it."""
    begun = Shadow(1, 0, {"reported": present}, {}, deleted=False)
    return update(begun, {"state": {"reported": changes}}, 0).shadow.state.get("reported", {})


def kept(section):
    return merged({}, section)


@given(SECTIONS, SECTIONS)
def test_merging_the_changes_makes_the_present_document_the_new_one(new, present):
    present = kept(present)
    after = merged(present, replacing(new, present))
    assert after == kept(new)
    assert replacing(new, after) == {}


@given(st.text())
def test_details_of_jobs_are_as_aws_takes_them(text):
    shown = printable(text)
    assert 1 <= len(shown) <= 1000
    assert shown.isprintable()

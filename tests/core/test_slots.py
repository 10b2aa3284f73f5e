"""A/B storage: after any crash the old or the new body is active, never nothing."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firedetect.errors import StorageError
from firedetect.storage.slots import MAX_BYTES, Disk, Slot, Slots


class CrashError(Exception):
    """The program ends here."""


class BadDisk(Disk):
    """Fails at its n-th step; a write that fails has written half."""

    def __init__(self, fails_at, failure):
        self.left = fails_at
        self.failure = failure

    def _step(self):
        self.left -= 1
        if self.left < 0:
            raise self.failure

    def write(self, path, content):
        path.write_bytes(content[: len(content) // 2])
        self._step()
        super().write(path, content)

    def replace(self, source, target):
        self._step()
        super().replace(source, target)

    def remove(self, path):
        self._step()
        super().remove(path)

    def sync(self, folder):
        self._step()
        super().sync(folder)


class BrieflyBadDisk(BadDisk):
    """Fails at its n-th step only."""

    def _step(self):
        self.left -= 1
        if self.left == -1:
            raise self.failure


def body(number):
    return {"number": number}


def numbers(slots):
    return [slot.body["number"] for slot in slots.stored()]


def damage(path, how="flip"):
    content = bytearray(path.read_bytes())
    if how == "flip":
        content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content) if how == "flip" else how)


@pytest.fixture
def slots(tmp_path):
    return Slots(tmp_path / "deep" / "slots", "x")


def test_nothing_stored_is_nothing_active(slots):
    assert slots.active() is None
    assert slots.problems == ()
    assert slots.confirm() is None
    assert slots.revert() is None
    assert slots.count_start() == ""


def test_a_proposed_body_is_active_and_unconfirmed_until_it_is_confirmed(slots):
    assert slots.propose(body(1)) == slots.active() == Slot(1, False, 0, body(1))
    assert slots.confirm() == slots.active() == Slot(1, True, 0, body(1))
    slots.propose(body(2))
    assert slots.stored() == (Slot(2, False, 0, body(2)), Slot(1, True, 0, body(1)))
    assert slots.revert() == Slot(1, True, 0, body(1))
    assert numbers(slots) == [1]


def test_a_second_proposal_never_costs_the_confirmed_body(slots):
    slots.propose(body(1))
    slots.confirm()
    slots.propose(body(2))
    slots.propose(body(3))
    assert numbers(slots) == [3, 1]
    assert slots.revert().body == body(1)


def test_a_confirmed_body_is_dropped_only_on_demand(slots):
    for number in (1, 2):
        slots.propose(body(number))
        slots.confirm()
    assert slots.revert().body == body(2)
    assert slots.revert(even_confirmed=True).body == body(1)
    assert slots.revert(even_confirmed=True) is None


def test_a_body_that_never_proves_itself_is_reverted_at_a_start(slots):
    slots.propose(body(1))
    slots.confirm()
    slots.propose(body(2))
    assert [slots.count_start(), slots.count_start()] == ["", ""]
    assert slots.active().body == body(2)
    assert slots.count_start() == "started 2 times without proving itself"
    assert slots.active().body == body(1)
    assert slots.count_start() == ""


def test_a_confirmed_body_may_start_for_ever(slots):
    slots.propose(body(1))
    slots.confirm()
    assert {slots.count_start() for _ in range(10)} == {""}
    assert slots.active() == Slot(1, True, 0, body(1))


@pytest.mark.fault("F43")
@pytest.mark.parametrize(
    "how",
    ["flip", b"", b"{", b"[]", b"null", b"{}", b"[" * 50_000, b"\xff", b" " * (MAX_BYTES + 1)],
    ids=lambda how: how if isinstance(how, str) else repr(how[:6]),
)
def test_a_damaged_file_counts_as_absent_and_is_told(slots, tmp_path, how):
    slots.propose(body(1))
    slots.confirm()
    slots.propose(body(2))
    newer = tmp_path / "deep" / "slots" / "x-b.json"
    damage(newer, how)
    assert slots.active().body == body(1)
    assert slots.problems == (f"{newer}: is damaged",)
    slots.propose(body(3))
    assert numbers(slots) == [3, 1]
    assert slots.problems == ()


def test_both_damaged_is_nothing_and_told(slots, tmp_path):
    slots.propose(body(1))
    slots.confirm()
    slots.propose(body(2))
    for path in (tmp_path / "deep" / "slots").iterdir():
        damage(path)
    assert slots.active() is None
    assert len(slots.problems) == 2
    assert slots.propose(body(3)) == slots.active()


@pytest.mark.fault("F43")
@pytest.mark.parametrize("field", ["sequence", "confirmed", "starts", "body"])
def test_every_field_is_covered_by_the_hash(slots, tmp_path, field):
    slots.propose(body(1))
    path = tmp_path / "deep" / "slots" / "x-a.json"
    record = json.loads(path.read_text())
    record[field] = {"sequence": 9, "confirmed": True, "starts": 5, "body": body(9)}[field]
    path.write_text(json.dumps(record))
    assert slots.active() is None


def test_a_folder_in_the_place_of_a_file_is_told(slots, tmp_path):
    (tmp_path / "deep" / "slots" / "x-a.json").mkdir(parents=True)
    assert slots.active() is None
    assert "Is a directory" in slots.problems[0]


def test_a_body_that_is_too_large_is_refused(slots):
    slots.propose(body(1))
    with pytest.raises(StorageError, match="too many"):
        slots.propose({"x": "y" * MAX_BYTES})
    assert slots.active().body == body(1)


ACTIONS = {
    "propose": lambda slots: slots.propose(body(99)),
    "confirm": lambda slots: slots.confirm(),
    "revert": lambda slots: slots.revert(),
    "force": lambda slots: slots.revert(even_confirmed=True),
    "start": lambda slots: slots.count_start(),
}
BEFORE = st.lists(st.sampled_from(["propose", "confirm", "revert", "start"]), max_size=6)


def prepared(folder, before):
    slots = Slots(folder, "x")
    slots.propose(body(0))
    slots.confirm()
    for action in before:
        ACTIONS[action](slots)
    return slots


@pytest.mark.fault("F41")
@settings(max_examples=150, deadline=None, database=None)
@given(before=BEFORE, action=st.sampled_from(sorted(ACTIONS)), step=st.integers(0, 3))
def test_a_crash_at_any_step_leaves_old_or_new(tmp_path_factory, before, action, step):
    folder = tmp_path_factory.mktemp("slots")
    old = prepared(folder, before).active()
    expected = prepared(tmp_path_factory.mktemp("slots"), before)
    ACTIONS[action](expected)
    new = expected.active()
    assert old is not None
    try:
        ACTIONS[action](Slots(folder, "x", disk=BadDisk(step, CrashError())))
    except CrashError:
        assert Slots(folder, "x").active() in (old, new)
    else:
        assert Slots(folder, "x").active() == new
    again = Slots(folder, "x")
    assert again.problems == ()
    assert again.propose(body(100)) == again.active()


@settings(max_examples=150, deadline=None, database=None)
@given(before=BEFORE, action=st.sampled_from(sorted(ACTIONS)), step=st.integers(0, 3))
def test_a_disk_error_changes_nothing(tmp_path_factory, before, action, step):
    folder = tmp_path_factory.mktemp("slots")
    old = prepared(folder, before).stored()
    disk = BrieflyBadDisk(step, OSError(28, "No space left on device"))
    failed = False
    try:
        ACTIONS[action](Slots(folder, "x", disk=disk))
    except StorageError:
        failed = True
        assert Slots(folder, "x").stored() == old
    assert failed == (disk.left < 0)

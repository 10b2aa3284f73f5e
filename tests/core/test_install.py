"""Installing a model: every refusal and every crash leaves the one in use in use."""

import json
import shutil

import numpy as np
import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from firedetect.config import Settings
from firedetect.contract.settings import DecisionSettings
from firedetect.daemon.models.choose import choose_model, start_model
from firedetect.daemon.models.install import ModelStore, model_store
from firedetect.errors import BundleError, SignatureError, StorageError
from firedetect.features.vector import COLUMNS
from firedetect.model.archive import pack
from firedetect.model.bundle import load_bundle
from firedetect.model.scorer import Scorer
from firedetect.model.signature import generate_key, sign_bundle
from firedetect.pipeline import Pipeline
from firedetect.readings import Restored, ScoreOverrun, Started, Stream, ThermalImage
from firedetect.trial.library import Library
from firedetect.trial.trace import VALUES, Trace
from tests.core.bundles import make_bundle
from tests.core.test_slots import BadDisk, BrieflyBadDisk, CrashError

NS = 1_000_000_000
PRESENT = DecisionSettings()


def trace(name, first_column, *, fire):
    """A run of 20 s at one image a second, in which only the model can see anything."""
    n = 20
    rows = np.full((n, len(COLUMNS)), np.nan, np.float32)
    rows[:, 0] = first_column
    none = np.zeros(0)
    return Trace(
        name,
        fire,
        hard_t_ns=np.arange(n) * NS,
        hard_values=np.full((n, len(VALUES)), np.nan),
        hard_image=np.zeros(n, np.bool_),
        pixel_event=none.astype(np.int32),
        pixel_at=none.astype(np.int16),
        pixel_c=none.astype(np.float32),
        row_t_ns=np.arange(n) * NS,
        row_after=np.arange(1, n + 1, dtype=np.int32),
        rows=rows,
    )


@pytest.fixture(scope="module")
def library():
    return Library((trace("blaze", 1.0, fire=True), trace("toast", -1.0, fire=False)))


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Keys, the shipped bundle 1.0.0 and signed bundles of other versions."""
    folder = tmp_path_factory.mktemp("world")
    (folder / "trusted").mkdir()
    shutil.copy(generate_key(folder / "release.key"), folder / "trusted")
    make_bundle(folder / "shipped", "1.0.0")
    for name, version, boundary, seed in (
        ("v1", "1.0.0", 0.0, 1),
        ("v2", "2.0.0", 0.0, 0),
        ("v2-other", "2.0.0", 0.0, 9),
        ("v3", "3.0.0", 0.0, 0),
        ("v4", "4.0.0", 0.0, 0),
        ("v0", "0.9.9", 0.0, 0),
        ("blind", "5.0.0", 1.75, 0),
        ("nervous", "5.0.0", -1.75, 0),
    ):
        bundle = make_bundle(folder / name, version, boundary, seed)
        sign_bundle(bundle.path, folder / "release.key")
    return folder


@pytest.fixture
def store(world, tmp_path):
    return ModelStore(tmp_path / "data" / "models", shipped=world / "shipped")


def install(store, world, library, source, *, trusted=True, **changed):
    path = source if not isinstance(source, str) else world / source
    present = changed.pop("present", None) or choose_model(store).scorer
    return store.install(
        path,
        trusted_keys=world / "trusted" if trusted else None,
        present=present,
        settings=PRESENT,
        library=library,
        **changed,
    )


def used(store):
    return choose_model(store).scorer.version


def folders(store):
    return sorted(path.name[:5] for path in store._folder.iterdir() if path.is_dir())


def test_without_an_installed_bundle_the_shipped_one_is_used(store, world):
    assert store.active_bundle_path() == world / "shipped"
    chosen = start_model(store)
    assert (chosen.scorer.version, chosen.trouble, chosen.reverted) == ("1.0.0", "", "")
    assert not store.confirm(chosen.scorer.hash)


def test_a_good_bundle_is_installed_and_proves_itself(store, world, library):
    installed = install(store, world, library, "v2")
    assert (installed.version, installed.key, installed.changed) == ("2.0.0", "release.pub", True)
    assert installed.path == store.active_bundle_path()
    assert installed.verdict.library.tried == 2
    assert installed.scorer.version == "2.0.0"
    assert load_bundle(installed.path).hash == load_bundle(world / "v2").hash == installed.hash
    assert (installed.path / "signature").stat().st_size == 64
    assert not store.named[0].confirmed
    assert not store.confirm("0" * 64)
    assert store.confirm(installed.hash)
    assert store.named[0].confirmed
    assert [start_model(store).reverted for _ in range(5)] == [""] * 5
    assert used(store) == "2.0.0"


def test_an_archive_is_installed_as_the_folder_it_was(store, world, library, tmp_path):
    pack(world / "v2", tmp_path / "v2.zip")
    installed = install(store, world, library, tmp_path / "v2.zip")
    assert installed.hash == load_bundle(world / "v2").hash
    assert used(store) == "2.0.0"


def test_installing_twice_changes_nothing(store, world, library):
    first = install(store, world, library, "v2")
    store.confirm(first.hash)
    again = install(store, world, library, "v2")
    assert (again.changed, again.verdict, again.path) == (False, None, first.path)
    assert store.named[0].confirmed


def test_the_predecessor_is_kept_and_older_ones_go(store, world, library):
    for name in ("v2", "v3", "v4"):
        store.confirm(install(store, world, library, name).hash)
    assert [named.version for named in store.named] == ["4.0.0", "3.0.0"]
    assert folders(store) == ["3.0.0", "4.0.0"]
    assert store.rollback().version == "3.0.0"
    assert used(store) == "3.0.0"
    assert folders(store) == ["3.0.0"]
    assert store.rollback() is None
    assert used(store) == "1.0.0"
    with pytest.raises(BundleError, match="no bundle is installed"):
        store.rollback()


def test_after_a_rollback_the_same_bundle_may_come_again(store, world, library):
    install(store, world, library, "v2")
    store.rollback()
    assert install(store, world, library, "v2").changed
    assert used(store) == "2.0.0"


@pytest.mark.fault("F34")
def test_a_bundle_that_does_not_prove_itself_is_left_at_the_third_start(store, world, library):
    store.confirm(install(store, world, library, "v2").hash)
    install(store, world, library, "v3")
    assert [start_model(store).scorer.version for _ in range(2)] == ["3.0.0", "3.0.0"]
    third = start_model(store)
    assert third.scorer.version == "2.0.0"
    assert third.reverted == "model 3.0.0: started 2 times without proving itself"
    assert start_model(store).reverted == ""


def test_a_start_that_cannot_be_counted_does_not_use_an_unproven_bundle(store, world, library):
    store.confirm(install(store, world, library, "v2").hash)
    unproven = install(store, world, library, "v3")
    full = BadDisk(0, OSError(28, "No space left on device"))
    chosen = start_model(ModelStore(store._folder, shipped=world / "shipped", disk=full))
    assert chosen.scorer.version == "2.0.0"
    assert "No space left" in chosen.trouble
    assert unproven.path.exists()
    assert start_model(store).scorer.version == "3.0.0"


@pytest.mark.fault("F26", "F27")
@pytest.mark.parametrize("how", ["gone", "damaged", "exchanged"])
def test_a_lost_bundle_gives_way_to_its_predecessor_then_to_the_shipped_one(
    store, world, library, how
):
    for name in ("v2", "v3"):
        store.confirm(install(store, world, library, name).hash)
    for lost, next_one in (("3.0.0", "2.0.0"), ("2.0.0", "1.0.0")):
        path = next(named.path for named in store.named if named.version == lost)
        if how == "damaged":
            (path / "model.ubj").write_bytes(b"x")
        else:
            shutil.rmtree(path)
        if how == "exchanged":
            shutil.copytree(world / "v4", path)
        chosen = start_model(store)
        assert chosen.scorer.version == next_one
        assert str(path) in chosen.trouble
    # A lost bundle can be installed again, in its place.
    assert install(store, world, library, "v3").changed
    assert used(store) == "3.0.0"


def test_an_unproven_bundle_that_is_lost_is_left_for_good(store, world, library):
    shutil.rmtree(install(store, world, library, "v2").path)
    assert "2.0.0" in start_model(store).trouble
    assert store.named == ()
    assert start_model(store).trouble == ""


@pytest.mark.fault("F26")
def test_without_any_bundle_the_hard_rules_work_alone(tmp_path):
    chosen = start_model(ModelStore(tmp_path / "models", shipped=tmp_path / "none"))
    assert (chosen.scorer, chosen.path) == (None, None)
    assert "manifest.json" in chosen.trouble


def test_damaged_slots_are_told_and_the_shipped_bundle_used(store, world, library):
    install(store, world, library, "v2")
    (store._folder / "model-a.json").write_text("{}")
    chosen = start_model(store)
    assert chosen.scorer.version == "1.0.0"
    assert "model-a.json: is damaged" in chosen.trouble


def test_a_slot_names_no_place_outside_the_folder(store, world):
    for body in ({"version": "../../1", "hash": "0" * 64}, {"version": "1.0.0"}, {}):
        store._slots.propose(body)
        assert store.named == ()
        assert store.active_bundle_path() == world / "shipped"
        assert start_model(store).scorer.version == "1.0.0"


def test_a_bundle_that_the_settings_name_is_used_alone(world, library, tmp_path):
    device = Settings().device.model_copy(update={"data_dir": tmp_path})
    model = Settings().model.model_copy(update={"bundle": world / "v2"})
    store = model_store(Settings(device=device, model=model))
    assert store.active_bundle_path() == world / "v2"
    assert start_model(store).scorer.version == "2.0.0"
    with pytest.raises(BundleError, match=r"model\.bundle"):
        install(store, world, library, "v3")
    with pytest.raises(BundleError, match=r"model\.bundle"):
        store.rollback()
    missing = ModelStore(tmp_path, fixed=tmp_path / "none", shipped=world / "shipped")
    assert start_model(missing).scorer is None


# Refusals


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def edit(folder, **fields):
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def edit_signed(folder, world, **fields):
    """Change the manifest as somebody does who has the key: no check stands before ours."""
    edit(folder, **fields)
    key = load_pem_private_key((world / "release.key").read_bytes(), None)
    (folder / "signature").write_bytes(key.sign((folder / "manifest.json").read_bytes()))


def golden_off(folder, world):
    golden = json.loads((folder / "manifest.json").read_text())["golden"]
    golden["margins"][3] += 1.0
    edit_signed(folder, world, golden=golden)


def canary_off(folder, world):
    canary = json.loads((folder / "manifest.json").read_text())["canary"]
    edit_signed(folder, world, canary=canary | {"fire": canary["quiet"]})


def by_another_key(folder, _world):
    generate_key(folder.parent / "other.key")
    sign_bundle(folder, folder.parent / "other.key")


REFUSED = {
    "flipped bit in the model": ("v2", lambda f, _: flip(f / "model.ubj"), "sha256"),
    "flipped bit in the signature": ("v2", lambda f, _: flip(f / "signature"), "trusted keys"),
    "manifest changed after signing": ("v2", lambda f, _: edit(f, seed=5), "manifest was changed"),
    "no manifest": ("v2", lambda f, _: (f / "manifest.json").unlink(), "manifest.json"),
    "not even JSON, unsigned": (
        "v2",
        lambda f, _: (f / "manifest.json").write_text("[" * 100_000),
        "manifest was changed",
    ),
    "unsigned": ("v2", lambda f, _: (f / "signature").unlink(), "is not signed"),
    "wrong key": ("v2", by_another_key, "none of the trusted keys (release.pub)"),
    "other schema": ("v2", lambda f, w: edit_signed(f, w, schema_id="feedbeef"), "schema feedbeef"),
    "failing golden row": ("v2", golden_off, "golden margins differ"),
    "failing canary": ("v2", canary_off, "the canary fire scores"),
    "old version": ("v0", lambda *_: None, "version 0.9.9 is older than 1.0.0"),
    "same version, other content": ("v1", lambda *_: None, "another content"),
    "misses a fire": ("blind", lambda *_: None, "misses the library fire blaze"),
    "false alarm": ("nervous", lambda *_: None, "raises alert in the nuisance toast"),
    "linked model": (
        "v2",
        lambda f, w: ((f / "model.ubj").unlink(), (f / "model.ubj").symlink_to(w / "v2/model.ubj")),
        "is a link",
    ),
    "linked signature": (
        "v2",
        lambda f, w: (
            (f / "signature").unlink(),
            (f / "signature").symlink_to(w / "v2/signature"),
        ),
        "is a link",
    ),
}


@pytest.mark.fault("F60")
@pytest.mark.parametrize("case", REFUSED)
def test_a_bad_bundle_is_refused_and_changes_nothing(store, world, library, tmp_path, case):
    source, spoil, evidence = REFUSED[case]
    shutil.copytree(world / source, tmp_path / "bundle")
    spoil(tmp_path / "bundle", world)
    with pytest.raises(BundleError) as caught:
        install(store, world, library, tmp_path / "bundle")
    message = str(caught.value)
    assert evidence in message
    assert "\n" not in message
    assert ".incoming-" not in message
    assert used(store) == "1.0.0"
    assert store.named == ()
    assert folders(store) == []


def test_a_bundle_that_is_active_but_not_in_use_is_tried_and_used(store, world, library):
    installed = install(store, world, library, world / "v2")
    shipped = Scorer(load_bundle(world / "shipped"))
    again = install(store, world, library, world / "v2", present=shipped)
    assert again.changed
    assert (again.hash, store.named[0].hash) == (installed.hash, installed.hash)


@pytest.mark.fault("F60")
def test_a_bad_archive_is_refused(store, world, library, tmp_path):
    (tmp_path / "a.zip").write_bytes(b"x" * 100)
    with pytest.raises(BundleError, match=r"a\.zip: is no zip archive"):
        install(store, world, library, tmp_path / "a.zip")
    with pytest.raises(BundleError, match="No such file"):
        install(store, world, library, tmp_path / "none.zip")
    assert folders(store) == []


def test_without_a_trusted_key_nothing_is_installed(store, world, library):
    with pytest.raises(SignatureError, match="no key is trusted"):
        install(store, world, library, "v2", trusted=False)


def test_an_installed_version_counts(store, world, library):
    install(store, world, library, "v3")
    with pytest.raises(BundleError, match=r"older than 3\.0\.0, the installed one"):
        install(store, world, library, "v2")
    assert install(store, world, library, "v2", allow_downgrade=True).changed
    with pytest.raises(BundleError, match="another content"):
        install(store, world, library, "v2-other", allow_downgrade=True)
    assert used(store) == "2.0.0"


def test_the_present_model_counts_though_it_is_not_installed(store, world, library):
    present = Scorer(load_bundle(world / "v3"))
    with pytest.raises(BundleError, match=r"older than 3\.0\.0, the present one"):
        store.install(
            world / "v2",
            trusted_keys=world / "trusted",
            present=present,
            settings=PRESENT,
            library=library,
        )


def test_versions_are_numbers(store, world, library, tmp_path):
    store.confirm(install(store, world, library, "v2").hash)
    ten = make_bundle(tmp_path / "ten", "10.0.0")
    sign_bundle(ten.path, world / "release.key")
    assert install(store, world, library, ten.path).version == "10.0.0"


# Crashes


@pytest.mark.parametrize("step", range(6))
@pytest.mark.parametrize("failure", [CrashError(), OSError(28, "No space left on device")])
def test_a_crash_at_any_step_leaves_the_model_in_use_or_the_new_one(
    store, world, library, step, failure
):
    store.confirm(install(store, world, library, "v2").hash)
    disk = BadDisk if isinstance(failure, CrashError) else BrieflyBadDisk
    weak = ModelStore(store._folder, shipped=world / "shipped", disk=disk(step, failure))
    ended = False
    try:
        install(weak, world, library, "v3")
    except (CrashError, StorageError):
        ended = True
    expected = {"2.0.0", "3.0.0"} if isinstance(failure, CrashError) else {"2.0.0"}
    assert used(store) in (expected if ended else {"3.0.0"})
    assert ended == (step < 5)
    chosen = start_model(store)
    assert chosen.trouble == ""
    # What was left lying about does not stop the next attempt, and is tidied up by it.
    if chosen.scorer.version == "2.0.0":
        assert install(store, world, library, "v3").changed
    assert folders(store) == ["2.0.0", "3.0.0"]


def test_what_a_killed_program_left_is_tidied_up(store, world, library):
    left = store._folder / ".incoming-x"
    (left / "bundle").mkdir(parents=True)
    (store._folder / "7.7.7-01234567").mkdir()
    (store._folder / "mine").mkdir()
    install(store, world, library, "v2")
    assert folders(store) == ["2.0.0", "mine"]


def test_a_folder_that_cannot_be_made_is_a_storage_error(world, library, tmp_path):
    (tmp_path / "file").touch()
    store = ModelStore(tmp_path / "file" / "models", shipped=world / "shipped")
    with pytest.raises(StorageError, match="Not a directory"):
        install(store, world, library, "v2")
    assert used(store) == "1.0.0"


# The running pipeline


class Says:
    """A scorer with one answer, or a fault."""

    def __init__(self, version, answer):
        self.version = version
        self.answer = answer

    def score(self, _row):
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def test_a_pipeline_takes_another_model_between_two_events():
    def image(second):
        return ThermalImage(second * NS, np.full((24, 32), 21.0, np.float32))

    pipeline = Pipeline(Says("old", RuntimeError()))
    list(pipeline.run([Started(0, "d", 1, 0, (Stream("thermal", 5.0),)), Restored(0)]))
    *_, aside = pipeline.run([image(1), image(2), image(3)])
    assert (aside.model, aside.troubles) == (None, ("model:failed RuntimeError, set aside",))
    pipeline.replace_model(Says("new", 0.7))
    outcomes = [*pipeline.run([image(4), image(5), image(6)])]
    assert [(o.model, o.score, o.troubles) for o in outcomes] == [("new", 0.7, ())] * 3
    assert outcomes[-1].level.label == "alert"
    # What is held against a model ends with it; what is latched stays.
    pipeline.step(ScoreOverrun(6 * NS, 0.3))
    pipeline.replace_model(Says("newer", 0.0))
    *_, last = pipeline.run([image(7)])
    assert (last.model, last.troubles, last.level.label) == ("newer", (), "alert")
    pipeline.replace_model(None)
    *_, without = pipeline.run([image(8)])
    assert (without.model, without.troubles) == (None, ("model:none",))

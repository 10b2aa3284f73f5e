"""Models in a running detector: what hangs or comes too late leaves the proven one in use."""

import asyncio
import shutil
import threading

import pytest

from firedetect.contract.settings import DecisionSettings
from firedetect.daemon.disk import DiskThread
from firedetect.daemon.models.choose import choose_model
from firedetect.daemon.models.install import ModelStore
from firedetect.daemon.models.keeper import ModelKeeper
from firedetect.errors import StorageError
from firedetect.model.archive import pack
from firedetect.model.signature import generate_key, sign_bundle
from firedetect.trial.history import joined
from firedetect.trial.library import load_library
from tests.daemon.test_job_handlers import reversioned
from tests.fakes.disk import ImmediateDisk

NEW = "99.0.0"


@pytest.fixture(scope="module")
def library():
    return load_library()


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A trusted key and an archive of a newer bundle that it signed."""
    folder = tmp_path_factory.mktemp("models")
    (folder / "trusted").mkdir()
    shutil.copy(generate_key(folder / "release.key"), folder / "trusted")
    bundle = reversioned(folder / "good", NEW)
    sign_bundle(bundle, folder / "release.key")
    pack(bundle, folder / "good.zip")
    return folder


class SlowTrial:
    """A trial that waits until it is let go."""

    def __init__(self, library):
        self._library = library
        self.go = threading.Event()

    def library(self):
        return self._library

    def newest(self):
        self.go.wait(20.0)
        return joined([])


def keeper(world, folder, trial, disk, said, **more):
    return ModelKeeper(
        ModelStore(folder / "models"),
        world / "trusted",
        lambda: trial,
        DecisionSettings,
        said.__setitem__,
        disk,
        asyncio.Lock(),
        **more,
    )


async def test_an_install_that_takes_too_long_is_undone_behind(world, library, tmp_path):
    disk, trial, said = DiskThread("models"), SlowTrial(library), {}
    models = keeper(world, tmp_path, trial, disk, said, limit_s=0.2)
    present = models.version
    with pytest.raises(StorageError, match="does not answer"):
        await models.install(world / "good.zip")
    trial.go.set()
    # Behind it in the same thread: the bundle was named and left again.
    await disk.run(lambda: None)
    assert (tmp_path / "models").is_dir()
    assert choose_model(ModelStore(tmp_path / "models")).scorer.version == present
    assert models.version == present
    models.close()


async def test_a_model_taken_back_after_a_restart_leaves_the_proven_one(world, library, tmp_path):
    store = ModelStore(tmp_path / "models")
    store.install(
        world / "good.zip",
        trusted_keys=world / "trusted",
        present=None,
        settings=DecisionSettings(),
        library=library,
    )
    disk, said = ImmediateDisk(), {}
    models = keeper(world, tmp_path, None, disk, said)
    swapped = []
    models.swap = swapped.append
    models.watch()
    assert models.version == NEW
    disk.hangs = True
    models._take_back("late")
    assert await models.proven() == "late"
    await asyncio.sleep(0)
    assert [scorer.version for scorer in swapped] == [
        choose_model(store, proven_only=True).scorer.version
    ]
    assert models.version not in {None, NEW}
    assert "does not answer" in said["bundle"]
    models.close()


async def test_one_change_at_a_time(world, library, tmp_path):
    """Settings that are adopted meanwhile were not tried with the new model."""
    trial, said = SlowTrial(library), {}
    trial.go.set()
    models = keeper(world, tmp_path, trial, DiskThread("models"), said)
    async with models._one_change:
        installing = asyncio.create_task(models.install(world / "good.zip"))
        done, _ = await asyncio.wait([installing], timeout=0.5)
        assert not done
    assert (await installing).version == NEW
    models.close()

"""The four jobs in a whole daemon: a bad bundle leaves the model in use in use, and says why."""

import asyncio
import contextlib
import hashlib
import json
import shutil
import zipfile
from concurrent.futures import Future
from datetime import datetime
from types import SimpleNamespace

import pytest
from aiohttp import web
from awsiot import V2ServiceException
from awsiot.iotjobs import V2ErrorResponse
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from firedetect.clock import ManualClock, cancel_and_wait, run_virtual
from firedetect.commissioning.gas import moved_too_far
from firedetect.config import (
    GasBaseline,
    GasSettings,
    ModelSettings,
    Settings,
    UplinkSettings,
    load_gas_baseline,
)
from firedetect.contract.jobs import CollectRecording, Drill, InstallModel
from firedetect.contract.level import Level
from firedetect.daemon.models.choose import choose_model
from firedetect.daemon.models.install import ModelStore
from firedetect.daemon.remote import job_handlers
from firedetect.daemon.remote.flight import FlightRecorder
from firedetect.daemon.remote.gas_anchor import GasAnchor
from firedetect.daemon.remote.job_handlers import JobHandlers
from firedetect.errors import (
    BundleError,
    JobFailedError,
    JobRefusedError,
    StorageError,
    TransferError,
)
from firedetect.model.archive import pack
from firedetect.model.bundle import default_bundle_path
from firedetect.model.signature import generate_key, sign_bundle
from firedetect.readings import GasCalibrated, Restored, Started, Tick
from firedetect.sensors.recording import read_events
from firedetect.uplink.requests import answered
from firedetect.uplink.transfer import TRIES
from tests.core.bundles import make_bundle
from tests.fakes.detector import running, virtual
from tests.fakes.disk import ImmediateDisk

SHIPPED = json.loads((default_bundle_path() / "manifest.json").read_text())["version"]


def reversioned(folder, version, **changed):
    """The bundle that came along under another version."""
    shutil.copytree(default_bundle_path(), folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(manifest | {"version": version} | changed))
    return folder


def flipped(archive, target, name):
    """The archive with one bit of a file in it flipped, and whole as an archive."""
    with zipfile.ZipFile(archive) as source, zipfile.ZipFile(target, "w") as copy:
        for entry in source.infolist():
            content = bytearray(source.read(entry))
            if entry.filename == name:
                content[len(content) // 2] ^= 1
            copy.writestr(entry, bytes(content))


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Archives by name, and the folder of trusted keys."""
    folder = tmp_path_factory.mktemp("world")
    (folder / "trusted").mkdir()
    shutil.copy(generate_key(folder / "release.key"), folder / "trusted")
    generate_key(folder / "other.key")
    bundles = {
        "good": (reversioned(folder / "good", "99.0.0"), "release.key"),
        "better": (reversioned(folder / "better", "99.1.0"), "release.key"),
        "foreign": (reversioned(folder / "foreign", "99.0.0"), "other.key"),
        "old": (reversioned(folder / "old", "0.0.1"), "release.key"),
        "same": (reversioned(folder / "same", SHIPPED, name="another"), "release.key"),
        "nervous": (make_bundle(folder / "nervous", "99.2.0").path, "release.key"),
        "unsigned": (reversioned(folder / "unsigned", "99.0.0"), None),
        "shipped": (shutil.copytree(default_bundle_path(), folder / "shipped"), "release.key"),
    }
    archives = {}
    for name, (bundle, key) in bundles.items():
        if key is not None:
            sign_bundle(bundle, folder / key)
        archives[name] = folder / f"{name}.zip"
        pack(bundle, archives[name])
    for name in ("model.ubj", "manifest.json", "signature"):
        archives[f"flipped {name}"] = folder / f"flipped-{name}.zip"
        flipped(archives["good"], archives[f"flipped {name}"], name)
    # What no honest tool packs or signs.
    canary = json.loads((folder / "good" / "manifest.json").read_text())["canary"]
    for name, fields in (
        ("other schema", {"schema_id": "0000"}),
        ("failing canary", {"canary": canary | {"fire": canary["quiet"]}}),
    ):
        archives[name] = folder / f"{name}.zip"
        changed(archives["good"], archives[name], folder / "release.key", fields)
    archives["no zip"] = folder / "text.zip"
    archives["no zip"].write_bytes(b"hello" * 100)
    return SimpleNamespace(folder=folder, trusted=folder / "trusted", archives=archives)


def changed(archive, target, key, fields):
    """The archive with other fields in its manifest, signed all the same."""
    with zipfile.ZipFile(archive) as source:
        files = {entry.filename: source.read(entry) for entry in source.infolist()}
    manifest = json.dumps(json.loads(files["manifest.json"]) | fields).encode()
    signature = load_pem_private_key(key.read_bytes(), None).sign(manifest)
    with zipfile.ZipFile(target, "w") as copy:
        for name, content in (files | {"manifest.json": manifest, "signature": signature}).items():
            copy.writestr(name, content)


def job_for(folder, archive, version="99.0.0"):
    """Put the archive where a download would have put it; sockets have no virtual time."""
    content = archive.read_bytes()
    sha256 = hashlib.sha256(content).hexdigest()
    (folder / "incoming").mkdir(exist_ok=True)
    (folder / "incoming" / f"{sha256}.zip").write_bytes(content)
    return {
        "op": "install-model",
        "version": version,
        "url": "http://127.0.0.1:9/m.zip",
        "sha256": sha256,
        "size_bytes": len(content),
    }


def trusting(world):
    return {"model": ModelSettings(trusted_keys=world.trusted)}


def virtually(test):
    """Run an async test (world, folder, clock) on a manual clock."""

    def run(world, tmp_path):
        clock = ManualClock(wall_ns=1_800_000_000 * 1_000_000_000)
        run_virtual(test(world, tmp_path, clock), clock)

    run.__name__ = test.__name__
    return run


async def ended(site, job_id="j", limit_s=300):
    await site.until(lambda: site.jobs.ended(job_id), limit_s)
    ((status, detail),) = site.jobs.ended(job_id)
    return status, detail


def next_start(folder):
    """Which model a start would use."""
    return choose_model(ModelStore(folder / "models")).scorer.version


@virtually
async def test_a_good_bundle_is_in_use_and_confirmed_after_two_minutes(world, folder, clock):
    async with running(folder, clock=clock, **trusting(world)) as site:
        await asyncio.sleep(70)
        assert site.last.model == SHIPPED
        site.jobs.add("j", job_for(folder, world.archives["good"]))
        took_s = await site.until(lambda: site.last.model == "99.0.0", 10)
        assert took_s < 5
        assert site.jobs.ended("j") == []
        status, detail = await ended(site, limit_s=130)
        assert (status, detail.split(",")[0]) == ("SUCCEEDED", "model 99.0.0 is in use")
        assert site.jobs.steps("j") == ["downloading", "checking", "proving"]
        assert site.last.troubles == ()
        # The same once more: nothing to prove.
        site.jobs.add("k", job_for(folder, world.archives["good"]))
        assert (await ended(site, "k", 10))[0] == "SUCCEEDED"
        # A job that names another version leaves the proven one alone.
        site.jobs.add("m", job_for(folder, world.archives["good"], "98.0.0"))
        status, detail = await ended(site, "m", 10)
        assert (status, detail) == ("FAILED", "the bundle is version 99.0.0, not 98.0.0")
        assert site.parts.models.version == "99.0.0"
        assert list((folder / "incoming").iterdir()) == []
    assert next_start(folder) == "99.0.0"


@pytest.mark.slow
@virtually
async def test_a_job_goes_back_only_if_it_says_so_and_only_to_what_was_here(world, folder, clock):
    def back(name, version):
        return job_for(folder, world.archives[name], version) | {"rollback": True}

    async with running(folder, clock=clock, **trusting(world)) as site:
        await asyncio.sleep(5)
        for name, version in (("good", "99.0.0"), ("better", "99.1.0")):
            site.jobs.add(name, job_for(folder, world.archives[name], version))
            assert (await ended(site, name))[0] == "SUCCEEDED"
        for name, version, said, why in (
            ("good", "99.0.0", {"rollback": False}, "older than"),
            ("old", "0.0.1", {}, "neither the bundle before"),
            ("nervous", "99.2.0", {}, "neither the bundle before"),
            ("flipped signature", "99.0.0", {}, "sign"),
        ):
            site.jobs.add(f"not {name}", back(name, version) | said)
            status, detail = await ended(site, f"not {name}")
            assert (status, why in detail) == ("FAILED", True), (name, detail)
            assert site.parts.models.version == "99.1.0"
        for job_id, name, version in (
            ("before", "good", "99.0.0"),
            # On the way through a fleet a detector may be there already.
            ("again", "good", "99.0.0"),
            ("first", "shipped", SHIPPED),
        ):
            site.jobs.add(job_id, back(name, version))
            status, detail = await ended(site, job_id)
            assert (status, detail.split(",")[0]) == ("SUCCEEDED", f"model {version} is in use")
        assert site.last.model == SHIPPED
        assert list((folder / "incoming").iterdir()) == []
    assert next_start(folder) == SHIPPED


REFUSED = {
    "flipped model.ubj": "sha256",
    "flipped manifest.json": "the manifest was changed",
    "flipped signature": "sign",
    "foreign": "sign",
    "unsigned": "sign",
    "old": "older than",
    "same": "another content",
    "other schema": "is for schema 0000",
    "failing canary": "the canary fire scores",
    "nervous": "fails the trial",
    "no zip": "no zip archive",
}


@pytest.mark.fault("F60")
def test_every_bad_bundle_leaves_the_model_in_use(world, tmp_path):
    async def go(clock):
        async with running(tmp_path, clock=clock, **trusting(world)) as site:
            await asyncio.sleep(5)
            for name, why in REFUSED.items():
                versions = {"old": "0.0.1", "same": SHIPPED, "nervous": "99.2.0"}
                job = job_for(tmp_path, world.archives[name], versions.get(name, "99.0.0"))
                site.jobs.add(name, job)
                status, detail = await ended(site, name, 60)
                assert status == "FAILED", name
                assert why in detail, (name, detail)
                assert detail
                await asyncio.sleep(1)
                assert site.last.model == SHIPPED, name
                assert site.parts.models.version == SHIPPED
            assert site.last.troubles in ((), ("gas:learning",))
        assert next_start(tmp_path) == SHIPPED
        async with running(tmp_path, clock=clock, services=site, **trusting(world)) as site:
            await asyncio.sleep(5)
            assert site.last.model == SHIPPED

    clock = ManualClock()
    run_virtual(go(clock), clock)


@virtually
async def test_a_version_that_is_not_the_announced_one_is_left_again(world, folder, clock):
    async with running(folder, clock=clock, **trusting(world)) as site:
        await asyncio.sleep(5)
        site.jobs.add("j", job_for(folder, world.archives["good"], "99.5.0"))
        assert await ended(site) == ("FAILED", "the bundle is version 99.0.0, not 99.5.0")
        await asyncio.sleep(2)
        assert site.last.model == SHIPPED
    assert next_start(folder) == SHIPPED


@virtually
async def test_a_flipped_bit_in_the_archive_is_a_wrong_sha256(world, folder, clock):
    async with running(folder, clock=clock, **trusting(world)) as site:
        await asyncio.sleep(5)
        job = job_for(folder, world.archives["good"])
        path = folder / "incoming" / f"{job['sha256']}.zip"
        content = bytearray(path.read_bytes())
        content[1000] ^= 1
        path.write_bytes(content)
        site.jobs.add("j", job)
        status, detail = await ended(site)
        assert status == "FAILED"
        assert "sha256" in detail
        assert not path.exists()
        assert site.parts.models.version == SHIPPED


@pytest.mark.fault("F60")
@pytest.mark.slow
@virtually
async def test_a_model_after_which_health_is_worse_is_taken_back(world, folder, clock):
    async with running(folder, clock=clock, **trusting(world)) as site:
        await asyncio.sleep(70)
        site.jobs.add("j", job_for(folder, world.archives["good"]))
        await site.until(lambda: site.last.model == "99.0.0", 10)
        await asyncio.sleep(50)
        site.bus.faults(0x33).fail(5)
        status, detail = await ended(site, limit_s=30)
        assert (status, detail) == ("FAILED", "taken back: health became degraded")
        assert site.parts.models.version == SHIPPED
        site.bus.faults(0x33).clear()
        await asyncio.sleep(15)
        assert site.last.model == SHIPPED
    assert next_start(folder) == SHIPPED


@pytest.mark.slow
@virtually
async def test_killed_while_proving_the_model_before_is_in_use(world, folder, clock):
    async with running(folder, clock=clock, **trusting(world)) as site:
        await asyncio.sleep(5)
        site.jobs.add("j", job_for(folder, world.archives["good"]))
        await site.until(lambda: site.last.model == "99.0.0", 10)
        await asyncio.sleep(30)
    async with running(folder, clock=clock, services=site, **trusting(world)) as site:
        status, detail = await ended(site)
        assert status == "FAILED"
        assert "ended before the model had proved itself" in detail
        await asyncio.sleep(5)
        assert site.last.model == SHIPPED
    assert next_start(folder) == SHIPPED
    # It may be tried once more.
    async with running(folder, clock=clock, services=site, **trusting(world)) as site:
        site.jobs.add("k", job_for(folder, world.archives["good"]))
        assert (await ended(site, "k"))[0] == "SUCCEEDED"


@pytest.mark.fault("F60")
@pytest.mark.slow
@virtually
async def test_a_model_that_proved_itself_before_the_link_came_back_stays(world, folder, clock):
    async with running(folder, clock=clock, **trusting(world)) as site:
        await asyncio.sleep(70)
        site.jobs.add("j", job_for(folder, world.archives["good"]))
        await site.until(lambda: site.last.model == "99.0.0", 10)
    again = running(folder, clock=clock, link=False, services=site, **trusting(world))
    async with again as site:
        await asyncio.sleep(130)
        assert site.last.model == "99.0.0"
        site.link.go(up=True)
        status, detail = await ended(site)
        assert (status, detail) == ("SUCCEEDED", "model 99.0.0 has proved itself after a restart")
        assert site.last.model == "99.0.0"
    assert next_start(folder) == "99.0.0"


@virtually
async def test_cancelled_from_afar_before_it_proves_itself_it_is_left(world, folder, clock):
    async with running(folder, clock=clock, **trusting(world)) as site:
        await asyncio.sleep(5)
        service = site.jobs.update

        async def update(job, status, details):
            if details.get("step") == "proving":
                site.jobs.cancel(job.job_id)
            await service(job, status, details)

        site.jobs.update = update
        site.jobs.add("j", job_for(folder, world.archives["good"]))
        await site.until(lambda: site.jobs.status["j"] == "CANCELED", 10)
        await asyncio.sleep(5)
        assert site.parts.models.version == SHIPPED
    assert next_start(folder) == SHIPPED


@pytest.mark.slow
@virtually
async def test_a_service_that_is_busy_while_a_model_proves_itself_takes_it_not_back(
    world, folder, clock
):
    async with running(folder, clock=clock, **trusting(world)) as site:
        await asyncio.sleep(5)
        service = site.jobs.update

        async def update(job, status, details):
            if details.get("step") == "proving":
                stated = V2ErrorResponse.from_payload({"code": "RequestThrottled"})
                request = Future()
                request.set_exception(V2ServiceException("update failure", None, stated))
                await answered(request, "job j", JobRefusedError)
            await service(job, status, details)

        site.jobs.update = update
        site.jobs.add("j", job_for(folder, world.archives["good"]))
        assert (await ended(site))[0] == "SUCCEEDED"
        assert site.parts.models.version == "99.0.0"


@virtually
async def test_no_model_is_changed_while_an_alarm_is_latched(world, folder, clock):
    async with running(folder, "waste-bin", clock=clock, **trusting(world)) as site:
        await site.until(lambda: site.outcomes and site.last.level >= Level.ALERT, 80)
        site.jobs.add("j", job_for(folder, world.archives["good"]))
        status, detail = await ended(site)
        assert status == "FAILED"
        assert "an alarm is latched" in detail
        assert site.parts.models.version == SHIPPED


@virtually
async def test_an_alarm_that_comes_while_a_bundle_is_tried_leaves_the_model(world, folder, clock):
    async with running(folder, clock=clock, **trusting(world)) as site:
        await asyncio.sleep(5)
        models, latched = site.parts.models, SimpleNamespace(latched=True)
        trial = models._trial

        def alarmed():
            models._outcome = latched
            return trial()

        models._trial = alarmed
        with pytest.raises(BundleError, match="an alarm is latched"):
            await models.install(world.archives["good"])
        assert models.version == SHIPPED
    assert next_start(folder) == SHIPPED


@pytest.mark.slow
@virtually
async def test_one_model_at_a_time(world, folder, clock):
    async with running(folder, clock=clock, **trusting(world)) as site:
        await asyncio.sleep(5)
        await site.parts.models.install(world.archives["good"])
        with pytest.raises(BundleError, match="another model is proving itself"):
            await site.parts.models.install(world.archives["better"])
        assert await site.parts.models.proven() == ""
        await site.parts.models.install(world.archives["better"])
        assert await site.parts.models.rollback() == "99.0.0"
        assert await site.parts.models.proven() == "rolled back on request"


@virtually
async def test_a_disk_that_fails_while_a_model_is_taken_back_does_not_keep_it(world, folder, clock):
    async with running(folder, clock=clock, **trusting(world)) as site:
        await asyncio.sleep(5)
        await site.parts.models.install(world.archives["good"])
        site.parts.models._store._slots._disk = FullDisk()
        site.parts.models._take_back("health became blind")
        assert site.parts.models.version == SHIPPED
        assert await site.parts.models.proven() == "health became blind"


class FullDisk:
    def write(self, _path, _content):
        raise OSError(28, "No space left on device")

    replace = sync = write

    def remove(self, _path):
        raise OSError(28, "No space left on device")


# Calibration

SMELT = {"no2": 37.0, "c2h5oh": 86.0, "voc": 173.0, "co": 742.0}
"""What the board of the simulated room gives in clean air."""


@contextlib.asynccontextmanager
async def calibrated(folder, clock, baseline, more=""):
    """Run a detector whose calibration file holds `baseline`; None means that there is none yet."""
    path = folder / "gas.toml"
    if baseline is not None:
        lines = [f"{film} = {count}" for film, count in baseline.items()]
        path.write_text("\n".join(["# by hand, 2026-01-01", "[gas]", *lines, more]))
    async with running(folder, clock=clock, gas=GasSettings(calibration=path)) as site:
        yield site, path


def taken(site):
    """The baselines that the detector was given."""
    events = site.parts.detector.on_event.__self__._events
    return [event.baseline for event in events if isinstance(event, GasCalibrated)]


@virtual
async def test_a_clean_air_baseline_is_taken_and_kept(tmp_path, clock):
    nearly = SMELT | {"voc": 160.0}
    async with calibrated(tmp_path, clock, nearly) as (site, path):
        before = path.read_text()
        await asyncio.sleep(5)
        site.jobs.add("j", {"op": "calibrate", "duration_s": 60})
        status, detail = await ended(site)
        assert status == "SUCCEEDED"
        assert "readings: no2 37.0 -> 37.0, c2h5oh 86.0 -> 86.0, voc 160.0 -> 17" in detail
        await asyncio.sleep(5)
        assert taken(site) == [load_gas_baseline(path)]
        assert site.last.features["gas_val"] == pytest.approx(400.0, abs=10.0)
        assert (tmp_path / "gas.toml.before").read_text() == before
        assert {found.name for found in tmp_path.glob("*gas.toml*")} == {
            "gas.toml",
            "gas.toml.before",
        }


@virtual
async def test_a_first_baseline_is_taken_as_it_is(tmp_path, clock):
    async with calibrated(tmp_path, clock, None) as (site, path):
        await asyncio.sleep(5)
        assert site.handlers.gas_baseline() is None
        site.jobs.add("j", {"op": "calibrate", "duration_s": 30})
        status, detail = await ended(site)
        assert (status, "no2 none -> 37.0" in detail) == ("SUCCEEDED", True)
        await asyncio.sleep(5)
        assert taken(site) == [load_gas_baseline(path)]
        assert not (tmp_path / "gas.toml.before").exists()


@virtual
async def test_a_learnt_baseline_bounds_what_may_be_set_from_afar(tmp_path, clock):
    async with calibrated(tmp_path, clock, None) as (site, _):
        await asyncio.sleep(70)
        assert site.handlers.gas_baseline().no2 == pytest.approx(37.0, abs=1.0)


@pytest.mark.parametrize(("film", "count"), [("voc", 90.0), ("co", 900.0), ("no2", 90.0)])
def test_air_unlike_the_baseline_in_force_is_not_taken_for_clean_from_afar(tmp_path, film, count):
    async def go(clock):
        async with calibrated(tmp_path, clock, SMELT | {film: count}) as (site, path):
            before = path.read_text()
            await asyncio.sleep(5)
            baseline = site.handlers.gas_baseline()
            assert getattr(baseline, film) == pytest.approx(count)
            site.jobs.add("j", {"op": "calibrate", "duration_s": 60})
            status, detail = await ended(site)
            assert status == "FAILED"
            assert f"{film} {count:.1f} -> " in detail
            assert "calibrate at the device, in clean air" in detail
            await asyncio.sleep(5)
            assert taken(site) == []
            assert path.read_text() == before
            assert site.handlers.gas_baseline() == baseline
            assert not (tmp_path / "gas.toml.before").exists()

    clock = ManualClock(wall_ns=1_800_000_000 * 1_000_000_000)
    run_virtual(go(clock), clock)


def test_jobs_do_not_take_the_baseline_away_step_by_step(tmp_path):
    def of(co):
        return GasBaseline(no2=37.0, c2h5oh=86.0, voc=173.0, co=co)

    anchor = GasAnchor(tmp_path)
    assert anchor.of(None) is None
    assert anchor.of(of(742.0)) == of(742.0)
    anchor.keep(of(742.0), of(790.0))
    # What the pipeline gives back went through a logarithm.
    in_force = of(790.0 * (1.0 + 1e-14))
    for again in (anchor, GasAnchor(tmp_path)):
        assert again.of(in_force) == of(742.0)
        assert moved_too_far(again.of(in_force), of(790.0)) == ""
        assert "co 742.0 -> 840.0" in moved_too_far(again.of(in_force), of(840.0))
        # Calibrated at the device meanwhile: that is where the next ones begin.
        assert again.of(of(840.0)) == of(840.0)
    # One that could not be written after all changes nothing.
    for again in (anchor, GasAnchor(tmp_path)):
        again.keep(of(742.0), of(830.0))
        again.undo()
        assert again.of(in_force) == of(742.0)
    for damaged in tmp_path.glob("gas-anchor-*"):
        damaged.write_text("{")
    assert GasAnchor(tmp_path).of(in_force) == in_force
    without_disk = GasAnchor(None)
    without_disk.keep(of(742.0), of(790.0))
    assert without_disk.of(in_force) == of(742.0)


@virtual
async def test_a_second_job_is_held_against_what_was_set_at_the_device(tmp_path, clock):
    async with calibrated(tmp_path, clock, SMELT | {"voc": 155.0}) as (site, path):
        for number in range(2):
            site.jobs.add(f"j-{number}", {"op": "calibrate", "duration_s": 30})
            assert (await ended(site, f"j-{number}"))[0] == "SUCCEEDED"
            await asyncio.sleep(5)
        # 220 is within the bounds of what the job set, not of 155.
        moved = load_gas_baseline(path).model_copy(update={"voc": 220.0})
        held = site.handlers._anchor.of(site.handlers.gas_baseline())
        assert held.voc == pytest.approx(155.0)
        assert "voc 155.0 -> 220.0" in moved_too_far(held, moved)


@virtual
async def test_a_calibration_keeps_how_co_was_calibrated(tmp_path, clock):
    nearly = SMELT | {"no2": 40.0}
    async with calibrated(tmp_path, clock, nearly, "co_a = 3.5\nco_beta = 0.8\n") as (site, path):
        site.jobs.add("j", {"op": "calibrate", "duration_s": 60})
        assert (await ended(site))[0] == "SUCCEEDED"
        taken = load_gas_baseline(path)
        assert (taken.co_a, taken.co_beta) == (3.5, 0.8)
        assert taken.no2 != 40.0


@virtual
async def test_a_baseline_that_cannot_be_kept_is_not_used(tmp_path, clock):
    async with calibrated(tmp_path, clock, SMELT) as (site, path):
        (tmp_path / "gas.toml.before").mkdir()
        before = path.read_text()
        site.jobs.add("j", {"op": "calibrate", "duration_s": 30})
        status, detail = await ended(site)
        assert (status, "gas.toml: cannot be kept" in detail) == ("FAILED", True)
        await asyncio.sleep(5)
        assert taken(site) == []
        assert path.read_text() == before


@virtual
async def test_no_baseline_is_taken_in_a_fire_or_without_a_board(tmp_path, clock):
    async with running(tmp_path / "a", "waste-bin", clock=clock) as site:
        site.jobs.add("j", {"op": "calibrate", "duration_s": 60})
        status, detail = await ended(site)
        assert status == "FAILED"
        assert "take the baseline in clean air" in detail
    async with running(tmp_path / "b", clock=clock, gas=GasSettings(enabled=False)) as site:
        site.jobs.add("j", {"op": "calibrate"})
        assert await ended(site) == ("REJECTED", "there is no gas board")


# Drill and recording


@virtual
async def test_a_drill_sounds_and_is_refused_after_a_restart(tmp_path, clock):
    async with running(tmp_path, clock=clock) as site:
        await asyncio.sleep(5)
        site.jobs.add("j", {"op": "drill", "duration_s": 30})
        assert await ended(site) == ("SUCCEEDED", "drill for 30 s")
        await asyncio.sleep(1)
        assert site.last.drill
        await asyncio.sleep(31)
        assert not site.last.drill
        with pytest.raises(Exception, match="started again during the drill"):
            await site.handlers(_drill(), None, "sounding")


def _drill():
    return Drill(duration_s=5)


@virtual
async def test_a_drill_is_refused_in_a_real_alarm_and_changes_nothing_of_it(tmp_path, clock):
    async with running(tmp_path, "waste-bin", clock=clock) as site:
        await site.until(lambda: site.outcomes and site.last.level >= Level.ALERT, 80)
        site.jobs.add("j", {"op": "drill"})
        incident = site.last.incident_id
        status, detail = await ended(site)
        assert (status, "a real alarm" in detail) == ("FAILED", True)
        assert (site.last.incident_id, site.last.alarm.value) == (incident, "sounding")
        # Nobody may take it for a drill.
        assert not any(outcome.drill for outcome in site.outcomes)


@virtual
async def test_no_recording_leaves_a_site_that_does_not_share(tmp_path, clock):
    async with running(tmp_path, clock=clock) as site:
        site.jobs.add("j", {"op": "collect-recording", "upload_url": "http://127.0.0.1:9/x"})
        status, detail = await ended(site)
        assert status == "REJECTED"
        assert "share_recordings" in detail


@virtual
async def test_without_a_disk_nothing_is_installed_or_recorded(tmp_path, clock):
    (tmp_path / "file").touch()
    sharing = UplinkSettings(share_recordings=True)
    async with running(tmp_path / "file", clock=clock, uplink=sharing) as site:
        await asyncio.sleep(2)
        job = {"op": "install-model", "version": "1", "url": "http://x/", "sha256": "0" * 64}
        site.jobs.add("j", job | {"size_bytes": 5})
        site.jobs.add("k", {"op": "collect-recording", "upload_url": "http://127.0.0.1:9/x"})
        for job_id in ("j", "k"):
            status, detail = await ended(site, job_id)
            assert status == "FAILED"
            assert "no disk can be used" in detail


@virtual
async def test_a_recording_that_cannot_be_written_fails_the_job(tmp_path, clock):
    sharing = UplinkSettings(share_recordings=True)
    async with running(tmp_path, clock=clock, uplink=sharing) as site:
        await asyncio.sleep(2)
        (tmp_path / "incoming").write_text("")
        site.jobs.add("k", {"op": "collect-recording", "upload_url": "http://127.0.0.1:9/x"})
        status, detail = await ended(site, "k")
        assert status == "FAILED"
        assert "could not be written" in detail


class Store:
    """Takes uploads; answers the next ones with `statuses`, and then well."""

    def __init__(self, *statuses):
        self.statuses = list(statuses)
        self.got = []

    async def take(self, request):
        content = await request.read()
        status = self.statuses.pop(0) if self.statuses else 200
        if status == 200:
            self.got.append(content)
        return web.Response(status=status)


def sharing(folder, disk=None):
    """Handlers with a minute of ticks in the flight recorder."""
    flight = FlightRecorder()
    for event in (Started(0, "d", 1, 0, ()), Restored(0), *(Tick(s * 10**9) for s in range(91))):
        flight.heard(event)
    settings = Settings(uplink=UplinkSettings(share_recordings=True))
    clock = ManualClock(90 * 10**9)
    return JobHandlers(
        settings, folder, None, clock, None, flight, None, disk or ImmediateDisk(), lambda: None
    )


def steps_to(steps):
    async def step(name):
        steps.append(name)

    return step


def key_of(url):
    return hashlib.sha256(url.encode()).hexdigest()[:16]


async def test_a_recording_is_sent_and_removed(tmp_path):
    """With a real server, so in real time: of the flight recorder's past only."""
    store, steps = Store(), []
    async with serving("PUT", "/r", store.take) as url:
        job = CollectRecording(duration_s=30, upload_url=url)
        said = await sharing(tmp_path)(job, steps_to(steps), "")
    assert said == f"sent {len(store.got[0])} bytes, 30 s until 2026-01-01T00:00:00.000Z"
    assert steps == ["recording", "uploading"]
    assert list((tmp_path / "incoming").iterdir()) == []


async def test_a_recording_says_how_long_it_really_is(tmp_path):
    store, handlers = Store(), sharing(tmp_path)
    handlers.flight = FlightRecorder()
    for event in (Started(0, "d", 1, 0, ()), Tick(10**9), Tick(12 * 10**9)):
        handlers.flight.heard(event)
    async with serving("PUT", "/r", store.take) as url:
        said = await handlers(CollectRecording(duration_s=60, upload_url=url), steps_to([]), "")
    assert "bytes, 12 s until" in said


async def test_what_an_attempt_completed_is_sent_by_the_next_one(tmp_path):
    store, steps = Store(), []
    async with serving("PUT", "/r", store.take) as url:
        job = CollectRecording(duration_s=30, upload_url=url)
        kept = tmp_path / "incoming" / f"{key_of(url)}-28-{1_800_000_000 * 10**9}.mcap"
        kept.parent.mkdir()
        kept.write_bytes(b"the night")
        said = await sharing(tmp_path)(job, steps_to(steps), "uploading")
    assert store.got == [b"the night"]
    assert said == "sent 9 bytes, 28 s until 2027-01-15T08:00:00.000Z"
    assert steps == ["uploading"]
    assert list(kept.parent.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "interrupted"),
    [
        ("{key}-28-1.mcap", ""),
        ("{key}-28-1.mcap", "recording"),
        ("{key}-28-1.new", "uploading"),
        ("0123456789abcdef-28-1.mcap", "uploading"),
    ],
)
async def test_what_is_left_of_another_job_or_is_not_whole_is_not_sent(tmp_path, name, interrupted):
    store, steps = Store(), []
    async with serving("PUT", "/r", store.take) as url:
        left = tmp_path / "incoming" / name.format(key=key_of(url))
        left.parent.mkdir()
        left.write_bytes(b"other")
        job = CollectRecording(duration_s=30, upload_url=url)
        await sharing(tmp_path)(job, steps_to(steps), interrupted)
    assert steps == ["recording", "uploading"]
    assert len(store.got[0]) > 100
    assert list(left.parent.iterdir()) == []


class PowerCut(BaseException):
    """Nothing is tidied up after it."""


def test_a_recording_that_is_cut_off_is_not_taken_for_a_whole_one(tmp_path):
    def events():
        yield Started(0, "d", 1, 0, ())
        raise PowerCut

    target = tmp_path / "incoming" / f"{key_of('x')}-28-1.mcap"
    with pytest.raises(PowerCut):
        job_handlers._write(target, events())
    assert len(list(target.parent.iterdir())) == 1
    assert job_handlers._kept(target.parent, key_of("x")) is None


async def test_of_an_upload_that_is_refused_nothing_is_kept(tmp_path):
    async with serving("PUT", "/r", Store(403).take) as url:
        with pytest.raises(TransferError, match="403"):
            await sharing(tmp_path)(
                CollectRecording(duration_s=30, upload_url=url), steps_to([]), ""
            )
    assert list((tmp_path / "incoming").iterdir()) == []


async def test_of_a_job_that_was_ended_from_afar_nothing_is_kept(tmp_path):
    async def step(name):
        if name == "uploading":
            raise JobFailedError("was ended from afar")

    with pytest.raises(JobFailedError):
        await sharing(tmp_path)(
            CollectRecording(duration_s=30, upload_url="http://127.0.0.1:9/x"), step, ""
        )
    assert list((tmp_path / "incoming").iterdir()) == []


@pytest.mark.parametrize("hangs_at", ["recording", "uploading"])
async def test_a_disk_that_hangs_fails_the_collection(tmp_path, hangs_at):
    disk = ImmediateDisk()

    async def step(name):
        disk.hangs = name == hangs_at

    with pytest.raises(StorageError, match="does not answer"):
        await sharing(tmp_path, disk)(
            CollectRecording(duration_s=30, upload_url="http://127.0.0.1:9/x"), step, ""
        )


async def test_a_disk_that_hangs_fails_the_installation(tmp_path):
    disk = ImmediateDisk()

    async def step(_name):
        disk.hangs = True

    handlers = JobHandlers(
        Settings(), tmp_path, None, None, None, FlightRecorder(), None, disk, lambda: None
    )
    job = InstallModel(version="1", url="http://127.0.0.1:9/x", sha256="0" * 64, size_bytes=5)
    with pytest.raises(StorageError, match="does not answer"):
        await handlers(job, step, "")


SHARES = {"uplink": UplinkSettings(share_recordings=True)}


@virtual
async def test_after_a_lost_link_the_same_period_is_sent(tmp_path, clock):
    store = Store(*[503] * (2 * TRIES))
    async with (
        running(tmp_path, clock=clock, **SHARES) as site,
        serving("PUT", "/r", store.take) as url,
    ):
        await asyncio.sleep(40)
        begun_ns = clock.wall_ns()
        site.jobs.add("j", {"op": "collect-recording", "duration_s": 20, "upload_url": url})
        status, detail = await ended(site)
        assert status == "SUCCEEDED"
        assert clock.wall_ns() - begun_ns > 50 * 10**9
        assert site.jobs.steps("j") == ["recording", "uploading", "uploading", "uploading"]
        assert spoken(detail, store) == pytest.approx(begun_ns / 1e9, abs=2.0)
        assert recorded(tmp_path, store) == pytest.approx(begun_ns / 1e9, abs=2.0)
        assert list((tmp_path / "incoming").iterdir()) == []


@virtual
async def test_after_a_restart_the_same_period_is_sent(tmp_path, clock):
    store = Store(*[503] * TRIES)
    async with serving("PUT", "/r", store.take) as url:
        async with running(tmp_path, clock=clock, **SHARES) as site:
            await asyncio.sleep(40)
            begun_ns = clock.wall_ns()
            site.jobs.add("j", {"op": "collect-recording", "duration_s": 20, "upload_url": url})
            await asyncio.sleep(10)
            assert site.jobs.steps("j") == ["recording", "uploading"]
        store.statuses.clear()
        async with running(tmp_path, clock=clock, services=site, **SHARES) as site:
            status, detail = await ended(site)
        assert status == "SUCCEEDED"
        assert site.jobs.steps("j") == ["recording", "uploading", "uploading"]
        assert spoken(detail, store) == pytest.approx(begun_ns / 1e9, abs=2.0)
        assert recorded(tmp_path, store) == pytest.approx(begun_ns / 1e9, abs=2.0)
        assert list((tmp_path / "incoming").iterdir()) == []


def spoken(detail, store):
    """The end of the period in a job's detail, in seconds since 1970."""
    (content,) = store.got
    said, until = detail.split(" s until ")
    assert said == f"sent {len(content)} bytes, 20"
    return datetime.fromisoformat(until).timestamp()


def recorded(folder, store):
    """The end of the period that was sent, in seconds since 1970."""
    (folder / "got.mcap").write_bytes(store.got[0])
    first, *_, last = read_events(folder / "got.mcap")
    return (first.wall_ns + last.t_ns - first.t_ns) / 1e9


@contextlib.asynccontextmanager
async def serving(method, path, handler):
    """Run a server on this machine; gives the address of `path`."""
    app = web.Application(client_max_size=1 << 24)
    app.router.add_route(method, path, handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}{path}"
    finally:
        await runner.cleanup()


class KeptModels:
    """A model keeper that takes any archive."""

    version = "1.0.0"

    def __init__(self):
        self.installed = []

    async def install(self, archive):
        self.installed.append(archive.read_bytes())
        return SimpleNamespace(version="2.0.0", key="release", changed=False)

    async def leave_unproven(self):
        pytest.fail("nothing was begun that could be left")


async def test_killed_while_downloading_it_goes_on_where_it_stopped(tmp_path):
    content, asked, hanging = bytes(range(256)) * 800, [], asyncio.Event()

    async def give(request):
        asked.append(request.headers.get("Range"))
        start = 0 if asked[-1] is None else int(asked[-1].removeprefix("bytes=").rstrip("-"))
        answer = web.StreamResponse(status=206 if start else 200)
        answer.content_length = len(content) - start
        await answer.prepare(request)
        if start:
            await answer.write(content[start:])
            return answer
        await answer.write(content[:100_000])
        await hanging.wait()
        return answer

    models = KeptModels()
    sha256 = hashlib.sha256(content).hexdigest()
    partial = tmp_path / "incoming" / f"{sha256}.zip"
    partial.parent.mkdir()
    (partial.parent / "left-over.zip").write_bytes(b"x")

    async def step(_name):
        pass

    def handlers():
        flight = FlightRecorder()
        return JobHandlers(
            Settings(), tmp_path, None, None, None, flight, models, ImmediateDisk(), lambda: None
        )

    async with serving("GET", "/m.zip", give) as url:
        job = InstallModel(version="2.0.0", url=url, sha256=sha256, size_bytes=len(content))
        killed = asyncio.create_task(handlers()(job, step, ""))
        async with asyncio.timeout(10):
            while not partial.exists() or partial.stat().st_size < 65_536:
                await asyncio.sleep(0.01)
        await cancel_and_wait(killed)
        assert models.installed == []
        assert [path.name for path in partial.parent.iterdir()] == [partial.name]
        said = await handlers()(job, step, "downloading")
        assert said == "model 2.0.0 is in use, signed by release"
        assert models.installed == [content]
        assert asked[1].startswith("bytes=")
        assert not partial.exists()
        hanging.set()

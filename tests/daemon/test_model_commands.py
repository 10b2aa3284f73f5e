"""`firedetect model`: keys, signing, installing and going back, with and without a daemon."""

import hashlib
import json
import shutil
import socket
import threading

import pytest

from firedetect.model.bundle import default_bundle_path
from firedetect.storage.folder import DataFolder
from tests.core.bundles import make_bundle
from tests.daemon.helpers import invoke


def reversioned(folder, version):
    """The bundle that came along under another version."""
    shutil.copytree(default_bundle_path(), folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(manifest | {"version": version}))
    return folder


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Keys made and bundles signed with the commands themselves."""
    folder = tmp_path_factory.mktemp("world")
    (folder / "trusted").mkdir()
    done = invoke("model", "keygen", "-o", "release.key", cwd=folder)
    assert done.returncode == 0, done.stderr
    shutil.move(folder / "release.pub", folder / "trusted")
    reversioned(folder / "new", "99.0.0")
    make_bundle(folder / "nervous", "99.1.0")
    reversioned(folder / "unsigned", "99.0.0")
    for name in ("new", "nervous"):
        done = invoke("model", "sign", name, "--key", "release.key", cwd=folder)
        assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return folder


@pytest.fixture
def model(world, tmp_path):
    """Run a sub-command of `model` with the world's keys and an own data folder."""
    env = {"FIREDETECT_MODEL__TRUSTED_KEYS": str(world / "trusted")}
    return lambda *arguments: invoke("model", *arguments, cwd=tmp_path, env=env)


def states(model):
    lines = model("list", "--json").stdout.splitlines()
    return [(found["state"], found["version"]) for found in map(json.loads, lines)]


def shipped():
    return json.loads((default_bundle_path() / "manifest.json").read_text())["version"]


def test_a_signed_bundle_is_installed_listed_and_left_again(model, world):
    assert states(model) == [("came along", shipped())]
    done = model("install", world / "new")
    assert (done.returncode, done.stderr) == (0, "")
    assert "model 99.0.0, signed with release.pub" in done.stdout
    assert states(model) == [("active, unproven", "99.0.0"), ("came along", shipped())]
    assert "99.0.0" in model("list").stdout
    assert "is installed already" in model("install", world / "new").stdout
    done = model("rollback")
    assert f"model {shipped()} is used" in done.stdout
    assert states(model) == [("came along", shipped())]
    done = model("rollback")
    assert (done.returncode, done.stdout) == (1, "")
    assert "no bundle is installed" in done.stderr


@pytest.mark.slow
def test_an_archive_is_signed_packed_verified_and_installed(model, world, tmp_path):
    archive = tmp_path / "new.zip"
    done = model("sign", world / "new", "--key", world / "release.key", "--archive", archive)
    content = archive.read_bytes()
    assert f"{len(content)} bytes, {hashlib.sha256(content).hexdigest()}" in done.stdout
    done = model("verify", archive)
    assert done.returncode == 0, done.stdout
    assert "ok    a trusted key signed it" in done.stdout
    assert model("install", archive).returncode == 0
    assert states(model)[0] == ("active, unproven", "99.0.0")


@pytest.mark.parametrize(
    ("source", "evidence"),
    [
        ("unsigned", "is not signed"),
        ("nervous", "raises alert in the nuisance quiet-room"),
        ("none", "No such file"),
        ("release.key", "no zip archive"),
    ],
)
def test_a_refused_bundle_is_one_clear_line(model, world, source, evidence):
    done = model("install", world / source)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("firedetect: ")
    assert done.stderr.count("\n") == 1
    assert evidence in done.stderr
    assert states(model) == [("came along", shipped())]


def test_without_trusted_keys_the_setting_is_named(world, tmp_path):
    done = invoke("model", "install", world / "new", cwd=tmp_path)
    assert done.returncode == 1
    assert "model.trusted_keys" in done.stderr


@pytest.mark.slow
def test_verify_tells_an_unsigned_bundle_where_keys_are_trusted(model, world, tmp_path):
    done = model("verify", world / "unsigned")
    assert done.returncode == 1
    assert "FAIL  a trusted key signed it" in done.stdout
    assert invoke("model", "verify", world / "unsigned", cwd=tmp_path).returncode == 0


def test_a_key_that_others_can_read_is_warned_of(world, tmp_path):
    shutil.copy(world / "release.key", tmp_path / "open.key")
    (tmp_path / "open.key").chmod(0o644)
    shutil.copytree(world / "new", tmp_path / "b")
    done = invoke("model", "sign", "b", "--key", "open.key", cwd=tmp_path)
    assert done.returncode == 0
    assert "chmod 600" in done.stderr


def test_a_key_is_never_overwritten(world):
    before = (world / "release.key").read_bytes()
    done = invoke("model", "keygen", "-o", "release.key", cwd=world)
    assert done.returncode == 1
    assert "is there already" in done.stderr
    assert (world / "release.key").read_bytes() == before


@pytest.fixture
def daemon(tmp_path):
    """A data folder in use, with a control socket that gives the answers it is told to."""
    asked, answers = [], []
    with DataFolder(tmp_path / "var") as folder, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder.control_socket))
        listener.listen(1)

        def serve():
            for answer in answers:
                channel, _ = listener.accept()
                with channel, channel.makefile("rwb") as lines:
                    asked.append(json.loads(lines.readline()))
                    lines.write(json.dumps(answer).encode() + b"\n")

        def answering(*told):
            answers.extend(told)
            thread = threading.Thread(target=serve)
            thread.start()
            return asked, thread

        yield answering


def test_a_running_daemon_is_asked_over_its_socket(model, daemon, world):
    asked, thread = daemon(
        {"accepted": True, "detail": "model 99.0.0 is in use"},
        {"accepted": False, "detail": "misses the library fire smoulder"},
        {"accepted": True, "detail": "model 0.1.0 is in use"},
    )
    done = model("install", world / "new")
    assert (done.returncode, done.stdout) == (0, "model 99.0.0 is in use\n")
    done = model("install", world / "new")
    assert done.returncode == 1
    assert "install-model refused: misses the library fire smoulder" in done.stderr
    assert model("rollback").stdout == "model 0.1.0 is in use\n"
    thread.join(10.0)
    assert asked == [
        {"do": "install-model", "path": str(world / "new")},
        {"do": "install-model", "path": str(world / "new")},
        {"do": "rollback-model"},
    ]
    # Nothing was written beside the daemon's back.
    assert states(model) == [("came along", shipped())]

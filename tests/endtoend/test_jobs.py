"""The four jobs through the box and its S3, at a real detector; kill -9 in the middle of them."""

import contextlib
import hashlib
import http.server
import json
import shutil
import threading
from pathlib import Path

import pytest

from firedetect.model.bundle import default_bundle_path
from tests.daemon.helpers import invoke
from tests.endtoend.world import Detector, link_of, until

pytestmark = pytest.mark.slow
PROOF_LIMIT_S = 200.0
"""A model proves itself for 120 s."""


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    """Bundles in archives, signed by the commands: of the release key, and of a stranger's."""
    folder = tmp_path_factory.mktemp("release")
    (folder / "trusted").mkdir()
    for name in ("release", "stranger"):
        assert invoke("model", "keygen", "-o", f"{name}.key", cwd=folder).returncode == 0
    shutil.move(folder / "release.pub", folder / "trusted")
    for version, key in (("99.0.0", "release"), ("99.1.0", "release"), ("99.2.0", "stranger")):
        bundle = shutil.copytree(default_bundle_path(), folder / version)
        manifest = json.loads((bundle / "manifest.json").read_text())
        (bundle / "manifest.json").write_text(json.dumps(manifest | {"version": version}))
        done = invoke(
            "model", "sign", version, "--key", f"{key}.key", "--archive", f"{version}.zip",
            cwd=folder,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert hashlib.sha256((folder / f"{version}.zip").read_bytes()).hexdigest() in done.stdout
    return folder


def install_job(release, version, url):
    content = (release / f"{version}.zip").read_bytes()
    return {
        "v": 1, "op": "install-model", "version": version, "url": url,
        "sha256": hashlib.sha256(content).hexdigest(), "size_bytes": len(content),
    }  # fmt: skip


def trusting(release):
    return {"FIREDETECT_MODEL__TRUSTED_KEYS": str(release / "trusted")}


def step(box, thing, job_id):
    execution = box.running.job(thing, job_id)
    return execution["status"], execution.get("statusDetails", {}).get("step")


def ended(box, detector, job_id, limit_s):
    """Wait until a job has ended and return how."""

    def over():
        execution = box.running.job(detector.thing, job_id)
        return execution if execution["status"] not in {"QUEUED", "IN_PROGRESS"} else None

    execution = detector.wait(over, f"{job_id} ends", limit_s)
    return execution["status"], execution["statusDetails"]["detail"]


def models(detector):
    lines = detector.command("model", "list", "--json").stdout.splitlines()
    return [(found["state"], found["version"]) for found in map(json.loads, lines)]


def in_use(detector):
    return detector.outcome()["model"]


def test_drill_calibration_and_recording(box, tmp_path, say):
    thing = "jobs-1"
    baseline = tmp_path / "gas.toml"
    more = {
        "FIREDETECT_UPLINK__SHARE_RECORDINGS": "true",
        "FIREDETECT_GAS__CALIBRATION": str(baseline),
    }
    baseline.write_text("[gas]\nno2 = 45.0\nc2h5oh = 90.0\nvoc = 180.0\nco = 700.0\n")
    before = baseline.read_text()
    with Detector(tmp_path / "home", thing, link_of(box, thing), **more) as detector:
        detector.wait(detector.is_up, "a link")
        # Queued together: one after the other is carried out.
        target = box.running.upload_address("shared/night.mcap")
        drill = box.running.create_job(thing, {"v": 1, "op": "drill", "duration_s": 2})
        gas = box.running.create_job(thing, {"v": 1, "op": "calibrate", "duration_s": 30})
        collect = box.running.create_job(
            thing, {"v": 1, "op": "collect-recording", "duration_s": 10, "upload_url": target}
        )
        assert ended(box, detector, drill, 30.0) == ("SUCCEEDED", "drill for 2 s")
        status, detail = ended(box, detector, gas, 90.0)
        assert status == "SUCCEEDED", detail
        say(f"calibrate: {detail}")
        assert baseline.read_text() != before
        status, detail = ended(box, detector, collect, 60.0)
        assert (status, detail[:4]) == ("SUCCEEDED", "sent"), detail
    recording = tmp_path / "night.mcap"
    recording.write_bytes(box.running.fetch("shared/night.mcap"))
    done = invoke("replay", recording, "--summary", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    say(f"the recording replays: {done.stdout.strip()[:200]}")
    summary = json.loads(done.stdout)
    # The last 10 s, four images each.
    assert 30 <= summary["images"] <= 50


@pytest.mark.fault("F60")
def test_a_good_model_is_installed_and_one_of_a_stranger_is_not(box, tmp_path, release):
    thing = "jobs-2"
    with Detector(tmp_path, thing, link_of(box, thing), **trusting(release)) as detector:
        detector.wait(detector.is_up, "a link")
        detector.wait(lambda: in_use(detector), "a model")
        shipped = in_use(detector)
        listed = models(detector)
        for version, wanted in (("99.2.0", "FAILED"), ("99.0.0", "SUCCEEDED")):
            content = (release / f"{version}.zip").read_bytes()
            url = box.running.upload(f"models/{version}.zip", content)
            job = box.running.create_job(thing, install_job(release, version, url))
            status, detail = ended(box, detector, job, PROOF_LIMIT_S)
            assert status == wanted, detail
            if wanted == "FAILED":
                assert "key" in detail
                assert (in_use(detector), models(detector)) == (shipped, listed)
        assert "signed by release" in detail
        assert in_use(detector) == "99.0.0"
        assert models(detector)[0] == ("active", "99.0.0")


def test_kill_while_downloading_and_while_proving(box, tmp_path, release, say):
    thing = "jobs-3"
    start = lambda: Detector(tmp_path, thing, link_of(box, thing), **trusting(release))  # noqa: E731
    with slow_server(release) as slow:
        with start() as detector:
            detector.wait(detector.is_up, "a link")
            refused = box.running.create_job(
                thing, {"v": 1, "op": "collect-recording", "upload_url": "http://127.0.0.1:9/x"}
            )
            status, detail = ended(box, detector, refused, 30.0)
            assert (status, "share_recordings" in detail) == ("REJECTED", True)
            url = f"http://127.0.0.1:{slow.server_port}/99.0.0.zip"
            job = box.running.create_job(thing, install_job(release, "99.0.0", url))
            part = tmp_path / "var" / "incoming"
            until(lambda: any(f.stat().st_size > 50_000 for f in part.glob("*.zip")), detector.text)
            detector.kill()
            assert step(box, thing, job) == ("IN_PROGRESS", "downloading")
        kept = next(part.glob("*.zip")).stat().st_size
        slow.pause_s = 0.0
        with start() as detector:
            until(lambda: step(box, thing, job)[1] == "proving", detector.text, 90.0)
            assert slow.ranges[-1] == f"bytes={kept}-"
            say(f"after kill -9 the download went on at byte {kept}")
            detector.wait(lambda: in_use(detector) == "99.0.0", "the new model", 10.0)
            status, detail = ended(box, detector, job, PROOF_LIMIT_S)
            assert status == "SUCCEEDED", detail
            slow_job = install_job(release, "99.1.0", url.replace("99.0.0", "99.1.0"))
            job = box.running.create_job(thing, slow_job)
            until(lambda: step(box, thing, job)[1] == "proving", detector.text, 60.0)
            until(lambda: in_use(detector) == "99.1.0", detector.text, 10.0)
            detector.kill()
        with start() as detector:
            status, detail = ended(box, detector, job, 60.0)
            assert (status, "ended before the model had proved itself" in detail) == (
                "FAILED",
                True,
            )
            detector.wait(lambda: in_use(detector) == "99.0.0", "the model before", 10.0)
            assert models(detector)[0] == ("active", "99.0.0")


class SlowFiles(http.server.BaseHTTPRequestHandler):
    """Serves files slowly, and from where a client asks."""

    def do_GET(self):
        content = (self.server.folder / Path(self.path).name).read_bytes()
        wanted = self.headers.get("Range")
        self.server.ranges.append(wanted)
        first = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Length", str(len(content) - first))
        self.end_headers()
        with contextlib.suppress(ConnectionError):
            for at in range(first, len(content), 8192):
                self.wfile.write(content[at : at + 8192])
                self.server.stopped.wait(self.server.pause_s)

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def slow_server(folder):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), SlowFiles)
    server.folder, server.ranges, server.pause_s = folder, [], 0.5
    server.stopped = threading.Event()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.stopped.set()
        server.shutdown()
        server.server_close()
        thread.join()

"""A box and detectors as processes of their own, and how a test looks at them."""

import json
import subprocess
import sys
import time
from pathlib import Path

import boto3

from firedetect.cloudbox.authority import Authority
from firedetect.cloudbox.operator import RunningBox
from firedetect.daemon.control import ask
from firedetect.errors import ControlError
from tests.daemon.helpers import Daemon, environment, invoke
from tests.fakes.box import need_mosquitto

START_LIMIT_S = 60.0


def until(condition, what, limit_s=60.0):
    """Look until `condition()` gives something true, and return it; fails after `limit_s`."""
    deadline = time.monotonic() + limit_s
    while not (found := condition()):
        detail = what() if callable(what) else what
        assert time.monotonic() < deadline, f"not within {limit_s} s: {detail}"
        time.sleep(0.05)
    return found


class BoxProcess:
    """`firedetect box --json` as a process; ends with us, however we end."""

    def __init__(self, folder: Path):
        need_mosquitto()
        folder.mkdir(parents=True)
        self.folder = folder
        self._out = (folder.parent / "box.out").open("w")
        self._err = (folder.parent / "box.err").open("w")
        command = ["box", "--folder", str(folder), "--port", "0", "--json", "--with-parent"]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "firedetect.cli", *command],
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=self._out,
            stderr=self._err,
        )

    def __enter__(self):
        until(self._lines, self.errors, START_LIMIT_S)
        self.said = self._lines()[0]["ready"]
        self.running = RunningBox(self.folder)
        self.authority = Authority(self.folder / "ca")
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        try:
            self.process.wait(20.0)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._out.close()
        self._err.close()

    def errors(self):
        return Path(self._err.name).read_text()

    def told(self, thing):
        """What people were told of a thing so far, in the order in which it reached them."""
        records = [line["sns"] for line in self._lines() if "sns" in line]
        return [one for one in records if one["attributes"]["thing"] == thing]

    def rows(self, table):
        client = boto3.client(
            "dynamodb",
            endpoint_url=self.said["aws_endpoint"],
            region_name=self.said["region"],
            aws_access_key_id="box",
            aws_secret_access_key="box",  # noqa: S106 - the box asks for none
        )
        return client.scan(TableName=table)["Items"]

    def _lines(self):
        text = Path(self._out.name).read_text()
        whole = text[: text.rfind("\n") + 1]
        return [json.loads(line) for line in whole.splitlines()]


class Detector(Daemon):
    """A real `firedetect run` that is joined to a broker; `env` is for its commands, too."""

    def __init__(self, cwd, thing, link, scenario="quiet-room", **more):
        cwd.mkdir(exist_ok=True)
        self.thing = thing
        self.env = {"FIREDETECT_DEVICE__ID": thing, "FIREDETECT_DEVICE__SITE": "cellar"}
        self.env |= link | more
        super().__init__(cwd, "--simulate", scenario, env=self.env)

    def now(self):
        """Return the status over the control socket, None while there is none yet."""
        if self.process.poll() is not None:
            raise AssertionError(f"ended with {self.process.returncode}:\n{self.text()}")
        try:
            return ask(self.cwd / "var" / "control.sock", {"do": "status"})
        except ControlError:
            return None

    def outcome(self):
        status = self.now()
        return {} if status is None else status["outcome"] or {}

    def troubles(self):
        return self.outcome().get("troubles", ["no outcome yet"])

    def trouble(self, name):
        """Return the trouble of this name with its reason, None if there is none."""
        return next((one for one in self.troubles() if one.split(":")[0] == name), None)

    def is_up(self):
        status = self.now()
        return status is not None and status["cloud"]["up"]

    def command(self, *arguments):
        return invoke(*arguments, cwd=self.cwd, env=self.env)

    def wait(self, condition, what, limit_s=60.0):
        return until(condition, lambda: f"{what}\n{self.text()[-3000:]}", limit_s)


def link_to(host, port, credentials):
    """Return the settings that lead to a broker, as environment."""
    return {
        "FIREDETECT_UPLINK__ENDPOINT": host,
        "FIREDETECT_UPLINK__PORT": str(port),
        "FIREDETECT_UPLINK__CA": str(credentials.ca),
        "FIREDETECT_UPLINK__CERTIFICATE": str(credentials.certificate),
        "FIREDETECT_UPLINK__KEY": str(credentials.key),
    }


def link_of(box, thing):
    """Return the settings with which a thing reaches the box."""
    return link_to(box.said["endpoint"], box.said["port"], box.authority.kept(thing))


def quantiles(values):
    """Return the median and the 99th percentile of at least one value."""
    ordered = sorted(values)
    return ordered[len(ordered) // 2], ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]

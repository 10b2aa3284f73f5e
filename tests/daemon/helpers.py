"""Runs the program as a user does: another process, its own data folder, real signals."""

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from firedetect.cli import main

LIMIT_S = 90.0
"""Generous: a busy machine compiles and imports slowly; what is tested is what happens."""


def firedetect(*arguments, cwd, env=None, timeout_s=LIMIT_S):
    """Run a command to its end and return the completed process."""
    return subprocess.run(
        [sys.executable, "-m", "firedetect.cli", *map(str, arguments)],
        cwd=cwd,
        env=environment(env),
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


def invoke(*arguments, cwd, env=None):
    """Run a command in this process, which is faster; returns what `firedetect` would."""
    out, err = io.StringIO(), io.StringIO()
    before = dict(os.environ)
    code = 0
    try:
        os.environ.clear()
        os.environ.update(environment(env))
        with (
            contextlib.chdir(cwd),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            sys.argv, argv = ["firedetect", *map(str, arguments)], sys.argv
            try:
                main()
            except SystemExit as end:
                code = end.code
            finally:
                sys.argv = argv
    finally:
        os.environ.clear()
        os.environ.update(before)
    return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())


def environment(extra=None):
    kept = {k: v for k, v in os.environ.items() if not k.startswith("FIREDETECT_")}
    return kept | {"FIREDETECT_WEB__PORT": "0", "PYTHONUNBUFFERED": "1"} | (extra or {})


class Daemon:
    """A running `firedetect run`; leaves nothing behind."""

    def __init__(self, cwd: Path, *arguments, env=None):
        self.out = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed in __exit__
        self.process = subprocess.Popen(
            [sys.executable, "-m", "firedetect.cli", "run", *map(str, arguments)],
            cwd=cwd,
            env=environment(env),
            stdout=self.out,
            stderr=subprocess.STDOUT,
        )
        self.cwd = cwd

    def text(self):
        self.out.seek(0)
        return self.out.read()

    def wait_for(self, wanted, limit_s=LIMIT_S):
        """Wait until the output holds `wanted` and return the output."""
        end = time.monotonic() + limit_s
        while time.monotonic() < end:
            text = self.text()
            if wanted in text:
                return text
            if self.process.poll() is not None:
                raise AssertionError(f"ended with {self.process.returncode}:\n{self.text()}")
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(0.1)
        raise AssertionError(f"no {wanted!r} within {limit_s} s:\n{self.text()}")

    def status(self):
        done = firedetect("status", "--json", cwd=self.cwd)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        """End it as systemd does and return the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(LIMIT_S)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.kill()
        self.out.close()

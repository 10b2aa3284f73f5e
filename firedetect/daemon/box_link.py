"""Runs the detector against a cloud in a box: starts one where none runs, and gets an identity."""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import structlog

from firedetect.clock import Clock
from firedetect.config import Settings
from firedetect.errors import UplinkError
from firedetect.uplink.identity import IdentityFolder
from firedetect.uplink.provision import provision_now
from firedetect.uplink.sdk import Endpoint

READY_LIMIT_S = 60.0
"""The first start of a box makes its certificates and imports much."""
_LOOK_S = 0.1
_END_LIMIT_S = 10.0

_log = structlog.get_logger()


def box_folder(settings: Settings) -> Path:
    """Return where the box of these settings lives."""
    return settings.device.data_dir / "box"


@contextlib.contextmanager
def box_settings(settings: Settings, clock: Clock, *, quiet: bool) -> Iterator[Settings]:
    """Yield the settings that lead to a running box; one that was started here ends with us.

    With `quiet` what people are told goes to standard error. Raises UplinkError if there is none.
    """
    folder = box_folder(settings)
    started = None
    said = _running(folder)
    if said is None:
        started = _start(folder, quiet=quiet)
        said = _wait(folder, started, clock)
    try:
        yield _with_identity(settings, folder, said)
    finally:
        if started is not None:
            _end(started)


def said_by_box(settings: Settings) -> dict[str, Any]:
    """Return what a running box says of itself; raises UplinkError if none runs."""
    said = _running(box_folder(settings))
    if said is None:
        raise UplinkError(
            f"no box runs in {box_folder(settings)}; start it with `firedetect box --folder ...` "
            "or `firedetect run --cloud box`"
        )
    return said


def _running(folder: Path) -> dict[str, Any] | None:
    try:
        said: dict[str, Any] = json.loads((folder / "box.json").read_text())
        os.kill(int(said["pid"]), 0)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return said


def _start(folder: Path, *, quiet: bool) -> "subprocess.Popen[bytes]":
    folder.mkdir(parents=True, exist_ok=True)
    command = ["box", "--folder", os.fspath(folder), "--port", "0", "--with-parent"]
    # Its own group: Ctrl-C ends the detector first, which still reports its end to the box.
    return subprocess.Popen(  # noqa: S603 - our own program
        [sys.executable, "-m", "firedetect.cli", *command],
        stdin=subprocess.PIPE,
        stdout=sys.stderr if quiet else None,
        start_new_session=True,
    )


def _wait(folder: Path, started: "subprocess.Popen[bytes]", clock: Clock) -> dict[str, Any]:
    deadline_ns = clock.monotonic_ns() + round(READY_LIMIT_S * 1e9)
    while clock.monotonic_ns() < deadline_ns:
        said = _running(folder)
        if said is not None:
            return said
        if started.poll() is not None:
            raise UplinkError("the cloud in a box could not be started; see its message above")
        clock.block(_LOOK_S)
    _end(started)
    raise UplinkError(f"the cloud in a box was not ready within {READY_LIMIT_S:.0f} s")


def _end(started: "subprocess.Popen[bytes]") -> None:
    if started.stdin is not None:
        started.stdin.close()
    try:
        started.wait(_END_LIMIT_S)
    except subprocess.TimeoutExpired:
        started.kill()
        started.wait()


def _with_identity(settings: Settings, folder: Path, said: dict[str, Any]) -> Settings:
    thing = settings.device.id
    own = IdentityFolder(folder / "identity" / thing)
    ca = Path(said["ca"])
    if not own.certificate.exists():
        claim = Endpoint(
            host=said["endpoint"],
            port=said["port"],
            client_id=f"claim-{os.getpid()}",
            certificate=Path(said["claim"]["certificate"]),
            key=Path(said["claim"]["key"]),
            ca=ca,
        )
        provision_now(claim, thing, settings.device.site, own)
        _log.info("provisioned by claim", thing=thing)
    uplink = settings.uplink.model_copy(
        update={
            "endpoint": said["endpoint"],
            "port": said["port"],
            "ca": ca,
            "certificate": own.certificate,
            "key": own.key,
        }
    )
    pictures = settings.pictures.model_copy(
        update={
            "credentials_endpoint": said["credentials_endpoint"],
            "bucket_url": said["bucket_url"],
            "region": said["region"],
        }
    )
    return settings.model_copy(update={"uplink": uplink, "pictures": pictures})

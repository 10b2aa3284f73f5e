"""What the commands of `firedetect model` do: with the running daemon, or on its folder without."""

import hashlib
import tempfile
from pathlib import Path
from typing import Any, Final

from firedetect.config import Settings
from firedetect.daemon.control import ask
from firedetect.daemon.models.choose import choose_model
from firedetect.daemon.models.install import ModelStore, model_store
from firedetect.errors import BundleError, ControlError, FolderInUseError
from firedetect.model.archive import pack, unpack
from firedetect.model.bundle import load_bundle
from firedetect.model.signature import exposed, generate_key, sign_bundle, verify_signature
from firedetect.model.verify import Check, verify_bundle
from firedetect.storage.folder import DataFolder
from firedetect.trial.library import load_library

ANSWER_LIMIT_S: Final = 60.0
"""The daemon tries a model on library and history before it answers."""
SIGNED: Final = "a trusted key signed it"


def install(settings: Settings, source: Path) -> str:
    """Install a bundle (archive or folder); returns what was done.

    Raises BundleError, TrialError or StorageError with the reason, ControlError when the running
    daemon refuses or does not answer.
    """
    try:
        with DataFolder(settings.device.data_dir):
            return _install_here(settings, source)
    except FolderInUseError:
        return _asked(settings, {"do": "install-model", "path": str(source.resolve())})


def rollback(settings: Settings) -> str:
    """Go back to the bundle before; returns what was done. Raises as `install`."""
    try:
        with DataFolder(settings.device.data_dir):
            store = model_store(settings)
            store.rollback()
            return f"model {_described(store)} is used from the next start on"
    except FolderInUseError:
        return _asked(settings, {"do": "rollback-model"})


def listed(settings: Settings) -> list[dict[str, Any]]:
    """Return every bundle that may be used, in the order of preference, with what is wrong."""
    store = model_store(settings)
    places = [] if store.fixed is None else [("configured", store.fixed)]
    named = store.named if store.fixed is None else ()
    for position, bundle in enumerate(named):
        state = "active" if position == 0 else "previous"
        places.append((state if bundle.confirmed else f"{state}, unproven", bundle.path))
    if store.fixed is None:
        places.append(("came along", store.shipped))
    return [_record(state, path) for state, path in places]


def verified(settings: Settings, source: Path) -> tuple[Check, ...]:
    """Return the checks of a bundle (archive or folder), of its signature if keys are trusted."""
    if source.is_dir():
        return _checks(source, settings.model.trusted_keys)
    with tempfile.TemporaryDirectory(prefix="firedetect-") as folder:
        unpack(source, Path(folder))
        return _checks(Path(folder), settings.model.trusted_keys)


def sign(bundle: Path, key: Path, archive: Path | None) -> list[str]:
    """Sign a bundle and, where asked, pack it as a job delivers it; returns what is to be said."""
    signed = sign_bundle(bundle, key)
    said = [f"{bundle}: version {signed.manifest.version} is signed with {key}"]
    if exposed(key):
        said.append(f"warning: others can read {key}; do `chmod 600 {key}`")
    if archive is not None:
        pack(bundle, archive)
        content = archive.read_bytes()
        said.append(f"{archive}: {len(content)} bytes, {hashlib.sha256(content).hexdigest()}")
    return said


def keygen(key: Path) -> str:
    """Make a key pair; returns what is to be said."""
    public = generate_key(key)
    return (
        f"{key}: keep it secret and off the detectors\n"
        f"{public}: put it into the folder model.trusted_keys of the detectors"
    )


def _install_here(settings: Settings, source: Path) -> str:
    store = model_store(settings)
    installed = store.install(
        source,
        trusted_keys=settings.model.trusted_keys,
        present=choose_model(store).scorer,
        settings=settings.decision,
        library=load_library(),
    )
    if not installed.changed:
        return f"model {installed.version} is installed already"
    return (
        f"model {installed.version}, signed with {installed.key}, is used from the next start on "
        "and proves itself then"
    )


def _described(store: ModelStore) -> str:
    path = store.active_bundle_path()
    try:
        return load_bundle(path).manifest.version
    except BundleError as error:
        return f"at {path} (which is damaged: {error})"


def _asked(settings: Settings, request: dict[str, Any]) -> str:
    socket = settings.device.data_dir / "control.sock"
    answer = ask(socket, request, limit_s=ANSWER_LIMIT_S)
    if not answer["accepted"]:
        raise ControlError(f"{request['do']} refused: {answer['detail']}")
    return str(answer["detail"])


def _record(state: str, path: Path) -> dict[str, Any]:
    record: dict[str, Any] = {"state": state, "path": str(path), "problem": ""}
    try:
        bundle = load_bundle(path)
    except BundleError as error:
        return record | {"version": None, "hash": None, "problem": str(error)}
    return record | {"version": bundle.manifest.version, "hash": bundle.hash}


def _checks(folder: Path, trusted: Path | None) -> tuple[Check, ...]:
    checks = verify_bundle(folder).checks
    if trusted is None:
        return checks
    try:
        verify_signature(load_bundle(folder), trusted)
    except BundleError as error:
        return (*checks, Check(SIGNED, passed=False, reason=str(error)))
    return (*checks, Check(SIGNED, passed=True))

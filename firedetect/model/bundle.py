"""A model bundle: a folder with the model, its manifest and perhaps a signature.

Nothing in a bundle is believed before it was checked: hashes, schema, structure, the margins that
xgboost gave to the golden rows, and the two canary rows.
"""

import errno
import hashlib
import os
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from firedetect.errors import BundleError
from firedetect.features.vector import COLUMNS, SCHEMA_ID
from firedetect.model.forest import Forest, parse_forest, sigmoid
from firedetect.model.manifest import (
    Golden,
    Manifest,
    exact_float32,
    from_rows,
    parse_manifest,
)

MODEL_FILE: Final = "model.ubj"
MANIFEST_FILE: Final = "manifest.json"
SIGNATURE_FILE: Final = "signature"
"""Ed25519 over the bytes of the manifest, which names the hash of every other file."""

MAX_FILE_BYTES: Final = 8 << 20
"""A model of 300 trees of depth 8 has 7 MB; the limit bounds what a hostile file can cost."""

FIRE_AT_LEAST: Final = 0.8
QUIET_AT_MOST: Final = 0.1
"""Scores that the canary rows must reach, whatever the bundle says."""


@dataclass(frozen=True, slots=True, eq=False)
class Bundle:
    """A bundle that passed every check; `hash` leaves the signature out."""

    path: Path
    manifest: Manifest
    forest: Forest
    hash: str


def default_bundle_path() -> Path:
    """Return the folder of the bundle that comes with the program."""
    return Path(__file__).parent / "default"


def load_bundle(path: Path) -> Bundle:
    """Read and check the bundle in the folder `path`; raises BundleError naming file and reason.

    `path` itself may be a link, nothing in the folder may.
    """
    raw = read_file(path / MANIFEST_FILE)
    with _Blame(path / MANIFEST_FILE):
        manifest = _usable(parse_manifest(raw))
    files = {name: read_file(path / name) for name in manifest.files}
    for name, content in files.items():
        if hashlib.sha256(content).hexdigest() != manifest.files[name]:
            raise BundleError(f"{path / name}: sha256 is not the one in {MANIFEST_FILE}")
    with _Blame(path / MODEL_FILE):
        forest = parse_forest(files[MODEL_FILE], COLUMNS)
    bundle = Bundle(path, manifest, forest, hashlib.sha256(raw).hexdigest())
    with _Blame(path / MODEL_FILE):
        check_golden(forest, manifest.golden)
        check_canaries(bundle)
    return bundle


def check_golden(forest: Forest, golden: Golden) -> None:
    """Raise BundleError unless every golden row gets xgboost's margin, bit for bit."""
    rows = from_rows(golden.rows, len(forest.columns))
    expected = exact_float32(golden.margins)
    if len(expected) != len(rows):
        raise BundleError(f"{len(rows)} golden rows but {len(expected)} margins")
    got = forest.margins(rows)
    wrong = np.flatnonzero(got.view(np.uint32) != expected.view(np.uint32))
    if wrong.size:
        first = int(wrong[0])
        raise BundleError(
            f"{wrong.size} of {len(rows)} golden margins differ, first in row {first}: "
            f"{got[first]!s} instead of {expected[first]!s}"
        )


def check_canaries(bundle: Bundle) -> None:
    """Raise BundleError unless the fire row scores as fire and the quiet row as quiet."""
    canary = bundle.manifest.canary
    rows = from_rows((canary.fire, canary.quiet), len(COLUMNS))
    fire, quiet = (sigmoid(bundle.forest.margin(row)) for row in rows)
    if not fire >= FIRE_AT_LEAST:
        raise BundleError(f"the canary fire scores {fire:.3f}, at least {FIRE_AT_LEAST} expected")
    if not quiet <= QUIET_AT_MOST:
        raise BundleError(f"the quiet canary scores {quiet:.3f}, at most {QUIET_AT_MOST} expected")


def check_target(target: Path) -> None:
    """Raise BundleError unless a bundle may be written to `target`.

    It may where nothing is, an empty folder, or another bundle.
    """
    try:
        if target.is_symlink() or (target.exists() and not target.is_dir()):
            raise BundleError(f"{target}: is there already and no folder; choose another place")
        found = {entry.name for entry in target.iterdir()} if target.exists() else set()
    except OSError as error:
        raise BundleError(f"{target}: cannot be read: {error.strerror}") from error
    must = {MODEL_FILE, MANIFEST_FILE}
    if found and not must <= found <= must | {SIGNATURE_FILE}:
        raise BundleError(f"{target}: is not empty and no bundle; choose another place")


def write_bundle(target: Path, model: bytes, manifest: Manifest) -> Bundle:
    """Write a bundle that load_bundle accepts to the folder `target`; return it loaded.

    It is built beside the target and moved there when complete. A bundle at `target` is replaced;
    raises BundleError when something else is there.
    """
    check_target(target)
    files = {MODEL_FILE: hashlib.sha256(model).hexdigest()}
    content = manifest.model_copy(update={"files": files}).to_bytes()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}-") as folder:
            new = Path(folder) / "new"
            new.mkdir()
            _write(new / MODEL_FILE, model)
            _write(new / MANIFEST_FILE, content)
            sync_folder(new)
            with _Blame(target, within=new):
                load_bundle(new)
            _exchange(new, target, Path(folder) / "old")
    except OSError as error:
        raise BundleError(f"{target}: cannot be written: {error.strerror}") from error
    return load_bundle(target)


def read_file(path: Path) -> bytes:
    """Return the content of a regular file of bounded size; a link or pipe is refused."""
    try:
        # O_NONBLOCK: opening a pipe must not wait for its writer.
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            status = os.fstat(handle)
            if not stat.S_ISREG(status.st_mode):
                raise BundleError(f"{path}: is no regular file")
            if status.st_size > MAX_FILE_BYTES:
                raise BundleError(f"{path}: has {status.st_size} bytes, at most {MAX_FILE_BYTES}")
            with os.fdopen(handle, "rb", closefd=False) as file:
                return file.read(MAX_FILE_BYTES)
        finally:
            os.close(handle)
    except OSError as error:
        reason = "is a link" if error.errno == errno.ELOOP else error.strerror
        raise BundleError(f"{path}: cannot be read: {reason}") from error


def write_file(path: Path, content: bytes) -> None:
    """Put a file of this content, durably written, in the place of `path`; raises BundleError."""
    try:
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}-") as folder:
            new = Path(folder) / path.name
            _write(new, content)
            new.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise BundleError(f"{path}: cannot be written: {error.strerror}") from error


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class _Blame:
    """Puts a path before the reason of a BundleError raised inside, and takes `within` out."""

    def __init__(self, path: Path, within: Path | None = None) -> None:
        self._path = path
        self._within = f"{within}/"

    def __enter__(self) -> None:
        """Nothing to do before."""

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        """Raise the error again with the path."""
        if isinstance(error, BundleError):
            reason = str(error).removeprefix(self._within)
            raise BundleError(f"{self._path}: {reason}") from error


def _usable(manifest: Manifest) -> Manifest:
    if manifest.schema_id != SCHEMA_ID:
        raise BundleError(
            f"the bundle is for schema {manifest.schema_id}, this program has {SCHEMA_ID}; "
            "train a new one"
        )
    if manifest.features != COLUMNS:
        raise BundleError("the features are not the columns of this program, in their order")
    if MODEL_FILE not in manifest.files:
        raise BundleError(f"the files do not name {MODEL_FILE}")
    return manifest


def _write(path: Path, content: bytes) -> None:
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _exchange(new: Path, target: Path, old: Path) -> None:
    """Move `new` to `target`, and what was there to `old`; put it back when that fails."""
    replaced = target.exists()
    if replaced:
        target.rename(old)
    try:
        new.rename(target)
    except OSError:
        if replaced:
            old.rename(target)
        raise
    sync_folder(target.parent)

"""Installed model bundles: checked, tried, copied durably, and named by A/B slots.

A bundle lies in `<version>-<hash8>` below the folder. The one in use and its predecessor are
kept; one that does not prove itself is left again for its predecessor.
"""

import hashlib
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from firedetect.config import Settings
from firedetect.contract.settings import DecisionSettings
from firedetect.contract.shadow import Verdict
from firedetect.errors import BundleError, StorageError
from firedetect.model.archive import KNOWN, unpack
from firedetect.model.bundle import (
    MANIFEST_FILE,
    SIGNATURE_FILE,
    Bundle,
    default_bundle_path,
    load_bundle,
    read_file,
    write_file,
)
from firedetect.model.scorer import Scorer
from firedetect.model.signature import verify_manifest
from firedetect.storage.slots import Disk, Slot, Slots
from firedetect.trial.history import HistoryBlock
from firedetect.trial.library import Library
from firedetect.trial.verdict import try_model

FOLDER: Final = "models"
"""Below the data folder."""
_SLOTS: Final = "model"
_INCOMING: Final = ".incoming-"
_BUNDLE_NAME: Final = re.compile(r"\d+\.\d+\.\d+-[0-9a-f]{8}")
_VERSION: Final = re.compile(r"\d{1,6}(\.\d{1,6}){2}")
_HASH: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Named:
    """A bundle that a slot names: where it must be and what it must hold."""

    path: Path
    version: str
    hash: str
    confirmed: bool


@dataclass(frozen=True, slots=True)
class Installed:
    """A bundle that passed every check and is active now, unconfirmed.

    `key` is the trusted key that signed it; `changed` is False when it was active and in use
    already, and then nothing was tried.
    """

    path: Path
    version: str
    hash: str
    key: str
    scorer: Scorer
    verdict: Verdict | None
    changed: bool


class ModelStore:
    """The bundles below `folder`, used by one program at a time.

    `fixed` is the bundle that the settings name: then it is used, and none can be installed.
    `shipped` came with the program and is trusted as the program is.
    """

    def __init__(
        self,
        folder: Path,
        *,
        fixed: Path | None = None,
        shipped: Path | None = None,
        disk: Disk | None = None,
    ) -> None:
        self.fixed = fixed
        self.shipped = shipped or default_bundle_path()
        self._folder = folder
        self._disk = disk or Disk()
        self._slots = Slots(folder, _SLOTS, disk=self._disk)

    @property
    def problems(self) -> tuple[str, ...]:
        """What is wrong with the slots' files."""
        return self._slots.problems

    @property
    def named(self) -> tuple[Named, ...]:
        """The installed bundles, the active one first; neither is checked here."""
        found = (_named(self._folder, slot) for slot in self._slots.stored())
        return tuple(bundle for bundle in found if bundle is not None)

    def active_bundle_path(self) -> Path:
        """Return the bundle to use: the settings' one, the installed one, the shipped one."""
        named = self.named
        return self.fixed or (named[0].path if named else self.shipped)

    def install(
        self,
        source: Path,
        *,
        trusted_keys: Path | None,
        present: Scorer | None,
        settings: DecisionSettings,
        library: Library,
        history: Iterable[HistoryBlock] = (),
        allow_downgrade: bool = False,
    ) -> Installed:
        """Check, try and copy a bundle (archive or folder) and make it active, unconfirmed.

        Raises BundleError (SignatureError) with the reason, StorageError when the disk cannot be
        written; then what was active stays active.
        """
        if self.fixed is not None:
            raise BundleError(f"the setting model.bundle names {self.fixed}: nothing is installed")
        with self._incoming() as incoming:
            _take(source, incoming)
            with _told_of(source, incoming):
                key, signed = verify_manifest(incoming, trusted_keys)
                bundle = load_bundle(incoming)
                if bundle.hash != signed:
                    raise BundleError(f"{incoming}: has changed since its signature was checked")
                version = bundle.manifest.version
                self._check_version(version, bundle.hash, present, allow_older=allow_downgrade)
            path = self._folder / f"{version}-{bundle.hash[:8]}"
            installed = Installed(
                path, version, bundle.hash, key, Scorer(bundle), verdict=None, changed=False
            )
            in_use = present is not None and present.hash == bundle.hash
            if in_use and self._is_active(path, bundle.hash):
                return installed
            tried = try_model(installed.scorer, present, settings, library, history)
            if tried.refused:
                raise BundleError(f"{source}: fails the trial: {tried.refused}")
            self._adopt(incoming, path, bundle)
        self._prune()
        return replace(installed, verdict=tried.verdict, changed=True)

    def confirm(self, used: str) -> bool:
        """Mark the active bundle as proven if its hash is `used`; returns whether it is proven."""
        named = self._active()
        if named is None or named.hash != used:
            return False
        self._slots.confirm()
        return True

    def rollback(self) -> Named | None:
        """Leave the active bundle, proven or not; return the one that is active then.

        None stands for the shipped one. Raises BundleError when that is active already.
        """
        if self.fixed is not None:
            raise BundleError(f"the setting model.bundle names {self.fixed}: change it there")
        if self._slots.active() is None:
            raise BundleError("no bundle is installed: the one that came along is in use")
        self._slots.revert(even_confirmed=True)
        self._prune()
        return next(iter(self.named), None)

    def leave_unconfirmed(self) -> None:
        """Leave the active bundle if it has not proved itself."""
        self._slots.revert()

    def count_start(self) -> str:
        """Note a start of the program; returns why the active bundle was left, or nothing."""
        named = self._active()
        reason = self._slots.count_start()
        return f"model {named.version}: {reason}" if reason and named else reason

    def _active(self) -> Named | None:
        slot = self._slots.active()
        return None if slot is None else _named(self._folder, slot)

    def _check_version(
        self, version: str, content: str, present: Scorer | None, *, allow_older: bool
    ) -> None:
        known = {}
        if (named := self._active()) is not None:
            known["installed"] = (named.version, named.hash)
        if present is not None:
            known["present"] = (present.version, present.hash)
        shipped = _loaded(self.shipped)
        if shipped is not None:
            known["shipped"] = (shipped.manifest.version, shipped.hash)
        for what, (other, its_content) in known.items():
            if other == version and its_content != content:
                raise BundleError(
                    f"version {version} is that of the {what} bundle, which has another content; "
                    "give it a new version"
                )
            if _order(version) < _order(other) and not allow_older:
                raise BundleError(
                    f"version {version} is older than {other}, the {what} one; to go back use "
                    "`firedetect model rollback`"
                )

    def _is_active(self, path: Path, content: str) -> bool:
        named = self._active()
        if named is None or named.path != path:
            return False
        there = _loaded(path)
        return there is not None and there.hash == content

    @contextmanager
    def _incoming(self) -> Iterator[Path]:
        """A folder beside the bundles, gone afterwards unless it was moved into place."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(
                dir=self._folder, prefix=_INCOMING, ignore_cleanup_errors=True
            ) as folder:
                incoming = Path(folder) / "bundle"
                incoming.mkdir()
                yield incoming
        except OSError as error:
            raise StorageError(f"{self._folder}: cannot be used: {error.strerror}") from error

    def _adopt(self, incoming: Path, path: Path, bundle: Bundle) -> None:
        """Put a checked bundle into its place and name it: only the last step changes anything."""
        there = _loaded(path)
        if there is None or there.hash != bundle.hash:
            # What is there is damaged, or its hash only begins alike.
            if path.exists():
                self._disk.replace(path, incoming.parent / "old")
            self._disk.replace(incoming, path)
        else:
            write_file(path / SIGNATURE_FILE, read_file(incoming / SIGNATURE_FILE))
        self._disk.sync(self._folder)
        self._slots.propose({"version": bundle.manifest.version, "hash": bundle.hash})

    def _prune(self) -> None:
        """Remove what no slot names; what cannot be removed waits for the next time."""
        kept = {bundle.path for bundle in self.named}
        try:
            found = list(self._folder.iterdir())
        except OSError:
            return
        for path in found:
            left_over = path.name.startswith(_INCOMING)
            if left_over or (_BUNDLE_NAME.fullmatch(path.name) and path not in kept):
                shutil.rmtree(path, ignore_errors=True)


def model_store(settings: Settings) -> ModelStore:
    """Return the store in the data folder of the settings."""
    return ModelStore(settings.device.data_dir / FOLDER, fixed=settings.model.bundle)


def is_kept(store: ModelStore, archive: Path) -> bool:
    """Whether an archive holds a bundle that is here, signed or not; raises as `install`."""
    try:
        with tempfile.TemporaryDirectory(dir=archive.parent) as folder:
            unpack(archive, Path(folder))
            content = hashlib.sha256(read_file(Path(folder) / MANIFEST_FILE)).hexdigest()
    except OSError as error:
        raise StorageError(f"{archive.parent}: cannot be used: {error.strerror}") from error
    shipped = _loaded(store.shipped)
    kept = {named.hash for named in store.named}
    return content in kept or bool(shipped and shipped.hash == content)


def _named(folder: Path, slot: Slot) -> Named | None:
    version, content = slot.body.get("version"), slot.body.get("hash")
    if not isinstance(version, str) or not isinstance(content, str):
        return None
    if not _VERSION.fullmatch(version) or not _HASH.fullmatch(content):
        return None
    return Named(folder / f"{version}-{content[:8]}", version, content, slot.confirmed)


def _loaded(path: Path) -> Bundle | None:
    try:
        return load_bundle(path)
    except BundleError:
        return None


def _order(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def _take(source: Path, incoming: Path) -> None:
    """Copy a bundle's files from an archive or a folder: what is checked is what is installed."""
    if not source.is_dir():
        unpack(source, incoming)
        return
    for name in KNOWN:
        if name != SIGNATURE_FILE or (source / name).is_symlink() or (source / name).exists():
            write_file(incoming / name, read_file(source / name))


@contextmanager
def _told_of(source: Path, copy: Path) -> Iterator[None]:
    """Let errors about the copy name the source."""
    try:
        yield
    except BundleError as error:
        reason = str(error).removeprefix(f"{copy}: ").replace(f"{copy}/", "")
        raise type(error)(f"{source}: {reason}") from error

"""The model of a run: the configured, the installed, its predecessor, or the shipped bundle.

If none can be used there is no model: a refused bundle never stops the detector.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import structlog

from firedetect.daemon.models.install import ModelStore
from firedetect.errors import BundleError, StorageError
from firedetect.model.bundle import Bundle, default_bundle_path, load_bundle
from firedetect.model.scorer import Scorer

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class ModelInUse:
    """The model to run; `trouble` says what was lost, `reverted` why an installed one was left."""

    scorer: Scorer | None
    path: Path | None
    trouble: str = ""
    reverted: str = ""


def load_scorer(path: Path | None) -> Scorer:
    """Return the scorer of a bundle, by default the one that came along; raises BundleError."""
    return Scorer(load_bundle(path or default_bundle_path()))


def scorer_or_none(path: Path | None) -> tuple[Scorer | None, str]:
    """Return the scorer and no problem, or None and why there is none: hard rules go on alone."""
    try:
        return load_scorer(path), ""
    except BundleError as error:
        _log.error("no model: the hard rules work alone", error=str(error))
        return None, str(error)


def start_model(store: ModelStore) -> ModelInUse:
    """Count this start of the program and return the model to run; never raises.

    A bundle that has not proved itself in the starts it was given is left for its predecessor. If
    the start cannot be counted, an unproven one is not used: it could end the program for ever.
    """
    if store.fixed is not None:
        return choose_model(store)
    uncounted = reverted = ""
    try:
        reverted = store.count_start()
    except StorageError as error:
        uncounted = str(error)
    chosen = choose_model(store, proven_only=bool(uncounted))
    if reverted:
        _log.warning("a model was left", reason=reverted)
    trouble = "; ".join(filter(None, (uncounted, chosen.trouble)))
    return ModelInUse(chosen.scorer, chosen.path, trouble, reverted)


def choose_model(store: ModelStore, *, proven_only: bool = False) -> ModelInUse:
    """Return the first usable model in the order of preference; never raises.

    An unproven bundle that cannot be loaded is left for good, a proven one is asked again at the
    next start.
    """
    lost = list(store.problems) if store.fixed is None else []
    for path, expected, proven in _preferred(store, proven_only=proven_only):
        try:
            bundle = _expected(path, expected)
        except BundleError as error:
            lost.append(str(error))
            if not proven:
                with contextlib.suppress(StorageError):
                    store.leave_unconfirmed()
            continue
        if lost:
            _log.error("another model is used", lost=lost, used=str(path))
        return ModelInUse(Scorer(bundle), path, "; ".join(lost))
    _log.error("no model: the hard rules work alone", lost=lost)
    return ModelInUse(None, None, "; ".join(lost))


def _expected(path: Path, content: str | None) -> Bundle:
    bundle = load_bundle(path)
    if content not in {None, bundle.hash}:
        raise BundleError(f"{path}: is not the bundle that was installed")
    return bundle


def _preferred(store: ModelStore, *, proven_only: bool) -> Iterator[tuple[Path, str | None, bool]]:
    """Yield path, expected hash (None for any) and whether it is proven."""
    if store.fixed is not None:
        yield store.fixed, None, True
        return
    for named in store.named:
        if named.confirmed or not proven_only:
            yield named.path, named.hash, named.confirmed
    yield store.shipped, None, True

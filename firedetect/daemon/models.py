"""The model of a run: the configured bundle, else none; a refused one never stops the detector."""

from pathlib import Path

import structlog

from firedetect.errors import BundleError
from firedetect.model.bundle import default_bundle_path, load_bundle
from firedetect.model.scorer import Scorer

_log = structlog.get_logger()


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

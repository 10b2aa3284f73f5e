"""Verification of a bundle against xgboost itself, in a process of its own.

xgboost is heavy and may end a process that gives it a strange model; the detector never loads it.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from firedetect.errors import BundleError
from firedetect.model.bundle import MODEL_FILE, Bundle, load_bundle
from firedetect.model.manifest import exact_float32, from_rows
from firedetect.model.probes import probe_rows

if TYPE_CHECKING:
    from xgboost import Booster

RANDOM_ROWS: Final = 10_000
RANDOM_SEED: Final = 2026
TIMEOUT_S: Final = 120.0
"""Enough for a small computer that compiles the kernels first."""

LOADED, OPENED, GOLDEN, RANDOM = CHECKS = (
    "bundle passes the checks of every load",
    "xgboost opens the model",
    "xgboost gives the golden margins bit for bit",
    f"xgboost and the forest kernel agree bit for bit on {RANDOM_ROWS} random rows",
)


@dataclass(frozen=True, slots=True)
class Check:
    """One check with its result; the reason is empty when it passed."""

    name: str
    passed: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """All checks of a bundle, in order."""

    path: Path
    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """Whether every check passed."""
        return all(check.passed for check in self.checks)


def verify_bundle(path: Path, timeout_s: float = TIMEOUT_S) -> VerifyReport:
    """Check the bundle in the folder `path` in a subprocess; never raises for a bad bundle."""
    quiet = {"OMP_WAIT_POLICY": "PASSIVE", "OMP_NUM_THREADS": "1"}
    try:
        done = subprocess.run(  # noqa: S603 - our own interpreter and module, no shell
            [sys.executable, "-m", "firedetect.model.verify", str(path)],
            env=os.environ | quiet,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return VerifyReport(path, _with_untried([], f"no answer within {timeout_s:g} s"))
    lines = done.stdout.decode(errors="replace").splitlines()
    checks = [Check(**json.loads(line)) for line in lines if line.startswith('{"name": ')]
    ended = f"the process ended with {done.returncode}"
    return VerifyReport(path, _with_untried(checks, ended))


def run_checks(path: Path, report: Callable[[Check], None]) -> bool:
    """Run the checks here, handing each result to `report`; stop at the first that fails."""
    name = LOADED
    try:
        bundle = load_bundle(path)
        report(Check(name, passed=True))
        name = OPENED
        booster = _open(path / MODEL_FILE)
        report(Check(name, passed=True))
        name = GOLDEN
        golden = bundle.manifest.golden
        rows = from_rows(golden.rows, len(bundle.forest.columns))
        _compare(exact_float32(golden.margins), _margins(booster, rows))
        report(Check(name, passed=True))
        name = RANDOM
        _compare_random(bundle, booster)
        report(Check(name, passed=True))
    except BundleError as error:
        report(Check(name, passed=False, reason=str(error)))
        return False
    return True


def _with_untried(checks: list[Check], reason: str) -> tuple[Check, ...]:
    """Return `checks` followed by those that have no result; the first of them says why."""
    if checks and not checks[-1].passed:
        reason = "not tried"
    for name in CHECKS[len(checks) :]:
        checks.append(Check(name, passed=False, reason=reason))
        reason = "not tried"
    return tuple(checks)


def _open(model: Path) -> "Booster":
    try:
        import xgboost  # noqa: PLC0415 - heavy, and absent where nothing is verified
    except ImportError as error:
        raise BundleError("xgboost is not installed; pip install 'firedetect[device]'") from error
    booster = xgboost.Booster({"nthread": 1})
    try:
        booster.load_model(model)
    except xgboost.core.XGBoostError as error:
        raise BundleError(str(error).splitlines()[0]) from error
    return booster


def _margins(booster: "Booster", rows: NDArray[np.float32]) -> NDArray[np.float32]:
    from xgboost import DMatrix  # noqa: PLC0415

    margins = booster.predict(DMatrix(rows, nthread=1), output_margin=True, validate_features=False)
    return np.asarray(margins, np.float32)


def _compare_random(bundle: Bundle, booster: "Booster") -> None:
    rows = probe_rows(bundle.forest, RANDOM_ROWS, RANDOM_SEED)
    _compare(bundle.forest.margins(rows), _margins(booster, rows))


def _compare(ours: NDArray[np.float32], theirs: NDArray[np.float32]) -> None:
    wrong = np.flatnonzero(ours.view(np.uint32) != theirs.view(np.uint32))
    if wrong.size:
        row = int(wrong[0])
        raise BundleError(
            f"{wrong.size} of {len(ours)} margins differ, first in row {row}: "
            f"{theirs[row]!s} from xgboost, {ours[row]!s} here"
        )


def _print(check: Check) -> None:
    sys.stdout.write(json.dumps(asdict(check)) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(0 if run_checks(Path(sys.argv[1]), _print) else 1)

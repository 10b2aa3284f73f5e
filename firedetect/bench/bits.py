"""What the kernels compute, as one file: `python -m firedetect.bench.bits OUT.npz`.

Two such files, of two processors or two sets of instructions, say whether a detector and its
training see the same numbers.
"""

import argparse
import sys
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from firedetect.bench.material import EMISSIVITY, IMAGE_NS, REFLECTED_C, rows, scene
from firedetect.features.extractor import FeatureExtractor
from firedetect.features.vector import COLUMNS
from firedetect.model.bundle import default_bundle_path, load_bundle
from firedetect.readings import ThermalImage
from firedetect.sensors.mlx90640.calibration import extract
from firedetect.sensors.mlx90640.compute import celsius, prepare

Arrays = dict[str, NDArray[Any]]
_ROWS: Final = 2000
NAMES: Final = ("temperatures", "features", "margins")


def compute(given: Arrays) -> Arrays:
    """Return temperatures (n, 24, 32), features (n, 27) and margins (m,) of the given input."""
    terms = prepare(extract(given["eeprom"]))
    extractor = FeatureExtractor()
    temp_c = np.empty((len(given["words"]), 24, 32), np.float32)
    vectors = np.empty((len(temp_c), len(COLUMNS)))
    for k, pages in enumerate(given["words"]):
        for words in pages:
            celsius(words, terms, EMISSIVITY, REFLECTED_C, temp_c[k])
        extractor.image(ThermalImage(k * IMAGE_NS, temp_c[k]))
        vectors[k] = extractor.row()
    margins = load_bundle(default_bundle_path()).forest.margins(given["rows"])
    return {"temperatures": temp_c, "features": vectors, "margins": margins}


def _input() -> Arrays:
    known = [rows(_ROWS, missing=missing) for missing in (False, True)]
    return {"eeprom": scene().eeprom, "words": scene().words, "rows": np.concatenate(known)}


def differences(first: Path, second: Path) -> dict[str, float]:
    """Return by name how far two files are apart at most; 0 is bit for bit, NaN equals NaN."""
    with np.load(first) as one, np.load(second) as other:
        return {name: _apart(one[name], other[name]) for name in NAMES}


def _apart(one: NDArray[Any], other: NDArray[Any]) -> float:
    if not np.array_equal(np.isnan(one), np.isnan(other)):
        return float("inf")
    return float(np.nanmax(np.abs(one.astype(np.float64) - other)))


def main() -> None:
    """Compute and write; then, with a file to compare with, fail if anything is too far apart."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--like", type=Path, help="take the input of this file, and compare")
    parser.add_argument("--within", type=float, default=0.0, help="0 is bit for bit")
    asked = parser.parse_args()
    if asked.like is None:
        given = _input()
    else:
        with np.load(asked.like) as known:
            given = {name: known[name] for name in ("eeprom", "words", "rows")}
    with asked.out.open("wb") as file:
        np.savez(file, allow_pickle=False, **given, **compute(given))
    if asked.like is None:
        return
    apart = differences(asked.like, asked.out)
    sys.stdout.write(", ".join(f"{name} {most:.1e}" for name, most in apart.items()) + " apart\n")
    sys.exit(max(apart.values()) > asked.within)


if __name__ == "__main__":
    main()

"""The real recordings, kept outside the repository: where they are, and their columns."""

import os
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from firedetect.errors import DatasetError

PLACE: Final = "FIREDETECT_SHARED_DATA"
_DEFAULT: Final = Path(__file__).parents[4] / "shared" / "data"


def real_file(name: str, data: Path | None = None) -> Path:
    """Return the path of a file of real data (`folder/file`); raises DatasetError if missing.

    `data` is the folder of all data; by default the environment names it.
    """
    given = os.environ.get(PLACE)
    folder = data or (Path(given) if given else _DEFAULT)
    path = folder / name
    if not path.is_file():
        raise DatasetError(
            f"{path}: real data is missing; set {PLACE} to the folder that holds "
            f"{Path(name).parent}"
        )
    return path


def columns(path: Path, names: tuple[str, ...]) -> dict[str, NDArray[Any]]:
    """Return columns of a Parquet file; raises DatasetError."""
    try:
        table = pq.read_table(path, columns=list(names))
        return {name: table.column(name).to_numpy() for name in names}
    except (OSError, KeyError, pa.ArrowException) as error:
        raise DatasetError(f"{path}: cannot be read: {error}; copy it again") from error


def split_by(keys: NDArray[Any], values: NDArray[Any]) -> list[NDArray[np.float64]]:
    """Return the values of each key, in the order of the keys; values keep their order."""
    _, number = np.unique(keys, return_inverse=True)
    order = np.argsort(number, kind="stable")
    cuts = np.flatnonzero(np.diff(number[order])) + 1
    return [np.asarray(part, np.float64) for part in np.split(values[order], cuts)]

"""The manifest of a model bundle: what the model is, and the evidence that it computes as it did.

Rows and margins are stored as the exact value of each float32, a missing value as null.
"""

from collections.abc import Iterable
from typing import Annotated, Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from firedetect.contract.problems import problem_of
from firedetect.contract.settings import Thresholds
from firedetect.errors import BundleError

FORMAT: Final = 1
_LONGEST_REASON: Final = 200

Name = Annotated[str, Field(pattern=r"^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,63}$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Version = Annotated[str, Field(pattern=r"^(0|[1-9]\d{0,5})(\.(0|[1-9]\d{0,5})){2}$")]
Row = tuple[float | None, ...]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Golden(_Part):
    """Rows with the margins that xgboost itself gave them."""

    rows: Annotated[tuple[Row, ...], Field(min_length=1, max_length=1024)]
    margins: tuple[float, ...]


class Canary(_Part):
    """A row that any usable model calls fire, and one that it calls quiet."""

    fire: Row
    quiet: Row


class Manifest(_Part):
    """Everything that is known of a bundle; its bytes are what a signature covers."""

    format: Literal[1] = FORMAT
    name: Name
    version: Version
    schema_id: str
    features: tuple[str, ...]
    training_data_sha256: Sha256
    metrics: dict[str, float] = {}
    thresholds: Thresholds = Thresholds()
    seed: int = 0
    hyper_parameters: dict[str, float | int | str] = {}
    golden: Golden
    canary: Canary
    files: dict[Name, Sha256] = {}

    def to_bytes(self) -> bytes:
        """Return the file's content; equal manifests give equal bytes."""
        return self.model_dump_json(indent=1).encode() + b"\n"


def parse_manifest(data: bytes) -> Manifest:
    """Return the manifest in `data`; raises BundleError with its first problem."""
    try:
        return Manifest.model_validate_json(data)
    except ValidationError as error:
        problem = error.errors()[0]
        whole = problem["type"] == "json_invalid"
        reason = problem["msg"] if whole else str(problem_of(error))
        raise BundleError(reason[:_LONGEST_REASON]) from error


def to_row(values: NDArray[np.float32]) -> Row:
    """Return the values of a row, float32 of shape (columns,), as they are stored."""
    return tuple(None if np.isnan(value) else float(value) for value in values)


def from_rows(rows: Iterable[Row], columns: int) -> NDArray[np.float32]:
    """Return stored rows as float32 of shape (n, columns); raises BundleError unless exact."""
    stored = list(rows)
    if any(len(row) != columns for row in stored):
        raise BundleError(f"a stored row has not {columns} values")
    return exact_float32([np.nan if v is None else v for row in stored for v in row]).reshape(
        len(stored), columns
    )


def exact_float32(values: Iterable[float]) -> NDArray[np.float32]:
    """Return `values` as float32; raises BundleError when one is no float32."""
    wide = np.array(list(values), np.float64)
    with np.errstate(over="ignore", under="ignore"):
        narrow = wide.astype(np.float32)
    if not np.array_equal(narrow.astype(np.float64), wide, equal_nan=True):
        raise BundleError("a stored number is no exact float32")
    return narrow

"""What a request asks and what is answered, as JSON; bad input is one sentence with its field."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from firedetect.errors import FiredetectError
from firedetect.features.vector import COLUMNS, FEATURES

ROWS_MAX: Final = 1000
_REQUIRED: Final = tuple(feature.name for feature in FEATURES)


class BadRequestError(FiredetectError):
    """The request is refused; the message names the field."""


def rows_of(body: bytes) -> tuple[NDArray[np.float32], bool]:
    """Return the rows (n, 27) of a request, and whether it was a single one.

    A request is `{"features": {name: number or null, ...}}`, or `{"instances": [...]}` with such
    objects: the 18 features are required, the context columns optional, null is a value that is
    not known.
    """
    try:
        asked = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadRequestError(f"the body is no JSON: {error}") from error
    if not isinstance(asked, dict):
        raise BadRequestError("the body must be an object")
    _only(asked, {"features", "instances"}, "the body")
    if ("features" in asked) == ("instances" in asked):
        raise BadRequestError("the body needs either features or instances")
    if "features" in asked:
        return np.stack([_row(asked["features"], "features")]), True
    instances = asked["instances"]
    if not isinstance(instances, list) or not 1 <= len(instances) <= ROWS_MAX:
        raise BadRequestError(f"instances must be a list of 1 to {ROWS_MAX}")
    return np.stack([_instance(one, f"instances[{k}]") for k, one in enumerate(instances)]), False


def answer_of(scores: Sequence[float], version: str, *, single: bool) -> bytes:
    """Return the answer: a score each, null where nothing at all was known."""
    found = [None if math.isnan(score) else score for score in scores]
    said: dict[str, Any] = {"model": version}
    said |= {"score": found[0]} if single else {"predictions": [{"score": one} for one in found]}
    return json.dumps(said).encode()


def _instance(given: object, where: str) -> NDArray[np.float32]:
    if not isinstance(given, dict):
        raise BadRequestError(f"{where} must be an object")
    _only(given, {"features"}, where)
    return _row(given.get("features"), f"{where}.features")


def _row(given: object, where: str) -> NDArray[np.float32]:
    if not isinstance(given, dict):
        raise BadRequestError(f"{where} must be an object of names and numbers")
    _only(given, set(COLUMNS), where)
    for name in _REQUIRED:
        if name not in given:
            raise BadRequestError(f"{where}.{name} is missing")
    row = np.full(len(COLUMNS), np.nan, np.float32)
    for position, name in enumerate(COLUMNS):
        value = given.get(name)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise BadRequestError(f"{where}.{name} must be a number or null")
        if not math.isfinite(value) or abs(value) > _LARGEST:
            raise BadRequestError(f"{where}.{name} must be a number that four bytes can hold")
        row[position] = value
    return row


_LARGEST: Final = float(np.finfo(np.float32).max)


def _only(given: Mapping[str, object], known: set[str], where: str) -> None:
    unknown = sorted(set(given) - known)
    if unknown:
        raise BadRequestError(f"{where}.{unknown[0]} is not known")

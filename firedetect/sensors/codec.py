"""Events as JSON objects and back, exactly: numbers keep every bit, arrays travel as base64."""

import base64
import dataclasses
import math
from collections.abc import Callable, Iterable
from typing import Any, get_args, get_type_hints

import numpy as np

from firedetect.config import GasBaseline
from firedetect.contract.level import Level
from firedetect.contract.settings import DecisionSettings
from firedetect.readings import (
    CommandAction,
    CommandSource,
    Event,
    FaultKind,
    FilmActivity,
    Sensor,
    Stream,
)

EVENT_TYPES: dict[str, type] = {kind.__name__: kind for kind in get_args(Event)}
"""Every type of event by the name that recordings use."""
IMAGE_SHAPES = ((24, 32), (120, 160))
_FILMS = 4


def encode(event: Event) -> dict[str, Any]:
    """Return the event's fields as JSON values; NaN becomes null."""
    return {field.name: _to_json(getattr(event, field.name)) for field in dataclasses.fields(event)}


def decode(name: str, values: dict[str, Any]) -> Event:
    """Return the event of type `name`; raises KeyError, TypeError or ValueError for others."""
    kind = EVENT_TYPES[name]
    converters = _converters(kind)
    unknown = values.keys() - converters.keys()
    if unknown:
        msg = f"{name} has no {min(unknown)}"
        raise ValueError(msg)
    try:
        event: Event = kind(**{key: converters[key](value) for key, value in values.items()})
    except OverflowError as error:
        raise ValueError(f"{name}: {error}") from error
    return event


def json_schema(name: str) -> dict[str, Any]:
    """Return a JSON schema of the event for viewers."""
    properties = {
        key: {"type": _JSON_TYPES.get(hint, ["object", "array", "string", "null"])}
        for key, hint in get_type_hints(EVENT_TYPES[name]).items()
    }
    return {"title": f"firedetect.{name}", "type": "object", "properties": properties}


_JSON_TYPES: dict[Any, Any] = {
    int: "integer",
    float: ["number", "null"],
    str: "string",
    bool: "boolean",
}


def _to_json(value: Any) -> Any:  # noqa: ANN401, PLR0911 - one place for every kind of field
    if value is None or isinstance(value, bool | str):
        return str(value) if isinstance(value, str) else value
    if isinstance(value, Level):
        return value.label
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, int):
        return value
    if isinstance(value, np.ndarray):
        little = value.astype(value.dtype.newbyteorder("<"), copy=False)
        return {
            "dtype": value.dtype.name,
            "shape": list(value.shape),
            "data": base64.b64encode(np.ascontiguousarray(little).tobytes()).decode(),
        }
    if isinstance(value, tuple):
        return [_to_json(item) for item in value]
    if isinstance(value, DecisionSettings | GasBaseline):
        return value.model_dump(mode="json")
    return {field.name: _to_json(getattr(value, field.name)) for field in dataclasses.fields(value)}


def _words(value: dict[str, Any]) -> np.ndarray:
    return _array(value, np.dtype(np.uint16))


def _image(value: dict[str, Any]) -> np.ndarray:
    image = _array(value, np.dtype(np.float32))
    if image.shape not in IMAGE_SHAPES:
        raise ValueError(f"image of shape {image.shape}")
    return image


def _array(value: dict[str, Any], dtype: np.dtype[Any]) -> np.ndarray:
    if value["dtype"] != dtype.name:
        raise ValueError(f"array of {value['dtype']}, expected {dtype.name}")
    data = np.frombuffer(base64.b64decode(value["data"]), dtype=dtype.newbyteorder("<"))
    return data.astype(dtype).reshape(value["shape"])


def _exactly(kind: type) -> Callable[[Any], Any]:
    def convert(value: Any) -> Any:  # noqa: ANN401 - whatever the JSON holds
        if type(value) is not kind:
            raise TypeError(f"{value!r} is no {kind.__name__}")
        return value

    return convert


def _number(value: float | None) -> float:
    if value is None:
        return math.nan
    if isinstance(value, str | bool):
        raise TypeError(f"{value!r} is no number")
    return float(value)


def _items(value: Any) -> Iterable[Any]:  # noqa: ANN401 - whatever the JSON holds
    return _exactly(list)(value)  # type: ignore[no-any-return]


def _level(value: Any) -> Level:  # noqa: ANN401 - whatever the JSON holds
    return Level.from_label(_exactly(str)(value))


def _activity(value: dict[str, Any]) -> FilmActivity:
    cells = _exactly(int)(value["cells"])
    activity = FilmActivity(
        reference=_films(value["reference"]),
        days=tuple(_films(day) for day in _items(value["days"])),
        cells=cells,
        mean=_films(value["mean"]),
        squares=_films(value["squares"]),
    )
    deviations = (activity.reference, *activity.days, activity.squares)
    sizes = {len(activity.mean), len(activity.squares)}
    if min((min(films, default=0.0) for films in deviations), default=0.0) < 0.0:
        raise ValueError("a deviation below 0")
    if cells < 0 or (cells and sizes != {_FILMS}) or not all(activity.days):
        raise ValueError("the activity of the films has no day")
    return activity


def _films(items: Any) -> tuple[float, ...]:  # noqa: ANN401 - whatever the JSON holds
    values = tuple(_number(item) for item in _items(items))
    if len(values) not in {0, _FILMS} or not all(map(math.isfinite, values)):
        raise ValueError(f"{_FILMS} finite numbers are expected, or none")
    return values


def _optional(convert: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: None if value is None else convert(value)


_BY_FIELD: dict[str, Callable[[Any], Any]] = {
    "sensor": Sensor,
    "kind": FaultKind,
    "action": CommandAction,
    "source": CommandSource,
    "level": _level,
    "decision": DecisionSettings.model_validate,
    "baseline": GasBaseline.model_validate,
    "gas_baseline": _optional(GasBaseline.model_validate),
    "gas_tracked": _optional(GasBaseline.model_validate),
    "gas_activity": _optional(_activity),
    "streams": lambda items: tuple(
        Stream(Sensor(item["sensor"]), _number(item["stale_s"])) for item in _items(items)
    ),
    "reasons": lambda items: tuple(_exactly(str)(item) for item in _items(items)),
    "words": _words,
    "temp_c": _image,
    "eeprom": _optional(_words),
    "commissioned": _optional(_words),
    "bad_pixels": lambda items: tuple(_exactly(int)(item) for item in _items(items)),
    "limit_c": _image,
    "incident_id": _optional(_exactly(str)),
    "event_id": _optional(_exactly(str)),
    "duration_s": _optional(_number),
}
_BY_TYPE: dict[Any, Callable[[Any], Any]] = {
    int: _exactly(int),
    float: _number,
    str: _exactly(str),
    bool: _exactly(bool),
}


def _converters(kind: type) -> dict[str, Callable[[Any], Any]]:
    return {
        name: _BY_TYPE[hint] if hint in _BY_TYPE else _BY_FIELD[name]
        for name, hint in get_type_hints(kind).items()
    }

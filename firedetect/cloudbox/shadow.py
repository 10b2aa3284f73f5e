"""The device shadow as AWS IoT documents it: what a request makes of a state. Pure.

Source: AWS IoT Core developer guide, pages device-shadow-document, device-shadow-data-flow and
device-shadow-error-messages. Not published, our choice: empty objects are no values; the first
version of a shadow is 1.
"""

from dataclasses import dataclass, field
from typing import Final

from pydantic import JsonValue

from firedetect.cloudbox.wire import JsonObject, encoded

STATE_LIMIT: Final = 8 * 1024
DEPTH_LIMIT: Final = 6
"""The error table's figure; the quota page says 8. The stricter one keeps devices honest."""
TOKEN_LIMIT: Final = 64
FORGOTTEN_S: Final = 48 * 3600
"""So long a deleted shadow's version goes on counting."""
_SECTIONS: Final = ("desired", "reported")


@dataclass(frozen=True, slots=True)
class Shadow:
    """State, a timestamp per leaf, version. Version 0: there never was one."""

    version: int = 0
    timestamp: int = 0
    state: JsonObject = field(default_factory=dict)
    metadata: JsonObject = field(default_factory=dict)
    deleted: bool = True

    def last_version(self, now_s: int) -> int:
        """Return the version that the next update follows."""
        forgotten = self.deleted and now_s - self.timestamp > FORGOTTEN_S
        return 0 if forgotten else self.version


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a request is not carried out: an HTTP status and AWS's words for it."""

    code: int
    message: str


@dataclass(frozen=True, slots=True)
class Updated:
    """The new shadow with the messages about it; `delta` is empty if nothing differs."""

    shadow: Shadow
    accepted: JsonObject
    delta: JsonObject
    documents: JsonObject


def client_token(request: JsonObject) -> JsonObject | Refused:
    """Return what every answer echoes: the request's token, if it has one."""
    if "clientToken" not in request:
        return {}
    token = request["clientToken"]
    if not isinstance(token, str) or len(token.encode()) > TOKEN_LIMIT:
        return Refused(400, "Invalid clientToken")
    return {"clientToken": token}


def read(shadow: Shadow, name: str, now_s: int) -> JsonObject | Refused:
    """Return the whole document, with `delta` when the sections differ."""
    if shadow.deleted:
        return Refused(404, f"No shadow exists with name: '{name}'")
    state = dict(shadow.state)
    delta = _difference(*(_section(shadow.state, section) for section in _SECTIONS))
    if delta:
        state["delta"] = delta
    return {
        "state": state,
        "metadata": shadow.metadata,
        "version": shadow.version,
        "timestamp": now_s,
    }


def delete(shadow: Shadow, name: str, now_s: int) -> Shadow | Refused:
    """Return what is left of a deleted shadow: the version, which goes on counting."""
    if shadow.deleted:
        return Refused(404, f"No shadow exists with name: '{name}'")
    return Shadow(shadow.version, now_s)


def update(shadow: Shadow, request: JsonObject, now_s: int) -> Updated | Refused:
    """Merge a request into a shadow; nothing of a refused request is taken."""
    last = shadow.last_version(now_s)
    refused = _refused_version(request, last) or _refused_state(request)
    if refused is not None:
        return refused
    asked = request["state"]
    # Published: a state of null does not delete the shadow; what it had goes, the version counts.
    changes = asked if isinstance(asked, dict) else dict.fromkeys(_SECTIONS)
    state, metadata = dict(shadow.state), dict(shadow.metadata)
    touched: JsonObject = {}
    for section, change in changes.items():
        if change is None:
            state.pop(section, None)
            metadata.pop(section, None)
            continue
        merged = _merged(_section(state, section), change)
        stamps = _stamped(_section(metadata, section), change, now_s)
        for document, value in ((state, merged), (metadata, stamps)):
            if value:
                document[section] = value
            else:
                document.pop(section, None)
        touched[section] = _stamped({}, change, now_s)
    if len(encoded(state)) > STATE_LIMIT:
        return Refused(413, "The payload exceeds the maximum size allowed")
    new = Shadow(last + 1, now_s, state, metadata, deleted=False)
    return _answers(shadow, new, asked, touched, now_s)


def _answers(
    before: Shadow, new: Shadow, asked: JsonValue, touched: JsonObject, now_s: int
) -> Updated:
    about: JsonObject = {"version": new.version, "timestamp": now_s}
    difference = _difference(*(_section(new.state, section) for section in _SECTIONS))
    delta: JsonObject = {}
    if difference:
        stamps = _like(difference, new.metadata.get("desired"))
        delta = {"state": difference, "metadata": stamps, **about}
    documents: JsonObject = {"current": _document(new), "timestamp": now_s}
    if not before.deleted:
        documents["previous"] = _document(before)
    accepted: JsonObject = {"state": asked, "metadata": touched, **about}
    return Updated(new, accepted, delta, documents)


def _document(shadow: Shadow) -> JsonObject:
    return {"state": shadow.state, "metadata": shadow.metadata, "version": shadow.version}


def _refused_version(request: JsonObject, last: int) -> Refused | None:
    if "version" not in request:
        return None
    version = request["version"]
    if type(version) is not int or version < 0:
        return Refused(400, "Invalid version")
    return None if version == last else Refused(409, "Version conflict")


def _refused_state(request: JsonObject) -> Refused | None:
    if "state" not in request:
        return Refused(400, "Missing required node: state")
    state = request["state"]
    if state is None:
        return None
    if not isinstance(state, dict):
        return Refused(400, "State node must be an object")
    problems = (_refused_section(section, value) for section, value in state.items())
    return next((problem for problem in problems if problem is not None), None)


def _refused_section(section: str, value: JsonValue) -> Refused | None:
    # The depth first: what follows goes as deep as the value.
    if _too_deep(value, DEPTH_LIMIT):
        words = f"JSON contains too many levels of nesting; maximum is {DEPTH_LIMIT}"
        return Refused(400, words)
    if section not in _SECTIONS or _null_in_list(value):
        return Refused(400, "State contains an invalid node")
    if value is not None and not isinstance(value, dict):
        return Refused(400, f"{section.capitalize()} node must be an object")
    return None


def _too_deep(value: JsonValue, levels: int) -> bool:
    if isinstance(value, dict | list):
        inner = value.values() if isinstance(value, dict) else value
        return levels == 0 or any(_too_deep(item, levels - 1) for item in inner)
    return False


def _null_in_list(value: JsonValue) -> bool:
    if isinstance(value, dict):
        return any(_null_in_list(item) for item in value.values())
    if isinstance(value, list):
        return any(item is None or _null_in_list(item) for item in value)
    return False


def _section(document: JsonObject, section: str) -> JsonObject:
    found = document.get(section)
    return found if isinstance(found, dict) else {}


def _merged(base: JsonValue, change: JsonValue) -> JsonObject:
    """Return `base` with the leaves of `change`; null deletes, empty objects vanish."""
    merged = dict(base) if isinstance(base, dict) else {}
    for key, value in (change if isinstance(change, dict) else {}).items():
        new = _merged(merged.get(key), value) if isinstance(value, dict) else value
        if new is None or new == {}:
            merged.pop(key, None)
        else:
            merged[key] = new
    return merged


def _stamped(base: JsonValue, change: JsonValue, now_s: int) -> JsonObject:
    """Return the metadata `base` with a new timestamp for each leaf of `change`."""
    stamps = dict(base) if isinstance(base, dict) else {}
    for key, value in (change if isinstance(change, dict) else {}).items():
        before = stamps.get(key)
        if isinstance(before, dict) and set(before) == {"timestamp"} and isinstance(value, dict):
            # A leaf becomes an object: its own timestamp means nothing any more.
            before = {}
        new = _stamp(before, value, now_s)
        if new is None or new == {}:
            stamps.pop(key, None)
        else:
            stamps[key] = new
    return stamps


def _stamp(before: JsonValue, value: JsonValue, now_s: int) -> JsonValue:
    if value is None:
        return None
    if isinstance(value, dict):
        return _stamped(before, value, now_s)
    if isinstance(value, list):
        return [_stamp(None, item, now_s) for item in value]
    return {"timestamp": now_s}


def _difference(desired: JsonObject, reported: JsonObject) -> JsonObject:
    """Return what of `desired` is missing or different in `reported`, leaf by leaf."""
    delta: JsonObject = {}
    for key, wanted in desired.items():
        if key not in reported:
            delta[key] = wanted
            continue
        given = reported[key]
        if isinstance(wanted, dict) and isinstance(given, dict):
            inner = _difference(wanted, given)
            if inner:
                delta[key] = inner
        elif not _same(wanted, given):
            delta[key] = wanted
    return delta


def _same(one: JsonValue, other: JsonValue) -> bool:
    """Whether two JSON values are equal; to Python 0 and False would be."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, list) and isinstance(other, list):
        pairs = zip(one, other, strict=False)
        return len(one) == len(other) and all(_same(a, b) for a, b in pairs)
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    return one == other


def _like(shape: JsonObject, metadata: JsonValue) -> JsonObject:
    """Return the metadata of those leaves that `shape` has."""
    stamps: JsonObject = {}
    for key, value in shape.items():
        stamp = metadata.get(key) if isinstance(metadata, dict) else None
        stamps[key] = _like(value, stamp) if isinstance(value, dict) else stamp
    return stamps

"""Client ids: as whom a thing, a claim and an operator connect to the broker of the cloud.

The broker ends a connection when another one takes its client id, so nobody may connect under what
belongs to somebody else. No thing's name has a dot, on AWS neither: what stands behind one
cannot be the rest of another name, as `office-2` is of `office`.
"""

import re
from typing import Final, Literal

Purpose = Literal["rotate", "new", "doctor", "operator"]
PURPOSES: Final[tuple[Purpose, ...]] = ("rotate", "new", "doctor", "operator")
"""What a thing connects for beside its daemon: this list is all that its certificate allows."""
CLAIM_PREFIX: Final = "claim-"
"""Every claim connects under it, so no thing may have such a name."""
_NAME: Final = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9_-]{0,63}")


def valid_thing(name: str) -> bool:
    """Whether a detector can have this name."""
    return _NAME.fullmatch(name) is not None and not name.startswith(CLAIM_PREFIX)


def client_id(thing: str, purpose: Purpose) -> str:
    """Return as whom a thing connects beside its daemon, whose client id is the thing's name."""
    return f"{thing}.{purpose}"


def claim_client_id(thing: str) -> str:
    """Return as whom a claim connects that wants to become this thing."""
    return f"{CLAIM_PREFIX}{thing}"


def own_client_ids(thing: str) -> tuple[str, ...]:
    """Return every client id of a thing; to be compared whole."""
    return (thing, *(client_id(thing, purpose) for purpose in PURPOSES))

"""The one decorator of every numba kernel.

Compiled code is cached on disk and releases the interpreter lock. No `fastmath`: it makes
`isnan` answer no, and reassociation changes last bits between CPUs.
"""

import os
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TypeVar, cast

import numba

MIN_FREE_BYTES = 32 * 1024 * 1024
"""Less free space than this, and writing the cache could fail in the middle of a call."""

_F = TypeVar("_F", bound=Callable[..., object])


def kernel(function: _F) -> _F:
    """Compile `function` in nopython mode; its slow twin for tests is the plain Python body."""
    try:
        return _compiled(function, cached=_can_cache())
    except RuntimeError:
        # No place for a cache, as on a read-only disk: compiling at every start is slow, but a
        # detector that cannot be imported sees no fire.
        return _compiled(function, cached=False)


def _compiled(function: _F, *, cached: bool) -> _F:
    decorate = numba.njit(cache=cached, nogil=True, error_model="numpy")
    return cast("_F", decorate(function))


@cache
def _can_cache() -> bool:
    """Whether the disk that numba would use has room; an unknown one counts as having it."""
    place = Path(os.environ.get("NUMBA_CACHE_DIR") or Path(__file__).parent)
    try:
        return shutil.disk_usage(place).free >= MIN_FREE_BYTES
    except OSError:
        return True

"""The one decorator of every numba kernel.

Compiled code is cached on disk and releases the interpreter lock. No `fastmath`: it makes
`isnan` answer no, and reassociation changes last bits between CPUs.
"""

from collections.abc import Callable
from typing import TypeVar, cast

import numba

_F = TypeVar("_F", bound=Callable[..., object])


def kernel(function: _F) -> _F:
    """Compile `function` in nopython mode; its slow twin for tests is the plain Python body."""
    return cast("_F", numba.njit(cache=True, nogil=True, error_model="numpy")(function))

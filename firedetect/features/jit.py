"""The one decorator of every numba kernel.

Compiled code is cached on disk and releases the interpreter lock. No `fastmath`: it makes
`isnan` answer no, and reassociation changes last bits between CPUs.
"""

import contextlib
import hashlib
import os
import pickle
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
from numba.core.caching import FunctionCache, IndexDataCacheFile
from numba.core.dispatcher import Dispatcher

MIN_FREE_BYTES = 32 * 1024 * 1024
"""Less free space than this, and writing the cache could fail in the middle of a call."""

_F = TypeVar("_F", bound=Callable[..., object])
_SEAL_BYTES = 32
_kernels: list[Dispatcher] = []


def kernel(function: _F) -> _F:
    """Compile `function` in nopython mode; its slow twin for tests is the plain Python body."""
    compiled = numba.njit(nogil=True, error_model="numpy")(function)
    if isinstance(compiled, Dispatcher):
        _kernels.append(compiled)
        if _can_cache():
            # No place for a cache, as on a read-only disk: compiling at every start is slow, but a
            # detector that cannot be imported sees no fire.
            with contextlib.suppress(RuntimeError):
                compiled._cache = _SealedCache(function)  # type: ignore[attr-defined]  # noqa: SLF001
    return cast("_F", compiled)


def compiled_anew() -> int:
    """Return how many versions of kernels this process had to compile: the cache had none."""
    return sum(len(one.overloads) - sum(one.stats.cache_hits.values()) for one in _kernels)


@cache
def _can_cache() -> bool:
    """Whether the disk that numba would use has room; an unknown one counts as having it."""
    place = Path(os.environ.get("NUMBA_CACHE_DIR") or Path(__file__).parent)
    try:
        return shutil.disk_usage(place).free >= MIN_FREE_BYTES
    except OSError:
        return True


class _SealedFile(IndexDataCacheFile):
    """Files with a checksum: numba would run what a power cut or a worn card has left."""

    def _dump(self, obj: object) -> bytes:
        data: bytes = super()._dump(obj)
        # Whoever reads a pickle stops at its end.
        return data + hashlib.sha256(data).digest()

    def _load_data(self, name: str) -> object:
        _check_seal(name, Path(self._data_path(name)).read_bytes())
        return super()._load_data(name)

    def _load_index(self) -> object:
        with contextlib.suppress(FileNotFoundError), Path(self._index_path).open("rb") as file:
            # numba's version stands before what is sealed.
            pickle.load(file)  # noqa: S301 - of our own cache, as numba reads it
            _check_seal(self._index_name, file.read())
        return super()._load_index()


def _check_seal(name: str, data: bytes) -> None:
    if hashlib.sha256(data[:-_SEAL_BYTES]).digest() != data[-_SEAL_BYTES:]:
        raise ValueError(f"{name}: is damaged")


class _SealedCache(FunctionCache):
    """A cache that is empty where it is damaged, and whose failures end no call of a kernel."""

    def __init__(self, function: Callable[..., object]) -> None:
        super().__init__(function)
        self._cache_file = _SealedFile(
            cache_path=self._cache_path,
            filename_base=self._impl.filename_base,
            source_stamp=self._impl.locator.get_source_stamp(),
        )

    def load_overload(self, sig: Any, target_context: Any) -> Any:  # noqa: ANN401 - numba's own
        """Return the compiled code for a signature, None if it has to be compiled."""
        # Whatever unpickling damaged files raises.
        with contextlib.suppress(Exception):
            found = super().load_overload(sig, target_context)
            # Two processes that write at once may leave one's code under the other's signature.
            if found is None or tuple(found.signature.args) == tuple(sig):
                return found
        with contextlib.suppress(OSError):
            self.flush()
        return None

    def save_overload(self, sig: Any, data: Any) -> None:  # noqa: ANN401 - numba's own
        """Keep compiled code; where that fails it is compiled again at the next start."""
        with contextlib.suppress(Exception):
            super().save_overload(sig, data)

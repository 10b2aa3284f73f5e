"""The maker's own C library, as the wheel `mlx90640-driver` carries it, called by ctypes."""

import ctypes
import platform
from pathlib import Path
from typing import Any, Final

import numpy as np
from mlx90640 import mlx90640 as wheel
from numpy.typing import NDArray

from firedetect.errors import BenchError

_WORDS: Final = ctypes.c_uint16 * 834


class MelexisC:
    """MLX90640_ExtractParameters once, then MLX90640_CalculateTo for every sub-page.

    `temp_c`, float32 of shape (768,), holds what was computed last.
    """

    def __init__(self, eeprom: NDArray[np.uint16]) -> None:
        library = ctypes.CDLL(str(_path()))
        self._calculate: Any = library.MLX90640_CalculateTo
        self._calculate.restype = None
        parameters = wheel.ParamsMLX90640()
        words = (ctypes.c_uint16 * 832)(*eeprom.tolist())
        error = library.MLX90640_ExtractParameters(words, ctypes.byref(parameters))
        if error:
            raise BenchError(f"the maker's library refuses the EEPROM: error {error}")
        self._parameters = ctypes.byref(parameters)
        self._out = (ctypes.c_float * 768)()
        self.temp_c = np.ctypeslib.as_array(self._out)

    def calculate(self, words: Any, emissivity: float, reflected_c: float) -> None:  # noqa: ANN401
        """Write the 384 temperatures of a sub-page; `words` as `as_words` returns them."""
        self._calculate(
            words,
            self._parameters,
            ctypes.c_float(emissivity),
            ctypes.c_float(reflected_c),
            self._out,
        )


def as_words(words: NDArray[np.uint16]) -> Any:  # noqa: ANN401 - ctypes makes the type
    """Return the 834 words of a sub-page as the library takes them, so that no call converts."""
    return _WORDS(*words.tolist())


def _path() -> Path:
    path = Path(wheel.__file__).parent / "libs" / platform.machine() / "libmlx90640_driver.so"
    if not path.is_file():
        raise BenchError(f"mlx90640-driver has no library for {platform.machine()}")
    return path

"""Raw words to °C: one sub-page, with its supply voltage and ambient temperature."""

from collections.abc import Callable, Iterator
from importlib.metadata import version

import numpy as np
from numpy.typing import ArrayLike, NDArray

from firedetect.bench.material import EMISSIVITY, REFLECTED_C, scene
from firedetect.bench.melexis import MelexisC, as_words
from firedetect.bench.rounds import Call, Comparison, in_turn
from firedetect.sensors.mlx90640.calibration import adafruit_chip
from firedetect.sensors.mlx90640.compute import LIMIT_C, celsius, prepare


def raw_to_temperature() -> Iterator[Comparison]:
    """Compare the kernel with Adafruit's Python and with the maker's C."""
    found = scene()
    terms = prepare(found.calibration)
    pages = found.words.reshape(-1, found.words.shape[-1])
    out = np.zeros((24, 32), np.float32)

    def ours(k: int) -> None:
        celsius(pages[k % len(pages)], terms, EMISSIVITY, REFLECTED_C, out)

    agrees = f"at most {{:.1e}} °C apart over {len(pages)} sub-pages"
    chip = adafruit_chip(found.eeprom)
    lists = [page.tolist() for page in pages]
    result = [0.0] * out.size

    def adafruit(k: int) -> None:
        chip._CalculateTo(lists[k % len(lists)], EMISSIVITY, REFLECTED_C, result)  # noqa: SLF001

    apart = _apart(ours, adafruit, out, lambda: result, len(pages))
    name = f"Adafruit {version('adafruit-circuitpython-mlx90640')} _CalculateTo"
    yield in_turn(ours, adafruit).comparison("raw_to_temperature", name, agrees.format(apart))

    library = MelexisC(found.eeprom)
    words = [as_words(page) for page in pages]

    def melexis(k: int) -> None:
        library.calculate(words[k % len(words)], EMISSIVITY, REFLECTED_C)

    apart = _apart(ours, melexis, out, lambda: library.temp_c, len(pages))
    name = f"Melexis C (mlx90640-driver {version('mlx90640-driver')}) by ctypes"
    yield in_turn(ours, melexis).comparison("raw_to_temperature", name, agrees.format(apart))


def _apart(
    ours: Call,
    peer: Call,
    out: NDArray[np.float32],
    result: Callable[[], ArrayLike],
    pages: int,
) -> float:
    """Return the largest difference below the end of the range, where ours stops and they go on."""
    most = 0.0
    for k in range(pages):
        ours(k)
        peer(k)
        theirs = np.minimum(np.asarray(result(), np.float64).reshape(out.shape), LIMIT_C)
        if k > 0:
            most = max(most, float(np.abs(out - theirs).max()))
    return most

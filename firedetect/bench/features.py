"""An image to its 18 features, and the flow alone."""

from collections.abc import Callable, Iterator
from importlib.metadata import version
from itertools import count
from typing import Final

import numpy as np
from numpy.typing import NDArray

from firedetect.bench.material import CLEAN_AIR, CLEAN_COUNTS, IMAGE_NS, IMAGES_A_S, scene
from firedetect.bench.rounds import Comparison, in_turn
from firedetect.bench.user_stack import UserFeatures, farneback
from firedetect.features.extractor import FeatureExtractor
from firedetect.features.flow import flow_magnitude
from firedetect.features.kernels import WORK_SHAPE
from firedetect.features.vector import FEATURES, N_FEATURES
from firedetect.readings import GasCounts, ThermalImage

_SHIFTS_PX: Final = (0.1, 0.25, 0.5, 1.0)
_FLOW: Final = {"flow_mag_mean", "flow_mag_std"}


def features() -> Iterator[Comparison]:
    """Compare the extractor, Python and all, with what a user would write."""
    ours, peer = our_features(), user_features()
    names = [feature.name for feature in FEATURES]
    alike = [name not in _FLOW for name in names]
    apart = 0.0
    for k in range(200):
        both = ours(k), peer(k)
        known = alike & np.isfinite(both[0]) & np.isfinite(both[1])
        apart = max(apart, float(np.abs(both[0] - both[1])[known].max()))
    agrees = f"16 features at most {apart:.1e} apart; flow: Lucas-Kanade against Farneback"
    yield in_turn(ours, peer).comparison("features", numpy_stack(), agrees)


def numpy_stack() -> str:
    """Return the peer's name with its versions."""
    known = {name: version(name) for name in ("numpy", "scipy", "opencv-python-headless")}
    return " + ".join(f"{name} {number}" for name, number in known.items())


def our_features() -> Callable[[int], NDArray[np.float64]]:
    """Return what folds the next image, and every second a gas reading, into the features."""
    images = scene().temp_c
    extractor = FeatureExtractor()
    numbers = count()

    def call(k: int) -> NDArray[np.float64]:
        number = next(numbers)
        t_ns = number * IMAGE_NS
        if number % IMAGES_A_S == 0:
            extractor.gas(GasCounts(t_ns, *CLEAN_COUNTS), quiet=True)
        extractor.image(ThermalImage(t_ns, images[k % len(images)]))
        return extractor.row()[:N_FEATURES]

    return call


def user_features() -> Callable[[int], NDArray[np.float64]]:
    """Return the same of the user's stack."""
    images = scene().temp_c
    stack = UserFeatures(CLEAN_AIR)
    resistances = np.array(CLEAN_AIR)
    numbers = count()

    def call(k: int) -> NDArray[np.float64]:
        second, part = divmod(next(numbers), IMAGES_A_S)
        if part == 0:
            stack.gas(second, resistances)
        return stack.image(second, images[k % len(images)])

    return call


def flow() -> Iterator[Comparison]:
    """Compare the flow alone, and say how near each comes to known translations."""
    images = scene().temp_c
    wide = images.astype(np.float64)
    work = np.zeros(WORK_SHAPE)

    def ours(k: int) -> tuple[float, float]:
        found: tuple[float, float] = flow_magnitude(
            wide[k % len(wide) - 1], wide[k % len(wide)], work
        )
        return found

    def peer(k: int) -> NDArray[np.float32]:
        return farneback(images[k % len(images) - 1], images[k % len(images)])

    told = []
    for shift in _SHIFTS_PX:
        before, after = _texture(0.0), _texture(shift)
        found = flow_magnitude(before, after, work)[0]
        theirs = farneback(before.astype(np.float32), after.astype(np.float32))
        other = float(np.hypot(theirs[..., 0], theirs[..., 1]).mean())
        told.append(f"{shift} px: {found:.2f}, OpenCV {other:.2f}")
    name = f"cv2.calcOpticalFlowFarneback {version('opencv-python-headless')}, one level, 8 bits"
    agrees = "mean magnitude on known shifts, " + "; ".join(told)
    yield in_turn(ours, peer).comparison("flow", name, agrees)


def _texture(shift_px: float) -> NDArray[np.float64]:
    """Return a smooth warm pattern (24, 32) moved to the right."""
    rows, cols = np.mgrid[0:24, 0:32].astype(np.float64)
    cols -= shift_px
    waves = 8.0 * np.sin(cols / 2.1) * np.cos(rows / 2.7) + 5.0 * np.sin(rows / 1.9 + cols / 3)
    return np.asarray(30.0 + waves)

"""Kernels that paint what the array sees, and its noise.

Noise is a function of seed, step and pixel alone, so that any image can be made at any time and
in any order.
"""

import math

import numpy as np
from numpy.typing import NDArray

from firedetect.features.jit import kernel
from firedetect.simulation.camera import CEILING, FLOOR
from firedetect.simulation.radiance import apparent_at, radiance_at

_CLIP_C = 300.0
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_TWO_53 = 1.0 / 9007199254740992.0


@kernel
def mixed(seed: int, step: int, place: int) -> np.uint64:
    """Return 64 well-mixed bits of three numbers (the finaliser of splitmix64)."""
    z = np.uint64(seed) + _GOLDEN * (np.uint64(step) * np.uint64(1 << 20) + np.uint64(place))
    z = (z ^ (z >> np.uint64(30))) * _MIX_1
    z = (z ^ (z >> np.uint64(27))) * _MIX_2
    return z ^ (z >> np.uint64(31))


@kernel
def add_noise(
    image: NDArray[np.float64], sigma_c: NDArray[np.float64], seed: int, step: int
) -> None:
    """Add white noise of a deviation per pixel (°C): Box-Muller over the mixed bits."""
    rows, cols = image.shape
    for r in range(rows):
        for c in range(0, cols, 2):
            place = r * cols + c
            first = (float(mixed(seed, step, place) >> np.uint64(11)) + 0.5) * _TWO_53
            second = float(mixed(seed, step, place + 1) >> np.uint64(11)) * _TWO_53
            length = math.sqrt(-2.0 * math.log(first))
            image[r, c] += sigma_c[r, c] * length * math.cos(2.0 * math.pi * second)
            image[r, c + 1] += sigma_c[r, c + 1] * length * math.sin(2.0 * math.pi * second)


@kernel
def paint_room(
    out: NDArray[np.float64],
    base_c: NDArray[np.float64],
    surface: NDArray[np.int64],
    height_m: NDArray[np.float64],
    distance_m: NDArray[np.float64],
    camera_z: float,
    zone: NDArray[np.float64],
    radiance: NDArray[np.float64],
) -> None:
    """Write the radiance of walls, floor and hot layer.

    `zone` holds the rises (K) of ceiling, upper wall and floor, layer height (m), layer
    temperature (°C), absorption of the layer (1/m), rise of everything (K).
    """
    layer_m = zone[3]
    hot = radiance_at(zone[4], radiance)
    for r in range(out.shape[0]):
        for c in range(out.shape[1]):
            temp_c = base_c[r, c] + zone[6]
            if surface[r, c] == CEILING:
                temp_c += zone[0]
            elif height_m[r, c] > layer_m:
                temp_c += zone[1]
            elif surface[r, c] == FLOOR:
                temp_c += zone[2]
            value = radiance_at(temp_c, radiance)
            if zone[5] > 0.0:
                top = max(height_m[r, c], camera_z)
                bottom = min(height_m[r, c], camera_z)
                share = 0.0
                if top > layer_m:
                    share = 1.0
                    if bottom < layer_m and top - bottom > 1e-9:
                        share = (top - layer_m) / (top - bottom)
                gas = 1.0 - math.exp(-zone[5] * share * distance_m[r, c])
                value += gas * (hot - value)
            out[r, c] = value


@kernel
def paint_patches(
    out: NDArray[np.float64],
    states: NDArray[np.float64],
    shapes: NDArray[np.int64],
    radiance: NDArray[np.float64],
) -> None:
    """Mix patches (n, 6) into the radiance by the share of each pixel that they cover."""
    rows, cols = out.shape
    for p in range(states.shape[0]):
        strength = states[p, 5]
        if not strength > 0.0:
            continue
        high, wide = max(states[p, 2], 1e-3), max(states[p, 3], 1e-3)
        top, left = states[p, 0] - high / 2.0, states[p, 1] - wide / 2.0
        bottom, right = top + high, left + wide
        if bottom <= 0.0 or right <= 0.0 or top >= rows or left >= cols:
            continue
        hot = radiance_at(states[p, 4], radiance)
        round_shape = shapes[p] == 1 and high > 2.0 and wide > 2.0
        # A rectangle of the ellipse's area where pixels are too coarse for its form.
        fill = 0.785 if shapes[p] == 1 and not round_shape else 1.0
        for r in range(max(int(top), 0), min(int(bottom) + 1, rows)):
            along = min(r + 1.0, bottom) - max(float(r), top)
            for c in range(max(int(left), 0), min(int(right) + 1, cols)):
                across = min(c + 1.0, right) - max(float(c), left)
                share = along * across * fill * strength
                if share <= 0.0:
                    continue
                if round_shape:
                    dr = (r + 0.5 - states[p, 0]) / (high / 2.0)
                    dc = (c + 0.5 - states[p, 1]) / (wide / 2.0)
                    edge = (1.0 - math.sqrt(dr * dr + dc * dc)) * min(high, wide) / 2.0 + 0.5
                    share *= min(max(edge, 0.0), 1.0)
                out[r, c] += min(share, 1.0) * (hot - out[r, c])


@kernel
def see(
    radiance_map: NDArray[np.float64],
    out: NDArray[np.float64],
    work: NDArray[np.float64],
    blur: float,
    clear: float,
    haze: float,
    back: NDArray[np.float64],
    first_root: float,
    root_step: float,
) -> None:
    """Blur the radiance, dim it by haze, and write apparent temperatures (°C).

    `blur` is the weight of each neighbour along one axis; `clear` the share that passes the air,
    the rest is air at radiance `haze`.
    """
    rows, cols = out.shape
    centre = 1.0 - 2.0 * blur
    for r in range(rows):
        up, down = max(r - 1, 0), min(r + 1, rows - 1)
        for c in range(cols):
            work[r, c] = centre * radiance_map[r, c] + blur * (
                radiance_map[up, c] + radiance_map[down, c]
            )
    for r in range(rows):
        for c in range(cols):
            left, right = max(c - 1, 0), min(c + 1, cols - 1)
            value = centre * work[r, c] + blur * (work[r, left] + work[r, right])
            value = clear * value + (1.0 - clear) * haze
            out[r, c] = apparent_at(value, back, first_root, root_step)


@kernel
def render(
    out: NDArray[np.float32],
    steps: NDArray[np.int64],
    seed: int,
    base_c: NDArray[np.float64],
    surface: NDArray[np.int64],
    height_m: NDArray[np.float64],
    distance_m: NDArray[np.float64],
    camera_z: float,
    zones: NDArray[np.float64],
    states: NDArray[np.float64],
    shapes: NDArray[np.int64],
    sigma_c: NDArray[np.float64],
    pattern_c: NDArray[np.float64],
    blur: float,
    air: NDArray[np.float64],
    radiance: NDArray[np.float64],
    back: NDArray[np.float64],
    first_root: float,
    root_step: float,
) -> None:
    """Write images (n, rows, cols) in °C.

    Parameters
    ----------
    steps
        What the noise of each image hangs on, (n,).
    zones, states
        Of each image, (n, pages, 7) and (n, pages, patches, 6). With two pages the image is
        interleaved as a chess board: its even pixels are of the first, half an image earlier.
    sigma_c, pattern_c
        Noise deviation and fixed pattern per pixel.
    air
        Of each image (n, 2): share of the radiance that passes the air, temperature of the air.

    """
    count, rows, cols = out.shape
    pages = zones.shape[1]
    painted = np.empty((rows, cols))
    work = np.empty((rows, cols))
    seen = np.empty((rows, cols))
    for k in range(count):
        haze = radiance_at(air[k, 1], radiance)
        for page in range(pages):
            paint_room(
                painted,
                base_c,
                surface,
                height_m,
                distance_m,
                camera_z,
                zones[k, page],
                radiance,
            )
            paint_patches(painted, states[k, page], shapes, radiance)
            see(painted, seen, work, blur, air[k, 0], haze, back, first_root, root_step)
            for r in range(rows):
                for c in range(cols):
                    if pages == 1 or (r + c) % 2 == page:
                        out[k, r, c] = seen[r, c]
        for r in range(rows):
            for c in range(cols):
                seen[r, c] = out[k, r, c] + pattern_c[r, c]
        add_noise(seen, sigma_c, seed, steps[k])
        for r in range(rows):
            for c in range(cols):
                out[k, r, c] = min(seen[r, c], _CLIP_C)

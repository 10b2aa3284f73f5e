"""Where an array hangs in a room and what each of its pixels looks at.

Coordinates in m: x along the room, y across, z up from the floor. The optics are equiangular: a
pixel is an angle, which holds for the wide lens too.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Point = tuple[float, float, float]

IFOV_DEG: Final = {"narrow": (1.72, 1.46), "wide": (3.44, 3.13), "lepton": (0.356, 0.356)}
"""Width and height of one pixel: 55x35 and 110x75 degrees on 32x24, 57x43 on 160x120."""
SHAPE: Final = {"narrow": (24, 32), "wide": (24, 32), "lepton": (120, 160)}

FLOOR: Final = 0
CEILING: Final = 1
WALL: Final = 2
_BEHIND: Final = 1e-3
_TURNS: Final = 6


@dataclass(frozen=True, slots=True)
class Projected:
    """Where points appear, each of shape (n,): pixels, distance (m), px per m, in front or not."""

    row: NDArray[np.float64]
    col: NDArray[np.float64]
    distance_m: NDArray[np.float64]
    rows_per_m: NDArray[np.float64]
    cols_per_m: NDArray[np.float64]
    ahead: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Hits:
    """What the pixels' rays meet, each of shape (rows, cols)."""

    surface: NDArray[np.int64]
    height_m: NDArray[np.float64]
    distance_m: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Camera:
    """A mounted array: its place, its view (yaw about z from x, pitch up from level), its lens."""

    at: Point
    yaw: float
    pitch: float
    lens: str

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of its image."""
        return SHAPE[self.lens]

    @classmethod
    def showing(
        cls, at: Point, target: Point, lens: str, *, row: float = 0.5, col: float = 0.5
    ) -> "Camera":
        """Return a camera that shows `target` at this share of its image's height and width."""
        rows, cols = SHAPE[lens]
        wide, high = (math.radians(value) for value in IFOV_DEG[lens])
        dx, dy, dz = (t - a for t, a in zip(target, at, strict=True))
        elevation = math.atan2(dz, math.hypot(dx, dy))
        camera = cls(at, math.atan2(dy, dx), elevation, lens)
        for _ in range(_TURNS):
            seen = camera.project(np.array([target]))
            # Off the level the same turn moves the target by less.
            turn = (col * cols - float(seen.col[0])) * wide / max(math.cos(elevation), 0.3)
            pitch = camera.pitch + (row * rows - float(seen.row[0])) * high
            pitch = max(min(pitch, math.pi / 2), -math.pi / 2)
            camera = cls(at, camera.yaw + turn, pitch, lens)
        return camera

    def axes(self) -> NDArray[np.float64]:
        """Return right, up and ahead as rows of a matrix (3, 3)."""
        cy, sy, cp, sp = (
            math.cos(self.yaw),
            math.sin(self.yaw),
            math.cos(self.pitch),
            math.sin(self.pitch),
        )
        return np.array([[sy, -cy, 0.0], [-cy * sp, -sy * sp, cp], [cy * cp, sy * cp, sp]])

    def project(self, points: NDArray[np.float64]) -> Projected:
        """Return where points (n, 3) appear."""
        rows, cols = self.shape
        wide, high = (math.radians(value) for value in IFOV_DEG[self.lens])
        right, up, ahead = self.axes() @ (points - np.array(self.at)).T
        level = np.hypot(right, ahead)
        distance = np.maximum(np.hypot(level, up), 0.05)
        azimuth = np.arctan2(right, ahead)
        elevation = np.arctan2(up, level)
        return Projected(
            row=rows / 2.0 - elevation / high,
            col=cols / 2.0 + azimuth / wide,
            distance_m=distance,
            rows_per_m=1.0 / (distance * high),
            cols_per_m=1.0 / (distance * wide),
            ahead=ahead > _BEHIND,
        )

    def sees(self, point: Point, margin: float = 1.0) -> bool:
        """Whether a point lies in the image, at least `margin` pixels from its border."""
        found = self.project(np.array([point]))
        rows, cols = self.shape
        inside = margin <= found.row[0] <= rows - margin and margin <= found.col[0] <= cols - margin
        return bool(inside and found.ahead[0])

    def hits(self, size: Point) -> Hits:
        """Return what each pixel's ray meets in an empty room of this size (m)."""
        rows, cols = self.shape
        wide, high = (math.radians(value) for value in IFOV_DEG[self.lens])
        azimuth = (np.arange(cols) + 0.5 - cols / 2.0) * wide
        elevation = (rows / 2.0 - np.arange(rows) - 0.5) * high
        el, az = np.meshgrid(elevation, azimuth, indexing="ij")
        local = np.stack((np.cos(el) * np.sin(az), np.sin(el), np.cos(el) * np.cos(az)))
        direction = np.einsum("ij,irc->jrc", self.axes(), local)
        reach = np.full((3, rows, cols), np.inf)
        for axis in range(3):
            along = direction[axis]
            wall = np.where(along > 0.0, size[axis], 0.0) - self.at[axis]
            np.divide(wall, along, out=reach[axis], where=np.abs(along) > 1e-9)
        reach = np.maximum(reach, 0.01)
        nearest = reach.argmin(axis=0)
        distance = reach.min(axis=0)
        height = self.at[2] + distance * direction[2]
        horizontal = np.where(direction[2] > 0.0, CEILING, FLOOR)
        surface = np.where(nearest == 2, horizontal, WALL)
        return Hits(surface.astype(np.int64), height, distance)

"""What a pixel looks at: projection and rays agree, and sizes are those of the optics."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firedetect.simulation.camera import CEILING, FLOOR, WALL, Camera

SIZE = (5.0, 4.0, 2.5)
LEVEL = Camera((0.1, 2.0, 1.2), 0.0, 0.0, "narrow")


@pytest.mark.parametrize(
    ("lens", "wide_cm", "high_cm"), [("narrow", 9.0, 7.6), ("wide", 18.0, 16.4)]
)
def test_a_pixel_at_three_metres_is_as_large_as_the_optics_say(lens, wide_cm, high_cm):
    camera = Camera((0.0, 0.0, 0.0), 0.0, 0.0, lens)
    found = camera.project(np.array([[3.0, 0.0, 0.0]]))
    assert 100.0 / found.cols_per_m[0] == pytest.approx(wide_cm, rel=0.02)
    assert 100.0 / found.rows_per_m[0] == pytest.approx(high_cm, rel=0.02)
    assert (found.row[0], found.col[0]) == pytest.approx((12.0, 16.0))


def test_up_is_up_and_right_is_right():
    camera = Camera((0.0, 0.0, 1.0), 0.0, 0.0, "narrow")
    above, right, behind = (
        camera.project(np.array([[3.0, 0.0, 1.5], [3.0, -0.5, 1.0], [-3.0, 0.0, 1.0]])).row,
        camera.project(np.array([[3.0, -0.5, 1.0]])).col,
        camera.sees((-3.0, 0.0, 1.0)),
    )
    assert above[0] < 12.0
    assert right[0] > 16.0
    assert not behind


@given(
    x=st.floats(0.5, 4.5), y=st.floats(0.5, 3.5), z=st.floats(0.0, 1.5),
    row=st.floats(0.2, 0.8), col=st.floats(0.2, 0.8), lens=st.sampled_from(["narrow", "wide"]),
)  # fmt: skip
def test_a_camera_shows_its_target_in_the_image(x, y, z, row, col, lens):
    camera = Camera.showing((0.1, 0.1, 2.3), (x, y, z), lens, row=row, col=col)
    found = camera.project(np.array([[x, y, z]]))
    assert found.ahead[0]
    if math.hypot(x, y) > 2.0:
        assert camera.sees((x, y, z), margin=0.0)
        assert (found.row[0], found.col[0]) == pytest.approx((24 * row, 32 * col), abs=1.5)
    assert found.distance_m[0] == pytest.approx(math.dist((x, y, z), (0.1, 0.1, 2.3)))


def test_a_ray_hits_the_point_that_is_projected_onto_its_pixel():
    camera = Camera.showing((0.1, 0.1, 2.3), (3.0, 2.0, 0.0), "wide")
    hits = camera.hits(SIZE)
    rows, cols = np.nonzero(hits.surface == FLOOR)
    wide, high = math.radians(3.44), math.radians(3.13)
    for r, c in zip(rows[::37], cols[::37], strict=True):
        azimuth, elevation = (c + 0.5 - 16) * wide, (12 - r - 0.5) * high
        local = np.array(
            [
                math.cos(elevation) * math.sin(azimuth),
                math.sin(elevation),
                math.cos(elevation) * math.cos(azimuth),
            ]
        )
        point = np.array(camera.at) + hits.distance_m[r, c] * (camera.axes().T @ local)
        assert point[2] == pytest.approx(0.0, abs=1e-9)
        seen = camera.project(point[None, :])
        assert (seen.row[0], seen.col[0]) == pytest.approx((r + 0.5, c + 0.5), abs=1e-6)


def test_an_empty_room_has_walls_floor_and_ceiling_where_they_are():
    hits = LEVEL.hits(SIZE)
    assert (hits.surface[12] == WALL).all()
    assert hits.distance_m[12, 16] == pytest.approx(4.9, rel=0.01)
    down = Camera((2.5, 2.0, 2.4), 0.0, -math.pi / 2, "narrow").hits(SIZE)
    assert (down.surface == FLOOR).all()
    up = Camera((2.5, 2.0, 0.1), 0.0, math.pi / 2, "narrow").hits(SIZE)
    assert (up.surface == CEILING).all()

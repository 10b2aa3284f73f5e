"""What is painted: the known rises of small sources, and noise of a place and step alone."""

import numpy as np
import pytest

from firedetect.simulation.array import ArrayUnit, Scene, take_images
from firedetect.simulation.camera import Camera
from firedetect.simulation.patches import facing, steady, still
from firedetect.simulation.radiance import band_radiance, radiance_tables
from firedetect.simulation.render import add_noise

SIZE = (12.0, 8.0, 3.0)
QUIET = 1e-9


def image(lens, distance_m, width_m, height_m, temp_c, emissivity, blur=0.0):
    """The hottest picture of a source at a distance: centred on a pixel, without noise."""
    camera = Camera((0.1, 4.0, 1.0), 0.0, 0.0, lens)
    wide, high = (
        np.radians(3.44 if lens == "wide" else 1.72),
        np.radians(3.13 if lens == "wide" else 1.46),
    )
    at = (
        0.1 + distance_m,
        4.0 - distance_m * np.tan(wide / 2),
        1.0 - distance_m * np.tan(high / 2),
    )
    patch = facing(
        camera,
        still(at),
        width_m=steady(width_m),
        height_m=steady(height_m),
        temp_c=steady(temp_c),
        emissivity=steady(emissivity),
    )
    zones = np.zeros((2, 7))
    zones[:, 3], zones[:, 4] = 3.0, 22.0
    scene = Scene(
        camera,
        camera.hits(SIZE),
        np.full((24, 32), 22.0),
        (patch,),
        zones,
        np.array([[1.0, 22.0]] * 2),
    )
    unit = ArrayUnit(np.full((24, 32), QUIET), np.zeros((24, 32)), blur, 1)
    return take_images(unit, scene, np.array([0.5]), interleaved=False)[0]


@pytest.mark.parametrize(
    ("lens", "distance_m", "width_m", "height_m", "temp_c", "emissivity", "rise_k"),
    [
        ("narrow", 4.0, 0.015, 0.04, 1130.0, 0.1, 34),
        ("wide", 2.0, 0.015, 0.04, 1130.0, 0.03, 11),
        ("narrow", 3.0, 0.0443, 0.0443, 450.0, 0.9, 194),
        ("wide", 8.0, 0.0886, 0.0886, 450.0, 0.9, 47),
        ("narrow", 8.0, 0.10, 0.20, 830.0, 0.1, 116),
        ("wide", 8.0, 0.10, 0.20, 830.0, 0.1, 39),
    ],
)
def test_small_sources_rise_as_the_catalogue_says(
    lens, distance_m, width_m, height_m, temp_c, emissivity, rise_k
):
    found = image(lens, distance_m, width_m, height_m, temp_c, emissivity)
    assert found.max() - 22.0 == pytest.approx(rise_k, rel=0.15)


def test_a_large_flame_is_clipped_at_the_end_of_the_range():
    assert image("narrow", 3.0, 1.0, 1.5, 830.0, 0.4).max() == 300.0


def test_blur_spreads_but_keeps_what_is_there():
    sharp = image("narrow", 3.0, 0.05, 0.05, 450.0, 0.9)
    soft = image("narrow", 3.0, 0.05, 0.05, 450.0, 0.9, blur=0.12)
    assert soft.max() < sharp.max()
    background = 22.0
    energy = [
        (band_radiance(picture.astype(float)) - band_radiance(np.array([background]))).sum()
        for picture in (sharp, soft)
    ]
    assert energy[0] == pytest.approx(energy[1], rel=0.01)


def test_radiance_and_back_is_the_same_temperature():
    tables = radiance_tables()
    temp_c = np.array([-20.0, 20.0, 37.0, 150.0, 300.0, 900.0])
    roots = band_radiance(temp_c) ** 0.25
    place = (roots - tables.first_root) / tables.root_step
    back = np.interp(place, np.arange(len(tables.back)), tables.back)
    np.testing.assert_allclose(back, temp_c, atol=0.02)


def test_noise_is_normal_and_hangs_on_seed_step_and_place_alone():
    sigma = np.full((24, 32), 0.3)
    pictures = []
    for step in range(200):
        picture = np.zeros((24, 32))
        add_noise(picture, sigma, 7, step)
        pictures.append(picture)
    noise = np.array(pictures)
    assert noise.std() == pytest.approx(0.3, rel=0.02)
    assert abs(noise.mean()) < 0.005
    assert np.abs(noise).max() > 4.0 * 0.3
    assert abs(np.corrcoef(noise[:-1].ravel(), noise[1:].ravel())[0, 1]) < 0.01
    again = np.zeros((24, 32))
    add_noise(again, sigma, 7, 123)
    np.testing.assert_array_equal(again, noise[123])
    other = np.zeros((24, 32))
    add_noise(other, sigma, 8, 123)
    assert not np.array_equal(other, noise[123])

"""Images to rows on one core, as data sets are made and recordings are replayed."""

from collections.abc import Iterator

from firedetect.bench.features import numpy_stack
from firedetect.bench.material import CLEAN_AIR, IMAGE_NS, IMAGES, IMAGES_A_S, scene
from firedetect.bench.rounds import Comparison, in_turn
from firedetect.bench.user_stack import UserFeatures
from firedetect.features.extractor import FeatureExtractor
from firedetect.readings import ThermalImage


def bulk_per_core() -> Iterator[Comparison]:
    """Compare a minute of images, in one go and without gas; the times are those of an image."""
    images = scene().temp_c
    extractor, stack = FeatureExtractor(), UserFeatures(CLEAN_AIR)

    def ours(k: int) -> None:
        for number, image in enumerate(images, start=k * IMAGES):
            extractor.image(ThermalImage(number * IMAGE_NS, image))
            extractor.row()

    def peer(k: int) -> None:
        for number, image in enumerate(images, start=k * IMAGES):
            stack.image(number // IMAGES_A_S, image)

    times = in_turn(ours, peer).each(IMAGES)
    rate = 1e6 / float(times.ours_us.mean())
    yield times.comparison("bulk_per_core", numpy_stack(), f"ours: {rate:,.0f} images a second")

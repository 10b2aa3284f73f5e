"""Sub-pages to images: pairs, faults that last, pixels that lie."""

import numpy as np
import pytest

from firedetect.contract.level import Level
from firedetect.emulator.eeprom import encode_eeprom, typical_terms
from firedetect.emulator.frames import encode_subpage
from firedetect.pipeline import Pipeline
from firedetect.readings import (
    FaultKind,
    FrameRejected,
    Sensor,
    SensorFault,
    SensorOpened,
    Started,
    Stream,
    SubPage,
    SystemTrouble,
    ThermalImage,
)
from firedetect.sensors.decode import Decoder
from firedetect.sensors.mlx90640.calibration import extract
from firedetect.sensors.mlx90640.images import SPIKE_K, ImageAssembler
from firedetect.sensors.mlx90640.setup import DAMAGED, FOREIGN, REPLACED, TROUBLE
from tests.drivers.rig import EEPROM, NOISE_K, ROOM_C, Thermal, room

CONTROL = 0x1A01
PERIOD_NS = 125_000_000


def opened(eeprom=EEPROM, t_ns=0, **known):
    return SensorOpened(t_ns, Sensor.THERMAL, 100.0, eeprom, **known)


class Feed:
    """Makes sub-pages one period apart and feeds them."""

    def __init__(self, eeprom=EEPROM):
        self.images = ImageAssembler()
        self.calibration = extract(eeprom)
        self.rng = np.random.default_rng(1)
        self.noise = np.random.default_rng(2)
        self.t_ns = 0
        self.page = 0
        self.change = {}
        assert self.images.feed(opened(eeprom)) is None

    def words(self, scene, page=None, **options):
        page = self.page if page is None else page
        words = np.empty(834, np.uint16)
        scene = scene + self.noise.uniform(-NOISE_K, NOISE_K, (24, 32))
        words[:832] = encode_subpage(
            self.calibration, scene, page, control=CONTROL, rng=self.rng, **options
        )
        words[832:] = CONTROL, page
        for place, value in self.change.items():
            words[place] = value
        return words

    def sub(self, scene=None, page=None, *, words=None, **options):
        scene = np.full((24, 32), ROOM_C) if scene is None else scene
        words = self.words(scene, page, **options) if words is None else words
        self.t_ns += PERIOD_NS
        self.page = 1 - (int(words[833]) & 1)
        return self.images.feed(SubPage(self.t_ns, words))

    def image(self, scene=None, **options):
        self.page = 0
        assert self.sub(scene, **options) is None
        result = self.sub(scene, **options)
        assert isinstance(result, ThermalImage)
        return result


def with_pixel(value, *places):
    scene = np.full((24, 32), ROOM_C)
    for place in places:
        scene[place] = value
    return scene


def test_two_subpages_make_one_image_with_the_time_of_the_second():
    feed = Feed()
    image = feed.image()
    assert image.t_ns == 2 * PERIOD_NS
    assert image.temp_c.dtype == np.float32
    assert np.abs(image.temp_c - ROOM_C).max() < 0.3
    assert image.air_c == pytest.approx(17.0, abs=0.02)
    # Each sub-page is used once.
    assert feed.sub() is None
    assert isinstance(feed.sub(), ThermalImage)


def test_order_of_the_subpages_does_not_matter():
    feed = Feed()
    assert feed.sub(page=1) is None
    assert isinstance(feed.sub(page=0), ThermalImage)


def test_images_keep_their_arrays():
    feed = Feed()
    first = feed.image()
    kept = first.temp_c.copy()
    feed.image(np.full((24, 32), 60.0))
    assert np.array_equal(first.temp_c, kept)


def test_repeated_subpage_does_not_complete_an_image():
    # Defect 5: the package would show 384 old pixels.
    feed = Feed()
    assert feed.sub(page=0) is None
    assert feed.sub(np.full((24, 32), 80.0), page=0) is None
    image = feed.sub(np.full((24, 32), 80.0), page=1)
    assert image.temp_c.min() > 79


def test_subpages_too_far_apart_are_no_pair():
    feed = Feed()
    assert feed.sub(page=0) is None
    feed.t_ns += 600_000_000
    assert feed.sub(page=1) is None
    assert isinstance(feed.sub(page=0), ThermalImage)


@pytest.mark.fault("F06")
def test_one_number_alone_is_a_fault_after_a_second():
    feed = Feed()
    results = [feed.sub(page=0) for _ in range(30)]
    faults = [(i, r) for i, r in enumerate(results) if r is not None]
    assert all(r.kind is FaultKind.STUCK_SUBPAGE for _, r in faults)
    assert faults[0][0] == 8
    assert len(faults) == 3
    feed.sub(page=1)
    assert isinstance(feed.sub(page=0), ThermalImage)


def test_one_number_after_a_pause_is_no_fault():
    feed = Feed()
    feed.sub(page=0)
    feed.t_ns += 10_000_000_000
    assert all(feed.sub(page=0) is None for _ in range(5))


@pytest.mark.fault("F05")
def test_identical_words_are_frozen_until_they_change():
    feed = Feed()
    still = [feed.words(with_pixel(30.0, (3, 3)), page) for page in (0, 1)]
    results = [feed.sub(words=still[i % 2]) for i in range(24)]
    first = next(i for i, r in enumerate(results) if isinstance(r, SensorFault))
    assert results[first].kind is FaultKind.FROZEN
    assert first == 6
    assert not any(isinstance(r, ThermalImage) for r in results[first:])
    assert sum(isinstance(r, SensorFault) for r in results) == 3
    # Opening it again does not make it trustworthy.
    feed.images.feed(opened(t_ns=feed.t_ns))
    assert not isinstance(feed.sub(words=still[0]), ThermalImage)
    assert not isinstance(feed.sub(words=still[1]), ThermalImage)
    assert isinstance(feed.image(), ThermalImage)


def test_static_scene_of_a_living_chip_is_not_frozen():
    feed = Feed()
    assert all(isinstance(feed.image(), ThermalImage) for _ in range(20))


@pytest.mark.fault("F10")
def test_implausible_frame_is_rejected_with_its_reason():
    feed = Feed()
    feed.change = {800: 0x7FFF}
    result = feed.sub()
    assert isinstance(result, FrameRejected)
    assert (result.sensor, result.kind) == (Sensor.THERMAL, FaultKind.IMPLAUSIBLE)
    assert "PTAT" in result.detail
    feed.change = {}
    feed.image()


@pytest.mark.fault("F14")
@pytest.mark.parametrize("rows", [2, 6, 24])
def test_a_fire_that_saturates_whole_rows_at_once_is_an_emergency(rows):
    def scene(t_s):
        image = room()
        if t_s >= 5.0:
            image[-rows:] = 900.0
        return image

    rig = Thermal(scene)
    opening = rig.open()
    rig.run(10.0)
    pipeline = Pipeline(None)
    started = Started(0, "d", 1, 0, (Stream(Sensor.THERMAL, 3.0),))
    outcomes = list(pipeline.run([started, opening, *rig.events]))
    emergency = next(outcome for outcome in outcomes if outcome.level is Level.EMERGENCY)
    assert 5.0 < emergency.t_s < 6.0
    assert "thermal" not in "".join(outcomes[-1].troubles)


def test_wrong_number_of_words_is_rejected():
    feed = Feed()
    assert isinstance(feed.images.feed(SubPage(1, np.zeros(100, np.uint16))), FrameRejected)


@pytest.mark.fault("F10")
@pytest.mark.parametrize("word", [768, 778, 800])
def test_flipped_bit_in_an_auxiliary_word_gives_no_image(word):
    feed = Feed()
    before = feed.image()
    good = feed.words(np.full((24, 32), ROOM_C), 0)
    bad = good.copy()
    bad[word] ^= 1 << 9
    result = feed.sub(words=bad)
    assert isinstance(result, FrameRejected)
    assert "jumped" in result.detail
    feed.sub(page=1)
    feed.sub(page=0)
    after = feed.image()
    assert after.air_c == pytest.approx(before.air_c, abs=0.1)


def test_lasting_change_of_the_sensor_temperature_is_believed():
    feed = Feed()
    feed.image(ta_c=25.0)
    rejected = [feed.sub(ta_c=40.0) for _ in range(2)]
    assert all(isinstance(r, FrameRejected) for r in rejected)
    assert feed.image(ta_c=40.0).air_c == pytest.approx(32.0, abs=0.1)


def test_chip_too_hot_for_its_pixels_still_tells_the_air_temperature():
    feed = Feed()
    feed.image(ta_c=84.0)
    for _ in range(2):
        image = feed.sub(ta_c=86.0)
        assert isinstance(image, ThermalImage)
        assert image.t_ns == feed.t_ns
        assert image.temp_c.shape == (24, 32)
        assert np.isnan(image.temp_c).all()
        assert image.air_c == pytest.approx(78.0, abs=0.1)
    # Cool again, it shows pixels again.
    assert not np.isnan(feed.image(ta_c=84.0).temp_c).any()


def test_half_of_an_image_is_not_kept_over_a_hot_subpage():
    feed = Feed()
    assert feed.sub(page=0, ta_c=84.0) is None
    assert np.isnan(feed.sub(page=1, ta_c=86.0).temp_c).all()
    assert feed.sub(page=0, ta_c=84.0) is None


def test_jump_of_a_chip_to_great_heat_is_believed_if_it_stays():
    feed = Feed()
    feed.image(ta_c=25.0)
    assert all("Ta jumped" in feed.sub(ta_c=100.0).detail for _ in range(2))
    assert all(feed.sub(ta_c=100.0).air_c == pytest.approx(92.0, abs=0.2) for _ in range(2))


@pytest.mark.parametrize("ta_c", [-45.0, 160.0])
def test_impossible_sensor_temperature_is_rejected(ta_c):
    feed = Feed()
    for _ in range(4):
        result = feed.sub(ta_c=ta_c)
        assert isinstance(result, FrameRejected)
        assert "Ta is" in result.detail


@pytest.mark.parametrize("change", [{768: 0x7FFF}, {800: 0x8000}, {778: 3000}])
def test_heat_with_another_problem_is_rejected(change):
    feed = Feed()
    feed.change = change
    assert all(isinstance(feed.sub(ta_c=100.0), FrameRejected) for _ in range(4))


@pytest.mark.fault("F13")
def test_hot_chip_raises_the_alarm_of_the_air():
    feed, pipeline = Feed(), Pipeline(None)
    pipeline.step(Started(0, "detector", 0, 0, (Stream(Sensor.THERMAL, 3.0),)))
    pipeline.step(opened())
    outcomes = [pipeline.step(feed.sub(ta_c=100.0)) for _ in range(2)]
    last = [outcome for outcome in outcomes if outcome is not None][-1]
    assert last.level is Level.EMERGENCY
    assert any("few" in trouble for trouble in last.troubles)


@pytest.mark.fault("F09")
@pytest.mark.parametrize("broken", [False, True])
def test_bad_pixels_get_their_neighbours_median(broken):
    # Defect 7: the package shows -273.15.
    eeprom = EEPROM.copy()
    for pixel in (0, 40, 400, 767):
        eeprom[64 + pixel] = 0 if broken else eeprom[64 + pixel] | 1
    feed = Feed(eeprom)
    feed.change = {40: 0x7FFF}
    scene = np.full((24, 32), ROOM_C)
    scene[12:, :] = 60.0
    image = feed.image(scene).temp_c.reshape(-1)
    assert image[[0, 40]] == pytest.approx(ROOM_C, abs=0.3)
    assert image[767] == pytest.approx(60.0, abs=0.3)


@pytest.mark.fault("F09")
@pytest.mark.parametrize("broken", [(1, 40, 400, 500, 600), (5, 6), (5, 37)])
def test_more_broken_pixels_than_can_be_repaired_are_a_fault(broken):
    eeprom = EEPROM.copy()
    eeprom[[64 + pixel for pixel in broken]] = 0
    fault = ImageAssembler().feed(opened(eeprom))
    assert fault.kind is FaultKind.CALIBRATION
    assert "broken pixels" in fault.detail


@pytest.mark.fault("F11")
def test_broken_memory_is_a_fault_and_gives_no_images():
    images = ImageAssembler()
    fault = images.feed(opened(np.full(832, 0xFFFF, np.uint16)))
    assert fault.kind is FaultKind.CALIBRATION
    assert "0xFFFF" in fault.detail
    good = Feed()
    told = [
        images.feed(SubPage(i * PERIOD_NS, good.words(np.full((24, 32), ROOM_C), i % 2)))
        for i in range(1, 17)
    ]
    assert [t.kind for t in told if t is not None] == [FaultKind.CALIBRATION] * 2
    assert images.feed(opened()) is None


def another_eeprom():
    return encode_eeprom(typical_terms(seed=3))


@pytest.mark.fault("F11")
@pytest.mark.parametrize(
    "eeprom",
    [another_eeprom(), np.full(832, 0xFFFF, np.uint16), None],
    ids=["good", "refused", "none"],
)
def test_changed_memory_is_a_trouble_beside_images_with_the_known_terms(eeprom):
    feed = Feed()
    feed.image()
    trouble = feed.images.feed(opened(eeprom, feed.t_ns))
    assert trouble == SystemTrouble(feed.t_ns, TROUBLE, active=True, detail=FOREIGN)
    image = feed.image()
    assert np.abs(image.temp_c - ROOM_C).max() < 0.3
    # It costs no image; every opening with it tells again, and the known memory ends it.
    assert all(isinstance(image, ThermalImage) for image in [feed.sub() for _ in range(80)][1::2])
    assert feed.images.feed(opened(eeprom, feed.t_ns)).active
    assert not feed.images.feed(opened(t_ns=feed.t_ns)).active
    assert feed.images.feed(opened(t_ns=feed.t_ns)) is None


@pytest.mark.fault("F11")
@pytest.mark.parametrize("eeprom", [np.full(832, 0xFFFF, np.uint16), None], ids=["burnt", "unread"])
def test_a_damaged_memory_is_replaced_by_its_commissioned_copy(eeprom):
    feed = Feed()
    images = feed.images = ImageAssembler()
    told = images.feed(opened(eeprom, commissioned=EEPROM, offset_c=0.5))
    assert (told.name, told.active, told.detail) == (TROUBLE, True, DAMAGED)
    assert np.abs(feed.image().temp_c - (ROOM_C + 0.5)).max() < 0.3
    assert not images.feed(opened(EEPROM, feed.t_ns, commissioned=EEPROM)).active


@pytest.mark.fault("F11")
def test_one_flipped_bit_is_found_and_changes_no_temperature():
    damaged = EEPROM.copy()
    damaged[64 + 100] ^= 0x0400
    feed = Feed()
    expected = feed.image().temp_c
    other = Feed()
    other.images = ImageAssembler()
    assert other.images.feed(opened(damaged, commissioned=EEPROM)).detail == DAMAGED
    assert np.array_equal(other.image().temp_c, expected)


def test_another_array_brings_its_own_terms_and_none_of_the_old_findings():
    other = another_eeprom()
    feed = Feed(other)
    feed.images = ImageAssembler()
    told = feed.images.feed(opened(other, commissioned=EEPROM, offset_c=5.0, bad_pixels=(3,)))
    assert told.detail == REPLACED
    assert np.abs(feed.image().temp_c - ROOM_C).max() < 0.3


@pytest.mark.fault("F09")
def test_pixels_found_bad_take_the_median_of_their_neighbours():
    scene = np.full((24, 32), ROOM_C)
    scene[5, 7] = 60.0
    feed = Feed()
    feed.images = ImageAssembler()
    assert feed.images.feed(opened(commissioned=EEPROM, bad_pixels=(5 * 32 + 7,))) is None
    assert feed.image(scene).temp_c[5, 7] == pytest.approx(ROOM_C, abs=0.3)


def test_why_a_calibration_file_is_not_used_is_told():
    told = ImageAssembler().feed(opened(problem="thermal.toml: no such file"))
    assert (told.name, told.detail) == (TROUBLE, "thermal.toml: no such file")


def test_opening_without_memory_is_a_fault():
    fault = ImageAssembler().feed(SensorOpened(0, Sensor.THERMAL, 1.0))
    assert fault.kind is FaultKind.CALIBRATION


def test_subpage_without_opening_is_a_fault():
    words = Feed().words(np.full((24, 32), ROOM_C))
    assert ImageAssembler().feed(SubPage(1, words)).kind is FaultKind.CALIBRATION


@pytest.mark.fault("F08")
def test_flipped_bit_in_one_pixel_is_nan_in_one_image():
    feed = Feed()
    feed.image()
    even = feed.words(np.full((24, 32), ROOM_C), 0)
    even[33] ^= 1 << 13
    feed.sub(words=even)
    image = feed.sub(page=1)
    assert np.isnan(image.temp_c[1, 1])
    assert np.count_nonzero(np.isnan(image.temp_c)) == 1
    assert np.nanmax(image.temp_c) < ROOM_C + SPIKE_K
    assert not np.isnan(feed.image().temp_c).any()


def test_small_flame_is_delayed_by_one_image_at_most():
    feed = Feed()
    feed.image()
    flame = with_pixel(180.0, (10, 10))
    assert np.isnan(feed.image(flame).temp_c[10, 10])
    for _ in range(4):
        assert feed.image(flame).temp_c[10, 10] == pytest.approx(180.0, abs=1.0)


def test_flame_that_jumps_is_believed_from_its_second_image():
    feed = Feed()
    feed.image()
    feed.image(with_pixel(180.0, (10, 10)))
    for place in ((10, 14), (14, 10), (5, 5)):
        assert np.nanmax(feed.image(with_pixel(180.0, place)).temp_c) > 170


def test_flame_that_grows_is_never_delayed():
    feed = Feed()
    for value in (22.0, 45.0, 90.0, 200.0):
        image = feed.image(with_pixel(value, (10, 10)))
        assert image.temp_c[10, 10] == pytest.approx(value, abs=1.0)


def test_two_hot_pixels_are_no_flipped_bit():
    feed = Feed()
    feed.image()
    image = feed.image(with_pixel(180.0, (10, 10), (10, 20)))
    assert image.temp_c[10, 10] == pytest.approx(180.0, abs=1.0)


def test_hot_neighbours_are_no_flipped_bit():
    feed = Feed()
    feed.image()
    image = feed.image(with_pixel(250.0, (10, 10), (10, 11)))
    assert image.temp_c[10, 10] == pytest.approx(250.0, abs=1.0)


@pytest.mark.fault("F14")
def test_clipped_pixel_is_hot_from_its_second_image():
    feed = Feed()
    feed.image()
    clipped = with_pixel(5000.0, (10, 10))
    assert np.isnan(feed.image(clipped).temp_c[10, 10])
    assert feed.image(clipped).temp_c[10, 10] == 300.0


def test_decoder_passes_everything_else():
    decoder = Decoder()
    broken = opened(np.zeros(832, np.uint16))
    first, fault = decoder.feed(broken)
    assert first is broken
    assert fault.kind is FaultKind.CALIBRATION
    event = opened()
    assert decoder.feed(event) == (event,)
    gas = SensorOpened(0, Sensor.GAS, 5.0)
    assert decoder.feed(gas) == (gas,)


def test_decoder_returns_images_only_when_complete():
    decoder = Decoder()
    feed = Feed(encode_eeprom(typical_terms(seed=3)))
    decoder.feed(opened(encode_eeprom(typical_terms(seed=3))))
    room = np.full((24, 32), ROOM_C)
    assert decoder.feed(SubPage(1, feed.words(room, 0))) == ()
    (image,) = decoder.feed(SubPage(PERIOD_NS, feed.words(room, 1)))
    assert isinstance(image, ThermalImage)

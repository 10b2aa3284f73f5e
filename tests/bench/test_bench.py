"""Do both contenders do the same work? How fast they are is for `firedetect bench` to say."""

import json
import subprocess
import sys

import numpy as np
import pytest

from firedetect.bench.app import BENCHES, as_json, as_line, compare
from firedetect.bench.features import our_features, user_features
from firedetect.bench.floors import verdict
from firedetect.bench.material import EMISSIVITY, REFLECTED_C, scene
from firedetect.bench.melexis import MelexisC, as_words
from firedetect.bench.our_stack import OurStack
from firedetect.bench.page import write_page
from firedetect.bench.rounds import Comparison, Times
from firedetect.bench.user_stack import UserStack
from firedetect.emulator.eeprom import encode_eeprom, random_terms
from firedetect.emulator.frames import encode_subpage
from firedetect.errors import BenchError
from firedetect.features.vector import FEATURES
from firedetect.sensors.mlx90640.calibration import extract
from firedetect.sensors.mlx90640.compute import celsius, prepare

SAME_C = 1e-4
FOUND = Comparison("features", "numpy", 25.0, 20.0, 30.0, 40.0, 1000.0, "alike")


def test_a_ratio_is_that_of_its_round():
    times = Times(np.array([1.0, 2.0, 8.0]), np.array([10.0, 20.0, 80.0]))
    found = times.comparison("flow", "peer", "same")
    assert (found.ratio_p10, found.ratio_median, found.ratio_p90) == (10.0, 10.0, 10.0)
    assert (found.ours_us, found.peer_us) == (2.0, 20.0)


@pytest.mark.parametrize("seed", range(12))
def test_the_makers_library_finds_the_same_temperatures_on_random_chips(seed):
    rng = np.random.default_rng(seed)
    eeprom = encode_eeprom(random_terms(rng, bad_pixels=False))
    calibration = extract(eeprom)
    image = rng.uniform(-20.0, 200.0, (24, 32))
    terms, library = prepare(calibration), MelexisC(eeprom)
    ours = np.zeros((24, 32), np.float32)
    for page in (0, 1):
        words = np.zeros(834, np.uint16)
        control = 0x1A01
        words[:832] = encode_subpage(calibration, image, page, control=control, rng=rng)
        words[832:] = control, page
        celsius(words, terms, EMISSIVITY, REFLECTED_C, ours)
        library.calculate(as_words(words), EMISSIVITY, REFLECTED_C)
    theirs = library.temp_c.reshape(ours.shape)
    known = np.isfinite(ours) & (ours < 299.0)
    assert known.mean() > 0.5
    apart = np.abs(ours - theirs)[known]
    assert np.quantile(apart, 0.99) < SAME_C
    # At the border of two ranges a rounding chooses the other correction.
    assert apart.max() < 0.01


def test_the_users_features_are_ours_but_for_the_flow():
    ours, peer = our_features(), user_features()
    alike = [not feature.name.startswith("flow") for feature in FEATURES]
    for k in range(120):
        mine, theirs = ours(k)[alike], peer(k)[alike]
    # In the end every history is long enough.
    assert np.isfinite(mine).all()
    assert np.isfinite(theirs).all()
    assert np.abs(mine - theirs).max() < SAME_C


def test_both_stacks_say_nearly_the_same():
    ours, peer = OurStack(), UserStack()
    apart = [abs(ours.image(k) - peer.image(k)) for k in range(len(scene().words))]
    assert np.median(apart) < 0.1


def test_an_unknown_bench_is_named():
    with pytest.raises(BenchError, match="no such bench: speed; there are raw_to_temperature"):
        list(compare(["speed"]))


def test_a_peer_without_its_compiler_is_a_stated_failure(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(BenchError, match="tl2cgen needs gcc: apt-get install build-essential"):
        list(compare(["score"]))


def test_the_answer_names_what_is_promised():
    assert set(json.loads(as_json(FOUND))) == {
        "bench", "peer", "ratio_median", "ratio_p10", "ratio_p90", "ours_us", "peer_us",
        "agreement",
    }  # fmt: skip
    assert verdict(FOUND) == "met: at least 20"
    slow = Comparison("features", "numpy", 19.0, 18.0, 20.0, 50.0, 950.0, "alike")
    assert "NOT met: at least 20" in as_line(slow)
    assert list(BENCHES)[:4] == ["raw_to_temperature", "features", "flow", "score"]


def test_a_page_shows_every_comparison(tmp_path):
    page = tmp_path / "performance.md"
    write_page(page, [FOUND])
    assert "| features | numpy | **25.0** | 20.0 to 30.0 | met: at least 20 |" in page.read_text()
    assert (tmp_path / "performance.svg").read_text().count("features") >= 1
    first = (tmp_path / "performance.svg").read_bytes()
    write_page(page, [FOUND])
    assert (tmp_path / "performance.svg").read_bytes() == first


@pytest.mark.slow
def test_margins_equal_xgboosts_bit_by_bit():
    answer = subprocess.run(
        [sys.executable, "-m", "firedetect.cli", "bench", "score", "--json"],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    found = [json.loads(line) for line in answer.stdout.splitlines()]
    equal = [one for one in found if "inplace_predict" in one["peer"]]
    assert len(equal) == 2
    assert all(one["agreement"].startswith("100 % of 1000 margins") for one in equal)
    assert answer.stderr == ""

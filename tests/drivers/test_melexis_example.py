"""The maker's worked example, through the complete chain."""

import json

import numpy as np
import pytest

from firedetect.config import ThermalSettings
from firedetect.emulator.mlx90640 import recorded_source
from firedetect.readings import FaultKind, SensorFault
from firedetect.sensors.mlx90640.calibration import extract
from firedetect.sensors.mlx90640.compute import celsius, prepare
from firedetect.sensors.mlx90640.plausible import auxiliary, problem
from tests.drivers.rig import Thermal

TOLERANCE_C = 0.001


@pytest.fixture
def example(shared_data):
    folder = shared_data("mlx90640_melexis_example")
    return json.loads((folder / "example.json").read_text())


def frames(example):
    return [(f["subpage"], np.array(f["ram_words"], np.uint16)) for f in example["frames"]]


def test_calculation_gives_the_makers_temperatures(example):
    terms = prepare(extract(np.array(example["eeprom_words"], np.uint16)))
    image = np.full((24, 32), np.nan, np.float32)
    for page, ram in frames(example):
        words = np.append(ram, np.array([example["control_register"], page], np.uint16))
        assert problem(words, terms) is None
        reflected_c = auxiliary(words, terms).ta_c - 8.0
        celsius(words, terms, example["emissivity"], reflected_c, image)
    expected = np.array(example["expected_temperatures_c"])
    assert np.abs(image.reshape(-1) - expected).max() < TOLERANCE_C


def test_extraction_gives_the_makers_parameters(example):
    found = extract(np.array(example["eeprom_words"], np.uint16))
    expected = example["expected_parameters"]
    for name, value in (
        ("k_v_dd", found.k_vdd), ("v_dd_25", found.vdd_25), ("k_v_ptat", found.kv_ptat),
        ("k_t_ptat", found.kt_ptat), ("v_ptat_25", found.v_ptat_25), ("gain_ee", found.gain),
        ("alpha_ptat", found.alpha_ptat), ("k_s_ta", found.ks_ta), ("k_v_cp", found.cp_kv),
    ):  # fmt: skip
        assert value == pytest.approx(expected[name], rel=1e-3), name
    assert list(found.ct_c) == expected["corner_temperatures"]
    assert found.alpha == pytest.approx(np.array(expected["alpha_pixels"]), rel=1e-4)


def test_chip_playing_the_example_is_decoded_and_then_found_frozen(example):
    rig = Thermal(
        eeprom=np.array(example["eeprom_words"], np.uint16),
        source=recorded_source(frames(example)),
        settings=ThermalSettings(emissivity=1.0),
    )
    rig.open()
    first = rig.run(0.5)[0]
    expected = np.array(example["expected_temperatures_c"])
    # The example was taken at 2 Hz, which does not enter the calculation.
    assert np.abs(first.temp_c.reshape(-1) - expected).max() < TOLERANCE_C
    rig.run(2.0)
    kinds = [e.kind for e in rig.events if isinstance(e, SensorFault)]
    assert kinds
    assert set(kinds) == {FaultKind.FROZEN}
    assert rig.run(2.0) == []

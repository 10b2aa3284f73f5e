"""Data brought along: a folder becomes a recording, or one line says what is wrong with it."""

import math

import numpy as np
import pytest

from firedetect.errors import RecordingError
from firedetect.readings import (
    AirReading,
    Co2Reading,
    FaultKind,
    FrameRejected,
    GasCounts,
    Restored,
    Sensor,
    SettingsChanged,
    Started,
    Stream,
    ThermalImage,
    Tick,
)
from firedetect.sensors.importing import import_folder
from firedetect.sensors.recording import read_events

NS = 1_000_000_000
GAS_HEAD, CO2_HEAD, ENV_HEAD = (
    "t_s,no2,c2h5oh,voc,co",
    "t_s,co2_ppm",
    "t_s,air_temp_c,rh_pct,pressure_hpa",
)


@pytest.fixture
def folder(tmp_path):
    """A whole folder: 5 s of everything, starting at second 100 of somebody's clock."""
    path = tmp_path / "mine"
    path.mkdir()
    thermal(path, np.arange(20) / 4 + 100.0)
    table(path / "gas.csv", GAS_HEAD, *(f"{100 + s},40,70,90,76{s}" for s in range(5)))
    table(path / "co2.csv", CO2_HEAD, "100.5,420", "105.5,430")
    table(path / "env.csv", ENV_HEAD, "101,21.5,45,1013.2", "103,21.75,44,1013.1")
    return path


def thermal(path, times, shape=(24, 32)):
    images = np.full((len(times), *shape), 21.5, dtype=np.float32)
    images[:, 0, 0] = np.arange(len(times))
    np.save(path / "thermal.npy", images)
    np.save(path / "thermal_t.npy", np.asarray(times, dtype=np.float64))


def table(path, *lines):
    path.write_text("\n".join(lines) + "\n")


def imported(folder, start=None):
    target = folder.parent / "out.mcap"
    count = import_folder(folder, target, start)
    events = list(read_events(target))
    assert count == len(events)
    assert [p.name for p in target.parent.iterdir() if p.name.startswith(".")] == []
    return events


def of(events, kind):
    return [event for event in events if isinstance(event, kind)]


def test_a_full_folder_becomes_events_in_order_of_time(folder):
    events = imported(folder)
    begun, decided, restored = events[:3]
    assert begun == Started(
        0,
        "import",
        0,
        1_767_225_600 * NS,
        (
            Stream(Sensor.THERMAL, 1.25),
            Stream(Sensor.GAS, 5.0),
            Stream(Sensor.CO2, 25.0),
            Stream(Sensor.AIR, 10.0),
        ),
    )
    assert isinstance(decided, SettingsChanged)
    assert restored == Restored(0)
    times = [event.t_ns for event in events]
    assert times == sorted(times)
    images = of(events, ThermalImage)
    assert [image.t_ns for image in images] == [k * NS // 4 for k in range(20)]
    assert [float(image.temp_c[0, 0]) for image in images] == list(range(20))
    assert all(image.temp_c.dtype == np.float32 and math.isnan(image.air_c) for image in images)
    assert of(events, GasCounts) == [
        GasCounts(s * NS, 40.0, 70.0, 90.0, 760.0 + s) for s in range(5)
    ]
    assert of(events, Co2Reading) == [Co2Reading(NS // 2, 420.0), Co2Reading(11 * NS // 2, 430.0)]
    assert of(events, AirReading)[0] == AirReading(NS, 21.5, 45.0, 1013.2)


def test_a_tick_every_second_beyond_the_last_reading(folder):
    assert [tick.t_ns for tick in of(imported(folder), Tick)] == [s * NS for s in range(7)]


def test_at_equal_times_the_image_sees_the_gas_and_the_tick_comes_last(folder):
    together = [type(event) for event in imported(folder) if event.t_ns == NS]
    assert together == [AirReading, GasCounts, ThermalImage, Tick]


def test_time_zero_is_the_smallest_time_of_all_files(folder):
    table(folder / "env.csv", ENV_HEAD, "90.5,21.5,45,1013", "103,21.75,44,1013")
    events = imported(folder)
    assert of(events, AirReading)[0].t_ns == 0
    assert of(events, ThermalImage)[0].t_ns == 19 * NS // 2


def test_negative_times_are_times(folder):
    thermal(folder, np.arange(20) / 4 - 7.0)
    assert of(imported(folder), ThermalImage)[0].t_ns == 0


def test_stale_is_five_of_the_own_median_intervals(folder):
    thermal(folder, [100.0, 100.5, 101.0, 101.5, 180.0])
    table(folder / "gas.csv", GAS_HEAD, "100,40,70,90,760")
    stale = {stream.sensor: stream.stale_s for stream in imported(folder)[0].streams}
    assert stale[Sensor.THERMAL] == pytest.approx(2.5)
    assert stale[Sensor.GAS] == 10.0


@pytest.mark.parametrize("shape", [(24, 32), (120, 160)])
def test_both_image_sizes_are_taken(folder, shape):
    thermal(folder, [1.0, 2.0], shape)
    assert {image.temp_c.shape for image in of(imported(folder), ThermalImage)} == {shape}


@pytest.mark.parametrize(
    ("kept", "sensors"),
    [
        ("thermal.npy thermal_t.npy", {Sensor.THERMAL}),
        ("gas.csv", {Sensor.GAS}),
        ("co2.csv", {Sensor.CO2}),
        ("env.csv", {Sensor.AIR}),
        ("thermal.npy thermal_t.npy gas.csv", {Sensor.THERMAL, Sensor.GAS}),
        ("gas.csv env.csv", {Sensor.GAS, Sensor.AIR}),
    ],
)
def test_a_missing_file_means_a_sensor_that_is_not_there(folder, kept, sensors):
    for path in folder.iterdir():
        if path.name not in kept.split():
            path.unlink()
    assert {stream.sensor for stream in imported(folder)[0].streams} == sensors


def test_other_files_do_not_matter(folder):
    (folder / "notes.txt").write_text("hello")
    imported(folder)


@pytest.mark.parametrize(
    ("start", "wall_s"),
    [
        ("2026-03-01T12:00:00Z", 1_772_366_400),
        ("2026-03-01T12:00:00", 1_772_366_400),
        ("2026-03-01T13:00:00+01:00", 1_772_366_400),
    ],
)
def test_start_sets_the_wall_clock(folder, start, wall_s):
    assert imported(folder, start)[0].wall_ns == wall_s * NS


def test_empty_cells_are_unknown_and_never_zero(folder):
    table(folder / "gas.csv", GAS_HEAD, "100,40,70,90,760", "101,40,70,,760", "102, ,70,90,760")
    table(folder / "co2.csv", CO2_HEAD, "100,420", "101,")
    table(folder / "env.csv", ENV_HEAD, "100,21,45,1013", "101,,45,", "102,21,,1013")
    events = imported(folder)
    rejected = of(events, FrameRejected)
    assert [(event.t_ns, event.sensor, event.kind) for event in rejected] == [
        (NS, Sensor.GAS, FaultKind.IMPLAUSIBLE),
        (2 * NS, Sensor.GAS, FaultKind.IMPLAUSIBLE),
    ]
    assert len(of(events, GasCounts)) == 1
    assert math.isnan(of(events, Co2Reading)[1].co2_ppm)
    airs = of(events, AirReading)
    assert [math.isnan(air.temp_c) for air in airs] == [False, True, False]
    assert [math.isnan(air.rh_pct) for air in airs] == [False, False, True]


@pytest.mark.parametrize("count", ["-1", "1023.5", "4294967295", "inf", "nan"])
def test_counts_that_no_converter_gives_are_rejected(folder, count):
    table(folder / "gas.csv", GAS_HEAD, "100,40,70,90,760", f"101,40,70,90,{count}")
    assert len(of(imported(folder), FrameRejected)) == 1


def test_the_ends_of_the_scale_are_counts(folder):
    table(folder / "gas.csv", GAS_HEAD, "100,0,70,90,1023")
    assert of(imported(folder), GasCounts) == [GasCounts(0, 0.0, 70.0, 90.0, 1023.0)]


def test_a_table_of_a_spreadsheet_is_read(folder):
    text = "\ufeff" + GAS_HEAD.replace(",", ", ") + "\r\n100,40,70,90,760\r\n\r\n101,1,2,3,4\r\n"
    (folder / "gas.csv").write_text(text, encoding="utf-8", newline="")
    assert len(of(imported(folder), GasCounts)) == 2


def save(name, value):
    return lambda folder: np.save(folder / name, value, allow_pickle=True)


def text(name, *lines):
    return lambda folder: table(folder / name, *lines)


def cut(name, size):
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:size])


def swap(name, old, new):
    def change(folder):
        content = (folder / name).read_bytes()
        assert old in content
        (folder / name).write_bytes(content.replace(old, new, 1))

    return change


def drop(*names):
    def remove(folder):
        for name in names:
            (folder / name).unlink()

    return remove


def with_time(row, value):
    def change(folder):
        times = np.arange(20) / 4
        times[row] = value
        np.save(folder / "thermal_t.npy", times)

    return change


def images(shape, dtype=np.float32, fill=21.0):
    return np.full(shape, fill, dtype=dtype)


class Folder:
    """Makes a directory where a file is expected."""

    def __init__(self, name):
        self.name = name

    def __call__(self, folder):
        (folder / self.name).unlink()
        (folder / self.name).mkdir()


EVERYTHING = ("thermal.npy", "thermal_t.npy", "gas.csv", "co2.csv", "env.csv")
BAD = {
    "wrong shape": (save("thermal.npy", images((20, 32, 24))), "has shape (20, 32, 24)"),
    "two dimensions": (save("thermal.npy", images((24, 32))), "thermal.npy: has shape (24, 32)"),
    "float64 images": (save("thermal.npy", images((20, 24, 32), np.float64)), "holds float64"),
    "raw integers": (save("thermal.npy", images((20, 24, 32), np.uint16)), "holds uint16"),
    "float32 times": (save("thermal_t.npy", np.arange(20, dtype=np.float32)), "float32"),
    "times in a column": (save("thermal_t.npy", np.zeros((20, 1))), "shape (20, 1)"),
    "a single time": (save("thermal_t.npy", np.float64(1.0)), "thermal_t.npy: holds"),
    "too few times": (save("thermal_t.npy", np.arange(19.0)), "has 19 times for 20 images"),
    "equal times": (with_time(7, 1.5), "thermal_t.npy: row 7: time 1.5 does not come after 1.5"),
    "time goes back": (with_time(3, -1.0), "thermal_t.npy: row 3: time -1.0"),
    "time unknown": (with_time(5, math.nan), "thermal_t.npy: row 5: the time is nan"),
    "time without end": (with_time(19, math.inf), "thermal_t.npy: row 19: the time is inf"),
    "no times": (drop("thermal_t.npy"), "thermal_t.npy: is missing"),
    "times alone": (drop("thermal.npy"), "thermal_t.npy: has no thermal.npy"),
    "no image": (save("thermal.npy", images((0, 24, 32))), "20 times for 0 images"),
    "pickle": (save("thermal.npy", np.array([{}], dtype=object)), "thermal.npy: cannot be read"),
    "pickled times": (save("thermal_t.npy", np.array([{}], dtype=object)), "thermal_t.npy: cannot"),
    "cut images": (cut("thermal.npy", 5000), "thermal.npy: cannot be read"),
    "cut times": (cut("thermal_t.npy", 150), "thermal_t.npy: cannot be read"),
    "cut header": (cut("thermal.npy", 20), "thermal.npy: cannot be read"),
    "torn header": (swap("thermal.npy", b"), }", b"   }"), "thermal.npy: cannot be read"),
    "empty images": (cut("thermal.npy", 0), "thermal.npy: cannot be read"),
    "text as images": (text("thermal.npy", "1,2,3"), "thermal.npy: cannot be read"),
    "archive": (lambda f: (f / "thermal.npy").write_bytes(b"PK\x03\x04" + bytes(9)), "thermal.npy"),
    "folder as images": (Folder("thermal.npy"), "thermal.npy: cannot be read"),
    "images all unknown": (save("thermal.npy", images((20, 24, 32), fill=np.nan)), "every value"),
    "empty table": (cut("gas.csv", 0), "gas.csv: is empty"),
    "header alone": (text("gas.csv", GAS_HEAD), "gas.csv: has no row"),
    "no header": (text("gas.csv", "0,40,70,90,760"), "has columns 0,40,70,90,760; expected"),
    "other order": (text("gas.csv", "t_s,co,voc,c2h5oh,no2", "0,1,2,3,4"), "expected t_s,no2"),
    "missing column": (text("gas.csv", "t_s,no2,c2h5oh,voc", "0,1,2,3"), "expected t_s,no2"),
    "text in a cell": (text("gas.csv", GAS_HEAD, "0,1,2,3,4", "1,2,off,4,5"), "c2h5oh is 'off'"),
    "short row": (text("gas.csv", GAS_HEAD, "0,1,2,3,4", "1,2,3"), "row 3 has 3 cells; expected 5"),
    "long row": (text("co2.csv", CO2_HEAD, "0,1,2"), "row 2 has 3 cells; expected 2"),
    "no time in a row": (text("co2.csv", CO2_HEAD, "0,420", ",420"), "row 3: the time is nan"),
    "table goes back": (text("co2.csv", CO2_HEAD, "0,420", "1,420", "0.5,4"), "row 4: time 0.5"),
    "row after a gap": (text("co2.csv", CO2_HEAD, "0,420", "", "x,4"), "row 4: t_s is 'x'"),
    "late row after a gap": (text("co2.csv", CO2_HEAD, "5,420", "", "1,4"), "row 4: time 1"),
    "table all unknown": (text("env.csv", ENV_HEAD, "0,,,", "1,,,"), "env.csv: every value is NaN"),
    "no text": (lambda f: (f / "env.csv").write_bytes(b"\xff\xfe\x00t"), "env.csv: cannot be read"),
    "nul bytes": (lambda f: (f / "env.csv").write_bytes(b"t_s\x00,a\n"), "env.csv: "),
    "huge cell": (text("env.csv", "x" * 200_000), "env.csv: cannot be read"),
    "folder as a table": (Folder("gas.csv"), "gas.csv: cannot be read"),
    "nothing at all": (drop(*EVERYTHING), "holds none of thermal.npy, gas.csv, co2.csv, env.csv"),
}  # fmt: skip


@pytest.mark.parametrize(("spoil", "words"), BAD.values(), ids=BAD)
def test_what_cannot_be_used_is_said_in_one_line_and_nothing_is_written(folder, spoil, words):
    spoil(folder)
    before = sorted(folder.parent.rglob("*"))
    with pytest.raises(RecordingError) as caught:
        import_folder(folder, folder.parent / "out.mcap")
    message = str(caught.value)
    assert words in message
    assert len(message.splitlines()) == 1
    assert sorted(folder.parent.rglob("*")) == before


def refused(*args):
    with pytest.raises(RecordingError) as caught:
        import_folder(*args)
    return str(caught.value)


def test_a_folder_that_is_none(folder):
    target = folder.parent / "out.mcap"
    assert "is no folder" in refused(folder / "nowhere", target)
    assert "is no folder" in refused(folder / "gas.csv", target)


@pytest.mark.parametrize("start", ["yesterday", "2026-13-01", "12:00"])
def test_a_start_that_is_no_time(folder, start):
    assert refused(folder, folder.parent / "out.mcap", start) == (
        f"--start {start}: is no ISO 8601 time"
    )


def test_an_existing_target_is_left_as_it_is(folder):
    target = folder.parent / "out.mcap"
    target.write_text("precious")
    assert "exists already" in refused(folder, target)
    assert target.read_text() == "precious"
    assert "cannot be written" in refused(folder, folder.parent / "no" / "out.mcap")


def test_times_far_apart_are_refused_before_a_tick_is_made_for_each_second(folder):
    table(folder / "co2.csv", CO2_HEAD, "0,420", "1767225600,421")
    assert "must share one clock" in refused(folder, folder.parent / "out.mcap")
    assert not (folder.parent / "out.mcap").exists()

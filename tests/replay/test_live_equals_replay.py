"""Live equals replay, import equals the bus: one scene, the same conclusions."""

import json
from itertools import pairwise

import numpy as np
import pytest

from firedetect.clock import ManualClock, run_virtual
from firedetect.config import DeviceSettings, Settings
from firedetect.contract.level import Level
from firedetect.daemon.app import run_daemon
from firedetect.daemon.commands import play
from firedetect.daemon.models.choose import load_scorer
from firedetect.daemon.parts import Surroundings
from firedetect.daemon.replay import Overrides, replay
from firedetect.emulator.bus import EmulatedBus
from firedetect.emulator.eeprom import encode_eeprom, random_terms
from firedetect.emulator.grove import GroveBoard
from firedetect.emulator.mlx90640 import Mlx90640Chip, SceneSource
from firedetect.readings import GasCounts, SubPage
from firedetect.sensors.importing import import_folder
from firedetect.sensors.recording import read_events

NS = 1_000_000_000


def replayed(path, overrides=None):
    lines = []
    summary = replay(
        path, load_scorer(None), overrides or Overrides(), lambda o: lines.append(o.as_json())
    )
    return lines, summary


@pytest.mark.parametrize(("name", "seconds"), [("waste-bin", 60.0), ("kettle", 30.0)])
def test_a_recorded_run_replays_byte_for_byte(tmp_path, name, seconds):
    live = []
    play(
        Settings(),
        name,
        duration_s=seconds,
        record=tmp_path / "run.mcap",
        hear=lambda outcome: live.append(outcome.as_json()),
    )
    lines, _ = replayed(tmp_path / "run.mcap")
    assert len(live) > 4 * (seconds - 2)
    assert lines == live
    raised = [record for record in map(json.loads, lines) if "contributions" in record]
    assert raised or name != "waste-bin"
    for record in raised:
        assert "score" in record["reasons"]
        sizes = [abs(value) for value in record["contributions"].values()]
        assert sizes == sorted(sizes, reverse=True)


CHESS = np.add.outer(np.arange(24), np.arange(32)) % 2


class Scene:
    """A spot that grows and heats up; remembers what the array was shown, sub-page by sub-page."""

    def __init__(self):
        self.shown = []
        self.room = np.random.default_rng(5).normal(21.0, 0.4, (24, 32))
        self.noise = np.random.default_rng(6)

    def image_c(self, t_s):
        # Without noise the pixels would be those of a frozen array.
        image = self.room + self.noise.uniform(-0.1, 0.1, (24, 32))
        since = max(t_s - 75.0, 0.0)
        size = 1 + int(since // 6)
        image[12 : 12 + size, 14 : 14 + size] += min(6.0 * since, 270.0)
        image = np.minimum(image, 300.0)
        self.shown.append(image)
        return image

    def array_c(self, t_s):
        return 29.0 + 0.02 * max(t_s - 75.0, 0.0)

    def counts(self, t_s):
        rise = max(t_s - 80.0, 0.0)
        return 41.0, 70.0, 95.0 + round(rise / 4), float(min(760 + round(rise), 1000))


def through_the_bus(folder, scene, seconds):
    """Play the scene through chips, bus and drivers; return the outcomes and the recording."""
    clock, live = ManualClock(), []
    eeprom = encode_eeprom(random_terms(np.random.default_rng(3), bad_pixels=False))
    chips = {
        0x33: Mlx90640Chip(clock, eeprom, SceneSource(eeprom, scene.image_c, ta_c=scene.array_c)),
        0x08: GroveBoard(clock, scene.counts),
    }
    port = EmulatedBus(clock, chips)
    around = Surroundings(
        clock=clock,
        open_port=lambda _number: port,
        powered_s=lambda: 1e9,
        listeners=(live.append,),
        record=folder / "bus.mcap",
        duration_s=seconds,
        served=False,
    )
    settings = Settings(device=DeviceSettings(data_dir=folder / "var"))
    run_virtual(run_daemon(settings, around), clock)
    return live, folder / "bus.mcap"


def as_folder(folder, scene, live, recording):
    """Write what the array saw and the board said as arrays and tables."""
    folder.mkdir()
    scored = [o for o in live if o.features and not np.isnan(o.features["t_mean"])]
    events = list(read_events(recording))
    start_ns = events[0].t_ns
    pages = [event for event in events if isinstance(event, SubPage)]
    # The chip measures a page before the driver fetches it: the n-th page read is the n-th shown,
    # counted from the end of what the power-up of the chip threw away.
    skipped = len(scene.shown) - len(pages)
    images, times = [], []
    for first, second in pairwise(pages):
        t_s = (second.t_ns - start_ns) / NS
        if any(abs(o.t_s - t_s) < 1e-6 for o in scored):
            index = pages.index(second) + skipped
            pair = {int(first.words[833]): index - 1, int(second.words[833]): index}
            images.append(np.where(CHESS == 0, scene.shown[pair[0]], scene.shown[pair[1]]))
            times.append(t_s)
    np.save(folder / "thermal.npy", np.array(images, dtype=np.float32))
    np.save(folder / "thermal_t.npy", np.array(times))
    gases = [event for event in events if isinstance(event, GasCounts)]
    rows = [((g.t_ns - start_ns) / NS, g.no2, g.c2h5oh, g.voc, g.co) for g in gases]
    # A first row at zero puts both on the same seconds.
    rows = [(0.0, *rows[0][1:]), *rows] if rows[0][0] > 0.0 else rows
    text = "".join(",".join(map(repr, row)) + "\n" for row in rows)
    (folder / "gas.csv").write_text("t_s,no2,c2h5oh,voc,co\n" + text)
    air = "".join(f"{t!r},{scene.array_c(t - 0.1) - 8.0!r},,\n" for t in times)
    (folder / "env.csv").write_text("t_s,air_temp_c,rh_pct,pressure_hpa\n" + air)


def test_an_import_gives_the_same_levels_at_the_same_seconds_as_the_bus(tmp_path):
    scene = Scene()
    live, recording = through_the_bus(tmp_path, scene, 120.0)
    as_folder(tmp_path / "data", scene, live, recording)
    import_folder(tmp_path / "data", tmp_path / "import.mcap")
    lines, summary = replayed(tmp_path / "import.mcap")
    imported = [json.loads(line) for line in lines]

    def changes(pairs):
        shown, result = None, []
        for t_s, level in pairs:
            if level != shown:
                result.append((int(t_s), level))
                shown = level
        return result

    assert summary.max_level is Level.EMERGENCY
    assert changes((o["t_s"], o["level"]) for o in imported) == changes(
        (o.t_s, o.level.label) for o in live
    )
    by_time = {round(o.t_s, 3): o.features for o in live if o.features}
    compared = 0
    for outcome in imported:
        features = by_time.get(round(outcome["t_s"], 3))
        if features is None or not outcome["features"] or outcome["features"]["t_mean"] is None:
            continue
        compared += 1
        assert outcome["features"]["t_mean"] == pytest.approx(features["t_mean"], abs=0.05)
        assert outcome["features"]["t_max"] == pytest.approx(features["t_max"], abs=0.3)
        assert outcome["features"]["tproxy_val"] == pytest.approx(features["tproxy_val"], abs=0.3)
        assert outcome["features"]["t_p95"] == pytest.approx(features["t_p95"], abs=0.3)
        assert outcome["features"]["t_std"] == pytest.approx(features["t_std"], abs=0.05)
    assert compared > 400

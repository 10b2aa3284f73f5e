"""Families: each can be drawn, a seed gives one episode, the table of rates is checked."""

import math

import numpy as np
import pytest

from firedetect.errors import SimulationError
from firedetect.pipeline import Pipeline
from firedetect.readings import GasCounts, Started, ThermalImage
from firedetect.simulation.events import NO_EVENT, SPARSE_EVERY_S, episode_events, image_plan
from firedetect.simulation.families import (
    NUISANCES,
    SITES,
    Rate,
    draw_episode,
    family_names,
    load_rates,
    rates_path,
)
from firedetect.simulation.fires import FIRES
from firedetect.simulation.nuisance import begin
from firedetect.simulation.splits import HELD_OUT, LEARNED, STANDARD_ROOMS, runs_of
from firedetect.simulation.stage import DOOR_SHARE, SITED_M, Choice

NS = 1_000_000_000
QUICK = Choice(lead_s=70.0)


@pytest.mark.parametrize("family", family_names())
def test_every_family_can_be_drawn_and_seen(family):
    episode = draw_episode(family, (4, 2), QUICK)
    assert episode.happening.family == family
    assert episode.happening.fire == (family in FIRES)
    assert episode.happening.windows
    assert all(0 <= a < b <= episode.duration_s for a, b in episode.happening.windows)
    times = np.array([episode.happening.windows[-1][0]])
    image = episode.images(times)[0]
    assert image.dtype == np.float32
    assert np.isfinite(image).all()
    assert -30.0 < image.min() <= image.max() <= 300.0
    assert len(episode.truth.hazard) >= episode.duration_s
    if family in FIRES:
        assert episode.truth.ignition_s >= 70.0
        assert not episode.truth.hazard[:60].any()
        assert episode.truth.hazard.max() > 0.0
    else:
        assert not episode.truth.heat_kw.any()


def test_the_same_seed_gives_the_same_episode_and_another_one_another():
    first, again, other = (draw_episode("kettle", (9, k)) for k in (1, 1, 2))
    times = np.arange(80.0, 84.0, 0.25)
    np.testing.assert_array_equal(first.images(times), again.images(times))
    np.testing.assert_array_equal(first.images(times[5:6])[0], first.images(times)[5])
    assert not np.array_equal(first.images(times), other.images(times))


def test_an_episode_is_played_to_the_pipeline_in_order():
    episode = draw_episode("people", (1,), Choice(lead_s=70.0, films=True, co2=True, air=True))
    events = list(episode_events(episode, ((80.0, 85.0),)))
    assert isinstance(events[0], Started)
    assert len(events[0].streams) == 4
    times = [event.t_ns for event in events]
    assert times == sorted(times)
    images = [event for event in events if isinstance(event, ThermalImage)]
    dense = [event for event in images if 80.0e9 <= event.t_ns < 85.0e9]
    assert len(dense) == 20
    counts = [event for event in events if isinstance(event, GasCounts)]
    seen = {event.t_ns // NS for event in images}
    told = {event.t_ns // NS for event in counts}
    assert told == seen | set(range(0, int(episode.duration_s), SPARSE_EVERY_S))
    outcomes = list(Pipeline(None).run(events))
    assert outcomes[-1].health.value == "ok"


def test_outside_the_windows_images_are_rare_and_denser_before_one():
    plan = image_plan(200, ((100.0, 110.0),))
    none = NO_EVENT
    assert plan[:60].tolist() == [1, none, none, none, none, 0, none, none, none, none] * 6
    assert (plan[64:100:3] == 1).all()
    assert (plan[60:100:10] == 1).all()
    assert (plan[64:100] != none).sum() == 17
    assert (plan[100:110] == 4).all()
    assert image_plan(5, None).tolist() == [4] * 5


def test_rooms_are_held_out_whole():
    for family in FIRES.values():
        learned, held = runs_of(family.runs, LEARNED), runs_of(family.runs, HELD_OUT)
        assert learned
        assert held
        assert len(learned) + len(held) == len(runs_of(family.runs))
    learned = {
        run.room for run in runs_of(tuple({r for f in FIRES.values() for r in f.runs}), LEARNED)
    }
    held = {
        run.room for run in runs_of(tuple({r for f in FIRES.values() for r in f.runs}), HELD_OUT)
    }
    assert learned & held == set(STANDARD_ROOMS)


@pytest.mark.parametrize("site", SITES)
def test_every_nuisance_has_a_rate_at_every_site(site):
    rates = load_rates(site)
    assert {rate.family for rate in rates} == set(NUISANCES)
    assert all(rate.per_year >= 0.0 for rate in rates)
    hidden = {rate.family for rate in rates if not rate.in_view}
    assert {"fireplace", "radiant-heater"} <= hidden | {r.family for r in rates if r.per_year == 0}


@pytest.mark.parametrize(
    ("old", "new", "evidence"),
    [
        ("kettle,1500", "kettel,1500", "kettel"),
        ("kettle,1500", "kettle,-1", "kettle"),
        ("kettle,1500", "kettle,often", "often"),
        ("family,dwelling", "name,dwelling", "family"),
        ("shower,500", "kettle,500", "double"),
    ],
)
def test_a_wrong_table_of_rates_is_one_clear_error(tmp_path, old, new, evidence):
    path = tmp_path / "rates.csv"
    path.write_text(rates_path().read_text().replace(old, new))
    with pytest.raises(SimulationError, match=evidence):
        load_rates("dwelling", path)


def test_an_unknown_family_or_site_names_what_there_is():
    with pytest.raises(SimulationError, match="kettle"):
        draw_episode("volcano", (1,))
    with pytest.raises(SimulationError, match="dwelling"):
        load_rates("ship")


def test_what_happens_in_the_next_room_comes_thinner_and_later():
    here = draw_episode("gas-hob", (3,), Choice(in_view=False))
    beyond = draw_episode("gas-hob", (3,), Choice(in_view=False, beyond=True))
    co_here, co_beyond = here.truth.co_ppm, beyond.truth.co_ppm
    assert 0.0 < co_beyond.max() <= DOOR_SHARE[1] * co_here.max()
    half = [int(np.argmax(co >= 0.5 * co.max())) for co in (co_here, co_beyond)]
    assert half[1] > half[0]


def test_at_the_recommended_siting_hardly_anything_hot_is_near():
    def near(*, sited):
        count = 0
        for seed in range(60):
            choice = Choice(sited=sited, in_view=True)
            scenery = begin(np.random.default_rng(seed), choice, 60.0, size=(6.0, 4.0, 2.5))
            place = scenery.place(0.4, 1.1)
            count += math.dist(place, scenery.stage.camera.at) < SITED_M
        return count

    assert near(sited=True) == 0
    assert near(sited=False) > 0


def test_a_table_of_rates_without_the_next_room_is_read(tmp_path):
    path = tmp_path / "rates.csv"
    path.write_text("family,dwelling,office,kitchen,workshop,hidden\ntoast,3,0,0,0,dwelling\n")
    assert load_rates("dwelling", path) == (Rate("toast", 3.0, in_view=False, beyond=False),)

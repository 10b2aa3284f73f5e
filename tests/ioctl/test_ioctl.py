"""The detector on real system calls: unmodified smbus2, chips in another process, every fault.

The numbers in front are those of the list of faults; limits are theirs, twice and two seconds
more, because two processes share the cores of the test machine with whatever else runs.
"""

import contextlib
import errno
import resource
import time
from itertools import pairwise
from typing import NamedTuple

import pytest

from firedetect.cloudbox.authority import Authority
from firedetect.errors import RecordingError
from firedetect.readings import FaultKind, FrameRejected
from firedetect.sensors.decode import Decoder
from firedetect.sensors.mlx90640.compute import GAIN_WORD
from firedetect.sensors.recording import read_events
from tests.endtoend.world import link_to
from tests.ioctl.chips import AIR, BAUD, CO2, COUNTS, GAS, ROOM_C, THERMAL
from tests.ioctl.rig import START_LIMIT_S, Chips, Detector, brief, sees, wait_until

pytestmark = pytest.mark.slow

LOOP_LIMIT_S = 1.0
IDLE_MIN = 0.5
REFRESH_HZ = 8
WATCH_S = 1.0
REOPENED_S = 0.5
"""A loss of supply is noticed with the next sub-page, and no image comes so soon after it."""


def limit(seconds):
    return 2.0 * seconds + 2.0


class Passing(NamedTuple):
    """A fault that nobody may notice but the recording; images are away for `limit_s` at most."""

    name: str
    order: str
    details: dict
    rejected: FaultKind | None = None
    limit_s: float = 0.5


def showing(fault, *cases):
    """Mark cases of a test with the fault that they show; see `make fault`."""
    return [pytest.param(case, marks=fault) for case in cases]


GAIN_FLIP = {"address": THERMAL, "byte": 2 * GAIN_WORD, "mask": 64, "times": 1}
PIXEL_FLIP = {"address": THERMAL, "byte": 500, "mask": 64, "times": 1}
PASSING = (
    *showing(
        pytest.mark.fault("F01"),
        Passing("F01-no-acknowledge", "fail", {"address": THERMAL, "number": 121, "times": 1}),
        Passing("F01-input-output", "fail", {"address": THERMAL, "number": 5, "times": 1}),
        Passing("F01-arbitration-lost", "fail", {"address": THERMAL, "number": 11, "times": 1}),
        Passing("F01-time-out", "time_out", {"address": THERMAL, "times": 1}, limit_s=1.5),
    ),
    *showing(pytest.mark.fault("F07"), Passing("F07-torn", "chip", {"torn": 1}, FaultKind.TORN)),
    *showing(
        pytest.mark.fault("F08"),
        Passing("F08-two-pixels", "chip", {"flips": {"100": 0x4000, "421": 0x2000}}),
        Passing("F08-on-the-wire", "flip", PIXEL_FLIP),
    ),
    *showing(
        pytest.mark.fault("F10"),
        Passing("F10-auxiliary", "flip", GAIN_FLIP, FaultKind.IMPLAUSIBLE),
    ),
    *showing(
        pytest.mark.fault("F15"),
        Passing("F15-no-acknowledge", "fail", {"address": GAS, "number": 121, "times": 1}),
    ),
    *showing(pytest.mark.fault("F18"), Passing("F18-glitch", "room", {"glitches": 4})),
    *showing(pytest.mark.fault("F24"), Passing("F24-checksum", "checksums", {"wrong": 1})),
)


@pytest.mark.parametrize("fault", PASSING, ids=lambda fault: fault.name)
def test_passing_fault_costs_no_more_than_a_frame(rig, say, fault):
    chips, detector = rig
    begin = time.monotonic()
    before = detector.status()["i2c_retries"]["i2c-1"]
    chips(fault.order, **fault.details)
    wait_until(lambda: chips("pending") == 0, limit(10.0), "the fault happens")
    end = time.monotonic()
    detector.first(end + WATCH_S, sees, limit(fault.limit_s), "images go on")
    watched = detector.since(begin)
    assert not [brief(one) for _, one in watched if one["troubles"] or one["level"] != "normal"]
    seen = [begin, *(at for at, one in watched if sees(one))]
    gap_s = max(after - before for before, after in pairwise(seen))
    say(f"{fault.name}: no trouble, no image for {gap_s:.2f} s at most (limit {fault.limit_s})")
    assert gap_s <= limit(fault.limit_s)
    retries = detector.status()["i2c_retries"]["i2c-1"] - before
    assert (retries >= 1) == (fault.order in ("fail", "time_out"))
    if fault.rejected is not None:
        wait_until(
            lambda: fault.rejected in rejected_since(detector, begin), 20.0, "it is in the record"
        )


def rejected_since(detector, begin):
    """Return why readings were thrown away, as far as the recording has been written."""
    kinds = set()
    decoder = Decoder()
    # It grows while it is read: its end is missing.
    with contextlib.suppress(RecordingError):
        for event in read_events(detector.folder / "r.mcap"):
            for said in (event, *decoder.feed(event)):
                if isinstance(said, FrameRejected) and said.t_ns >= begin * 1e9:
                    kinds.add(said.kind)
    return kinds


class Lasting(NamedTuple):
    """A fault that lasts until mended: one of the troubles is told, and nothing is made up."""

    name: str
    order: str
    details: dict
    troubles: tuple
    react_s: float
    recover_s: float


NO_VALUE_ROW = {str(32 * 5 + column): 0x8000 for column in range(32)}
ABSENT = {"address": THERMAL, "number": errno.ENXIO}
THE_ARRAY = {"address": THERMAL}
LASTING = (
    *showing(
        pytest.mark.fault("F02"),
        Lasting("F02-absent", "fail", ABSENT, ("no-answer",), 5, 10),
        Lasting("F02-undriven", "float", THE_ARRAY, ("no-answer",), 5, 10),
    ),
    *showing(
        pytest.mark.fault("F03"),
        Lasting("F03-time-outs", "time_out", THE_ARRAY, ("bus-stuck", "no-answer"), 5, 15),
    ),
    *showing(
        pytest.mark.fault("F04"),
        Lasting("F04-no-data", "chip", {"silent": True}, ("no-frame", "stale"), 5, 15),
    ),
    *showing(
        pytest.mark.fault("F05"), Lasting("F05-frozen", "chip", {"frozen": True}, ("frozen",), 5, 5)
    ),
    *showing(
        pytest.mark.fault("F06"),
        Lasting("F06-one-sub-page", "chip", {"only_page": 0}, ("stuck-sub-page",), 5, 5),
    ),
    *showing(
        pytest.mark.fault("F10"),
        Lasting("F10-auxiliary", "chip", {"words": {str(GAIN_WORD): 0x7FFF}}, ("stale",), 5, 5),
        Lasting("F10-row", "chip", {"words": NO_VALUE_ROW}, ("stale",), 5, 5),
    ),
    *showing(
        pytest.mark.fault("F13"), Lasting("F13-supply", "room", {"vdd_v": 2.6}, ("stale",), 5, 5)
    ),
)


@pytest.mark.parametrize("fault", LASTING, ids=lambda fault: fault.name)
def test_lasting_fault_of_the_array_is_told_and_ends(rig, say, fault):
    chips, detector = rig
    begin = time.monotonic()
    chips(fault.order, **fault.details)
    expected = {f"thermal:{kind}" for kind in fault.troubles}
    reacted_s = detector.first(
        begin, lambda one: expected & set(one["troubles"]), limit(fault.react_s), "trouble"
    )
    # Blind in one eye only: the others are judged on.
    detector.first(
        begin + reacted_s,
        lambda one: one["score"] is not None and one["features"]["t_mean"] is None,
        limit(fault.react_s),
        "a score without the array",
    )
    assert detector.now["health"] in ("degraded", "blind")
    mended = time.monotonic()
    chips("mend")
    recovered_s = detector.healthy(mended, limit(fault.recover_s))
    say(
        f"{fault.name}: {min(expected & troubles_since(detector, begin))} after "
        f"{reacted_s:.2f} s (limit {fault.react_s}), over after {recovered_s:.2f} s "
        f"(limit {fault.recover_s})"
    )
    assert_no_alarm(detector, begin)


def slower(outcome):
    return any(trouble.startswith("thermal-rate:4 Hz") for trouble in outcome["troubles"])


def test_f07_a_bus_that_gets_slow_lowers_the_rate_until_it_is_fast_again(rig, say):
    chips, detector = rig
    begin = time.monotonic()
    chips("baud", baud=BAUD // 4)
    reacted_s = detector.first(begin, slower, limit(5), "trouble")
    seen_s = detector.first(
        begin + reacted_s, lambda one: slower(one) and sees(one), limit(5), "images go on"
    )
    measured = chips("measure")
    watched = time.monotonic()
    detector.first(watched + 4.0, sees, limit(5), "time passes")
    later = chips("measure")
    frames_hz = (later["frames"] - measured["frames"]) / (later["t_s"] - measured["t_s"])
    assert frames_hz <= 4.2
    assert all(slower(one) for _, one in detector.since(watched))
    mended = time.monotonic()
    chips("mend")
    recovered_s = detector.healthy(mended, limit(5))
    say(
        f"F07-slow-bus: trouble after {reacted_s:.2f} s (limit 5), images {seen_s:.2f} s later, "
        f"{frames_hz:.2f} sub-pages a second, over after {recovered_s:.2f} s (limit 5)"
    )
    assert_no_alarm(detector, begin)


def test_the_rate_fits_the_bus_as_measured_or_is_refused(shim, tmp_path, say):
    bus = tmp_path / "bus"
    bus.mkdir()
    with Chips(bus) as chips:
        # A busy machine: all reads of the memory are late at first but the last one.
        chips("hold", address=THERMAL, seconds=0.3, times=4)
        with Detector(tmp_path, shim, bus) as detector:
            detector.healthy(0.0, START_LIMIT_S)
            assert chips("pending") == 0
            assert not [t for t in troubles_since(detector, 0.0) if t.startswith("thermal-rate")]
            begin = time.monotonic()
            chips("baud", baud=BAUD // 16)
            refused_s = detector.first(begin, too_slow, limit(10), "no rate fits")
            assert "even 2 Hz needs 43 kHz: set the bus to 400 kHz" in detector.log.read_text()
            faster = time.monotonic()
            chips("baud", baud=BAUD // 4)
            opened_s = detector.first(faster, slower, limit(10), "it runs slower")
            told = next(t for t in detector.now["troubles"] if t.startswith("thermal-rate:"))
            assert "set the bus to 400 kHz, or set thermal.refresh_hz = 4" in told
            detector.first(faster, sees, limit(10), "images")
            burning = time.monotonic()
            chips("room", hot_c=900.0)
            alarm_s = detector.first(
                burning, lambda one: one["level"] == "emergency", limit(5), "emergency"
            )
            assert slower(detector.now)
            say(
                f"{BAUD // 16} Hz refused after {refused_s:.2f} s, {BAUD // 4} Hz opened after "
                f"{opened_s:.2f} s ({told}), fire there an emergency after {alarm_s:.2f} s"
            )


def too_slow(outcome):
    return "thermal:bus-too-slow" in outcome["troubles"]


def troubles_since(detector, begin):
    return {trouble for _, one in detector.since(begin) for trouble in one["troubles"]}


def assert_no_alarm(detector, begin):
    raised = [brief(one) for _, one in detector.since(begin) if one["level"] != "normal"]
    assert not raised


class Others(NamedTuple):
    """Faults of the other sensors at once: what to do, the trouble, its limit in s."""

    name: str
    faults: tuple
    recover_s: float = 10.0


OTHERS = (
    *showing(
        pytest.mark.fault("F15", "F24"),
        Others(
            "F15-F24-no-acknowledge",
            (
                ("fail", {"address": GAS, "number": 121}, "gas:no-answer", 5),
                ("fail", {"address": CO2, "number": 121}, "co2:no-answer", 10),
                ("fail", {"address": AIR, "number": 121}, "air:no-answer", 10),
            ),
        ),
    ),
    *showing(
        pytest.mark.fault("F17", "F24"),
        Others(
            "F17-F24-high-rail-checksums",
            (
                ("room", {"counts": [1023.0, 70.0, 95.0, 764.0]}, "gas:at-rail", 10),
                ("checksums", {"wrong": 1000}, "co2:no-answer", 10),
            ),
        ),
    ),
    *showing(
        pytest.mark.fault("F17"),
        Others("F17-low-rail", (("room", {"counts": [0.0] * 4}, "gas:at-rail", 10),)),
    ),
    *showing(
        pytest.mark.fault("F19"),
        Others(
            "F19-all-films",
            (("room", {"counts": [0.7 * count for count in COUNTS]}, "gas:common-mode", 120),),
            60.0,
        ),
    ),
)


@pytest.mark.parametrize("others", OTHERS, ids=lambda others: others.name)
def test_lasting_faults_of_the_others_are_told_and_leave_the_array(rig, say, others):
    chips, detector = rig
    name, faults, recover_s = others
    begin = time.monotonic()
    for order, details, _, _ in faults:
        chips(order, **details)
    reacted = {
        trouble: detector.first(
            begin, lambda one, t=trouble: t in one["troubles"], limit(react_s), trouble
        )
        for _, _, trouble, react_s in faults
    }
    # The array still sees, whatever the others do.
    detector.first(begin + max(reacted.values()), sees, limit(0.5), "images go on")
    assert not [t for t in troubles_since(detector, begin) if t.startswith("thermal")]
    mended = time.monotonic()
    chips("mend")
    recovered = {
        trouble: detector.first(
            mended,
            lambda one, t=trouble: not any(s.startswith(t.split(":")[0]) for s in one["troubles"]),
            limit(recover_s),
            f"{trouble} is over",
        )
        for trouble in reacted
    }
    for _, _, trouble, react_s in faults:
        say(
            f"{name}: {trouble} after {reacted[trouble]:.2f} s (limit {react_s}), "
            f"over after {recovered[trouble]:.2f} s (limit {recover_s})"
        )
    assert_no_alarm(detector, begin)


@pytest.mark.fault("F03")
@pytest.mark.parametrize("how", ["held", "stopped"])
def test_f03_stuck_bus_costs_one_thread_and_no_waiting(rig, say, how):
    chips, detector = rig
    before = detector.threads()
    begin = time.monotonic()
    if how == "held":
        chips("hold", address=THERMAL, seconds=60.0)
    else:
        chips.stop()
    reacted_s = detector.first(
        begin, lambda one: "thermal:bus-stuck" in one["troubles"], limit(5), "trouble"
    )
    detector.first(begin, lambda one: one["health"] == "blind", limit(10), "every sensor is lost")
    most, slowest_s = 0, 0.0
    watched = time.monotonic()
    while time.monotonic() - watched < 4.0:
        slowest_s = max(slowest_s, detector.answers_within_s())
        most = max(most, detector.threads())
        time.sleep(0.05)
    mended = time.monotonic()
    if how == "stopped":
        chips.go_on()
    chips("mend")
    recovered_s = detector.first(mended, sees_well, limit(15), "images again")
    all_s = detector.healthy(mended, limit(15))
    wait_until(lambda: detector.threads() <= before, limit(5), "the left thread ends")
    wait_until(lambda: chips("ports") == 1, limit(5), "its port is closed")
    say(
        f"F03-{how}: bus-stuck after {reacted_s:.2f} s (limit 5), images again after "
        f"{recovered_s:.2f} s (limit 15), all sensors after {all_s:.2f} s, "
        f"{most - before} thread more, the loop answers within {slowest_s:.3f} s"
    )
    assert most <= before + 1
    assert slowest_s <= LOOP_LIMIT_S
    assert_no_alarm(detector, begin)


@pytest.mark.fault("F02")
@pytest.mark.parametrize("how", ["killed", "unplugged"])
def test_f02_bus_that_goes_away_is_used_again_when_it_is_back(rig, say, how):
    chips, detector = rig
    begin = time.monotonic()
    if how == "killed":
        chips.kill()
    else:
        chips("pull")
    reacted_s = detector.first(
        begin, lambda one: "thermal:no-answer" in one["troubles"], limit(5), "trouble"
    )
    detector.first(begin, lambda one: one["health"] == "blind", limit(10), "every sensor is lost")
    if how == "killed":
        chips.start()
    else:
        chips("insert")
    back = time.monotonic()
    recovered_s = detector.first(back, sees_well, limit(10), "images again")
    all_s = detector.healthy(back, limit(15))
    say(
        f"F02-{how}: no-answer after {reacted_s:.2f} s (limit 5), images again after "
        f"{recovered_s:.2f} s (limit 10), all sensors after {all_s:.2f} s"
    )
    assert_no_alarm(detector, begin)


def sees_well(outcome):
    return sees(outcome) and not thermal_troubles(outcome)


def thermal_troubles(outcome):
    return [trouble for trouble in outcome["troubles"] if trouble.startswith("thermal")]


@pytest.mark.fault("F11")
def test_f11_another_eeprom_after_a_loss_of_supply_changes_no_temperature(rig, say):
    chips, detector = rig
    begin = time.monotonic()
    chips("eeprom", flips={"51": 0x0100, "300": 0x8000})
    chips("power_cycle")
    reacted_s = detector.first(begin, miscalibrated, limit(10), "trouble")
    seen_s = detector.first(begin + reacted_s, sees, limit(10), "images go on") + reacted_s
    means = [one["features"]["t_mean"] for _, one in detector.since(begin + seen_s) if sees(one)]
    assert means
    assert all(abs(mean - ROOM_C) < 0.5 for mean in means)
    mended = time.monotonic()
    chips("mend")
    chips("power_cycle")
    recovered_s = detector.first(mended + REOPENED_S, sees_well, limit(10), "all is well")
    say(
        f"F11-another: trouble after {reacted_s:.2f} s (limit 10), images as before after "
        f"{seen_s:.2f} s, over after {recovered_s + REOPENED_S:.2f} s (limit 10)"
    )
    assert_no_alarm(detector, begin)


def miscalibrated(outcome):
    return any("calibration" in trouble for trouble in thermal_troubles(outcome))


@pytest.mark.fault("F11")
def test_f11_empty_eeprom_at_the_start_gives_no_temperature(shim, tmp_path, say):
    bus = tmp_path / "bus"
    bus.mkdir()
    with Chips(bus) as chips:
        chips("eeprom", value=0xFFFF)
        with Detector(tmp_path, shim, bus) as detector:
            begin = detector.first(0.0, lambda _: True, START_LIMIT_S, "it starts")
            reacted_s = detector.first(begin, miscalibrated, limit(10), "trouble")
            detector.first(
                begin, lambda one: one["score"] is not None, limit(10), "a score without the array"
            )
            watched = time.monotonic()
            detector.first(watched + 2.0, miscalibrated, limit(5), "the trouble lasts")
            assert not [one for _, one in detector.outcomes if sees_any(one)]
            mended = time.monotonic()
            chips("mend")
            recovered_s = detector.first(mended, sees_well, limit(10), "images")
            say(
                f"F11-empty: calibration after {reacted_s:.2f} s (limit 10), "
                f"images after {recovered_s:.2f} s (limit 10)"
            )


def sees_any(outcome):
    return any(outcome["features"].get(name) is not None for name in ("t_mean", "t_max"))


@pytest.mark.fault("F09")
def test_f09_one_hot_pixel_is_no_fire(rig, say):
    chips, detector = rig
    begin = time.monotonic()
    chips("chip", words={"400": 0x1000})
    detector.first(begin + 5.0, sees, limit(5), "images go on")
    watched = [one for _, one in detector.since(begin) if sees(one)]
    hottest_c = max(one["features"]["t_max"] for one in watched)
    say(f"F09: one pixel of {hottest_c:.0f} °C, level {watched[-1]['level']}")
    assert hottest_c > 100.0
    assert not [brief(one) for one in watched if one["level"] in ("alert", "emergency")]


def test_bus_is_idle_for_most_of_the_time_with_all_four_sensors(rig, say):
    chips, detector = rig
    chips("forget")
    begin = chips("measure")
    detector.first(time.monotonic() + 6.0, sees, 10.0, "time passes")
    end = chips("measure")
    wall_s = end["t_s"] - begin["t_s"]
    idle = 1.0 - (end["bits"] - begin["bits"]) / BAUD / wall_s
    frames_hz = end["frames"] / wall_s
    say(f"bus idle {100 * idle:.1f} % at {BAUD} baud, {frames_hz:.2f} sub-pages a second")
    # The log holds no stop bits: one in forty of the short transfers, nothing of a frame.
    assert end["logged_bits"] == pytest.approx(end["bits"] - begin["bits"], rel=0.01)
    assert frames_hz >= 0.75 * REFRESH_HZ
    assert idle >= IDLE_MIN


@pytest.fixture
def reset(rig):
    """Calm the room and reset the alarm afterwards."""
    yield
    chips, detector = rig
    chips("mend")

    def normal():
        detector.command("reset")
        return detector.now["level"] == "normal"

    wait_until(normal, 60.0, "the alarm is reset")


@pytest.mark.fault("F14")
@pytest.mark.usefixtures("reset")
def test_f14_saturated_pixels_are_a_fire(rig, say):
    chips, detector = rig
    begin = time.monotonic()
    chips("room", hot_c=900.0)
    took_s = detector.first(
        begin, lambda one: one["level"] in ("alert", "emergency"), limit(0.5), "alarm"
    )
    say(f"F14: {detector.now['level']} after {took_s:.2f} s (limit 0.5)")


@pytest.mark.fault("F13")
@pytest.mark.usefixtures("reset")
def test_f13_chip_too_hot_for_its_pixels_still_alarms(rig, say):
    chips, detector = rig
    # With a working BME280 the air is its business.
    chips("fail", address=AIR, number=errno.EREMOTEIO)
    detector.first(time.monotonic(), lambda one: "air:no-answer" in one["troubles"], 20.0, "air")
    begin = time.monotonic()
    chips("room", ta_c=95.0)
    reacted_s = detector.first(begin, thermal_troubles, limit(5), "trouble")
    took_s = detector.first(
        begin, lambda one: one["level"] in ("alert", "emergency"), limit(5), "alarm"
    )
    say(f"F13-too-hot: trouble after {reacted_s:.2f} s, alarm after {took_s:.2f} s (limit 5)")


DEAD_PORT = 9


@pytest.fixture
def alone(shim, tmp_path):
    """Chips and a detector of a test's own, with a cloud that is not there."""
    (tmp_path / "bus").mkdir()
    link = link_to("127.0.0.1", DEAD_PORT, Authority(tmp_path / "ca").issue("cut"))
    env = link | {"FIREDETECT_DEVICE__ID": "cut"}
    with (
        Chips(tmp_path / "bus") as chips,
        Detector(tmp_path, shim, tmp_path / "bus", "--cloud", "aws", env=env) as detector,
    ):
        detector.first(0.0, sees_well, START_LIMIT_S, "images")
        yield chips, detector


def allow(detector, what, most):
    """Set a limit of the running detector and return the one before."""
    before, hard = resource.prlimit(detector.pid, what)
    resource.prlimit(detector.pid, what, (most, hard))
    return before


def fire_s(chips, detector):
    """Return how long it takes from a fire to the emergency."""
    begin = time.monotonic()
    chips("room", hot_c=900.0)
    return detector.first(begin, lambda one: one["current"] == "emergency", limit(5), "emergency")


@pytest.mark.fault("F39", "F70")
def test_f70_fire_without_gas_network_and_disk_is_told_as_soon(alone, say):
    chips, detector = alone
    whole_s = fire_s(chips, detector)
    chips("mend")

    def calm():
        detector.command("reset")
        return detector.now["level"] == "normal"

    wait_until(calm, 90.0, "the alarm is reset")
    begin = time.monotonic()
    chips("fail", address=GAS, number=errno.ENXIO)
    # Whatever is written from now on meets the end of the disk.
    allow(detector, resource.RLIMIT_FSIZE, 0)
    for name in ("gas:no-answer", "link:", "disk:"):
        detector.first(
            begin,
            lambda one, n=name: any(told.startswith(n) for told in one["troubles"]),
            limit(30),
            name,
        )
    crippled_s = fire_s(chips, detector)
    say(f"F70: emergency after {whole_s:.2f} s, without gas, network, disk {crippled_s:.2f} s")
    assert crippled_s <= whole_s + 2.0 + 2.0


@pytest.mark.fault("F38")
def test_f38_without_files_detection_goes_on_and_what_cannot_be_opened_is_a_trouble(alone, say):
    chips, detector = alone
    begin = time.monotonic()
    before = allow(detector, resource.RLIMIT_NOFILE, 4)
    detector.first(begin + 3.0, sees_well, limit(5), "images go on")
    alarm_s = fire_s(chips, detector)
    chips("mend")
    gone = time.monotonic()
    chips("pull")
    chips("insert")
    told_s = detector.first(gone, thermal_troubles, limit(5), "the bus cannot be opened")
    detector.first(gone + told_s + 3.0, thermal_troubles, limit(5), "nor later")
    allow(detector, resource.RLIMIT_NOFILE, before)
    back_s = detector.first(time.monotonic(), sees_well, limit(10), "images again")
    say(
        f"F38: emergency after {alarm_s:.2f} s, trouble after {told_s:.2f} s, "
        f"images {back_s:.2f} s after there are files again (limit 10)"
    )

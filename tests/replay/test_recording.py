"""Recordings: everything comes back, other tools open them, and no damage goes unnoticed."""

import json
import re
import resource

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mcap.reader import make_reader
from mcap.writer import Writer

from firedetect.errors import RecordingError
from firedetect.readings import (
    SUBPAGE_WORDS,
    Restored,
    Sensor,
    SensorOpened,
    SettingsChanged,
    Started,
    Stream,
    SubPage,
    Tick,
)
from firedetect.sensors.codec import EVENT_TYPES
from firedetect.sensors.recording import FORMAT, RecordingWriter, read_events
from tests.core.test_events import ONE_OF_EACH, any_event, equal

NS = 1_000_000_000
WALL_NS = 1_767_225_600 * NS
CHUNK = 0x06
SAME_FILE = [HealthCheck.function_scoped_fixture]


def write(path, events, outcomes=()):
    with RecordingWriter(path) as writer:
        for event in events:
            writer.write(event)
        for t_ns, line in outcomes:
            writer.write_outcome(t_ns, line)
    return path


def read(path):
    """Return the events and the message of the error at their end, if there is one."""
    events = []
    try:
        for event in read_events(path):
            events.append(event)  # noqa: PERF402 - what came before an error counts
    except RecordingError as error:
        message = str(error)
        assert "\n" not in message
        assert str(path) in message
        return events, message
    return events, None


def same(got, wanted):
    return len(got) == len(wanted) and all(map(equal, got, wanted))


def session(seconds=12, boot=1):
    """Half a sub-page of noise eight times a second: it compresses like the real thing."""
    rng = np.random.default_rng(5)
    eeproms = rng.integers(0, 0xFFFF, (2, 832), dtype=np.uint16)
    events = [
        Started(100 * NS, "dev", boot, WALL_NS, (Stream(Sensor.THERMAL, 3.0),)),
        SettingsChanged(100 * NS, ONE_OF_EACH[1].decision),
        Restored(100 * NS),
        SensorOpened(100 * NS, Sensor.THERMAL, 5.0, eeproms[0]),
    ]
    for step in range(8 * seconds):
        t_ns = 100 * NS + step * NS // 8
        if step == 4 * seconds:
            events.append(SensorOpened(t_ns, Sensor.THERMAL, 0.0, eeproms[1], 0.9, 4.0))
        words = rng.integers(0x8000, 0x9FFF, SUBPAGE_WORDS, dtype=np.uint16)
        events.append(SubPage(t_ns, words))
        if step % 8 == 7:
            events.append(Tick(t_ns))
    return events


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A recording of several chunks: its events and its bytes."""
    events = session()
    path = write(tmp_path_factory.mktemp("whole") / "whole.mcap", events)
    return events, path.read_bytes()


def test_every_type_of_event_comes_back_in_order(tmp_path):
    path = write(tmp_path / "all.mcap", ONE_OF_EACH, [(NS, '{"level": "normal"}')])
    assert same(list(read_events(path)), ONE_OF_EACH)


def test_the_calibrations_of_several_sensors_stay_apart(whole, tmp_path):
    events, data = whole
    path = tmp_path / "two.mcap"
    path.write_bytes(data)
    assert data.count(b"mlx90640-eeprom") >= 2
    got, error = read(path)
    assert error is None
    assert same(got, events)
    opened = [event for event in got if isinstance(event, SensorOpened)]
    assert not np.array_equal(opened[0].eeprom, opened[1].eeprom)


@settings(max_examples=25, deadline=None, suppress_health_check=SAME_FILE)
@given(events=st.lists(any_event, min_size=1, max_size=8))
def test_any_events_come_back(tmp_path, events):
    path = tmp_path / "any.mcap"
    path.unlink(missing_ok=True)
    assert same(list(read_events(write(path, events))), events)


def test_a_plain_mcap_reader_opens_it(tmp_path):
    line = '{"level": "alert", "score": null}'
    path = write(tmp_path / "plain.mcap", ONE_OF_EACH, [(2 * NS, line)])
    with path.open("rb") as file:
        reader = make_reader(file, validate_crcs=True)
        summary = reader.get_summary()
        topics = {channel.topic for channel in summary.channels.values()}
        assert topics == {f"/events/{name}" for name in EVENT_TYPES} | {"/outcomes"}
        for schema in summary.schemas.values():
            assert schema.encoding == "jsonschema"
            assert json.loads(schema.data)["type"] == "object"
        messages = list(reader.iter_messages(log_time_order=False))
        assert len(messages) == len(ONE_OF_EACH) + 1
        for _, channel, message in messages:
            assert channel.message_encoding == "json"
            values = json.loads(message.data)
            assert channel.topic == "/outcomes" or "t_ns" in values
        eeproms = [m for m in reader.iter_metadata() if m.name == "mlx90640-eeprom"]
        assert len(eeproms) == 1
        assert bytes.fromhex(eeproms[0].metadata["words_hex"])[2:4] == b"\x00\x4d"


def test_messages_carry_the_time_of_the_wall_clock(whole, tmp_path):
    path = tmp_path / "wall.mcap"
    path.write_bytes(whole[1])
    with path.open("rb") as file:
        stamps = [message.log_time for _, _, message in make_reader(file).iter_messages()]
    assert stamps[0] == WALL_NS
    assert stamps[-1] == WALL_NS + whole[0][-1].t_ns - 100 * NS


def test_a_recording_that_was_never_closed_is_readable_up_to_its_last_flush(tmp_path):
    path = tmp_path / "killed.mcap"
    events = session()
    writer = RecordingWriter(path)
    for event in events:
        writer.write(event)
    writer.flush()
    copy = tmp_path / "copy.mcap"
    copy.write_bytes(path.read_bytes())
    writer.close()
    got, error = read(copy)
    # What a power cut may take: about two seconds of raw frames.
    assert 0 < len(got) < len(events)
    assert events[-1].t_ns - got[-1].t_ns < 3 * NS
    assert same(got, events[: len(got)])
    assert "cut off" in error


def check_cut(path, events, data, size):
    path.write_bytes(data[:size])
    got, error = read(path)
    assert error is not None
    assert same(got, events[: len(got)])
    if got:
        seconds = float(re.search(r"after ([0-9.]+) s", error)[1])
        assert seconds == pytest.approx((got[-1].t_ns - events[0].t_ns) / 1e9, abs=0.051)
    return len(got)


def test_wherever_a_recording_is_cut_the_events_before_are_read(whole, tmp_path):
    events, data = whole
    step = len(data) // 60
    sizes = [*range(step, len(data), step), *range(len(data) - 12, len(data))]
    read_counts = [check_cut(tmp_path / "cut.mcap", events, data, size) for size in sizes]
    assert read_counts == sorted(read_counts)
    assert len(set(read_counts)) >= 4
    assert read_counts[-1] == len(events)


@settings(max_examples=60, deadline=None, suppress_health_check=SAME_FILE)
@given(data=st.data())
def test_any_cut_is_noticed(whole, tmp_path, data):
    events, content = whole
    # Half of the cuts lie where the headers of records are: at the start and in the summary.
    size = data.draw(
        st.integers(0, len(content) - 1)
        | st.integers(0, 3000)
        | st.integers(len(content) - 4000, len(content) - 1)
    )
    check_cut(tmp_path / "cut.mcap", events, content, size)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    events = [*session(1), *ONE_OF_EACH]
    path = write(tmp_path_factory.mktemp("small") / "small.mcap", events)
    return events, path.read_bytes()


@pytest.mark.fault("F73")
@settings(max_examples=150, deadline=None, suppress_health_check=SAME_FILE)
@given(data=st.data(), bit=st.integers(0, 7))
def test_a_flipped_bit_is_an_error_or_harmless(small, tmp_path, data, bit):
    events, content = small
    place = data.draw(
        st.integers(0, len(content) - 1)
        | st.integers(0, 200)
        | st.integers(len(content) - 3000, len(content) - 1)
    )
    check_flip(tmp_path / "flip.mcap", events, content, place, bit)


def check_flip(path, events, content, place, bit):
    damaged = bytearray(content)
    damaged[place] ^= 1 << bit
    path.write_bytes(damaged)
    got, error = read(path)
    if error is None:
        assert same(got, events)
    else:
        assert same(got, events[: len(got)]), "what is given out before the error is true"


def test_a_flip_in_any_head_of_a_record_is_noticed(whole, tmp_path):
    """Opcodes and lengths lie outside of every chunk's own check sum."""
    events, content = whole
    starts = record_starts(content)
    assert len(starts) > 10
    for start in starts:
        places = [(start, 0), (start, 3), (start + 1, 0), (start + 4, 1)]
        if content[start] == CHUNK:
            # The size that the chunk claims to have when it is unpacked.
            places += [(start + 30, 1), (start + 31, 4), (start + 32, 7)]
        for place, bit in places:
            check_flip(tmp_path / "flip.mcap", events, content, place, bit)


def record_starts(content):
    """Return where records begin: one byte opcode, eight bytes length, content."""
    starts, place = [], 8
    while place < len(content) - 8:
        starts.append(place)
        place += 9 + int.from_bytes(content[place + 1 : place + 9], "little")
    assert place == len(content) - 8
    return starts


def test_a_chunk_that_is_missing_is_noticed_where_it_is_missing(whole, tmp_path):
    events, content = whole
    starts = record_starts(content)
    chunks = [k for k, start in enumerate(starts) if content[start] == CHUNK]
    gone = chunks[1]
    path = tmp_path / "gap.mcap"
    path.write_bytes(content[: starts[gone]] + content[starts[gone + 1] :])
    got, error = read(path)
    assert error is not None
    assert 0 < len(got) < len(events)
    assert same(got, events[: len(got)])


def foreign(path, metadata=None, messages=0, name="firedetect"):
    with path.open("wb") as file:
        writer = Writer(file)
        writer.start(profile="", library="other")
        if metadata is not None:
            writer.add_metadata(name, metadata)
        schema = writer.register_schema("x", "jsonschema", b"{}")
        channel = writer.register_channel("/events/Tick", "json", schema)
        for number in range(messages):
            writer.add_message(channel, number, b'{"t_ns": 1}', number, number)
        writer.finish()
    return path


def test_what_is_no_recording_is_said_in_one_line(tmp_path):
    empty, text = tmp_path / "empty.mcap", tmp_path / "text.mcap"
    empty.write_bytes(b"")
    text.write_text("t_s,co\n0,760\n" * 100)
    other = foreign(tmp_path / "other.mcap", messages=3)
    newer = foreign(tmp_path / "newer.mcap", {"format": "2"}, 3)
    older = foreign(tmp_path / "older.mcap", {}, 3)
    bare = foreign(tmp_path / "bare.mcap", {"format": FORMAT})
    missing = tmp_path / "missing.mcap"
    for path, words in (
        (empty, "damaged or cut off before the first event"),
        (text, "not an MCAP file"),
        (other, "no firedetect recording"),
        (newer, "has format 2, this program reads format 1"),
        (older, "has format None"),
        (bare, "holds no event"),
        (missing, "No such file"),
        (tmp_path, "cannot be read"),
    ):
        got, error = read(path)
        assert got == []
        assert words in error


@pytest.mark.parametrize(
    ("topic", "data"),
    [
        ("/events/Fire", b'{"t_ns": 1}'),
        ("/events/Tick", b"no json"),
        ("/events/Tick", b"[1]"),
        ("/events/Tick", b"null"),
        ("/events/Tick", b'{"t_ns": "x"}'),
        ("/events/Tick", b'{"t_ns": 1, "x": 1}'),
        ("/events/Tick", b'{"t_ns": Infinity}'),
        ("/events/Tick", b"\xff"),
        ("/events/Restored", b'{"t_ns": 1, "level": null}'),
        ("/events/SensorOpened", b'{"t_ns": 1, "sensor": "gas", "powered_s": 1, "eeprom": "x"}'),
        ("/events/Tick", b"[" * 100_000),
    ],
)
def test_a_message_that_is_no_event_is_an_error_after_the_ones_before(tmp_path, topic, data):
    path = tmp_path / "odd.mcap"
    with path.open("wb") as file:
        writer = Writer(file)
        writer.start(profile="", library="other")
        writer.add_metadata("firedetect", {"format": FORMAT})
        schema = writer.register_schema("x", "jsonschema", b"{}")
        good = writer.register_channel("/events/Tick", "json", schema)
        odd = writer.register_channel(topic, "json", schema)
        writer.add_message(good, 1, b'{"t_ns": 1}', 1, 0)
        writer.add_message(odd, 2, data, 2, 1)
        writer.finish()
    got, error = read(path)
    assert got == [Tick(1)]
    assert "after 0.0 s" in error


def test_topics_of_others_beside_ours_are_left_alone(tmp_path):
    path = write(tmp_path / "out.mcap", [Tick(1)], [(2, "{}"), (3, '{"level": "alert"}')])
    assert read(path) == ([Tick(1)], None)


def test_an_existing_file_is_refused_and_left_as_it_is(tmp_path):
    path = tmp_path / "mine.mcap"
    path.write_bytes(b"precious")
    with pytest.raises(RecordingError, match="exists already"):
        RecordingWriter(path)
    assert path.read_bytes() == b"precious"
    with pytest.raises(RecordingError, match="cannot be written"):
        RecordingWriter(tmp_path / "no" / "where.mcap")


def test_a_full_disk_at_the_end_is_one_clear_error(tmp_path):
    path = tmp_path / "r.mcap"
    writer = RecordingWriter(path)
    for event in session():
        writer.write(event)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 1, before[1]))
    try:
        with pytest.raises(RecordingError, match="cannot be finished: File too large"):
            writer.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    writer.close()
    assert read(path)[0]


def test_closing_twice_is_closing_once(tmp_path):
    writer = RecordingWriter(tmp_path / "a.mcap")
    writer.write(Tick(1))
    writer.close()
    writer.close()
    assert read(tmp_path / "a.mcap") == ([Tick(1)], None)

"""Hubs without a network: order, positions, routing, receivers, and events that outlive the process."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latigo.sandbox.eventhub.codec import encode
from latigo.sandbox.eventhub.hub import NEVER, START, Hub, Partition, Position, PositionField, Receivers, Refused
from latigo.sandbox.eventhub.journal import open_hub
from latigo.sandbox.eventhub.messages import BATCH_FORMAT, Section, read_batch, read_message, section, split
from latigo.sandbox.eventhub.values import CodecError, Symbol, Timestamp

NOW = Timestamp(1_700_000_000_000)


def message(body: bytes) -> bytes:
    return section(Section.DATA, body)


def after(value: object, field: PositionField = PositionField.OFFSET, *, inclusive: bool = False) -> Position:
    return Position(field, str(value), inclusive)


@pytest.fixture
def partition() -> Partition:
    """Four events, a second apart."""
    filled = Partition(0)
    for number in range(4):
        filled.append(read_message(message(bytes(10 + number))), None, Timestamp(NOW + 1000 * number))
    return filled


# -- partitions ------------------------------------------------------------------------------------------------------


def test_a_partition_that_is_empty_says_so():
    empty = Partition(3)

    assert (empty.id, empty.last_sequence_number, empty.last_offset, empty.last_enqueued) == ("3", -1, "-1", NEVER)
    assert NEVER == -62_135_596_800_000  # the year 1


def test_sequence_numbers_count_events_and_offsets_count_bytes(partition):
    assert [event.sequence_number for event in partition.events] == [0, 1, 2, 3]
    sizes = [len(message(bytes(10 + number))) for number in range(3)]
    assert [event.offset for event in partition.events] == ["0", *(str(sum(sizes[: n + 1])) for n in range(3))]


def test_only_the_newest_events_are_kept_and_numbers_go_on():
    short, long = Partition(0, keep=3), Partition(0)
    for number in range(5):
        for each in (short, long):
            each.append(read_message(message(b"%d" % number)), None, Timestamp(NOW + number))

    assert short.events == long.events[2:]
    assert (short.begin.sequence_number, short.last_sequence_number) == (2, 4)
    assert (short.last_offset, short.begin.offset) == (long.last_offset, int(long.events[2].offset))
    assert short.index(after(long.events[0].offset)) == 0, "whoever is behind begins with the oldest"
    assert short.index(after(3, PositionField.SEQUENCE_NUMBER)) == 2
    assert [short.event(number) for number in (0, 2, 4)] == [long.events[2], long.events[2], long.events[4]]
    assert short.event(5) is None


def test_what_the_sender_wrote_is_kept_byte_for_byte():
    header = section(Section.HEADER, [True])
    properties = section(Section.PROPERTIES, [None] * 12 + ["group"])
    application = section(Section.APPLICATION_PROPERTIES, {"k": "v"})
    footer = section(Section.FOOTER, {Symbol("crc"): 7})
    body = message(b"one") + message(b"two")
    annotations = section(Section.MESSAGE_ANNOTATIONS, {Symbol("x-opt-own"): "kept"})
    for_us = section(Section.DELIVERY_ANNOTATIONS, {Symbol("hop"): 1})

    raw = header + annotations + properties + application + body + footer + for_us
    event = Partition(0).append(read_message(raw), "key", NOW)

    assert event.header == header
    kept = list(split(event.message))
    assert b"".join(part.raw for part in kept[1:]) == properties + application + body + footer
    assert kept[0].value() == {
        "x-opt-own": "kept",
        "x-opt-sequence-number": 0,
        "x-opt-offset": "0",
        "x-opt-enqueued-time": NOW,
        "x-opt-partition-key": "key",
    }
    assert (event.body, event.properties) == (b"onetwo", {"k": "v"})


@pytest.mark.parametrize(
    ("position", "index"),
    [
        (START, 0),
        (after("-1", inclusive=True), 0),
        (after("@latest"), 4),
        (after(0), 1),
        (after(0, inclusive=True), 0),
        (after(5), 1),  # between two events
        (after(2, PositionField.SEQUENCE_NUMBER), 3),
        (after(2, PositionField.SEQUENCE_NUMBER, inclusive=True), 2),
        (after(3, PositionField.SEQUENCE_NUMBER), 4),
        (after(NOW + 1000, PositionField.ENQUEUED_TIME), 2),
        (after(NOW + 1000, PositionField.ENQUEUED_TIME, inclusive=True), 1),
        (after(NOW + 60_000, PositionField.ENQUEUED_TIME), 4),  # a time may be in the future
    ],
)
def test_a_reader_begins_where_it_wants_to(partition, position, index):
    assert partition.index(position) == index


@pytest.mark.parametrize("position", [after(10_000), after(4, PositionField.SEQUENCE_NUMBER)])
def test_a_position_beyond_the_end_is_refused_unless_that_was_switched_off(partition, position):
    with pytest.raises(Refused, match=f"The supplied offset '{position.value}' is invalid. The last offset") as refusal:
        partition.index(position)

    assert refusal.value.condition == "com.microsoft:argument-error"
    assert partition.index(position, strict=False) == 4


def test_an_offset_of_a_hub_that_was_made_anew_is_beyond_its_end():
    with pytest.raises(Refused, match="The last offset in the system is '-1'"):
        Partition(0).index(after(0))


@given(st.lists(st.integers(0, 50)), st.integers(0, 40), st.booleans())
def test_a_reader_that_resumes_after_an_event_misses_none_and_repeats_none(sizes, stop, inclusive):
    partition = Partition(0)
    for size in sizes:
        partition.append(read_message(message(bytes(size))), None, NOW)

    for event in partition.events[:stop]:
        begins = event.sequence_number + (0 if inclusive else 1)
        assert partition.index(after(event.offset, inclusive=inclusive)) == begins
        by_number = after(event.sequence_number, PositionField.SEQUENCE_NUMBER, inclusive=inclusive)
        assert partition.index(by_number) == begins


@pytest.mark.parametrize(
    ("selector", "position"),
    [
        ("amqp.annotation.x-opt-offset > '-1'", START),
        ("amqp.annotation.x-opt-offset >= '17'", after(17, inclusive=True)),
        ("amqp.annotation.x-opt-sequence-number > '5'", after(5, PositionField.SEQUENCE_NUMBER)),
        ("amqp.annotation.x-opt-enqueued-time >= '99'", after(99, PositionField.ENQUEUED_TIME, inclusive=True)),
        ("amqp.annotation.x-opt-offset > '@latest'", after("@latest")),
    ],
)
def test_a_filter_is_a_position(selector, position):
    assert Position.parse(selector) == position


@pytest.mark.parametrize(
    "selector", ["", "1=1", "amqp.annotation.x-opt-offset > 5", "amqp.annotation.x-opt-other > '5'", "a'; DROP '"]
)
def test_any_other_filter_is_refused(selector):
    with pytest.raises(Refused, match="not a filter"):
        Position.parse(selector)


def test_an_offset_that_is_no_number_is_an_argument_error():
    with pytest.raises(Refused, match="invalid") as refusal:
        Position.parse("amqp.annotation.x-opt-offset > 'abc'")

    assert refusal.value.condition == "com.microsoft:argument-error"


# -- hubs ------------------------------------------------------------------------------------------------------------


def test_a_key_always_leads_to_the_same_partition_and_keys_spread():
    hub, again = Hub("h", 8, NOW), Hub("h", 8, NOW)
    keys = [f"model-{number}" for number in range(100)]

    assert [hub.route(key).id for key in keys] == [again.route(key).id for key in keys]
    assert {hub.route(key).id for key in keys} == {str(number) for number in range(8)}


def test_events_without_a_key_take_turns_batch_by_batch():
    hub = Hub("h", 3, NOW)

    for number in range(6):
        hub.publish([message(b"%d" % number)] * 2, NOW)

    assert [len(partition.events) for partition in hub.partitions] == [4, 4, 4]
    assert [event.body for event in hub["0"].events] == [b"0", b"0", b"3", b"3"]


def test_readers_are_notified_once_a_batch_is_complete():
    hub, reported = Hub("h", 1, NOW), []
    hub["0"].readers[lambda: reported.append(len(hub["0"].events))] = None

    hub.publish([message(b"a")] * 3, NOW)

    assert reported == [3]


def test_a_batch_is_kept_as_a_whole_or_not_at_all(tmp_path: Path):
    hub, journal = open_hub("h", 1, NOW, tmp_path)

    with pytest.raises(CodecError):
        hub.publish([message(b"well"), b"junk"], NOW)
    journal.close()

    again, journal = open_hub("h", 1, NOW, tmp_path)
    journal.close()
    assert (hub.events, again.events) == ([], [])


def test_a_partition_that_is_not_there_is_refused():
    with pytest.raises(Refused, match="no partition '9'"):
        Hub("h", 2, NOW).publish([message(b"")], NOW, partition="9")


def test_a_batch_holds_messages_in_its_data_sections():
    inner = [message(b"1"), message(b"2")]
    raw = section(Section.MESSAGE_ANNOTATIONS, {Symbol("x-opt-partition-key"): "k"}) + b"".join(map(message, inner))

    assert BATCH_FORMAT == 0x8001_3700
    assert read_batch(raw) == ({"x-opt-partition-key": "k"}, inner)


def test_what_is_no_message_is_refused():
    for raw in (b"junk", encode([1, 2]), section(Section.MESSAGE_ANNOTATIONS, "no map")):
        with pytest.raises(CodecError):
            read_message(raw)


# -- receivers -------------------------------------------------------------------------------------------------------


def test_the_last_of_equal_epochs_wins():
    receivers = Receivers[str]()

    assert receivers.admit("first", 0) == []
    assert receivers.admit("second", 0) == ["first"]
    assert receivers.admit("third", 5) == ["second"]


def test_a_lower_epoch_or_none_is_refused_while_a_higher_one_reads():
    receivers = Receivers[str]()
    receivers.admit("present", 5)

    for epoch in (4, None):
        with pytest.raises(Refused) as refusal:
            receivers.admit("late", epoch)
        assert refusal.value.condition == "amqp:link:stolen"

    receivers.leave("present")
    assert receivers.admit("late", None) == []


def test_five_read_without_an_epoch_and_one_with_an_epoch_drives_all_of_them_out():
    receivers = Receivers[str]()
    five = [f"receiver-{number}" for number in range(5)]

    assert [receivers.admit(each, None) for each in five] == [[]] * 5
    with pytest.raises(Refused) as refusal:
        receivers.admit("sixth", None)
    assert refusal.value.condition == "amqp:resource-limit-exceeded"
    assert receivers.admit("alone", 0) == five


def test_one_that_was_driven_out_and_leaves_then_changes_nothing():
    receivers = Receivers[str]()
    receivers.admit("first", 0)
    receivers.admit("second", 0)

    receivers.leave("first")

    with pytest.raises(Refused):
        receivers.admit("third", None)


# -- events in a file ------------------------------------------------------------------------------------------------


def test_a_hub_that_is_opened_again_is_the_same(tmp_path: Path):
    hub, journal = open_hub("h", 2, NOW, tmp_path)
    hub.publish([message(b"a"), message(b"b")], NOW, key="k")
    hub.publish([message(b"c")], Timestamp(NOW + 5), partition="1")
    journal.close()

    again, journal = open_hub("h", 2, Timestamp(NOW + 99), tmp_path)
    journal.close()

    assert [partition.events for partition in again.partitions] == [partition.events for partition in hub.partitions]
    assert again.created == NOW


def test_a_file_keeps_at_most_twice_the_events_of_its_hub_which_is_the_same_when_it_is_opened_again(tmp_path: Path):
    hub, journal = open_hub("h", 2, NOW, tmp_path, keep=10)
    annotated = section(Section.MESSAGE_ANNOTATIONS, {Symbol("x-opt-own"): "kept"})
    sizes = []
    for number in range(200):
        hub.publish([annotated + message(bytes(1000))], Timestamp(NOW + number), key=f"key {number % 7}")
        (file,) = tmp_path.iterdir()
        sizes.append(file.stat().st_size)
    journal.close()

    again, journal = open_hub("h", 2, NOW, tmp_path, keep=10)
    assert [partition.events for partition in again.partitions] == [partition.events for partition in hub.partitions]
    assert again["1"].begin == hub["1"].begin
    assert again["1"].begin.sequence_number > 0
    assert 20_000 < max(sizes) < 50_000, "of 200 000"
    again.publish([message(b"next")], NOW, partition="1")
    journal.close()

    assert again["1"].events[-1].sequence_number == hub["1"].last_sequence_number + 1


def test_a_record_that_was_cut_off_is_dropped_and_the_next_one_stands_in_its_place(tmp_path: Path):
    hub, journal = open_hub("h", 1, NOW, tmp_path)
    hub.publish([message(b"whole")], NOW)
    hub.publish([message(b"torn")], NOW)
    journal.close()
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:-3])

    again, journal = open_hub("h", 1, NOW, tmp_path)
    assert [event.body for event in again.events] == [b"whole"]
    again.publish([message(b"next")], NOW)
    journal.close()

    once_more, journal = open_hub("h", 1, NOW, tmp_path)
    journal.close()
    assert [event.body for event in once_more.events] == [b"whole", b"next"]


def test_a_file_of_another_number_of_partitions_is_refused(tmp_path: Path):
    _, journal = open_hub("h", 4, NOW, tmp_path)
    journal.close()

    with pytest.raises(ValueError, match="of 4 partitions, not of 8"):
        open_hub("h", 8, NOW, tmp_path)


def test_a_hub_that_was_deleted_leaves_nothing(tmp_path: Path):
    hub, journal = open_hub("h", 1, NOW, tmp_path)
    hub.publish([message(b"gone")], NOW)

    journal.remove()

    assert list(tmp_path.iterdir()) == []

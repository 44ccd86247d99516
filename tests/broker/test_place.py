"""What is committed with an offset, and what is read back of it."""

from __future__ import annotations

import pytest

from monitor.broker.client import CommittedOffset
from monitor.broker.place import CommittedPlace, known_partitions, places
from monitor.records.record import Checkpoint
from monitor.records.stream_time import StreamTime

OLD_CLOCK = StreamTime.at(1_764_489_600_000)


def read(metadata, offset=7):
    return CommittedPlace.committed(CommittedOffset(offset, metadata))


@pytest.mark.parametrize("stream_time", [None, StreamTime.at(0), StreamTime(7, -9, 3, 2, 1, -5, 4)])
@pytest.mark.parametrize("read_from", [0, 3, 7])
@pytest.mark.parametrize("partitions", [0, 4])
def test_a_place_is_committed_whole(stream_time, read_from, partitions):
    place = CommittedPlace(7, stream_time, read_from)
    committed = place.to_commit(partitions)
    assert (committed.offset, CommittedPlace.committed(committed)) == (7, place)
    assert known_partitions(committed.metadata) == partitions


def test_where_nothing_is_read_again_the_metadata_are_those_of_older_versions():
    assert CommittedPlace.at(7, StreamTime.at(5)).to_commit(2).metadata == "clock=5,0,5,5,0,0,0 of=2;"


def test_what_an_older_version_reads_stays_in_front():
    assert CommittedPlace(7, StreamTime.at(5), 3).to_commit(2).metadata == "clock=5,0,5,5,0,0,0 of=2;from=3;"


@pytest.mark.parametrize("after", ["\0", "7", " of=3;", "\n\u00a3", "\0from=1;"])
@pytest.mark.parametrize("read_from", [3, 7])
def test_what_a_client_adds_to_the_metadata_is_not_read(after, read_from):
    metadata = CommittedPlace(7, OLD_CLOCK, read_from).to_commit(2).metadata + after
    assert read(metadata) == CommittedPlace(7, OLD_CLOCK, read_from)
    assert known_partitions(metadata) == 2


@pytest.mark.parametrize("metadata", ["clock=1764489600000", "clock=1764489600000\0", "clock=1764489600000 of=2;\0"])
def test_the_metadata_of_an_older_version_is_read(metadata):
    assert read(metadata) == CommittedPlace.at(7, OLD_CLOCK)


@pytest.mark.parametrize(
    "metadata",
    [
        *("", ";", "x", "clock=;", "clock=x;", "clock=1.5;", f"clock={10**39};", "clock=17644896000007"),
        *(";from=-1;", ";from=3", f";from={10**18};", f";from={10**30};", ";from=7;", "from=3;"),
    ],
)
def test_metadata_of_somebody_else_has_no_clock_and_lets_nothing_be_read_again(metadata):
    assert read(metadata) == CommittedPlace.at(7)


def test_the_places_of_a_checkpoint_are_those_of_its_offsets():
    given = Checkpoint(offsets={0: 7, 1: 8}, stream_times={0: OLD_CLOCK, 2: OLD_CLOCK}, read_from={1: 3, 0: 9, 2: 1})
    assert places(given) == {0: CommittedPlace(7, OLD_CLOCK, 7), 1: CommittedPlace(8, None, 3)}

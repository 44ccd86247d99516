"""Which sources are known, from the rows of both topics."""

from __future__ import annotations

import numpy as np

from monitor.alarms.episode_state import encode
from monitor.alarms.known_sources import KnownSources
from monitor.alarms.rule import QUIET, EpisodeState, SourceState
from monitor.profiles import Profiles
from monitor.records.record import GROUP_HEADER
from tests.profiles.beats_of_sources import played

OWN, OTHER = ((GROUP_HEADER, b"ward"),), ((GROUP_HEADER, b"other"),)
NOW_MS = 1_800_000_000_000
OPEN = EpisodeState(7, 5, 0, opened_offset=12, opened_at=NOW_MS - 65_000, flagged_beats=3, seen_beats=5, cause=1)


def state(episode):
    return encode(SourceState((episode, QUIET), NOW_MS, 17))


def profile(kinds):
    profiles = Profiles(120.0)
    row, _ = played(profiles, kinds)
    return profiles.encode(np.array([row]))[0]


def known(states=(), profiles=()):
    found = KnownSources("ward")
    for place, value, *headers in states:
        found.take_state(place, value, headers[0] if headers else OWN, NOW_MS)
    for place, value, *headers in profiles:
        found.take_profile(place, value, headers[0] if headers else OWN, NOW_MS - 1000)
    return {(one.partition, one.source): one for one in found}


def test_a_source_is_known_by_its_profile_or_by_its_state_in_each_partition():
    found = known(
        states=[((0, b"a"), state(OPEN)), ((1, b"a"), state(EpisodeState(recent=1, length=1, cause=1)))],
        profiles=[((0, b"a"), profile("N" * 50)), ((0, b"b"), profile("N" * 200))],
    )
    assert {place: one.profile for place, one in found.items()} == {
        (0, "a"): "learning",
        (0, "b"): "learned",
        (1, "a"): None,
    }
    assert [alarm.kind for alarm in found[0, "a"].alarms] == ["physiological"]
    assert found[1, "a"].alarms == ()
    assert [found[0, name].written_ms for name in ("a", "b")] == [NOW_MS, NOW_MS - 1000]


def test_what_was_deleted_or_is_of_another_group_or_has_an_impossible_name_is_not_known():
    found = known(
        states=[((0, b"a"), state(OPEN)), ((0, b"a"), None), ((0, b"b"), state(OPEN), OTHER)],
        profiles=[((0, b"c"), profile("N" * 50)), ((0, b"c"), None), ((0, b"\xff"), b""), ((0, b"x" * 257), b"")],
    )
    assert found == {}


def test_a_profile_that_cannot_be_read_counts_as_none():
    found = known(profiles=[((0, b"a"), b"junk")])
    assert (found[0, "a"].profile, found[0, "a"].last_ms) == (None, -1)


def test_a_source_for_programs_names_its_alarms_and_its_last_beat():
    (one,) = known(states=[((3, b"a"), state(OPEN))]).values()
    assert one.fields("ecg.beats") == {
        "schema": 1,
        "source": "a",
        "topic": "ecg.beats",
        "partition": 3,
        "profile": None,
        "last_beat": "2027-01-15T08:00:00.000Z",
        "written_at": "2027-01-15T08:00:00.000Z",
        "alarms": [
            {
                "id": "physiological:ecg.beats:3:12",
                "presence": "on",
                "kind": "physiological",
                "priority": "medium",
                "cause": "unusual-shape",
            }
        ],
    }

"""The load is the same for the same seed, has beats of every kind, and its bad records are all refused."""

from __future__ import annotations

import random
from collections import Counter
from itertools import islice, pairwise

import pytest

from monitor.beats import parse
from tests.beats.test_parse import FLOAT32
from tests.chaos.bad_records import KINDS, bad_records
from tests.chaos.cluster import java_hash
from tests.chaos.load import FLAT_BEAT, GOOD, BeatPool, Load, records
from tests.fakes import records as polled

STOCK = BeatPool((([b"normal"], [b"abnormal"], [FLAT_BEAT]),))
LOAD = Load(beats=3000, sources=20, bad=120, seed=7)


def kinds_of(load):
    return Counter(dict(message.headers)["kind"].decode() for message, _ in records(STOCK, load, "beats"))


def test_one_seed_makes_the_same_records_and_another_one_others():
    first, again, other = ([one for one, _ in records(STOCK, Load(500, 20, 10, seed), "beats")] for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_the_load_has_as_many_beats_and_bad_records_as_were_asked_for():
    kinds = kinds_of(LOAD)
    assert kinds[GOOD] == LOAD.beats
    assert kinds.total() == LOAD.beats + LOAD.bad
    assert len(kinds) == KINDS + 1


def test_the_load_has_episodes_of_every_kind_and_times_slightly_out_of_order():
    good = [(message, at) for message, at in records(STOCK, LOAD, "beats") if message.headers[0][1] == b"good"]
    assert Counter(message.value for message, _ in good).keys() == {b"normal", b"abnormal", FLAT_BEAT}
    times = [at for _, at in good]
    assert 0 < sum(later < earlier for earlier, later in pairwise(times)) < len(times) / 5
    own = [[at for message, at in good if message.key == source] for source in {message.key for message, _ in good}]
    assert max(later - earlier for one in own for earlier, later in pairwise(one)) > 10_000


@pytest.mark.parametrize("seed", range(3))
def test_junk_is_refused_whatever_the_seed(seed):
    found = list(islice(bad_records(random.Random(seed)), 500))
    assert len({kind for kind, _, _ in found}) == KINDS >= 40
    batch = polled([value for _, _, value in found], keys=[key for _, key, _ in found])
    beats, rejected = parse.parse(batch)
    assert [found[offset] for offset in beats.offset.tolist()] == []
    assert {one.reason for one in rejected} == set(parse.REASONS)
    assert not parse.parse(polled([FLOAT32]))[1]


def test_names_are_hashed_as_java_does():
    assert java_hash("abc") == 96354
    assert java_hash("polygenelubricants") == -(2**31)

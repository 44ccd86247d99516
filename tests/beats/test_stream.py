"""How beats out of files become messages."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from monitor.beats import parse, stream
from monitor.beats.stream import PublishPlan, StoredBeats
from monitor.errors import RefusedError
from tests.fakes import records

STOCK = StoredBeats(np.arange(3 * 140, dtype=np.float32).reshape(3, 140), np.array([False, True, False]))


def deal(plan, stock=STOCK, count=None):
    return list(itertools.islice(stream.messages(stock, "beats", plan), count))


def test_beats_are_assigned_to_the_sources_in_turn_with_their_label():
    found = [message for message, _ in deal(PublishPlan(sources=2))]
    assert [message.key for message in found] == [b"source-00000", b"source-00001", b"source-00000"]
    assert [message.headers[0][1] for message in found] == [b"normal", b"abnormal", b"normal"]


@pytest.mark.parametrize("form", ["float32", "json"])
def test_what_is_published_is_what_the_monitor_reads(form):
    values = [message.value for message, _ in deal(PublishPlan(form=form))]
    beats, rejected = parse.parse(records(values))
    assert not rejected
    assert (beats.samples == STOCK.samples).all()


def test_each_source_begins_at_the_start_and_beats_75_times_a_minute():
    assert [stamp for _, stamp in deal(PublishPlan(sources=2, start_ms=1000))] == [1000, 1000, 1800]
    assert [stamp for _, stamp in deal(PublishPlan(sources=2))] == [None] * 3


def test_a_shuffle_is_drawn_from_its_seed():
    values = [[message.value for message, _ in deal(PublishPlan(shuffle=seed))] for seed in (1, 1, None)]
    assert values[0] == values[1]
    assert sorted(values[0]) == sorted(values[2])
    assert values[0] != values[2]


def test_a_loop_begins_again():
    found = [message.value for message, _ in deal(PublishPlan(loop=True), count=5)]
    assert found[3:] == found[:2]


def test_files_with_and_without_labels_are_not_mixed(tmp_path):
    np.savetxt(tmp_path / "one.csv", np.random.default_rng(0).normal(size=(2, 140)), delimiter=",")
    np.savetxt(tmp_path / "two.csv", np.c_[np.random.default_rng(0).normal(size=(2, 140)), [0, 1]], delimiter=",")
    assert len(stream.load((tmp_path / "one.csv", tmp_path / "one.csv")).samples) == 4
    with pytest.raises(RefusedError, match="some of the files have labels"):
        stream.load((tmp_path / "one.csv", tmp_path / "two.csv"))

"""The bench measures what it says: the load, the time, and the report of a contender that cannot run."""

from __future__ import annotations

import pytest

from bench import throughput
from bench.case import BenchResult, Case, Meter
from bench.run import RunFailure, run
from bench.topic_load import Load, beats
from monitor.beats import beat_file
from monitor.beats.stream import encode

CASE = Case("127.0.0.1:1", "bench", "group", "no model", beats=30, seconds=60.0)


def test_two_in_a_hundred_beats_are_abnormal_and_sources_take_turns(ecg_data):
    file = ecg_data / "ECG5000_TEST.tsv"
    stock = beat_file.read(file)
    abnormal = {encode(samples, "float32") for samples in stock.samples[stock.abnormal]}
    load = Load(beats=50_000, sources=60)
    keys, values, stamps, _ = zip(*beats(file, load), strict=True)
    assert sum(value in abnormal for value in values) / load.beats == pytest.approx(0.02, rel=0.05)
    assert len(set(keys)) == load.sources
    assert keys[: load.sources] == keys[load.sources : 2 * load.sources]
    assert stamps[load.sources] - stamps[0] == 800


def test_the_first_batch_is_not_counted_in_the_rate_and_the_last_one_ends_it():
    found = []
    meter = Meter(CASE, found.append)
    for size in (10, 0, 10):
        meter.note(size, 1)
    assert found == []
    meter.note(10, 1)
    (result,) = found
    assert (result.beats, result.judged, result.abnormal) == (20, 30, 3)


@pytest.mark.slow
def test_a_contender_that_cannot_run_is_reported_with_its_reason():
    failure = run("scoring", CASE)
    assert isinstance(failure, RunFailure)
    assert "no model" in failure.reason


def test_ratios_are_of_medians_and_a_failure_stands_in_the_table():
    ours = [BenchResult(rate, 1.0, 0.1, 0, 1) for rate in (100, 200, 900)]
    rows = throughput.rows(
        {
            "monitor": ours,
            "record": ours[:1],
            "faust": [RunFailure("no such module")],
            "bytewax": [ours[1], RunFailure("too slow")],
        }
    )
    by_name = {row.name: row for row in rows}
    assert by_name["record"].ratio == pytest.approx(2.0)
    assert (by_name["record"].ratio_low, by_name["record"].ratio_high) == (1.0, 1.0)
    assert by_name["bytewax"].ratio_high == 0.5
    table = throughput.table({"60 sources": rows})
    assert "| faust-streaming, take_events | failed: no such module |" in table
    assert "| bytewax, flat_map_batch (1 rounds failed: too slow) | **0.2** " in table
    assert "| this monitor, exactly once | **0.2** " in table

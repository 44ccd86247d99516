"""What `backtest` says about recordings is what the loop does with their beats: the same alarms at the same beats."""

from __future__ import annotations

import orjson
import pytest

from monitor.backtest import BacktestPlan, backtest
from monitor.beats.beat import encode
from monitor.beats.noise_header import noise_headers
from monitor.beats.window import R_CENTRED
from monitor.broker import MemoryBroker, MemoryCluster
from monitor.commands import milliseconds_of
from monitor.pipeline.personal import PersonalJudge, episode_rule
from monitor.recordings import lead_names, open_recording
from monitor.recordings.lead_choice import usual_lead
from monitor.recordings.player import segmenter_of, segments_of
from monitor.records.record import Message
from monitor.settings import Settings
from tests.pipeline.test_loop import Bench
from tests.recordings import mitdb

START_MS = 1_700_000_000_000
SETTINGS = {"group_id": "ward", "batch_size": 2048, "latch_high": False}  # an alarm for each episode, as in a backtest


class LoopBroker(MemoryBroker):
    is_behind = False


@pytest.mark.slow
@pytest.mark.parametrize("name", ["105", "108", "109", "208"])
def test_alarms_of_the_loop_are_those_of_a_backtest_beat_for_beat(name):
    path = mitdb.folder() / name
    recording = open_recording(path, lead=usual_lead(lead_names(path)))
    expected = backtest(recording, BacktestPlan(("normal",)))
    runs = sorted(round(1000 * one.start) for episode in expected.episodes for one in episode.stretches)
    told, may_be_raised = told_of(recording)
    assert set(told) <= set(runs) <= {*told, *may_be_raised}


def told_of(recording):
    """When the loop tells of runs, ms since the first sample: by an opening or by an `updated` alone; and by one that
    comes with a higher priority, which a run that goes on has too.
    """
    settings = Settings(**SETTINGS)
    cluster = MemoryCluster(settings)
    for found in segments_of(recording, segmenter_of(recording, R_CENTRED)):
        for second, samples, noise in zip(found.time, found.samples, found.noise, strict=True):
            message = Message("ecg.beats", b"bed", encode(samples, "float32"), noise_headers(float(noise)))
            cluster.publish(message, START_MS + round(1000 * second))
    broker = LoopBroker(cluster, profiles=True)
    rule = episode_rule(settings, profiles=True)
    bench = Bench(broker=broker, personal=PersonalJudge(settings), episode_rule=rule, **SETTINGS)
    while any(bench.turn().broker.lag().values()):
        pass
    bench.turn(3)
    told, raised, priority = [], [], {}
    for alert in (orjson.loads(one.value) for one in cluster.messages("ecg.alerts")):
        is_raised = alert["event"] == "updated" and alert["priority"] != priority[alert["id"]]
        priority[alert["id"]] = alert["priority"]
        if (alert["decided_by"], alert["cause"]) == ("personal", "unusual-shape") and alert["event"] != "closed":
            (raised if is_raised else told).append(milliseconds_of(alert["beat_time"]) - START_MS)
    return told, raised

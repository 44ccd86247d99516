"""A ward for tests of the life of alarms: a cluster, and the members that judge its beats, one after the other."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import orjson

from monitor.alarms import control_message
from monitor.alarms.rule import BeatFlags, EpisodeRule
from monitor.broker import MemoryBroker, MemoryCluster
from monitor.pipeline.personal import PersonalJudge, PersonalVerdicts
from monitor.records.record import Message
from monitor.settings import Settings
from tests.pipeline.test_loop import ABNORMAL, FLAT, NORMAL, Bench

RULE = EpisodeRule(3, 5, 5, 60_000, merge_ms=20_000)
BED = b"bed 7"
START_MS = 1_700_000_000_000
LOW_SCORE, AGAIN_SCORE, HIGH_SCORE = 4.0, 5.0, 6.0
LOW, AGAIN, HIGH = (
    np.linspace(-score, score, 140, dtype="<f4").tobytes() for score in (LOW_SCORE, AGAIN_SCORE, HIGH_SCORE)
)
BEATS = {"N": NORMAL, "V": ABNORMAL, "L": LOW, "R": AGAIN, "H": HIGH, "F": FLAT}


class Member(MemoryBroker):
    """A member that never works on two batches at once."""

    is_behind = False

    def __init__(self, cluster):
        super().__init__(cluster)
        self.checkpoints = []

    def deliver(self, checkpoint):
        self.checkpoints.append(checkpoint)
        super().deliver(checkpoint)


class RunJudge(PersonalJudge):
    """Takes each LOW, AGAIN or HIGH beat for a run of three, AGAIN for one that begins. The model judges the others."""

    def judge(self, judged, own_threshold):
        del own_threshold
        run = np.nan_to_num(judged.score) >= LOW_SCORE
        flags = BeatFlags.of_population(judged.abnormal & ~run, judged.cause_code)
        priority = np.where(run, 2 * (judged.score >= HIGH_SCORE), flags.priority).astype(np.int8)
        frequent = (run & (judged.score == AGAIN_SCORE)).astype(np.int8)
        flags = replace(flags, run=np.where(run, 3, 0).astype(np.int32), priority=priority, frequent=frequent)
        return replace(PersonalVerdicts.of_population(judged), flags=flags)


class Ward:
    """Beats a second apart: N normal, V abnormal (three open an alarm of medium priority); L, R, H open one alone."""

    def __init__(self, **changes):
        self._changes = {"group_id": "ward"} | changes
        self.settings = Settings(**self._changes)
        self.cluster = MemoryCluster(self.settings)
        self.sent = 0
        self.bench = None
        self.kill()

    def kill(self):
        """The member dies, and another one begins."""
        if self.bench is not None:
            self.cluster.evict(self.bench.broker)
        judge = RunJudge(self.settings, writes=False)
        self.bench = Bench(broker=Member(self.cluster), episode_rule=RULE, personal=judge, **self._changes)
        return self

    def beats(self, kinds, source=BED):
        for kind in kinds:
            self.cluster.publish(Message("ecg.beats", source, BEATS[kind]), START_MS + 1000 * self.sent)
            self.sent += 1
        return self

    def acknowledge(self, opened, by="nurse", source="bed 7", note="seen", kind="physiological"):
        value = control_message.encode_acknowledgement(f"{kind}:ecg.beats:0:{opened}", by, START_MS, note)
        self.cluster.publish(Message("ecg.control", control_message.acknowledge_key(kind, source), value))
        return self

    def pause(self, seconds, source="bed 7", since=None):
        """Pause from the next beat on, or from so many seconds on, for so long; None: until resumed."""
        since_ms = START_MS + 1000 * (self.sent if since is None else since)
        until_ms = None if seconds is None else since_ms + 1000 * seconds
        value = control_message.encode_pause("nurse", since_ms, until_ms, "")
        self.cluster.publish(Message("ecg.control", control_message.pause_key(source), value))
        return self

    def resume(self, source="bed 7"):
        value = control_message.encode_pause("nurse", START_MS, None, "", is_on=False)
        self.cluster.publish(Message("ecg.control", control_message.pause_key(source), value))
        return self

    def turn(self, times=4):
        self.bench.turn(times)
        return self

    def alerts(self):
        return [orjson.loads(one.value) for one in self.cluster.messages(self.settings.alerts_topic)]

    def told(self):
        """Each event with who has acknowledged the alarm then."""
        return [(one["event"], one["acknowledged"] and one["acknowledged"]["by"]) for one in self.alerts()]

    def presences(self):
        """Each event with the presence and the priority of its alarm."""
        return [(one["event"], one["presence"], one["priority"]) for one in self.alerts()]

"""What beats count for before their sources have profiles: whether the model knows the lead is asked first."""

from __future__ import annotations

import numpy as np

from monitor.alarms.judged import JudgedBeats
from monitor.alarms.recent.technical import DOES_NOT_FIT, TECHNICAL_CAUSES
from monitor.alarms.rule import NOT_JUDGED
from monitor.pipeline import personal as judging
from monitor.pipeline.personal import PersonalJudge
from monitor.profiles.exchange import Places
from monitor.profiles.sources import SourceProfiles
from monitor.records.record import Assigned
from monitor.records.stream_time import StreamTime
from monitor.settings import Settings
from tests.profiles.beats_of_sources import normal
from tests.profiles.partitions import beats_of

SETTINGS = Settings(group_id="ward")
START_MS = 1_700_000_000_000
FAR = 10_000  # an offset at which every row is due


def judge(model="model-1", rows=(), offset=0):
    personal = PersonalJudge(SETTINGS, model)
    personal.assign(0, Assigned(offset, StreamTime.at(START_MS), {}, atomic=True, profiles=dict(rows)), {}, {})
    return personal


def flags(personal, verdicts, names=None, first=0):
    """What beats of a partition count for, `A` abnormal and `.` not by the model; of one source, or of these."""
    count = len(verdicts)
    offset = first + np.arange(count)
    beats = beats_of(names or [b"bed"] * count, offset, START_MS + 800 * offset, np.tile(normal(), (count, 1)))
    abnormal, none = np.array([one == "A" for one in verdicts]), np.full(count, np.nan, np.float32)
    columns = np.zeros(count), np.zeros(count), abnormal, TECHNICAL_CAUSES, np.zeros(count, np.int8), none
    found = personal.judge(JudgedBeats(beats, none, *columns, ~abnormal), np.zeros(count, np.bool_)).flags
    return "".join({NOT_JUDGED: "?", DOES_NOT_FIT: "x"}.get(one, ".A"[flag]) for one, flag in columns_of(found))


def columns_of(found):
    return zip(found.unscorable.tolist(), found.abnormal.tolist(), strict=True)


def stored(personal):
    """The rows that a monitor wrote."""
    messages = personal.messages({0: FAR}, {0: StreamTime.at(START_MS)}).messages
    return {one.key: one.value for one in messages}


def test_the_first_twelve_beats_say_whether_the_model_knows_the_lead():
    assert flags(judge(), "A" + "." * 11 + "A.A") == "?" * 11 + ".A.A"
    assert flags(judge(), "A" * 14 + ".." * 5 + "AA") == "?" * 11 + "x" * 12 + ".AA"


def test_what_is_known_of_a_model_is_stored_and_another_model_is_asked_again():
    first = judge()
    flags(first, "." * 14)
    rows = stored(first)
    assert list(rows) == [b"bed"]
    assert flags(judge("model-1", rows, FAR), "AAA", first=FAR) == "AAA"
    assert flags(judge("model-2", rows, FAR), "AAA", first=FAR) == "???"


def test_a_source_that_waits_to_learn_is_judged_once_the_model_is_known_to_fit(monkeypatch):
    monkeypatch.setattr(
        judging, "SourceProfiles", lambda *given, **named: SourceProfiles(*given, Places(1, 1), **named)
    )
    personal = judge()
    flags(personal, "." * 14)
    fits, misfit = [b"fits"] * 14, [b"upside down"] * 14
    assert flags(personal, "." * 12 + "AA", fits, 14) == "?" * 11 + ".AA"
    assert flags(personal, "A" * 14, misfit, 28) == "?" * 11 + "xxx"
    assert flags(personal, "AAA", [b"fits", b"upside down", b"bed"], 42) == "AxA"
    personal.revoke(0)
    personal.assign(0, Assigned(45, StreamTime.at(START_MS), {}, atomic=True), {}, {})
    assert flags(personal, "AA", [b"bed", b"fits"], 45) == "??"

"""`Playback`: recordings become messages of several beds."""

from __future__ import annotations

import io
import math

import numpy as np
import pytest

from monitor.beats.plausible import NO_BEATS
from monitor.broker import TimeLimits
from monitor.errors import RecordingError, RefusedError
from monitor.publishing.playback import Playback, PlaybackPlan, open_all, source_names
from monitor.publishing.status_line import StatusLine
from monitor.recordings.player import StartChoice
from tests.clocks import ManualClock
from tests.messages import check_beat
from tests.recordings.leads import recording
from tests.recordings.test_segmenter import segments

NO_LIMITS = TimeLimits(None, None)
PLAN = PlaybackPlan()


def played(recordings, plan=PLAN, clock=None, limits=NO_LIMITS):
    """Messages with their times, and when each was sent; what stood on the status line; and the result."""
    clock, status = clock or ManualClock(), io.StringIO()
    player = Playback(recordings, plan, limits, clock.clock)
    line = StatusLine(status, clock.clock.monotonic)
    sent = [(*item, clock.wall) for item in player.messages("ecg.beats", lambda: None, line)]
    for message, *_ in sent:
        check_beat(message)
    return sent, status.getvalue().splitlines(), player.result()


def test_every_beat_is_a_message_under_the_name_of_its_bed():
    whole, peaks = recording(symbols="NV" * 20)
    sent, _, result = played([whole], PlaybackPlan(sources=("bed-7",), with_annotations=True))
    assert [message.key for message, *_ in sent] == [b"bed-7"] * len(peaks)
    assert all(len(message.value) == 560 for message, *_ in sent)
    assert [name for name, _ in sent[1][0].headers] == ["noise", "annotation"]
    assert sent[1][0].headers[-1] == ("annotation", b"V")
    assert result == [f"bed-7: 00:00:30 of 00:00:30, {len(peaks)} beats"]


def test_annotations_are_left_out_unless_they_are_asked_for():
    sent, *_ = played([recording(symbols="N" * 40)[0]])
    assert {name for message, *_ in sent for name, _ in message.headers} == {"noise"}


@pytest.mark.parametrize("form", ["float32", "json"])
def test_the_noise_before_a_beat_goes_along_as_text_where_it_is_known(form):
    whole, _ = recording()
    sent, *_ = played([whole], PlaybackPlan(form=form))
    noise = segments(whole.samples).noise
    assert np.isnan(noise[0])
    assert sent[0][0].headers == ()
    assert [np.float32(dict(message.headers)["noise"]) for message, *_ in sent[1:]] == noise[1:].tolist()


@pytest.mark.parametrize("speed", [1.0, 10.0])
def test_a_beat_is_sent_when_it_is_due_and_never_before_its_time(speed):
    clock = ManualClock(wall=2_000_000_000.0)
    sent, _, _ = played([recording(rate=60)[0]], PlaybackPlan(speed=speed, start=StartChoice("now")), clock)
    gaps = np.diff([when for *_, when in sent])
    assert gaps == pytest.approx([1 / speed] * len(gaps), abs=0.03)
    assert all(time_ms <= 1000 * when + 1 for _, time_ms, when in sent)


def test_progress_is_the_recorded_time_also_where_no_beat_is():
    whole, _ = recording(60.0)
    whole.signal.samples[2500:10_000] = np.nan
    _, status, _ = played([whole], PlaybackPlan(speed=1.0, sources=("bed-7",)))
    assert [line.split(",")[0] for line in status] == [f"bed-7: 00:00:{at} of 00:01:00" for at in (10, 20, 30, 40, 50)]


def test_several_beds_share_a_line_of_progress():
    recordings = [recording(name=name)[0] for name in ("a", "b")]
    sent, status, _ = played(recordings, PlaybackPlan(speed=1.0))
    assert status[0].startswith("2 beds: 00:00:10 of 00:00:30, ")
    assert {message.key for message, *_ in sent} == {b"a-II", b"b-II"}


def test_a_lead_without_beats_is_remarked_on():
    whole, _ = recording()
    whole.signal.samples[:] = 0.0
    assert played([whole])[2] == [f"100-II: 00:00:30 of 00:00:30, 0 beats: 100.edf: {NO_BEATS}"]


def test_beats_that_are_too_high_for_an_ecg_are_remarked_on():
    whole, _ = recording()
    whole.signal.samples[:] *= 1000.0
    assert "mV are expected of an ECG: look at the unit (--unit)" in played([whole])[2][1]


def test_a_file_that_ends_too_early_is_an_error_after_its_beats():
    player = Playback([recording(is_damaged=True)[0]], PlaybackPlan(), NO_LIMITS, ManualClock().clock)
    messages = player.messages("ecg.beats", lambda: None, StatusLine(io.StringIO()))
    found = []
    with pytest.raises(RecordingError, match="ends too early"):
        found.extend(messages)
    assert len(found) > 10
    seconds = (found[-1][1] - player.timetable.first_ms) / 1000
    assert player.published() == f"published before: 100-II: 00:00:{int(seconds)} of 00:00:30, {len(found)} beats"


def test_times_that_the_topic_does_not_take_are_refused_before_the_first_beat():
    plan = PlaybackPlan(start=StartChoice("time", 2_000_000_000_000))
    with pytest.raises(RefusedError, match="give an earlier --start"):
        played([recording()[0]], plan, ManualClock(wall=1_999_990_000.0), TimeLimits(None, 3_600_000))


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (("bed",), "1 sources for 2 recordings"),
        (("bed", "bed"), "2 leads have the source 'bed'"),
        (("bed", ""), "a source has 0 bytes"),
        (("bed", "b" * 257), "a source has 257 bytes"),
        (("bed", "\udcff"), "is not valid text"),
        (("bed", "b\x1b[1m"), "not printable: name another with --source"),
        (("bed", "b\u202ea"), "not printable: name another with --source"),
    ],
)
def test_sources_that_cannot_be_kept_apart_are_refused(given, sentence):
    with pytest.raises(RefusedError, match=sentence):
        source_names([recording()[0], recording()[0]], given)


def test_the_number_of_leads_must_fit(tmp_path):
    with pytest.raises(RefusedError, match="2 leads for 3 recordings"):
        open_all([tmp_path] * 3, PlaybackPlan(leads=("I", "II")))


def test_a_speed_of_infinity_waits_for_nothing():
    clock = ManualClock()
    sent, _, _ = played([recording()[0]], PlaybackPlan(speed=math.inf), clock)
    assert {when for *_, when in sent} == {clock.wall}

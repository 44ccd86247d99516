"""`LiveSignal`: beats with the times of their R peaks, by the clock of this machine."""

from __future__ import annotations

import numpy as np
import pytest

from monitor.errors import RecordingError
from monitor.recordings.live_signal import LiveSignal
from monitor.recordings.sample_decoder import decoder
from tests.recordings.test_segmenter import HZ, lead, segments

STARTED = 5000.0


def signal():
    return LiveSignal(HZ, decoder("float32", 1.0))


def played(live, samples, chunk, delay=0.0):
    """Feed samples as a device sends them; gives the beats and when each came out."""
    found, out = [], []
    for start in range(0, len(samples), chunk):
        piece = samples[start : start + chunk]
        now = STARTED + (start + len(piece)) / HZ + delay
        beats = live.feed(piece.astype("<f4").tobytes(), now)
        found.append(beats)
        out += [now] * len(beats)
    end = STARTED + len(samples) / HZ + delay
    found += [live.end_of_input(end), live.finish(end)]
    times = np.concatenate([beats.time for beats in found])
    return times, np.array(out + [end] * (len(times) - len(out)))


@pytest.mark.parametrize("chunk", [1, 100, 250])
def test_beats_come_out_within_3_seconds_with_the_time_of_their_r_peak(chunk):
    samples, peaks = lead()
    times, out = played(signal(), samples, chunk)
    assert times == pytest.approx(STARTED + peaks, abs=0.03)
    assert (out - times).max() < 3 + chunk / HZ
    assert (out >= times).all()


def test_the_beats_are_those_of_the_segmenter():
    samples, _ = lead()
    samples = samples.astype("<f4")
    live = signal()
    found = [live.feed(samples.tobytes(), STARTED), live.finish(STARTED)]
    beats = np.concatenate([one.samples for one in found if len(one)])
    assert beats == pytest.approx(segments(samples.astype(np.float64)).samples)
    assert (live.beats, live.seconds) == (len(beats), 30.0)


def test_times_never_fall_and_are_never_ahead_of_the_clock_whatever_comes():
    samples, _ = lead(120.0)
    live, now, times = signal(), STARTED, []
    for number, piece in enumerate(np.split(samples, 240)):
        now += (0.0, 2.0, 0.1, 7.0)[number % 4] if number > 60 else 0.5
        times += [(time, now) for time in live.feed(piece.astype("<f4").tobytes(), now).time]
    assert all(time <= came for time, came in times)
    assert [time for time, _ in times] == sorted(time for time, _ in times)


def test_a_rate_that_is_none_of_an_ecg_is_refused():
    with pytest.raises(RecordingError, match="standard input: 10 Hz"):
        LiveSignal(10.0, decoder("text", 1.0))

"""`LiveFeed`: beats of a signal on standard input, whatever Kafka does."""

from __future__ import annotations

import io
import os
import re
from contextlib import closing

import numpy as np
import pytest

from monitor.beats.window import R_CENTRED
from monitor.broker import BufferedPublisher
from monitor.broker.client import ClientError, Failure
from monitor.errors import BrokerError, RecordingError, RefusedError
from monitor.publishing.live import LiveFeed, LiveTarget, chunks, signal_of
from monitor.publishing.status_line import StatusLine
from monitor.stop_request import StopRequest
from tests.clocks import ManualClock
from tests.fakes import FakePublisher
from tests.messages import check_beat
from tests.recordings.test_segmenter import HZ, lead, segments

TARGET = LiveTarget("bed-7", "ecg.beats", "float32")
STARTED = 2_000_000_000.0


def no_connection():
    raise BrokerError("nobody is there")


class Run:
    """A device that sends a second of signal each second to a feed, and what became of it."""

    def __init__(self, publisher, samples, *, limit=10_000, cut=0, close_seconds=30):
        self.time, self.status = ManualClock(wall=STARTED), io.StringIO()
        data = np.asarray(samples, "<f4").tobytes()
        data = data[: len(data) - cut]
        buffered = BufferedPublisher(publisher, no_connection, limit=limit, pause_seconds=0)
        status = StatusLine(self.status, self.time.clock.monotonic)
        feed = LiveFeed(signal_of("float32", HZ, "mV", R_CENTRED), buffered, TARGET, status, self.time.clock)
        try:
            feed.run(self.arriving(data), StopRequest(), close_seconds)
        finally:
            self.lines = self.status.getvalue().splitlines()

    def arriving(self, data):
        step = 4 * int(HZ)
        for start in range(0, len(data), step):
            self.time.advance(1)
            yield data[start : start + step]


def test_every_beat_is_published_with_the_time_of_its_r_peak():
    samples, peaks = lead()
    taken = []
    run = Run(FakePublisher(taken), samples)
    for one in taken:
        check_beat(one.message)
    assert [one.time_ms / 1000 for one in taken] == pytest.approx(STARTED + peaks, abs=0.03)
    assert {(one.message.topic, one.message.key, len(one.message.value)) for one in taken} == {
        ("ecg.beats", b"bed-7", 560)
    }
    assert run.lines[-1] == f"bed-7: 00:00:30, {len(peaks)} beats, {len(peaks)} published"
    noise = segments(samples.astype(np.float32)).noise[1:]
    assert [np.float32(dict(one.message.headers)["noise"]) for one in taken[1:]] == noise.tolist()


def test_a_signal_that_ends_within_a_sample_is_refused_after_its_beats():
    taken = []
    samples, peaks = lead()
    with pytest.raises(RecordingError, match="ended in the middle of a sample"):
        Run(FakePublisher(taken), samples, cut=1)
    assert len(taken) == len(peaks)


def test_beats_that_never_get_out_are_counted_with_their_span():
    samples, peaks = lead()
    with pytest.raises(BrokerError) as caught:
        Run(FakePublisher([], [BrokerError("nobody is there")]), samples, limit=10, close_seconds=0)
    dropped, left = map(int, re.findall(r"(\d+) beats were", str(caught.value)))
    assert dropped + left == len(peaks)
    assert left >= 10
    assert "not published before the end, from 2033-05-18T03:33:" in str(caught.value)


def test_what_kafka_will_never_take_ends_it():
    with pytest.raises(ClientError, match="INVALID_TIMESTAMP"):
        Run(FakePublisher([], [ClientError("INVALID_TIMESTAMP", Failure.BAD_RECORD)]), lead()[0])


@pytest.mark.parametrize("unit", ["apples", "adc/0", ""])
def test_an_unknown_unit_is_refused(unit):
    with pytest.raises(RefusedError, match="--unit is"):
        signal_of("text", HZ, unit, R_CENTRED)


def test_counts_of_a_converter_are_brought_to_millivolts():
    samples, _ = lead()
    counts = np.rint(200 * samples).astype("<i2").tobytes()
    found = signal_of("int16", HZ, "adc/200", R_CENTRED).feed(counts, 100.0)
    assert found.samples.max() == pytest.approx(1.2, abs=0.25)


def test_chunks_are_read_as_soon_as_they_come_and_end_with_the_pipe():
    reading, writing = os.pipe()
    with closing(os.fdopen(reading, "rb")):
        found = chunks(reading, StopRequest())
        assert next(found) == b""
        os.write(writing, b"12")
        assert next(found) == b"12"
        os.close(writing)
        assert list(found) == []


def test_a_request_to_stop_ends_the_reading():
    reading, writing = os.pipe()
    stop = StopRequest()
    stop.is_made = True
    assert list(chunks(reading, stop)) == []
    os.close(reading)
    os.close(writing)


def test_what_cannot_be_read_is_refused(tmp_path):
    folder = os.open(tmp_path, os.O_RDONLY)
    with pytest.raises(RefusedError, match="standard input cannot be read: Is a directory"):
        list(chunks(folder, StopRequest()))
    os.close(folder)

"""A live signal as messages: each beat is published when it is found, and Kafka may be away meanwhile."""

from __future__ import annotations

import os
import select
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from monitor.beats.beat import encode
from monitor.beats.noise_header import noise_headers
from monitor.beats.window import Window
from monitor.broker import BUFFER_RECORDS, BufferedPublisher, Loss
from monitor.errors import BrokerError, RefusedError
from monitor.publishing.status_line import StatusLine, clock_text, time_text
from monitor.recordings.live_signal import LiveBeats, LiveSignal
from monitor.recordings.sample_decoder import SampleForm, decoder
from monitor.recordings.unit import EXPECTED_UNITS, mv_in
from monitor.records.record import Message
from monitor.stop_request import StopRequest
from monitor.telemetry.clock import Clock
from monitor.terminal import count_of

CHUNK_BYTES = 64 * 1024  # what a pipe holds
TURN_SECONDS = 0.2  # between two looks at whether to stop
CLOSE_SECONDS = 10.0  # for the last beats
DROPPED = "dropped while Kafka took none"


def chunks(fd: int, stop: StopRequest) -> Iterator[bytes]:
    """What comes in on a file descriptor, as soon as it comes, until its end or until `stop` is made.

    Empty after TURN_SECONDS without anything. Raises RefusedError where it cannot be read.
    """
    while not stop.is_made:
        try:
            if not select.select([fd], [], [], TURN_SECONDS)[0]:
                yield b""
            elif data := os.read(fd, CHUNK_BYTES):
                yield data
            else:
                return
        except OSError as error:
            raise RefusedError(f"standard input cannot be read: {error.strerror}") from error


def signal_of(form: SampleForm, hz: float, unit: str, window: Window) -> LiveSignal:
    """A signal on standard input. Raises RefusedError for an unknown unit, and for a rate that is not one of an ECG."""
    mv_per_unit = mv_in(unit)
    if mv_per_unit is None:
        raise RefusedError(f"--unit is {unit!r}, where {EXPECTED_UNITS} is expected")
    return LiveSignal(hz, decoder(form, mv_per_unit), window)


@dataclass(frozen=True, slots=True)
class LiveTarget:
    """Where the beats go, and in which form."""

    source: str
    topic: str
    form: Literal["float32", "json"]


class LiveFeed:
    """Passes the beats of one signal on."""

    def __init__(
        self, signal: LiveSignal, publisher: BufferedPublisher, target: LiveTarget, status: StatusLine, clock: Clock
    ) -> None:
        self._signal, self._publisher, self._target = signal, publisher, target
        self._status, self._clock = status, clock
        self._trouble = ""  # what was said last
        self._dropped = 0  # beats, as was said last

    def run(self, data: Iterable[bytes], stop: StopRequest, close_seconds: float = CLOSE_SECONDS) -> None:
        """Publish the beats of a signal until its end, then wait for acknowledgements for at most `close_seconds`.

        Raises RecordingError for bytes that are no samples, BrokerError when some beats did not get out.
        """
        try:
            for one in data:
                self._send(self._signal.feed(one, self._clock.monotonic()))
                self._wait(stop)
            if not stop.is_made:
                self._send(self._signal.end_of_input(self._clock.monotonic()))
        finally:
            losses = self._end(close_seconds)
        if losses:
            raise BrokerError("; ".join(losses))

    def _wait(self, stop: StopRequest) -> None:
        """Report, and let time pass where samples come faster than they were recorded."""
        until = self._clock.monotonic() + self._signal.early_seconds
        self._report()
        while not stop.is_made and (left := until - self._clock.monotonic()) > 0:
            self._clock.sleep(min(left, TURN_SECONDS))
            self._report()

    def _send(self, beats: LiveBeats) -> None:
        """Give each beat to the publisher, with the wall-clock time of its R peak."""
        key, topic = self._target.source.encode(), self._target.topic
        since_epoch = self._clock.wall() - self._clock.monotonic()
        for time, samples, noise in zip(beats.time.tolist(), beats.samples, beats.noise.tolist(), strict=True):
            message = Message(topic, key, encode(samples, self._target.form), noise_headers(noise))
            self._publisher.send(message, round(1000 * (since_epoch + time)))

    def _report(self) -> None:
        """Say how far the signal is, and at once when Kafka begins or ends to take nothing."""
        trouble, dropped = self._publisher.trouble, self._publisher.dropped
        if trouble and not self._trouble:
            self._status.say(f"{trouble}: beats wait here, {BUFFER_RECORDS:,} at most, until Kafka takes them")
        if self._trouble and not trouble:
            is_new = dropped.count > self._dropped
            self._status.say(
                f"Kafka takes beats again; {_loss_text(dropped, DROPPED) if is_new else 'none was dropped'}"
            )
            self._dropped = dropped.count
        self._trouble = trouble
        self._status.show(self._progress)

    def _progress(self) -> str:
        waiting = f", {self._publisher.left().count:,} waiting" if self._trouble else ""
        return f"{self._found()}{waiting}"

    def _found(self) -> str:
        dropped = self._publisher.dropped.count
        more = f", {dropped:,} dropped" if dropped else ""
        return (
            f"{self._target.source}: {clock_text(self._signal.seconds)}, {count_of(self._signal.beats, 'beat')}{more}"
        )

    def _end(self, close_seconds: float) -> list[str]:
        """Publish the last beats, and say what was published and what was not."""
        try:
            self._send(self._signal.finish(self._clock.monotonic()))
        finally:
            self._publisher.close(close_seconds)
            losses = [
                _loss_text(self._publisher.dropped, DROPPED),
                _loss_text(self._publisher.left(), "not published before the end"),
            ]
            self._status.say(f"{self._found()}, {self._publisher.published:,} published")
        return [one for one in losses if one]


def _loss_text(loss: Loss, what: str) -> str:
    if not loss.count:
        return ""
    was = "was" if loss.count == 1 else "were"
    return f"{count_of(loss.count, 'beat')} {was} {what}, from {time_text(loss.first_ms)} to {time_text(loss.last_ms)}"

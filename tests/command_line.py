"""Runs a command of `ecg-monitor` in this process, as its entry point does."""

from __future__ import annotations

import os
import sys

import pytest

from monitor import cli


def invoke(monkeypatch, capsys, *words):
    """Exit code, standard output and standard error of `ecg-monitor WORDS…`, which never shows a traceback."""
    monkeypatch.setattr(sys, "argv", ["ecg-monitor", *map(str, words)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    printed = capsys.readouterr()
    assert "Traceback" not in printed.err
    return ended.value.code or 0, printed.out, printed.err


def leave_settings_behind(monkeypatch, folder):
    """Work in this folder, where no setting of the machine's own environment or `.env` file counts."""
    for name in [name for name in os.environ if name.startswith("MONITOR_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(folder)

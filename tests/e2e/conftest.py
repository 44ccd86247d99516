"""Fixtures of the end-to-end tests."""

from __future__ import annotations

import numpy as np
import pytest

from monitor.beats import beat_file
from monitor.beats.stream import encode
from tests.command_line import invoke, leave_settings_behind
from tests.e2e.dead_letter_commands import DeadLetterCommands

NAMES = ("bootstrap_servers", "beats_topic", "state_topic", "control_topic", "group_id", "kafka_client")


@pytest.fixture
def dead_letters(make_settings):
    return DeadLetterCommands(make_settings())


@pytest.fixture
def command(monkeypatch, capsys, tmp_path):
    """Run `ecg-monitor …` with just these settings; gives exit code, output and standard error."""
    leave_settings_behind(monkeypatch, tmp_path)

    def run(settings, *arguments):
        for name in NAMES:
            monkeypatch.setenv(f"MONITOR_{name.upper()}", str(getattr(settings, name)))
        return invoke(monkeypatch, capsys, *arguments)

    return run


@pytest.fixture(scope="module")
def odd_beat(ecg_data):
    beats = beat_file.read(ecg_data / "ECG5000_TEST.tsv")
    return encode(beats.samples[np.flatnonzero(beats.abnormal)[0]], "float32")

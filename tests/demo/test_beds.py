"""The recordings of the demo: whose they are, where they come from, and when their alarms were open."""

from __future__ import annotations

from datetime import UTC, datetime

from monitor.demo import beds
from monitor.demo.comparison import TimeSpan

START = datetime(2026, 11, 30, 8, 0, 0, tzinfo=UTC)


def alert(event, number, opened, closed=None):
    return {"id": f"physiological:ecg.beats:0:{number}", "event": event, "opened_at": opened, "closed_at": closed}


def test_nobody_is_both_learnt_from_and_played():
    assert not {*beds.PLAYED} & {*beds.LEARNT}


def test_a_folder_without_recordings_is_said_with_its_reason(tmp_path, capfd):
    assert not beds.fetched(tmp_path / "nowhere", tmp_path / "mitdb")
    out, err = capfd.readouterr()
    assert "this demo has shown ECG5000 only" in out
    assert "nowhere/100.hea: cannot be read: No such file or directory" in err


def test_recordings_are_in_the_folder_that_ecg_data_names(tmp_path, monkeypatch):
    monkeypatch.delenv("ECG_DATA", raising=False)
    assert beds.local_folder() is None
    monkeypatch.setenv("ECG_DATA", str(tmp_path))
    assert beds.local_folder() is None
    (tmp_path / "mitdb").mkdir()
    assert beds.local_folder() == tmp_path / "mitdb"


def test_an_alarm_lasts_from_its_opening_to_its_end_or_to_the_end_of_the_recording():
    alerts = [
        alert("opened", 3, "2026-11-30T08:00:10.500Z"),
        alert("closed", 3, "2026-11-30T08:00:10.500Z", "2026-11-30T08:00:20.000Z"),
        alert("opened", 9, "2026-11-30T08:01:00.000Z"),
    ]
    assert beds.spans(alerts, START, 90.0) == [TimeSpan(10.5, 20.0), TimeSpan(60.0, 90.0)]

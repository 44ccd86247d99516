"""The recordings of the demo: whose they are, where they come from, and when their alarms were open."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from monitor.backtest import OpenStretch, PlayedEpisode
from monitor.demo import beds

START = datetime(2026, 11, 30, 8, 0, 0, tzinfo=UTC)


def alert(event, number, at, priority="medium", cause="unusual-shape"):
    """The alert of a beat of this time, in seconds since the start."""
    time = (START + timedelta(seconds=at)).isoformat()
    return {
        "id": f"physiological:ecg.beats:0:{number}",
        "event": event,
        "cause": cause,
        "beat_time": time,
        "closed_at": time if event == "closed" else None,
        "priority": priority,
        "beats": {"abnormal": number, "seen": 9},
    }


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
    alerts = [alert("opened", 3, 10.5), alert("closed", 3, 20.0), alert("opened", 9, 60.0)]
    assert beds.episodes(alerts, START, 90.0) == [
        PlayedEpisode((OpenStretch(10.5, 20.0),), "medium", 3),
        PlayedEpisode((OpenStretch(60.0, 90.0),), "medium", 9),
    ]


def test_frequent_ectopy_is_left_out_until_a_run_comes_in_it():
    ectopy = "frequent-ectopy"
    alerts = [alert("opened", 3, 10.0, "low", ectopy), alert("closed", 3, 20.0, "low", ectopy)]
    assert beds.episodes(alerts, START, 90.0) == []
    alerts[1:] = [alert("updated", 3, 15.0), alert("updated", 3, 18.0), alert("closed", 3, 20.0, "medium", ectopy)]
    assert beds.episodes(alerts, START, 90.0) == [PlayedEpisode((OpenStretch(15.0, 20.0),), "medium", 3)]


def test_an_alarm_that_opens_again_is_the_same_one():
    alerts = [
        alert("opened", 3, 10.0),
        alert("closed", 3, 20.0),
        alert("opened", 3, 30.0),
        alert("updated", 3, 31.0, "high"),
    ]
    (one,) = beds.episodes(alerts, START, 90.0)
    assert one.stretches == (OpenStretch(10.0, 20.0), OpenStretch(30.0, 90.0))
    assert one.priority == "high"

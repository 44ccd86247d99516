"""Recordings become beats with labels, and each beat knows whose it is."""

from __future__ import annotations

import numpy as np
import pytest

from monitor.beats.window import R_CENTRED
from monitor.errors import RefusedError
from tests.trainer import recordings as made
from trainer.data import reading, recordings
from trainer.data.signals import Signals


@pytest.fixture
def folder(tmp_path):
    """Three annotated people."""
    for number, name in enumerate(("a", "b", "c")):
        made.write(tmp_path, name, width=1 + 0.3 * number)
    return tmp_path


def test_annotated_beats_have_the_class_of_their_annotation(folder):
    found = reading.read(folder)
    assert set(found.train.patients) == {"a", "b", "c"}
    assert found.train.classes[found.train.abnormal].tolist() == [7] * int(found.train.abnormal.sum())
    assert 20 <= found.train.abnormal.sum() <= 27
    assert found.window == R_CENTRED
    assert found.test is None
    assert "3 people, 3 recordings, 3 leads (MLII 3), 0.1 hours" in found.notes[0]


def test_several_leads_are_used_where_a_recording_has_them(folder):
    made.write(folder, "d", leads=("II",))
    one, both = (reading.read(folder, Signals(leads)) for leads in (("V5",), ("MLII", "v5", "1")))
    assert [each.lead for each in one.leads] == ["V5"] * 3
    assert [each.lead for each in both.leads] == ["MLII", "V5"] * 3
    assert len(both.train) == 2 * len(one.train)


def test_a_lead_that_nobody_has_is_refused(folder):
    with pytest.raises(RefusedError, match="no recording has a lead aVR"):
        reading.read(folder, Signals(("aVR",)))


def test_beats_far_from_every_annotation_are_left_out_and_counted(folder):
    made.annotate(folder, "c", np.array([500, 14_999]), np.array(["N", "V"]))
    found = reading.read(folder)
    assert (found.train.patients == "c").sum() <= 2
    assert found.leads[2].unlabelled >= 60


def test_without_annotations_the_strange_beats_are_set_aside(tmp_path):
    for name in ("a", "b"):
        made.write(tmp_path, name, annotated=False, ventricular=8)
    found = reading.read(tmp_path)
    assert not found.train.abnormal.any()
    downwards = found.aside.samples.min(axis=1) < -1  # the others are noise before the first beat
    assert 16 <= downwards.sum() <= 18
    assert found.train.samples.min() > -1
    assert "that do not look like the typical beat of their lead" in found.notes[1]


def test_a_recording_of_one_person_promises_nothing_about_others(folder):
    found = reading.read(folder / "a.hea")
    assert found.train.patients is None
    assert "all normal beats are of one person" in found.notes[-1]
    assert len(reading.read(folder / "a").train) == len(found.train)


def test_recordings_of_one_person_can_be_named(folder):
    (folder / "patients.csv").write_text("recording,patient\na,anna\nb,anna\n")
    assert set(reading.read(folder).train.patients) == {"anna", "c"}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("x,anna", r"patients\.csv: line 2 names the recording 'x', which is not"),
        ("a", r"line 2 is not a line recording,patient"),
        ("a,", r"line 2 is not a line"),
        ("a,anna\na,bea", r"line 3 gives the recording a to a second patient"),
        ("a,\udcff", "is not text"),
    ],
)
def test_a_wrong_line_about_patients_is_refused(folder, line, message):
    (folder / "patients.csv").write_bytes(f"recording,patient\n{line}\n".encode(errors="surrogateescape"))
    with pytest.raises(RefusedError, match=message):
        reading.read(folder)


def test_a_long_recording_gives_an_even_selection_of_bounded_size(tmp_path, monkeypatch):
    made.write(tmp_path, "a", seconds=120, ventricular=4)
    whole = reading.read(tmp_path / "a")
    monkeypatch.setattr(recordings, "MOST_OF_A_LEAD", 30)
    some = reading.read(tmp_path / "a")
    assert (some.leads[0].used, len(some.train) + len(some.test)) == (60, 60)
    assert (some.train.samples[0] == whole.train.samples[0]).all()
    assert (some.test.samples[-1] == whole.test.samples[-1]).all()


def test_the_segments_of_a_record_are_not_recordings_of_their_own(tmp_path):
    for name in ("s1", "s2"):
        made.write(tmp_path, name, annotated=False)
    (tmp_path / "long.hea").write_text(f"long/2 2 {made.HZ} {120 * made.HZ}\ns1 {60 * made.HZ}\ns2 {60 * made.HZ}\n")
    found = reading.read(tmp_path)
    assert [(each.recording, each.seconds) for each in found.leads] == [("long", 120)]


def test_a_folder_of_signal_files_without_headers_is_refused(tmp_path):
    (tmp_path / "100.dat").write_bytes(b"1234")
    with pytest.raises(RefusedError, match=r"holds no recording: a \.dat file needs its \.hea file beside it"):
        reading.read(tmp_path)


def test_a_damaged_recording_is_refused_by_its_name(folder):
    (folder / "b.dat").write_bytes(b"")
    with pytest.raises(RefusedError, match="b"):
        reading.read(folder)


def test_a_folder_with_ecg5000_is_still_ecg5000(ecg_data):
    assert not reading.is_recordings(ecg_data)

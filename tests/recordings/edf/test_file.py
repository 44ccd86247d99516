from __future__ import annotations

import contextlib
from datetime import datetime, time
from pathlib import Path

import edfio
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitor.errors import RecordingError
from monitor.recordings import lead_names, open_recording
from tests.recordings.files import HZ, edf, wave

LABELS, UNITS, SIZES = 256, 256 + 96 * 3, 256 + 216 * 3  # places in the header of a file with three signals


@pytest.fixture
def path(tmp_path):
    edf().write(tmp_path / "rec.edf")
    return tmp_path / "rec.edf"


def change(path: Path, place: int, content: bytes) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole[:place] + content + whole[place + len(content) :])


def test_leads_of_different_rates_are_read_in_millivolts(path):
    assert lead_names(path) == ("ECG II", "V5")
    second = open_recording(path, lead="V5")
    assert (second.hz, second.seconds, second.start) == (125, 4, datetime(2026, 11, 30))  # noqa: DTZ001
    np.testing.assert_allclose(second.samples, wave(hz=125), atol=2e-4)


def test_ii_finds_ecg_ii(path):
    assert open_recording(path, lead="ii").lead == "ECG II"


def test_a_start_is_read_to_the_fraction_of_a_second(tmp_path):
    edf(starttime=time(10, 0, 0, 250_000)).write(tmp_path / "rec.edf")
    found = open_recording(tmp_path / "rec.edf")
    assert found.start == datetime(2026, 11, 30, 10, 0, 0, 250_000)  # noqa: DTZ001
    assert found.annotations.seconds.tolist() == [0.5, 1.5]


def test_a_start_that_was_taken_out_is_none(tmp_path, path):
    edf(recording=edfio.Recording()).write(tmp_path / "rec.edf")
    assert open_recording(path).start is None
    change(path, 88, b" " * 80)  # no start in EDF+ terms either, so the date 01.01.85 counts
    assert open_recording(path).start is None


def test_annotations_are_beats_and_rhythms(path):
    found = open_recording(path).annotations
    assert (found.seconds.tolist(), found.symbols, found.notes) == ([0.5, 1.5], ("+", "V"), ("(AFIB", ""))
    edf(annotations=[edfio.EdfAnnotation(1, None, "lights off")]).write(path)
    assert open_recording(path).annotations is None


def test_bdf_has_24_bits(tmp_path):
    signal = edfio.BdfSignal(wave(), HZ, label="II", physical_dimension="mV", physical_range=(-5, 5))
    edfio.Bdf([signal]).write(tmp_path / "rec.bdf")
    np.testing.assert_allclose(open_recording(tmp_path / "rec.bdf").samples, wave(), atol=1e-6)


def test_samples_out_of_the_range_of_the_header_are_nan(tmp_path):
    counts = np.array([0, 100, 101, -100, -101] * 50, np.int16)
    signal = edfio.EdfSignal.from_digital(counts, HZ, label="II", physical_dimension="mV")
    edfio.Edf([signal]).write(tmp_path / "rec.edf")
    change(tmp_path / "rec.edf", 256 + 120, b"-100    100     ")
    change(tmp_path / "rec.edf", 256 + 104, b"-1      1       ")
    np.testing.assert_allclose(open_recording(tmp_path / "rec.edf").samples[:5], [0, 1, np.nan, -1, np.nan], atol=1e-9)


def test_a_gap_of_a_discontinuous_file_is_nan(path):
    change(path, 192, b"EDF+D")
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"+2\x14\x14", b"+5\x14\x14").replace(b"+3\x14\x14", b"+6\x14\x14"))
    found = open_recording(path)
    assert found.seconds == 7
    np.testing.assert_allclose(found.samples[:500], wave()[:500], atol=2e-4)
    assert np.isnan(found.samples[500:1250]).all()
    np.testing.assert_allclose(found.samples[1250:], wave()[500:], atol=2e-4)
    np.testing.assert_allclose(np.concatenate([*found.pieces(5.2)]), wave()[550:], atol=2e-4)


@pytest.mark.parametrize(("old", "new"), [(b"+2\x14", b"+1\x14"), (b"+3\x14", b"x3\x14"), (b"+3\x14", b"+3\x00")])
def test_data_records_of_a_discontinuous_file_that_go_back_or_say_no_time_are_refused(path, old, new):
    change(path, 192, b"EDF+D")
    path.write_bytes(path.read_bytes().replace(old + b"\x14", new + b"\x14"))
    with pytest.raises(RecordingError, match="its data record"):
        open_recording(path)


def test_a_file_of_annotations_alone_is_named_as_that(tmp_path):
    file = tmp_path / "notes.edf"
    edfio.Edf([], annotations=[edfio.EdfAnnotation(1.5, None, "V")]).write(file)
    with pytest.raises(RecordingError, match="holds annotations alone and no signal"):
        open_recording(file)


BAD = {
    "0 Hz": (244, b"0       ", "is damaged"),
    "no duration": (244, b"nan     ", "is damaged"),
    "a rate that no ECG has": (244, b"0.000001", "samples a second"),
    "years": (236, b"99999999", "is truncated: holds 4.0 s of"),
    "no data records": (236, b"0       ", "is truncated"),
    "a negative number of data records": (236, b"-7      ", "is damaged"),
    "records of gigabytes": (SIZES, b"99999999", "is truncated"),
    "empty records": (SIZES, b"0       ", "is damaged"),
    "another unit": (UNITS, b"mmHg    ", "'ECG II' has the unit 'mmHg'"),
    "no unit": (UNITS, b"        ", "'ECG II' has the unit ''"),
    "no range": (UNITS + 24, b"5       5       5       5       5       ", "empty range"),
    "another number of signals": (252, b"9999", "is not a recording"),
    "another size of the header": (184, b"1       ", "is not a recording"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_header_that_cannot_be_is_refused_with_a_sentence(path, case):
    place, content, reason = BAD[case]
    change(path, place, content)
    with pytest.raises(RecordingError, match=reason):
        open_recording(path)


def test_a_recorder_that_is_still_writing_has_the_length_of_its_file(path):
    change(path, 236, b"-1      ")
    assert open_recording(path).seconds == 4


def test_a_unit_may_be_given(path):
    change(path, UNITS, b"        ")
    np.testing.assert_allclose(open_recording(path, unit="uV").samples, wave() / 1000, atol=2e-7)


def test_a_name_that_two_leads_have_is_refused_and_a_number_is_not(path):
    change(path, LABELS, b"II".ljust(16) * 2)
    with pytest.raises(RecordingError, match="0 and 1 are all called 'II'"):
        open_recording(path, lead="II")
    assert open_recording(path, lead="1").hz == 125


def test_a_truncated_file_is_refused_wherever_it_ends(path):
    whole = path.read_bytes()
    for size in range(0, len(whole) - 1, 97):
        path.write_bytes(whole[:size])
        with pytest.raises(RecordingError, match=r"is truncated|is not a recording|is empty"):
            open_recording(path)


def test_a_recording_of_hours_is_read_a_minute_at_a_time(path):
    whole = path.read_bytes()
    head = int(whole[184:192])
    path.write_bytes(whole[:236] + b"%-8d" % 4000 + whole[244:head] + whole[head:] * 1000)
    assert {len(piece) for piece in open_recording(path).pieces()} == {60 * HZ, 40 * HZ}


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    place=st.integers(0, 1100),
    content=st.binary(max_size=12) | st.sampled_from([b"-1      ", b"1e308   ", b"inf     ", b"+9e9\x14\x14\x00"]),
    is_discontinuous=st.booleans(),
)
def test_a_damaged_file_raises_nothing_else(path, place, content, is_discontinuous):
    edf().write(path)
    change(path, 192, b"EDF+D" if is_discontinuous else b"EDF+C")
    change(path, place, content)
    with contextlib.suppress(RecordingError):
        for number, piece in enumerate(open_recording(path).pieces()):
            assert piece.dtype == np.float64
            if number == 3:
                break

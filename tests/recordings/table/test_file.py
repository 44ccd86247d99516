from __future__ import annotations

import contextlib
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitor.errors import RecordingError
from monitor.recordings import lead_names, open_recording
from tests.recordings.files import HZ, wave

MV = wave()


@pytest.fixture
def table(tmp_path):
    """Writes rows, each with the number of a sample and its value, below a header."""

    def write(head, row, name="rec.csv", values=MV):
        path = tmp_path / name
        rows = [row.format(i=i, s=i / HZ, ms=4 * i, clock=f"0:{i / HZ:06.3f}", mv=v) for i, v in enumerate(values)]
        path.write_text("\n".join([head, *rows] if head else rows) + "\n", encoding="utf-8")
        return path

    return write


FORMS = {  # header, row, what is given
    "a column": ("", "{mv:.3f}", {"hz": 250, "unit": "mV"}),
    "a name": ("II", "{mv:.3f}", {"hz": 250, "unit": "mV"}),
    "a name with its unit": ("II (mV)", "{mv:.3f}", {"hz": 250}),
    "a name with its unit below": ("'time','II'\n'hh:mm:ss.mmm','mV'", "'{clock}',{mv:.3f}", {}),
    "seconds": ("time,II_mV", "{s:.3f},{mv:.3f}", {}),
    "seconds without a name": ("", "{s:.3f},{mv:.3f}", {"unit": "mV"}),
    "seconds behind the lead": ("II_mV,time", "{mv:.3f},{s:.3f}", {}),
    "milliseconds": ("time [ms],II [mV]", "{ms},{mv:.3f}", {}),
    "milliseconds that do not say so": ("time,II [mV]", "{ms},{mv:.3f}", {}),
    "numbers of samples": ("sample #,II [mV]", "{i},{mv:.3f}", {"hz": 250}),
    "numbers as pandas writes them": (",II [mV]", "{i},{mv:.3f}", {"hz": 250}),
    "numbers and times": (",time,II [mV]", "{i},{s:.3f},{mv:.3f}", {}),
    "numbers and times that pandas wrote twice": ("Unnamed: 0,time,II [mV]", "{i},{s:.3f},{mv:.3f}", {}),
    "numbers of samples and times": ("sample,time [ms],II [mV]", "{i},{ms},{mv:.3f}", {}),
    "times and numbers": ("time,row,II [mV]", "{s:.3f},{i},{mv:.3f}", {}),
    "numbers and times without names": ("", "{i},{s:.3f},{mv:.3f}", {"unit": "mV"}),
    "numbers and times of day": ("", "{i},{clock},{mv:.3f}", {"unit": "mV"}),
    "a date and times": ("date,time,II [mV]", "2026-11-30,{s:.3f},{mv:.3f}", {}),
    "times twice": ("time [s],time [ms],II [mV]", "{s:.3f},{ms},{mv:.3f}", {}),
    "numbers that have another name": ("n,II [mV]", "{i},{mv:.3f}", {"hz": 250}),
    "a unit of times of day": ("time (hh:mm:ss),II [mV]", "{clock},{mv:.3f}", {}),
    "a rate that the times confirm": ("time,II [mV]", "{s:.3f},{mv:.3f}", {"hz": 250}),
    "spaces": ("", "  {s:.3f}   {mv:.3f}", {"unit": "mV"}),
    "a comment": ("# made by hand\n% twice\ntime,II (mV)", "{s:.3f},{mv:.3f}", {}),
    "quoted numbers": ("II (mV)", '"{mv:.3f}"', {"hz": 250}),
    "text beside the lead": ("II (mV),label", "{mv:.3f},N", {"hz": 250}),
}


@pytest.mark.parametrize("form", FORMS)
def test_tables_of_many_forms_are_read(table, form):
    head, row, given_ = FORMS[form]
    found = open_recording(table(head, row), **given_)
    assert (found.hz, found.seconds) == (250, 4)
    np.testing.assert_allclose(found.samples, MV, atol=1e-9)


@pytest.mark.parametrize(("name", "separator"), [("rec.csv", ";"), ("rec.tsv", "\t"), ("rec.txt", "\t")])
def test_decimal_commas_are_read_where_columns_have_another_separator(table, name, separator):
    path = table("Zeit;II (mV)".replace(";", separator), separator.join(["{s:.3f}", "{mv:.3f}"]), name)
    path.write_text(path.read_text().replace(".", ","))
    np.testing.assert_allclose(open_recording(path).samples, MV, atol=1e-9)


def test_a_single_column_of_decimal_commas_is_read(table):
    path = table("", "{mv:.3f}")
    path.write_text(path.read_text().replace(".", ","))
    np.testing.assert_allclose(open_recording(path, hz=250, unit="mV").samples, MV, atol=1e-9)


def test_a_lead_counts_leads_and_a_column_counts_columns(table):
    path = table("time,II (mV),V5 (µV)", "{s:.3f},{mv:.3f},{mv:.3f}")
    assert lead_names(path) == ("II", "V5")
    for choice in ({"lead": "V5"}, {"lead": "V5 (µV)"}, {"lead": 1}, {"column": 2}, {"column": "v5"}):
        np.testing.assert_allclose(open_recording(path, **choice).samples, MV / 1000, atol=1e-9)


def test_a_start_comes_from_dates(table):
    path = table("time,II (mV)", "2026-11-30T23:59:{clock},{mv:.3f}")
    path.write_text(path.read_text().replace("59:0:", "59:"))
    assert open_recording(path).start == datetime(2026, 11, 30, 23, 59)  # noqa: DTZ001


@pytest.mark.parametrize(("offset", "hour"), [("Z", 10), ("+02:00", 8)])
def test_a_start_with_an_offset_is_the_same_moment(tmp_path, offset, hour):
    rows = [f"2026-11-30T10:00:0{i / 250:.3f}{offset},0.1" for i in range(500)]
    (tmp_path / "rec.csv").write_text("\n".join(["time,II (mV)", *rows]))
    start = open_recording(tmp_path / "rec.csv").start
    assert start is not None
    assert start.timestamp() == datetime(2026, 11, 30, hour, tzinfo=UTC).timestamp()


def test_times_of_day_go_on_after_midnight(tmp_path):
    times = [f"23:59:{58 + i // 250}.{i % 250 * 4:03d}" for i in range(500)]
    times += [f"00:00:{i // 250:02d}.{i % 250 * 4:03d}" for i in range(500)]
    rows = [f"{clock},{mv}" for clock, mv in zip(times, MV, strict=True)]
    (tmp_path / "rec.csv").write_text("\n".join(["time,II (mV)", *rows]))
    found = open_recording(tmp_path / "rec.csv")
    assert found.seconds == 4
    np.testing.assert_allclose(found.samples, MV)


def test_rows_that_are_missing_are_nan_and_times_go_on(table):
    path = table("time,II (mV)", "{s:.3f},{mv:.3f}")
    lines = path.read_text().splitlines()
    path.write_text("\n".join(lines[:301] + lines[401:]))
    found = open_recording(path)
    assert (found.seconds, len(found.samples)) == (4, 1000)
    assert np.flatnonzero(np.isnan(found.samples)).tolist() == [*range(300, 400)]


def test_times_that_are_rounded_are_no_gaps(tmp_path):
    values = wave(hz=360)
    rows = [f"{i / 360:.3f},{mv}" for i, mv in enumerate(values)]
    (tmp_path / "rec.csv").write_text("\n".join(["time,II (mV)", *rows]))
    found = open_recording(tmp_path / "rec.csv")
    assert found.hz == 360
    np.testing.assert_array_equal(found.samples, values)


def test_cells_without_a_number_are_nan(tmp_path):
    (tmp_path / "rec.csv").write_text("II (mV),V5 (mV)\n1,2\n,2\nNaN,2\n\n-,2\nnull,2\n3,2\n")
    np.testing.assert_array_equal(open_recording(tmp_path / "rec.csv", hz=250).samples, [1, *[np.nan] * 4, 3])


BAD = {
    "one row without a time": ("time,II (mV)\nnan,0.1\n", {"hz": 250}, "its first time or its last one is missing"),
    "a last row that is a quotation mark": ('time,II (mV)\n0,0\n"\n', {"hz": 250}, "time or its last one is missing"),
    "a last row without a time": (
        "time,II (mV)\n" + "".join(f"{i / 250},0.1\n" for i in range(200_000)) + "nan,0.1\n",
        {},
        "its first time or its last one is missing",
    ),  # content, what is given, what is said
    "no rate": ("II (mV)\n1\n2\n", {}, r"give the samples a second \(hz\)"),
    "no unit": ("II\n1\n2\n", {"hz": 250}, "'II' has no unit in the table"),
    "another unit": ("II\n1\n2\n", {"hz": 250, "unit": "bpm"}, "'II' has the unit 'bpm'"),
    "numbers without a rate": ("sample,II (mV)\n0,1\n1,2\n", {}, "counts samples: give the samples a second"),
    "another rate": (
        "time,II (mV)\n0,1\n0.004,2\n0.008,2",
        {"hz": 360},
        r"from line 2 on are those of 250 Hz, not of 360 Hz: leave the rate \(hz\) out",
    ),
    "ticks": ("time (ticks),II (mV)\n0,1\n4,2\n8,2", {}, r"line 2: its times \(column 0\) have the unit 'ticks'"),
    "ticks and a rate": ("time/ticks,II (mV)\n0,1\n1,2", {"hz": 250}, "have the unit 'ticks', where s, ms"),
    "a unit below that nobody knows": ("time,II\njiffies,mV\n0,1\n4,2", {}, "have the unit 'jiffies'"),
    "a multiple of a unit": ("time in 10 ms,II (mV)\n0,1\n1,2", {}, "have the unit '10 ms'"),
    "steps of 1": ("time,II (mV)\n0,1\n1,2\n2,2", {}, "of an unknown unit"),
    "times that go back": ("time,II (mV)\n0,1\n0.004,2\n0.002,2", {}, "do not go forward"),
    "times that stand": ("time,II (mV)\n0,1\n0,2\n0,2", {}, "do not go forward"),
    "a time that is missing": ("time,II (mV)\n0,1\n,2\n0.008,2", {}, "are missing"),
    "one row": ("time,II (mV)\n0.5,1\n", {}, r"line 2 is its only row, at the time 0\.5: add further rows, or give"),
    "a line that goes back": (
        "time,II (mV)\n0,1\n0.004,2\n\n0.002,2",
        {},
        r"line 5: the time 0\.002 follows 0\.004: .*: sort the rows, or cut the file there",
    ),
    "text": ("II (mV)\n1\nx\n", {"hz": 250}, "line 3, column 0 is 'x', where a number is expected"),
    "infinity": ("II (mV)\n1\n1e999\n", {"hz": 250}, "line 3, column 0"),
    "a short row": ("V5,II (mV)\n1,2\n1\n", {"hz": 250, "lead": "II"}, "line 3 has 1 columns"),
    "the times": ("time,II (mV)\n0,1\n0.004,2\n", {"column": 0}, "column 0 of .* holds times .*: give another column$"),
    "two wishes": ("time,II (mV)\n0,1\n0.004,2\n", {"column": 1, "lead": "II"}, "give lead or column, not both"),
    "a column that is not there": ("V5,II (mV)\n0,1\n1,2\n", {"column": 2}, "has no column 2: give a name or a number"),
    "two columns of one name": ("II,II\n1,2\n", {"column": "II"}, "the columns 0 and 1 are .*: give .* as column$"),
    "only a header": ("time,II (mV)\n", {}, "holds no numbers"),
    "nothing": ("\n\n", {}, "holds no samples"),
    "a long line": ("1," * 2**20, {"hz": 250}, "is longer than"),
    "many columns": ("1," * 2000 + "\n", {"hz": 250}, "1 to 1024 columns"),
    "something binary": ("\x00\x01\x02", {"hz": 250}, "is not text"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_table_that_cannot_be_read_is_refused_with_a_sentence(tmp_path, case):
    content, given_, reason = BAD[case]
    (tmp_path / "rec.csv").write_text(content)
    with pytest.raises(RecordingError, match=reason) as refused:
        open_recording(tmp_path / "rec.csv", **given_).samples  # noqa: B018
    assert "rec.csv" in str(refused.value)


def test_times_that_go_back_late_in_a_table_are_refused_when_they_are_read(table):
    path = table("time,II (mV)", "{s:.3f},{mv:.3f}", values=np.zeros(100_000))
    path.write_text(path.read_text().replace("\n399.000,", "\n39.000,"))
    with pytest.raises(RecordingError, match=r"the time 39\.000 s follows 398\.996 s"):
        open_recording(path).samples  # noqa: B018


def written(path, times, digits=4):
    """A table of zeros with such times."""
    path.write_text("time,II (mV)\n" + "".join(f"{time:.{digits}f},0\n" for time in times))
    return path


AXIS = np.arange(10_000) / HZ
STAMPS = {  # times, decimals
    "ten rows share a time": (np.arange(10_000) // 10 * 10 / HZ, 3),
    "whole seconds": (np.floor(AXIS), 0),
    "whole seconds from the middle of one": (np.floor(AXIS + 0.6), 0),
    "jitter": (np.sort(AXIS + np.random.default_rng(1).normal(0, 0.0015, 10_000)), 4),
}


@pytest.mark.parametrize("hz", [None, HZ])
@pytest.mark.parametrize("case", STAMPS)
def test_times_that_are_coarse_or_jitter_give_the_rate_and_no_gaps(tmp_path, case, hz):
    found = open_recording(written(tmp_path / "rec.csv", *STAMPS[case]), hz=hz)
    assert found.hz == pytest.approx(HZ, rel=5e-4)
    assert len(found.samples) == 10_000
    assert found.seconds == pytest.approx(40, abs=0.7 if case.endswith("of one") else 0.02)
    assert not np.isnan(found.samples).any()


def test_a_gap_between_rows_that_share_times_is_found(tmp_path):
    times = np.arange(10_000) // 10 * 10 / HZ
    found = open_recording(written(tmp_path / "rec.csv", np.delete(times, np.arange(5000, 5500))))
    assert np.flatnonzero(np.isnan(found.samples)).tolist() == [*range(5000, 5500)]


def test_many_rows_that_are_missing_do_not_change_the_rate(tmp_path):
    kept = np.random.default_rng(1).random(10_000) > 0.2
    kept[[0, -1]] = True
    for rows in (kept, np.arange(10_000) % 5 != 1):
        found = open_recording(written(tmp_path / "rec.csv", AXIS[rows]))
        assert found.hz == HZ
        np.testing.assert_array_equal(np.isnan(found.samples), ~rows)


TWO_RATES = {
    "faster": [*AXIS[:5000], *(20 + np.arange(5000) / 500)],
    "slower": [*AXIS[:5000], *(20 + np.arange(5000) / 200)],
    "rows that are there twice": [*AXIS[:5000], *np.repeat(AXIS[5000:], 2)],
}


@pytest.mark.parametrize("case", TWO_RATES)
def test_a_rate_that_changes_is_refused_with_its_line(tmp_path, case):
    with pytest.raises(RecordingError, match=r"rec\.csv: near line 500\d the rate of its times changes.*: cut"):
        open_recording(written(tmp_path / "rec.csv", TWO_RATES[case])).samples  # noqa: B018


@pytest.mark.parametrize(("case", "after"), [("faster", 500), ("slower", 200)])
def test_a_rate_that_changes_is_refused_with_its_line_also_where_a_rate_is_given(tmp_path, case, after):
    with pytest.raises(
        RecordingError, match=rf"line 500\d the rate .* changes from 250 Hz to {after} Hz, where 360 Hz"
    ):
        open_recording(written(tmp_path / "rec.csv", TWO_RATES[case]), hz=360)


@pytest.mark.parametrize("case", STAMPS)
def test_a_wrong_rate_for_times_that_are_coarse_or_jitter_is_no_change_of_the_rate(tmp_path, case):
    with pytest.raises(
        RecordingError, match=r"from line 2 on are those of (250|249\.9\d*|250\.0\d*) Hz, not of 360 Hz"
    ):
        open_recording(written(tmp_path / "rec.csv", *STAMPS[case]), hz=360)


def test_a_rate_that_changes_behind_the_first_lines_is_refused(tmp_path):
    times = [*np.arange(200_000) / HZ, *(800 + np.arange(50_000) / 200)]
    with pytest.raises(RecordingError, match=r"the rate of its times changes"):
        open_recording(written(tmp_path / "rec.csv", times)).samples  # noqa: B018


def test_a_gap_of_more_than_an_hour_is_refused_with_its_line(tmp_path):
    path = written(tmp_path / "rec.csv", [*AXIS[:5000], *(AXIS[5000:] + 3e7)])
    with pytest.raises(RecordingError, match=r"line 5002: a gap of 347 days: .*: cut the file there, or correct"):
        open_recording(path).samples  # noqa: B018


def test_minutes_in_a_header_are_understood(table):
    path = table("time (min),II (mV)", "{s:.3f},{mv:.3f}")
    assert open_recording(path).hz == pytest.approx(HZ / 60)


def test_a_table_is_read_a_minute_at_a_time(table):
    path = table("II (mV)", "{mv:.3f}", values=np.zeros(40_000))
    found = open_recording(path, hz=250)
    assert found.seconds == 160
    assert [len(piece) for piece in found.pieces()] == [15_000, 15_000, 10_000]


CELLS = st.sampled_from(
    ["0", "1", "-2.5", "1e5", "0:01", "nan", "", "x", '"', "'", "2026-01-01", "1,5", "time", "II (mV)"]
)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    rows=st.lists(st.lists(CELLS | st.text(max_size=4), max_size=4), max_size=6),
    separator=st.sampled_from([",", ";", "\t", " "]),
    hz=st.none() | st.just(250.0),
)
def test_any_text_raises_nothing_else(tmp_path, rows, separator, hz):
    path = tmp_path / "rec.csv"
    path.write_text("\n".join(map(separator.join, rows)), encoding="utf-8", errors="replace")
    with contextlib.suppress(RecordingError):
        for number, _ in enumerate(open_recording(path, hz=hz, unit="mV").pieces()):
            if number == 3:
                break

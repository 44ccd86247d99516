from __future__ import annotations

import contextlib
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitor.errors import RecordingError
from monitor.recordings import lead_names, open_recording
from tests.recordings import mitdb
from tests.recordings.files import flip, wave, write_annotations, write_flac, write_wfdb

HEAD = "100 2 250 1000"


def one_lead(folder: Path, line: str = "100.dat 16 200/mV 16 0 0 0 0 II", head: str = "100 1 250 1000") -> Path:
    return write_wfdb(folder, lines=f"{head}\n{line}\n", counts=wave()[:, None] * 200)


def test_mit_bih_is_read_as_the_tests_read_it():
    record, path = mitdb.read("100"), mitdb.folder() / "100"
    found = open_recording(path, lead="MLII")
    assert (found.hz, found.start, lead_names(path)) == (mitdb.HZ, None, ("MLII", "V5"))
    pieces = [*found.pieces()]
    assert max(map(len, pieces)) <= 60 * mitdb.HZ
    np.testing.assert_allclose(np.concatenate(pieces), record.signal)
    is_beat = np.isin(found.annotations.symbols, [*mitdb.BEAT_CODES.values()])
    np.testing.assert_array_equal(np.rint(found.annotations.seconds[is_beat] * mitdb.HZ), record.beats)
    assert found.annotations.notes[0] == "(N"


def test_annotations_have_times_codes_and_notes(tmp_path):
    path = write_wfdb(tmp_path)
    assert open_recording(path).annotations is None
    write_annotations(tmp_path / "100.atr", (10, 28, "(AFIB"), (250, 1, ""), (500, 5, ""))
    found = open_recording(path).annotations
    assert found.seconds.tolist() == [0.04, 1, 2]
    assert (found.symbols, found.notes) == (("+", "N", "V"), ("(AFIB", "", ""))


def test_annotations_that_are_truncated_are_refused(tmp_path):
    path = write_wfdb(tmp_path)
    write_annotations(tmp_path / "100.atr", (250, 1, ""), (500, 5, ""))
    whole = (tmp_path / "100.atr").read_bytes()
    for size in range(len(whole)):
        (tmp_path / "100.atr").write_bytes(whole[:size])
        with pytest.raises(RecordingError, match=r"100\.atr: is truncated"):
            open_recording(path)


def test_invalid_samples_are_nan(tmp_path):
    counts = np.array([[100], [-32768], [100]])
    path = write_wfdb(tmp_path, lines="100 1 250 3\n100.dat 16 200/mV 16 0 0 0 0 II\n", counts=counts)
    np.testing.assert_array_equal(open_recording(path).samples, [0.5, np.nan, 0.5])


def test_the_12_bits_of_format_212_are_signed_and_its_code_for_invalid_is_nan(tmp_path):
    pairs = np.array([[2047, -2047], [-2048, -1]]) & 0xFFF  # two samples in three bytes
    packed = np.stack([pairs[:, 0] & 255, pairs[:, 0] >> 8 | pairs[:, 1] >> 8 << 4, pairs[:, 1] & 255], axis=1)
    path = write_wfdb(tmp_path, lines="100 1 250 4\n100.dat 212 1/mV 12 0 0 0 0 II\n")
    packed.astype(np.uint8).tofile(tmp_path / "100.dat")
    np.testing.assert_array_equal(open_recording(path).samples, [2047, -2047, np.nan, -1])


def test_several_samples_a_frame_make_a_faster_lead(tmp_path):
    counts = np.stack([wave() * 200, wave()[::-1] * 200, wave() * 200], axis=1)
    lines = f"{HEAD}\n100.dat 16x2 200/mV 16 0 0 0 0 II\n100.dat 16 200/mV 16 0 0 0 0 V5\n"
    path = write_wfdb(tmp_path, lines=lines, counts=counts)
    found = open_recording(path, lead="II")
    assert (found.hz, found.seconds) == (500, 4)
    np.testing.assert_allclose(found.samples, np.stack([wave(), wave()[::-1]], axis=1).ravel(), atol=1e-9)
    np.testing.assert_allclose(np.concatenate([*found.pieces(0.002)]), found.samples[1:])


def test_segments_are_joined_and_what_is_missing_between_them_is_nan(tmp_path):
    for name in ("a", "b"):
        write_wfdb(tmp_path, name)
    (tmp_path / "100.hea").write_text("100/3 2 250 2500 10:00:00 30/11/2026\na 1000\n~ 500\nb 1000\n")
    found = open_recording(tmp_path / "100", lead="MLII")
    assert (found.seconds, found.start) == (10, datetime(2026, 11, 30, 10))  # noqa: DTZ001
    np.testing.assert_allclose(found.samples, np.concatenate([wave(), np.full(500, np.nan), wave()]), atol=1e-9)
    np.testing.assert_allclose(np.concatenate([*found.pieces(5)])[250:], wave(), atol=1e-9)


def test_a_segment_without_the_lead_is_a_gap(tmp_path):
    write_wfdb(tmp_path, "a")
    write_wfdb(tmp_path, "b", lines="b 1 250 1000\nb.dat 16 200/mV 16 0 0 0 0 V5\n", counts=wave()[:, None] * 200)
    (tmp_path / "layout.hea").write_text("layout 2 250 0\n~ 0 200/mV 0 0 0 0 0 MLII\n~ 0 200/mV 0 0 0 0 0 V5\n")
    (tmp_path / "100.hea").write_text("100/3 2 250 2000\nlayout 0\nb 1000\na 1000\n")
    found = open_recording(tmp_path / "100", lead="MLII").samples
    assert np.isnan(found[:1000]).all()
    np.testing.assert_allclose(found[1000:], wave(), atol=1e-9)


def test_a_lead_is_followed_by_its_name_where_segments_have_another_order(tmp_path):
    write_wfdb(tmp_path, "a")
    turned = "b 2 250 1000\nb.dat 16 0.1/uV 16 0 0 0 0 V5\nb.dat 16 200/mV 16 0 0 0 0 MLII\n"
    write_wfdb(tmp_path, "b", lines=turned, counts=np.stack([wave() * 100, wave() * 200], axis=1))
    (tmp_path / "100.hea").write_text("100/2 2 250 2000\na 1000\nb 1000\n")
    np.testing.assert_allclose(open_recording(tmp_path / "100", lead="MLII").samples, np.tile(wave(), 2), atol=1e-9)
    write_wfdb(tmp_path, "b", lines=turned.replace("MLII", "V1"), counts=np.zeros((1000, 2)))
    with pytest.raises(RecordingError, match=r"b\.hea: has no lead 'MLII', as the first segment does"):
        open_recording(tmp_path / "100", lead="MLII").samples  # noqa: B018


def test_a_segment_that_is_itself_made_of_segments_is_refused(tmp_path):
    (tmp_path / "100.hea").write_text("100/1 1 250 1000\n100 1000\n")
    with pytest.raises(RecordingError, match="itself a segment"):
        open_recording(tmp_path / "100")


def test_counts_without_a_gain_are_refused_unless_the_unit_says_how_many_make_a_millivolt(tmp_path):
    for line in ("100.dat 16", "100.dat 16 0 16 0 0 0 0 II", "100.dat 16 0/mV 16 0 0 0 0 II"):
        path = one_lead(tmp_path, line)
        with pytest.raises(RecordingError, match=r"counts without a gain: .* adc/200"):
            open_recording(path)
        np.testing.assert_allclose(open_recording(path, unit="adc/100").samples, 2 * wave(), atol=1e-9)


@pytest.mark.parametrize(
    ("unit", "factor"), [("mV", 1), ("MV", 1), ("uV", 1e-3), ("UV", 1e-3), ("nV", 1e-6), ("V", 1e3)]
)
def test_units_are_brought_to_millivolts(tmp_path, unit, factor):
    path = one_lead(tmp_path, f"100.dat 16 200/{unit} 16 0 0 0 0 II")
    np.testing.assert_allclose(open_recording(path).samples, factor * wave(), atol=1e-9)


BAD = {
    "0 Hz": ("100 1 0 1000\n{}", "0 Hz"),
    "a negative rate": ("100 1 -250 1000\n{}", "the rate '-250', where samples a second are expected"),
    "a rate that is no number": ("100 1 25O 1000\n{}", "the rate '25O'"),
    "no signals": ("100 0 250 1000\n", "no signals"),
    "more signals than lines": ("100 2 250 1000\n{}", "2 signals or segments, and 1 lines"),
    "a billion signals": ("100 1000000000 250 1000\n{}", "1 lines"),
    "more samples than the file": ("100 1 250 100000\n{}", r"100\.dat: is truncated: holds 4.0 s of 400.0 s"),
    "no number of samples": ("100 1 250\n{}", "no number of samples"),
    "a billion samples a frame": ("100 1 250 1000\n100.dat 16x1000000000 200/mV 16 0 0 0 0 II\n", "samples a frame"),
    "no samples a frame": ("100 1 250 1000\n100.dat 16x0 200/mV 16 0 0 0 0 II\n", "samples a frame"),
    "a skew of a billion": ("100 1 250 1000\n100.dat 16:1000000000 200/mV 16 0 0 0 0 II\n", "skew"),
    "an offset of a billion": ("100 1 250 1000\n100.dat 16+1000000000 200/mV 16 0 0 0 0 II\n", "truncated"),
    "a format that nobody has": ("100 1 250 1000\n100.dat 99 200/mV 16 0 0 0 0 II\n", "format 99"),
    "differences": ("100 1 250 1000\n100.dat 8 200/mV 16 0 0 0 0 II\n", "format 8"),
    "a file that is missing": ("100 1 250 1000\n200.dat 16 200/mV 16 0 0 0 0 II\n", r"200\.dat: is missing"),
    "a path": ("100 1 250 1000\n../100.dat 16 200/mV 16 0 0 0 0 II\n", "is damaged"),
    "an address": ("100 1 250 1000\nhttp://x/100.dat 16 200/mV 16 0 0 0 0 II\n", "is damaged"),
    "a pressure": ("100 1 250 1000\n100.dat 16 200/mmHg 16 0 0 0 0 ABP\n", "'ABP' has the unit 'mmHg'"),
    "two leads of one name": ("100 2 250 500\n{}{}", "0 and 1 are all called 'II'"),
    "an endless gap": ("100/2 1 250 9000000000000000000\na 1000\n~ 8999999999999999000\n", "a.hea: is missing"),
    "a line of a megabyte": (f"100 1 250 1000 {'9' * 2**20}\n{{}}", "longer than"),
    "many lines": ("100 1 250 1000\n" + "{}" * 1000, "more than 512 signals"),
    "nothing": ("# no header\n", "is empty"),
    "a number of 5000 digits": (f"100 1 250 {'9' * 4000}\n{{}}", "lasts|is damaged|is truncated|longer"),
    "a gain beyond numbers": ("100 1 250 1000\n100.dat 16 1e999/mV 16 0 0 0 0 II\n", "gain"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_header_that_cannot_be_is_refused_with_a_sentence(tmp_path, case):
    lines, reason = BAD[case]
    path = one_lead(tmp_path)
    path.write_text(lines.replace("{}", "100.dat 16 200/mV 16 0 0 0 0 II\n"))
    with pytest.raises(RecordingError, match=reason):
        open_recording(path, lead="II" if case != "a pressure" else "ABP")


def test_a_record_that_becomes_shorter_while_it_is_read_is_refused(tmp_path):
    found = open_recording(one_lead(tmp_path))
    (tmp_path / "100.dat").write_bytes(b"")
    with pytest.raises(RecordingError, match=r"100\.dat: is truncated"):
        found.samples  # noqa: B018


def test_a_path_that_wfdb_would_look_for_in_a_network_is_refused(tmp_path):
    folder = tmp_path / "http::x"
    folder.mkdir()
    with pytest.raises(RecordingError, match="takes for an address"):
        open_recording(one_lead(folder))


def attempt(path: Path) -> None:
    """Read all of a damaged record. Whatever is raised but a RecordingError fails the test."""
    with contextlib.suppress(RecordingError):
        found = open_recording(path)
        for number, piece in enumerate(found.pieces()):
            assert len(piece) <= 60 * found.hz + 1
            if number == 3:
                break


NUMBERS = st.sampled_from(["0", "-1", "1e9", "4294967296", "9" * 30, "nan", ".", "x2", ":1", "+7", "(", "/"])


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(place=st.integers(0, 120), cut=st.integers(0, 12), text=NUMBERS | st.text(max_size=8), segments=st.booleans())
def test_a_damaged_header_raises_nothing_else(tmp_path, place, cut, text, segments):
    path = write_wfdb(tmp_path)
    if segments:
        path = tmp_path / "200.hea"
        path.write_text("200/3 2 250 2500\n100 1000\n~ 500\n100 1000\n")
    whole = path.read_text()
    path.write_bytes((whole[:place] + text + whole[place + cut :]).encode("utf-8", "surrogatepass"))
    attempt(path)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(content=st.binary(max_size=60))
def test_any_annotations_raise_nothing_else(tmp_path, content):
    path = write_wfdb(tmp_path)
    (tmp_path / "100.atr").write_bytes(content + b"\0\0")
    attempt(path)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(size=st.integers(0, 4000))
def test_a_truncated_record_is_refused(tmp_path, size):
    path = write_wfdb(tmp_path)
    data = tmp_path / "100.dat"
    data.write_bytes(data.read_bytes()[: min(size, 3999)])
    with pytest.raises(RecordingError, match="is truncated"):
        open_recording(path)


def test_a_compressed_record_is_read(tmp_path):
    np.testing.assert_allclose(open_recording(write_flac(tmp_path, wave(150.0))).samples, wave(150.0), atol=1e-9)


def test_a_compressed_record_that_is_truncated_is_refused_when_it_is_opened(tmp_path):
    path = write_flac(tmp_path, wave(150.0))
    (tmp_path / "100.dat").write_bytes((tmp_path / "100.dat").read_bytes()[:-10])
    with pytest.raises(RecordingError, match=r"100\.dat: lead 'II' .* is damaged \(.*\): get the whole file again"):
        open_recording(path)


def test_a_compressed_record_that_is_damaged_is_refused_with_its_lead_and_the_place(tmp_path):
    path = write_flac(tmp_path, np.random.default_rng(1).normal(0, 0.5, 45_000))
    flip(tmp_path / "100.dat", 0.5)
    pieces = open_recording(path).pieces()
    assert len(next(pieces)) == 15_000
    with pytest.raises(RecordingError, match=r"100\.dat: lead 'II' from 60\.0 s to 120\.0 s is damaged \(.*\): get"):
        next(pieces)

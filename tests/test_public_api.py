"""The public Python API: what it promises, that its numbers are the daemon's, and that only ValueErrors come out."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import monitor
from monitor.alarms.threshold import Thresholds
from monitor.beats.beat import MAX_AMPLITUDE
from monitor.model import artifact
from monitor.model.scorer import CAUSES, Scorer
from tests import models
from tests.conftest import REPOSITORY

COLUMNS = {"score": np.float32, "p_value": np.float64, "abnormal": np.bool_}


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    artifact.save(path, models.model())
    return path


@pytest.fixture(scope="module")
def model(path):
    return monitor.load_model(path)


def mixed_beats():
    """Beats of which one is flat and one saturated."""
    beats = models.beats(60, seed=5)
    beats[7] = 3
    beats[11, 40:80] = beats[11].max() + 1
    return beats


# ---- the promise


def test_the_public_names_and_signatures():
    assert monitor.__all__ == ["ScoreResult", "ScoringModel", "load_model"]
    assert str(inspect.signature(monitor.load_model)) == (
        "(path: 'str | os.PathLike[str]', device: 'str' = 'cpu') -> 'ScoringModel'"
    )
    assert str(inspect.signature(monitor.ScoringModel.score)) == (
        "(self, beats: 'ArrayLike', threshold: 'float | None' = None) -> 'ScoreResult'"
    )
    facts = [name for name in dir(monitor.ScoringModel) if not name.startswith("_")]
    assert facts == ["device", "model_id", "nominal_hz", "samples", "score", "threshold", "trained_on", "window"]
    assert list(monitor.ScoreResult.__dataclass_fields__) == ["score", "p_value", "abnormal", "cause"]


def test_a_name_that_is_not_public_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'monitor' has no attribute 'load'"):
        monitor.load  # noqa: B018


def test_the_package_has_the_marker_for_types():
    assert (REPOSITORY / "monitor" / "py.typed").is_file()
    assert (REPOSITORY / "trainer" / "py.typed").is_file()


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import monitor", {"numpy", "torch", "kafka", "pydantic", "click"}),
        ("from monitor import load_model", {"torch", "kafka", "pydantic", "click"}),
        ("import monitor; monitor.load_model", {"torch", "kafka", "pydantic", "click"}),
        ("import monitor.recordings", {"scipy", "wfdb", "edfio", "torch", "kafka"}),
        ("import monitor.cli", {"scipy", "wfdb", "edfio", "torch"}),
    ],
)
def test_an_import_loads_no_more_than_it_needs(statement, absent):
    code = f"{statement}; import sys; print(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert not absent & set(done.stdout.split())


# ---- its numbers


def test_the_numbers_are_the_daemons(path, model):
    beats = mixed_beats()
    served = artifact.load(path, "cpu")
    scores = Scorer(served, "cpu", 16384).score(beats)
    verdicts = Thresholds.from_manifest(served.manifest).judge(np.full(len(beats), b"bed", np.object_), scores.score)
    result = model.score(beats)
    np.testing.assert_array_equal(result.score, scores.score)
    np.testing.assert_array_equal(result.p_value, verdicts.p_value)
    np.testing.assert_array_equal(result.abnormal, verdicts.abnormal)
    assert result.cause.tolist() == [("", *CAUSES)[code] for code in scores.cause]
    assert len(result) == len(beats)


def test_a_beat_that_cannot_be_scored_has_a_reason(model):
    result = model.score(mixed_beats())
    unscored = np.isnan(result.score)
    assert np.flatnonzero(unscored).tolist() == [7, 11]
    assert result.cause[[7, 11]].tolist() == ["flat-line", "saturated"]
    assert not result.abnormal[unscored].any()
    assert np.isnan(result.p_value[unscored]).all()
    assert (result.cause[~unscored] == "").all()


def test_another_threshold_changes_the_verdicts_alone(model):
    beats = mixed_beats()
    plain, strict = model.score(beats), model.score(beats, threshold=np.float32(1e-6))
    np.testing.assert_array_equal(plain.score, strict.score)
    assert strict.abnormal.sum() == len(beats) - 2
    assert plain.abnormal.sum() < strict.abnormal.sum()
    assert not model.score(beats, threshold=10**9).abnormal.any()


def test_a_model_describes_itself(model):
    manifest = models.model().manifest
    assert (model.model_id, model.threshold) == (manifest.model_id, manifest.threshold.value)
    assert (model.samples, model.trained_on, model.nominal_hz, model.device) == (140, "random walks", 180.0, "cpu")
    assert str(model.window) == "from R to R, stretched to 140 samples"
    assert model.model_id in repr(model)


@pytest.mark.parametrize(
    "same",
    [
        lambda beats: beats.tolist(),
        lambda beats: tuple(map(tuple, beats.tolist())),
        list,
        lambda beats: beats.astype(np.float64),
        lambda beats: beats.astype(">f4"),
        np.asfortranarray,
        lambda beats: np.repeat(beats, 2, axis=1)[:, ::2],
        lambda beats: beats[::-1][::-1],
        np.ma.array,
    ],
)
def test_the_same_numbers_in_another_form_score_the_same(model, same):
    beats = mixed_beats()
    np.testing.assert_array_equal(model.score(same(beats)).score, model.score(beats).score)


@pytest.mark.parametrize("dtype", ["i2", ">i4", "u2", "f2"])
def test_numbers_of_other_types_are_converted(model, dtype):
    beats = (100 * models.beats(5) + 5000).astype(dtype)
    np.testing.assert_array_equal(model.score(beats).score, model.score(beats.astype(np.float32)).score)


def test_scoring_leaves_the_beats_as_they_were(model):
    beats = mixed_beats()
    beats.flags.writeable = False
    model.score(beats)
    np.testing.assert_array_equal(beats, mixed_beats())


def test_an_empty_input_gives_empty_columns(model):
    result = model.score(np.empty((0, 140)))
    assert len(result) == 0
    assert {name: getattr(result, name).dtype.type for name in COLUMNS} == COLUMNS
    assert result.cause.dtype.kind == "U"
    assert all(getattr(result, name).shape == (0,) for name in (*COLUMNS, "cause"))


# ---- what it refuses


def with_sample(value):
    beats = models.beats(3).astype(np.float64)
    beats[1, 17] = value
    return beats


@pytest.mark.parametrize(
    ("beats", "sentence"),
    [
        (np.zeros(140), r"shape \(140,\), .* for a single beat, pass beats.reshape\(1, 140\)"),
        (np.zeros((2, 141)), r"shape \(2, 141\), .* if one column holds labels, leave it out"),
        (np.zeros((2, 139)), r"shape \(2, 139\), where \(n, 140\)"),
        (np.zeros((140, 2)), r"shape \(140, 2\)"),
        (np.zeros((1, 2, 140)), r"shape \(1, 2, 140\)"),
        (np.float32(1), r"shape \(\)"),
        ([], r"shape \(0,\)"),
        ([[1.0] * 140, [1.0] * 139], "cannot be made an array"),
        (with_sample(np.nan), r"beats\[1, 17\] is nan, where a number within ±1e\+09 is expected"),
        (with_sample(np.inf), r"beats\[1, 17\] is inf"),
        (with_sample(-1e300), r"beats\[1, 17\] is -1e\+300"),
        (with_sample(2 * MAX_AMPLITUDE), r"beats\[1, 17\] is 2e\+09"),
        (np.full((1, 140), 2**63, np.uint64), r"beats\[0, 0\] is 9.22337e\+18"),
        (np.ma.masked_less(models.beats(3), 0), "masked"),
        (models.beats(3).astype(object), "object values, where numbers are expected"),
        (models.beats(3).astype(str), "<U32 values"),
        (models.beats(3).astype(complex), "complex128 values"),
        (np.zeros((3, 140), bool), "bool values"),
        (np.zeros((3, 140), "M8[s]"), r"datetime64\[s\] values"),
        (None, "object values"),
        ("beats.csv", "<U9 values"),
        (b"\0" * 560, r"\|S560 values"),
        ({"samples": [1.0] * 140}, "object values"),
        ([[10**400] * 140], "object values"),
    ],
)
def test_what_is_not_beats_is_a_value_error_with_a_sentence(model, beats, sentence):
    with pytest.raises(ValueError, match=sentence) as caught:
        model.score(beats)
    assert type(caught.value) is ValueError
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("threshold", [0, -1.0, np.nan, np.inf, "0.3", True, 10**400, [0.3], np.array(0.3)])
def test_a_threshold_that_is_not_a_positive_number_is_refused(model, threshold):
    with pytest.raises(ValueError, match="where a number above 0 is expected"):
        model.score(models.beats(1), threshold=threshold)


HOSTILE = (
    st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(), st.lists)
    | arrays.arrays(
        arrays.scalar_dtypes() | st.just(np.dtype(object)),
        arrays.array_shapes(max_dims=3, max_side=4) | st.tuples(st.integers(0, 3), st.just(140)),
    )
    | arrays.arrays(np.float64, st.tuples(st.integers(0, 3), st.just(140)), fill=st.floats())
    | st.lists(st.lists(st.floats(), min_size=139, max_size=141), max_size=3)
)


@given(HOSTILE, st.none() | st.floats() | st.integers() | st.text())
def test_every_input_gives_a_result_or_a_value_error(model, beats, threshold):
    refusal = None
    try:
        result = model.score(beats, threshold)
    except ValueError as error:
        refusal = error
    if refusal is None:
        assert len({len(getattr(result, name)) for name in (*COLUMNS, "cause")}) == 1
    else:
        assert type(refusal) is ValueError


# ---- files and devices


def test_a_path_may_be_text(path, model):
    assert monitor.load_model(str(path)).model_id == monitor.load_model(os.fspath(path)).model_id == model.model_id


@pytest.mark.parametrize(
    ("content", "sentence"),
    [(None, "cannot be read: No such file or directory"), (b"PK\x03\x04", "a zip archive"), (b"text", "safetensors")],
)
def test_a_file_that_is_not_a_model_is_a_value_error_that_names_it(tmp_path, content, sentence):
    file = tmp_path / "other.safetensors"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ValueError, match=sentence) as caught:
        monitor.load_model(file)
    assert type(caught.value) is ValueError
    assert str(file) in str(caught.value)


def test_a_folder_is_not_a_model(tmp_path):
    with pytest.raises(ValueError, match=str(tmp_path)):
        monitor.load_model(tmp_path)


@pytest.mark.parametrize("given_path", [None, 3, ["a"], "a\0b", "\ud800", b"bytes"])
def test_a_path_that_is_none_is_a_value_error(given_path):
    with pytest.raises(ValueError, match="path is "):
        monitor.load_model(given_path)


@pytest.mark.parametrize("device", ["cuda:99", "gpu", "", "meta", "cuda:-1", None, SimpleNamespace()])
def test_a_missing_device_is_a_value_error(path, device):
    with pytest.raises(ValueError, match="device") as caught:
        monitor.load_model(path, device)
    assert type(caught.value) is ValueError


def test_the_public_names_are_listed_before_they_are_loaded():
    program = "import sys, monitor; print(set(monitor.__all__) <= set(dir(monitor)), 'numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "False"]

"""A model file comes back as it was written, or is refused in one sentence."""

from __future__ import annotations

import json
import os
import pickle
import struct
import tracemalloc
import zipfile
from dataclasses import astuple, replace

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.beats.window import R_CENTRED, R_TO_R, Window
from monitor.errors import ArtifactError, RefusedError
from monitor.model import artifact
from monitor.model.manifest import ScoreConfig, WindowSpec
from monitor.model.scorer import Scorer
from tests import models


@pytest.fixture
def path(tmp_path):
    artifact.save(tmp_path / "m.safetensors", models.model())
    return tmp_path / "m.safetensors"


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The bytes of a good file, and a place to put damaged ones."""
    place = tmp_path_factory.mktemp("damaged") / "m.safetensors"
    artifact.save(place, models.model())
    return place.read_bytes(), place


def refusal(path):
    with pytest.raises(ArtifactError) as caught:
        artifact.load(path, "cpu")
    sentence = str(caught.value)
    assert sentence.startswith(f"{path}: ")
    assert sentence.isprintable()
    return sentence


def test_a_model_comes_back_as_it_was_saved(path):
    saved, loaded = models.model(), artifact.load(path, "cpu")
    samples = models.beats(20)
    assert (Scorer(loaded, "cpu", 8).score(samples).score == Scorer(saved, "cpu", 8).score(samples).score).all()
    assert loaded.manifest.calibration == saved.manifest.calibration
    assert loaded.manifest.model_id == saved.manifest.model_id
    assert (loaded.score, loaded.manifest.threshold) == (saved.score, saved.manifest.threshold)


def test_a_file_from_a_version_without_members_is_still_read(path):
    models.forge(path, lambda manifest, _: manifest["network"].pop("members"))
    assert artifact.load(path, "cpu").manifest.network.members == 1
    assert repr(models.SMALL) == "NetworkConfig(kind='stacked', widths=(70, 6, 3))", "model ids hang on these words"


def test_a_file_from_a_version_without_typical_beats_is_still_read(path):
    models.forge(path, lambda manifest, _: manifest["score"].pop("prototypes"))
    assert artifact.load(path, "cpu").score.prototypes == 0
    assert repr(ScoreConfig(prototypes=4)) == repr(ScoreConfig()), "model ids hang on these words"


def test_typical_beats_come_back_and_are_asked_for(tmp_path):
    path, saved = tmp_path / "m", models.model(typical=3)
    artifact.save(path, saved)
    samples = models.beats(20)
    loaded = Scorer(artifact.load(path, "cpu"), "cpu", 8).score(samples).score
    assert (loaded == Scorer(saved, "cpu", 8).score(samples).score).all()
    assert (loaded != Scorer(models.model(), "cpu", 8).score(samples).score).all()
    models.forge(path, lambda _, tensors: tensors.pop("score.prototypes"))
    assert "tensor score.prototypes is None, where the manifest asks for (3, 70)" in refusal(path)


def test_the_same_model_makes_the_same_bytes(path, tmp_path):
    artifact.save(tmp_path / "again", models.model())
    artifact.save(tmp_path / "loaded", artifact.load(path, "cpu"))
    assert (tmp_path / "again").read_bytes() == (tmp_path / "loaded").read_bytes() == path.read_bytes()


def test_saving_leaves_nothing_else_behind_and_makes_the_folder(tmp_path):
    artifact.save(tmp_path / "new" / "m", models.model())
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["m"]


def calibrated_on(count):
    model = models.model()
    return replace(model, manifest=replace(model.manifest, calibration=tuple(np.linspace(0.1, 0.9, count).tolist())))


def test_a_model_with_a_long_calibration_comes_back(tmp_path):
    artifact.save(tmp_path / "m", calibrated_on(300_000))
    assert len(artifact.load(tmp_path / "m", "cpu").manifest.calibration) == 300_000


def test_a_model_that_could_not_be_loaded_again_is_not_saved(tmp_path):
    with pytest.raises(RefusedError, match=r"m: this model could not be loaded again .*: calibrate with fewer beats"):
        artifact.save(tmp_path / "m", calibrated_on(600_000))
    assert list(tmp_path.iterdir()) == []


def test_a_failed_save_is_an_error_and_leaves_no_partial_file(tmp_path):
    (tmp_path / "m").mkdir()
    with pytest.raises(RefusedError, match="m: cannot be written"):
        artifact.save(tmp_path / "m", models.model())
    assert [file.name for file in tmp_path.iterdir()] == ["m"]


@settings(max_examples=300)
@given(at=st.integers(0, 2**20), bits=st.integers(1, 255))
def test_any_flipped_byte_is_refused(whole, at, bits):
    good, place = whole
    flipped = bytearray(good)
    flipped[at % len(good)] ^= bits
    place.write_bytes(flipped)
    refusal(place)


@settings(max_examples=50)
@given(length=st.integers(0, 2**20))
def test_a_truncated_file_is_refused(whole, length):
    good, place = whole
    place.write_bytes(good[: length % len(good)])
    refusal(place)


@settings(max_examples=50)
@given(junk=st.binary(max_size=300))
def test_junk_is_refused(whole, junk):
    _, place = whole
    place.write_bytes(junk)
    refusal(place)


def header(document):
    text = json.dumps(document).encode() if not isinstance(document, bytes) else document
    return struct.pack("<Q", len(text)) + text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a whole safetensors file"),
        (struct.pack("<Q", 4 * 2**30) + b"{}", "header length 4,294,967,296"),
        (struct.pack("<Q", 2**64 - 1) + b"{}", "not a whole safetensors file"),
        (header(b"\xff\xfe{}"), "its header is not JSON"),
        (header(b"[" * 1_000_000), "its header is not JSON"),
        (header(b"[]"), "no manifest"),
        (header({"__metadata__": 3}), "no manifest"),
        (header({"__metadata__": {"manifest": 3}}), "no manifest"),
        (header({"__metadata__": {"manifest": "{"}}), "manifest: its JSON"),
        (header({"__metadata__": {"manifest": "[" * 100_000}}), "manifest: its JSON"),
        (header({"__metadata__": {"manifest": '{"schema": ' + "9" * 100_000 + "}"}}), "manifest: its JSON"),
        (pickle.dumps({"state_dict": 1}), "this is a pickle"),
        (b"\x80\x02}q\x00.", "this is a pickle"),
    ],
)
def test_a_hostile_file_is_refused(path, content, message):
    path.write_bytes(content)
    assert message in refusal(path)


def test_a_zip_as_torch_saves_it_is_refused(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("data.pkl", b"x")
    assert "this is a zip archive" in refusal(path)


def test_a_huge_sparse_file_is_refused_unread(path):
    with path.open("r+b") as file:
        file.truncate(2**38)
    tracemalloc.start()
    assert "bytes, where a model has at most" in refusal(path)
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()


def test_a_path_that_is_not_a_regular_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert "this is not a file" in refusal(tmp_path)
    assert "this is not a file" in refusal(tmp_path / "pipe")
    assert "No such file" in refusal(tmp_path / "absent")


def test_a_safetensors_file_from_another_program_is_refused(path):
    safetensors.numpy.save_file({"w": np.zeros(3, np.float32)}, path, {"format": "pt"})
    assert "not a model that `ecg-trainer` wrote" in refusal(path)


def replaced(*places, value):
    """An edit of the manifest: the field at `places` becomes `value`."""

    def edit(manifest, _):
        *parents, last = places
        for name in parents:
            manifest = manifest[name]
        manifest[last] = value

    return edit


def of_recordings(before, after):
    """An edit of the manifest: beats are cut around R."""
    return replaced(
        "window",
        value={
            "samples": 140,
            "nominal_hz": None,
            "source": "",
            "kind": "r-centred",
            "before_seconds": before,
            "after_seconds": after,
        },
    )


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (replaced("schema", value=2), "schema version 2, where this version reads 1"),
        (replaced("window", "samples", value=187), "beats of 187 samples, where the stream's have 140"),
        (replaced("window", "kind", value="r-wave"), "window.kind: input should be 'r-to-r' or 'r-centred'"),
        (replaced("window", "kind", value="r-centred"), "the window has 0 and 0 s before and after R"),
        (replaced("window", "before_seconds", value=0.2), "a window from R to R has no seconds"),
        (replaced("window", "before_seconds", value=float("nan")), "window.before_seconds: input should be a finite"),
        (replaced("window", "before_seconds", value="0.2"), "window.before_seconds: input should be a valid number"),
        (replaced("window", "margin", value=1), "window.margin: unexpected keyword argument"),
        (of_recordings(0.248, 1e9), "the window has 0.248 and 1e+09 s before and after R, where 0 to 1 are possible"),
        (of_recordings(-0.1, 0.4), "the window has -0.1 and 0.4 s"),
        (replaced("threshold", "value", value=-1), "threshold.value is -1"),
        (replaced("threshold", "value", value="0.5"), "threshold.value: input should be a valid number"),
        (replaced("threshold", "value", value=float("nan")), "threshold.value: input should be a finite number"),
        (replaced("network", "kind", value="resnet"), "network kind 'resnet' is unknown"),
        (replaced("network", "widths", value=[70, 2**40]), "network widths"),
        (replaced("network", "widths", value=[64, 6, 3]), "the network takes 64 samples, score.pool gives 70"),
        (replaced("network", "widths", value=[70, 1024, 1024]), "where the manifest asks for"),
        (replaced("score", "pool", value=3), "score.pool is 3"),
        (replaced("score", "window", value=71), "score.window is 71"),
        (replaced("score", "prototypes", value=65), "score.prototypes is 65, where 0 to 64 are possible"),
        (replaced("score", "prototypes", value=1), "tensor score.prototypes is None"),
        (replaced("score", "normalisation", value="global"), "score.normalisation"),
        (replaced("calibration", value=[]), "calibration must be"),
        (replaced("calibration", value=[2, 1]), "ascending order"),
        (replaced("calibration", value=[1, float("inf")]), "calibration.1: input should be a finite number"),
        (replaced("golden", "samples", value=[[0.5] * 140] * 4), "golden has 4 beats"),
        (replaced("golden", "samples", value=[[0.5] * 139] * 5), "not 140 samples"),
        (replaced("golden", "scores", 2, value=0.5), "golden beats score otherwise on cpu"),
        (replaced("golden", "samples", value=[[0.0] * 140] * 5), "golden beats score otherwise on cpu"),
        (replaced("model_id", value="0123456789abcdef"), "model id 0123456789abcdef is not that of its weights"),
        (replaced("surprise", value=1), "surprise: unexpected keyword argument"),
        (replaced("\x1b[2J\n" + "x" * 9999, value=1), "unexpected keyword argument"),
        (replaced("evaluation", value={"split": "x"}), "evaluation"),
        (lambda manifest, _: manifest.pop("calibration"), "calibration: field required"),
        (lambda _, tensors: tensors.pop("network.0.bias"), r"tensor network.0.bias is None"),
        (lambda _, tensors: tensors.update(extra=np.zeros(3, np.float32)), "tensor extra is (3,)"),
        (lambda _, tensors: tensors.update({"network.0.bias": np.zeros(6)}), "F64, where F32"),
        (lambda _, tensors: tensors.update({"network.0.bias": np.full(6, np.nan, np.float32)}), "not a finite number"),
        (lambda _, tensors: tensors["network.0.bias"].__iadd__(1), "is not that of its weights"),
    ],
)
def test_a_file_that_was_sealed_with_wrong_contents_is_refused(path, edit, message):
    models.forge(path, edit)
    assert message in refusal(path)


def test_a_forged_file_without_changes_loads(path):
    models.forge(path, lambda *_: None)
    artifact.load(path, "cpu")


@pytest.mark.parametrize("window", [R_TO_R, R_CENTRED, Window("r-centred", 0.1, 0.5)])
def test_a_file_keeps_the_window_of_its_beats(tmp_path, window):
    model, path = models.model(), tmp_path / "m"
    spec = WindowSpec(140, 213.0, "a ward", *astuple(window))
    artifact.save(path, replace(model, manifest=replace(model.manifest, window=spec)))
    assert artifact.load(path, "cpu").manifest.window == spec
    assert spec.cut == window


def test_a_file_says_nothing_of_a_window_from_r_to_r_as_files_did_before_there_was_another(path):
    manifest, _ = models.parts(path)
    assert manifest["window"] == {"samples": 140, "nominal_hz": 180.0, "source": "random walks"}


def test_a_missing_device_is_not_reported_as_a_fault_of_the_file(path):
    with pytest.raises(RefusedError, match="device cuda:99 is not there") as caught:
        artifact.load(path, "cuda:99")
    assert not isinstance(caught.value, ArtifactError)


def test_a_refusal_exits_2(path):
    path.write_bytes(b"")
    with pytest.raises(ArtifactError) as caught:
        artifact.load(path, "cpu")
    assert caught.value.exit_code == 2

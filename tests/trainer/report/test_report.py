"""The report: one page that needs nothing from outside, whose numbers are the manifest's."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from monitor.errors import RefusedError
from monitor.model import artifact
from trainer.commands import ecg
from trainer.data import datasets
from trainer.fitting.preparation import prepared
from trainer.fitting.recipe import Recipe
from trainer.report import findings, report

BLANK = b"\x89PNG"
VOID = {"meta", "img"}


class Page(HTMLParser):
    """The contents of a page: opened tags, their attributes, its text; `open` is empty when each was closed."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.attributes, self.text, self.open = [], [], "", []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes.append((tag, dict(attrs)))
        self.open += [] if tag in VOID else [tag]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, text):
        self.text += text

    def images(self):
        return [attributes for tag, attributes in self.attributes if tag == "img"]


@pytest.fixture(scope="session")
def default(model_file):
    return artifact.load(model_file, "cpu")


@pytest.fixture(scope="session")
def folder(default, ecg5000, tmp_path_factory):
    """The report of the default model on ECG5000."""
    return report.write(tmp_path_factory.mktemp("report"), default, ecg5000, [0.5, 0.3, 0.2]).parent


@pytest.fixture
def drawn(default, tmp_path):
    """The page of the default model on a user's own beats. `changes` are applied to its manifest."""

    def write(beats, names=None, **changes):
        model = replace(default, manifest=replace(default.manifest, **changes))
        dataset = replace(datasets.read(beats), **(names or {}))
        return page(report.write(tmp_path / "report", model, dataset, [1.0]).parent)

    return write


@pytest.fixture
def reported(drawn, monkeypatch):
    """The same for tests that read the text: its pictures are composed, but blank, since matplotlib takes seconds."""
    monkeypatch.setattr(Figure, "savefig", lambda _, file, **__: file.write(BLANK))
    return drawn


def page(folder):
    return Page((folder / "index.html").read_text())


def test_the_page_needs_nothing_from_outside(folder):
    shown = page(folder)
    assert not {"script", "link", "iframe", "object", "base"} & set(shown.tags)
    assert all(image["src"].startswith("data:image/png;base64,") for image in shown.images())
    html = (folder / "index.html").read_text()
    assert not re.search(r"https?://|url\(|@import", html)
    policies = [attributes["content"] for _, attributes in shown.attributes if "http-equiv" in attributes]
    assert policies[0].startswith("default-src 'none'")


def test_the_page_is_well_formed_and_every_picture_has_a_description(folder):
    shown = page(folder)
    assert not shown.open
    assert all(len(image["alt"]) > 20 for image in shown.images())
    assert "Not a medical device" in shown.text


def test_every_picture_of_the_page_lies_beside_it_without_date_or_version(folder):
    pictures = {file.stem: file.read_bytes() for file in folder.glob("*.png")}
    named = {attributes["id"] for tag, attributes in page(folder).attributes if tag == "figure"}
    assert named == set(pictures)
    assert {"training", "scores", "roc", "precision-recall", "threshold", "calibration", "false-alarms"} <= named
    for png in pictures.values():
        assert png.startswith(b"\x89PNG")
        assert b"tEXt" not in png
        assert b"tIME" not in png


def test_the_figures_of_the_page_are_those_of_the_manifest(folder, default):
    text, found = page(folder).text, default.manifest.evaluation
    for row in found.rows:
        assert all(f"{value:.4f}" in text for value in (row.auc, row.accuracy, row.recall, row.false_positive_rate))
    flagged = round(found.rows[0].false_positive_rate * found.normals)
    missed = found.abnormals - round(found.rows[0].recall * found.abnormals)
    assert f"{flagged:,} of {found.normals:,} normal beats" in text
    assert f"of {flagged:,} wrongly flagged beats" in text
    assert f"of {missed:,} missed beats" in text


def test_the_page_shows_that_the_training_was_stopped_and_what_the_score_consists_of(reported, own_beats, default):
    beats = own_beats(40, labels=False)
    early = default.manifest.training | {"interrupted": 1, "epochs": 7}
    text = reported(beats, evaluation=None, training=early).text
    assert "stopped by hand after 7 epochs" in text
    assert "70-64-32-16-32-64-70 values; 4 typical beats" in text
    assert "from the difference to the nearest typical beat" in text
    assert "stopped by hand" not in reported(beats, evaluation=None).text


def test_the_sweep_passes_through_the_figures_of_the_manifest(default, ecg5000):
    ours = default.manifest.evaluation.rows[0]
    swept = findings.swept(findings.scored(default, ecg5000))
    at = int(np.argmin(np.abs(swept.threshold - ours.threshold)))
    assert swept.precision[at] == pytest.approx(ours.precision)
    assert swept.recall[at] == pytest.approx(ours.recall)
    assert swept.false_positive_rate[at] == pytest.approx(ours.false_positive_rate)


def test_every_kind_of_abnormal_beats_is_shown_by_its_name(folder):
    text = page(folder).text
    for kind in ("R-on-T PVC", "PVC", "supraventricular or ectopic", "unclassified"):
        assert kind in text
    assert re.search(r"normal2,627\d+\.\d\d%", text.replace("\n", ""))


def test_a_test_without_normal_beats_leaves_those_learnt_from_to_show(drawn, own_beats):
    beats = own_beats(60, 20)
    whole = datasets.read(beats)
    shown = drawn(beats, {"test": whole.test.only(whole.test.abnormal)}, evaluation=None)
    assert "The 6 training beats with the highest scores" in shown.text


@pytest.mark.slow
def test_the_same_model_and_beats_make_the_same_bytes(folder, default, ecg5000, tmp_path):
    report.write(tmp_path, default, ecg5000, [0.5, 0.3, 0.2])
    for file in sorted(folder.iterdir()):
        assert (tmp_path / file.name).read_bytes() == file.read_bytes(), file.name


def test_own_labelled_beats_are_only_called_abnormal(drawn, own_beats, default):
    lenient = replace(default.manifest.threshold, value=1e-9)
    shown = drawn(own_beats(200, 50), threshold=lenient)
    assert "40 normal and 10 abnormal test beats" in shown.text
    assert "PVC" not in shown.text
    assert "There are no missed beats." in shown.text
    assert not shown.open


def test_the_page_for_unlabelled_beats_names_what_is_missing(drawn, own_beats, tmp_path):
    shown = drawn(own_beats(80, labels=False), evaluation=None)
    assert "What is missing here" in shown.text
    assert "1 epoch, loss 1." in shown.text
    assert str(tmp_path) not in shown.text
    assert "all 80 beats are taken as normal" in shown.text
    names = {attributes["id"] for tag, attributes in shown.attributes if tag == "figure"}
    assert names == {"training", "reconstruction-normal", "scores", "calibration", "worst"}


def test_names_out_of_files_are_escaped(reported, own_beats, default):
    evil = '<script>alert("x")</script><img src=x onerror=y>&amp;\'"'
    window = replace(default.manifest.window, source=evil)
    names = {"name": evil, "notes": (evil,)}
    shown = reported(own_beats(40, labels=False), names, window=window, model_id=evil, evaluation=None)
    assert "script" not in shown.tags
    assert shown.text.count(evil) >= 4
    assert all(image["src"].startswith("data:") for image in shown.images())


def test_too_few_beats_to_split_have_no_calibration_and_a_message(reported, own_beats):
    shown = reported(own_beats(40, labels=False), evaluation=None, calibration=(0.1, 0.2, 0.3))
    assert "no check of the false-alarm budget: 3 normal beats are too few" in shown.text


@pytest.mark.slow
def test_the_command_writes_the_report_and_the_same_model_as_without_it(command, own_beats, tmp_path):
    beats = own_beats(40, labels=False)
    words = ("--data", beats, "--out", tmp_path / "m", "--epochs", 1, "--report", tmp_path / "deep" / "report")
    done = command("ecg", *words)
    assert done.returncode == 0, done.stderr
    assert f"wrote {tmp_path / 'deep' / 'report' / 'index.html'}" in done.stdout
    ecg.train(prepared(beats), tmp_path / "without", Recipe(epochs=1), "cpu")
    assert (tmp_path / "m").read_bytes() == (tmp_path / "without").read_bytes()


@pytest.mark.parametrize("normals_only", [True, False])
def test_a_rule_without_a_guarantee_has_none_on_its_page(reported, own_beats, default, normals_only):
    note = "the rule promises no false-alarm rate; 9 of 292 cross-fitted normal beats lie above"
    limit = replace(default.manifest.threshold, confidence=0.0, rule="f1 on labelled training beats", note=note)
    beats = own_beats(80, labels=False) if normals_only else own_beats(200, 50)
    changes = {"evaluation": None} if normals_only else {}
    shown = reported(beats, threshold=limit, **changes)
    assert note in shown.text
    assert not any(
        message in shown.text for message in ("allows up to", "A budget of", "by the same false-alarm budget")
    )
    assert "calibration" not in {attributes["id"] for tag, attributes in shown.attributes if tag == "figure"}
    message = "the threshold's rule has no budget" if normals_only else "by the rule f1 on labelled training beats"
    assert message in shown.text


def test_a_folder_that_cannot_be_written_to_is_refused(default, own_beats):
    bare = replace(default, manifest=replace(default.manifest, evaluation=None))
    with pytest.raises(RefusedError, match="/proc/none: the report cannot be written"):
        report.write(Path("/proc/none"), bare, datasets.read(own_beats(40, labels=False)), [1.0])

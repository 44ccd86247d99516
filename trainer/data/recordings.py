"""Data sets of recordings: the beats of the leads that a person names, cut around R, with the patient of each.

A folder, or one recording: WFDB (with annotations), EDF, BDF, or CSV. All beats are in the training part. Nobody is
held out: where there are several people, each is judged by networks that were fitted without them
(`trainer.fitting.cross_fitting`). Of one person with abnormal beats, the last fifth is the test part.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING

import click
import numpy as np

from monitor.beats.beat_file import NORMAL_CLASS
from monitor.beats.plausible import NO_BEATS
from monitor.beats.window import R_CENTRED
from monitor.errors import RefusedError
from monitor.recordings import Segmenter, lead_names, open_recording
from monitor.recordings.folder import recordings_in
from monitor.recordings.lead_choice import usual_lead
from monitor.recordings.recording import PIECE_SECONDS
from monitor.recordings.segmenter import joined
from trainer.data import datasets, labels, patients, strange, survey
from trainer.data.datasets import Dataset, DatasetPart
from trainer.data.survey import LeadSurvey

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from monitor.recordings import Recording
    from monitor.recordings.segmenter import Segments
    from trainer.data.signals import Signals

MAX_PIECES = 48 * 60  # of a minute: longer recordings are read up to here
MOST = 20_000  # normal beats of a whole data set, about: more make the training slow and the network no better
MOST_OF_A_LEAD, LEAST_OF_A_LEAD = 500, 20  # between these: beats of one class that one lead gives
LEAST_PATIENTS, LEAST_NORMALS = 2, 10  # people with so many normal beats; with fewer, beats count one by one


@dataclass(frozen=True, slots=True)
class LeadBeats:
    """The beats of one lead that are used, those that were set aside, and what became of the others."""

    part: DatasetPart
    aside: DatasetPart
    survey: LeadSurvey


def read(path: Path, signals: Signals) -> Dataset:
    """The beats of a recording, or of all recordings in a folder.

    Raises RefusedError, which names the file, if a recording or `patients.csv` cannot be read, or if none has a lead
    that was asked for.
    """
    paths = recordings_in(path) if path.is_dir() else (path,)
    if not paths:
        raise RefusedError(f"{path}: holds no recording: a .dat file needs its .hea file beside it")
    folder = path if path.is_dir() else path.parent
    people = patients.patients(folder, [each.stem for each in paths]) if path.is_dir() else (path.stem,)
    opened = [(patient, each) for patient, file in zip(people, paths, strict=True) for each in _leads(file, signals)]
    if not opened:
        found = ", ".join(sorted({name for file in paths for name in lead_names(file)}))
        raise RefusedError(f"{path}: no recording has a lead {' or '.join(signals.leads)}: they have {found}")
    most = min(MOST_OF_A_LEAD, max(LEAST_OF_A_LEAD, MOST // len(opened)))
    with click.progressbar(opened, label="reading recordings", file=sys.stderr) as shown:
        beats = [_beats(patient, recording, most) for patient, recording in shown]
    return _dataset(path, beats)


def _leads(path: Path, signals: Signals) -> list[Recording]:
    """The leads of a recording that were asked for, each once. Without a wish: MLII or II, or else the first lead."""
    names = lead_names(path)
    wanted = [lead for lead in signals.leads if _has(names, lead)] if signals.leads else [usual_lead(names)]
    found = [open_recording(path, lead=lead, hz=signals.hz, unit=signals.unit) for lead in wanted]
    return list({each.lead: each for each in found}.values())


def _has(names: Sequence[str], lead: str) -> bool:
    """Whether a recording has a lead of this name or number; `II` is also `ECG II`."""
    known = {name.casefold().removeprefix("ecg ").strip() for name in names} | set(map(str, range(len(names))))
    return lead.casefold().removeprefix("ecg ").strip() in known


def _beats(patient: str, recording: Recording, most: int) -> LeadBeats:
    """Find the beats of one lead and their classes, and keep at most `most` of each class."""
    found = _segments(recording)
    classes, unlabelled, not_found = np.full(len(found), NORMAL_CLASS, np.int8), 0, 0
    is_strange = np.zeros(len(found), np.bool_)
    annotations = labels.of_beats(recording.annotations)
    if annotations is None:
        is_strange = strange.strange(found.samples)
    else:
        labelled = labels.matched(found.time, annotations)
        classes, not_found = labelled.classes, labelled.not_found
        unlabelled = int((classes == 0).sum())
    kept = _thinned(classes, (classes > 0) & ~is_strange, most)
    made = LeadSurvey(
        recording=recording.path.stem,
        patient=patient,
        lead=recording.lead,
        seconds=min(recording.seconds, MAX_PIECES * PIECE_SECONDS),
        annotated=annotations is not None,
        found=len(found),
        unlabelled=unlabelled,
        not_found=not_found,
        aside=int(is_strange.sum()),
        used=int(kept.sum()),
    )
    whole = DatasetPart(found.samples, classes != NORMAL_CLASS, classes, np.full(len(found), patient))
    aside = replace(whole, classes=np.full(len(found), datasets.ASIDE_CLASS, np.int8)).only(
        _thinned(classes, is_strange, most)
    )
    return LeadBeats(whole.only(kept), aside, made)


def _segments(recording: Recording) -> Segments:
    try:
        segmenter = Segmenter(recording.hz, window=R_CENTRED)
    except ValueError as error:
        raise RefusedError(f"{recording.path}: lead {recording.lead!r} has {error}") from error
    pieces = islice(recording.pieces(), MAX_PIECES)
    return joined([*(segmenter.feed(piece) for piece in pieces), segmenter.finish()])


def _thinned(classes: NDArray[np.int8], among: NDArray[np.bool_], most: int) -> NDArray[np.bool_]:
    """Which beats (n,) `among` these to keep: at most so many of each class, evenly spaced over the recording."""
    kept = np.zeros(len(classes), np.bool_)
    for number in np.unique(classes[among]):
        rows = np.flatnonzero(among & (classes == number))
        kept[rows[np.linspace(0, len(rows) - 1, min(most, len(rows))).astype(np.int64)]] = True
    return kept


def _normals_of_patients(part: DatasetPart) -> list[int]:
    """The number of normal beats of each patient."""
    names = np.empty(0, np.str_) if part.patients is None else part.patients[~part.abnormal]
    return [int(number) for number in np.unique(names, return_counts=True)[1]]


def _dataset(path: Path, beats: Sequence[LeadBeats]) -> Dataset:
    surveys = tuple(each.survey for each in beats)
    train, test, notes = datasets.joined(*(each.part for each in beats)), None, survey.sentences(surveys)
    if not len(train):
        raise RefusedError(f"{path}: no beats to train on in {survey.extent(surveys)}: {NO_BEATS}")
    if sum(each >= LEAST_NORMALS for each in _normals_of_patients(train)) < LEAST_PATIENTS:
        train = replace(train, patients=None)
        notes = (*notes, "all normal beats are of one person: nothing here says how the model does on other people")
        if train.abnormal.any():
            train, test = datasets.early_and_late(train)
    return Dataset(
        name=f"recordings of {path.resolve().name}",
        source=f"{survey.extent(surveys)}, filtered to 0.5 to 40 Hz",
        nominal_hz=round((train.samples.shape[1] - 1) / (R_CENTRED.before_seconds + R_CENTRED.after_seconds), 3),
        train=train,
        test=test,
        notes=notes,
        window=R_CENTRED,
        leads=surveys,
        aside=datasets.joined(*(each.aside for each in beats)),
    )

"""The report of one training: an HTML page, and its pictures as PNG files beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monitor.errors import RefusedError
from trainer.report import findings, page, people, sections

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from monitor.model.manifest import Model
    from trainer.data.datasets import Dataset
    from trainer.evaluation.by_patient import HeldOutVerdicts

PAGE = "index.html"
NOTICE = (
    "Not a medical device: it is not approved for diagnosis or patient monitoring. These figures hold only for the "
    "beats named here. They say nothing about other patients, leads or recorders."
)
NOTICE_BY_PATIENT = (
    "Not a medical device: it is not approved for diagnosis or patient monitoring. These figures hold for people, "
    "leads and recorders like those named here. They say nothing about others."
)


def write(
    folder: Path, model: Model, dataset: Dataset, losses: Sequence[float], judged: HeldOutVerdicts | None = None
) -> Path:
    """Write the report into a folder, and return the path of the page.

    The same model, data and library versions give the same bytes. Raises RefusedError if the folder cannot be written.
    """
    found = findings.scored(model, dataset, judged)
    all_sections = [
        sections.head(model, dataset, found),
        sections.evaluation(model),
        people.patients(model, found),
        people.aside(model, dataset),
        sections.training(losses),
        sections.reconstruction(model, found),
        sections.scores(model, found),
        sections.calibration(model, found),
        sections.mistakes(model, found),
        sections.missing(model, found),
    ]
    shown = [section for section in all_sections if section is not None]
    notice = NOTICE if judged is None else NOTICE_BY_PATIENT
    html = page.render(f"ECG model {model.manifest.model_id}", notice, shown)
    files = {f"{picture.name}.png": picture.png for section in shown for picture in section.pictures}
    return _written(folder, html, files)


def _written(folder: Path, html: str, files: dict[str, bytes]) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, png in files.items():
            (folder / name).write_bytes(png)
        (folder / PAGE).write_text(html, encoding="utf-8", newline="\n")
    except OSError as error:
        raise RefusedError(f"{folder}: the report cannot be written: {error.strerror}") from error
    return folder / PAGE

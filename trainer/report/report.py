"""The report of one training: a page that needs nothing from outside, and its pictures as PNG files beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monitor.errors import RefusedError
from trainer.report import findings, page, sections

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from monitor.model.manifest import Model
    from trainer.data.dataset import Dataset

PAGE = "index.html"
NOTICE = (
    "Not a medical device: no approval for diagnosis or patient monitoring. These figures hold for the beats named "
    "here and say nothing of another patient, lead or recorder."
)


def write(folder: Path, model: Model, dataset: Dataset, losses: Sequence[float]) -> Path:
    """Draw and write the report; returns the page's path. Same model, same data, same versions: the same bytes.

    Raises RefusedError when the folder cannot be written to.
    """
    found = findings.judged(model, dataset)
    parts = [
        sections.head(model, dataset, found),
        sections.evaluation(model),
        sections.training(losses),
        sections.reconstruction(model, found),
        sections.scores(model, found),
        sections.calibration(model, found),
        sections.mistakes(model, found),
        sections.missing(model, found),
    ]
    shown = [part for part in parts if part is not None]
    html = page.render(f"ECG model {model.manifest.model_id}", NOTICE, shown)
    files = {f"{picture.name}.png": picture.png for part in shown for picture in part.pictures}
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

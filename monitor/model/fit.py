"""Whether a model fits beats: it does not know a lead of which it finds most beats abnormal."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from monitor.beats.window import Window

LEAST_BEATS = 20  # fewer say nothing about a lead
LARGEST_SHARE = 0.5  # of beats above the threshold, where the model fits


def is_misfit(share: float) -> bool:
    """Whether so many normal beats lie above the threshold that the model does not know them."""
    return share > LARGEST_SHARE


def unknown_beats(window: Window, *, labelled: bool) -> str:
    """Why most normal beats may lie above the threshold. `window` is that of the model."""
    labels = ", or the labels are the other way round (--normal-label)" if labelled else ""
    return (
        f"the model does not know such beats. It expects beats that are cut so: {window}, of patients and leads like "
        f"those that it has learnt. These are others{labels}"
    )


def misfit(flagged: int, beats: int, window: Window, *, labelled: bool = False) -> str | None:
    """A sentence if more than half of `beats` lie above the threshold, as they do where a model does not fit.

    Beats that are known to be abnormal must not be counted. `labelled`: these are known to be normal.
    """
    if beats < LEAST_BEATS or not is_misfit(flagged / beats):
        return None
    which = "that are labelled normal" if labelled else "that should mostly be normal"
    return f"{flagged:,} of {beats:,} beats {which} lie above the threshold: {unknown_beats(window, labelled=labelled)}"

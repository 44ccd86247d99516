"""Whether a model fits beats: it does not know a lead of which it finds most beats abnormal."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from monitor.beats.window import Window

LEAST_BEATS = 20  # fewer say nothing about a lead
LARGEST_SHARE = 0.5  # of beats above the threshold, where the model fits


def misfit(flagged: int, beats: int, window: Window) -> str | None:
    """A sentence if more than half of `beats` lie above the threshold, as they do where a model does not fit.

    Beats that are known to be abnormal must not be counted. `window` is that of the model.
    """
    if beats < LEAST_BEATS or flagged <= LARGEST_SHARE * beats:
        return None
    return (
        f"the model does not seem to fit: {flagged:,} of {beats:,} beats that should mostly be normal lie above the "
        f"threshold. It expects beats that are cut so: {window}. Either these are cut in another way, or they come "
        "from a patient or a lead that the model has not learnt"
    )

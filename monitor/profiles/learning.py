"""A profile from the beats that were kept while a source learned. No labels are needed.

A template begins at the beat with the nearest neighbours. Beats far from it are trimmed, the rest is moved and
averaged by the median, and this is repeated. What fits no template may make a further one, if it is frequent, alike and
comes in the usual time. Frequent beats that are alike and early are none of the source's normal: they say that it was
sick while it learned. Constants: measured on MIT-BIH 100 to 124, docs/experiments.md.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from monitor.profiles.columns import LEAST_SCALE, TEMPLATE
from monitor.profiles.points import POINTS, levelled
from monitor.profiles.residual import Residuals, compare, unmoved
from monitor.profiles.rhythm import NORMAL_SD, is_steady

if TYPE_CHECKING:
    from numpy.typing import NDArray

FITS = 1.6  # largest distance of a beat that a template explains
FITS_CORRELATION = 0.88
LEARNED_TEMPLATES = 3
ROUNDS = 4
TRIMMED = 3.5  # median absolute deviations
LEAST_BEATS = 5  # of a template
LEAST_SHARE, LEAST_OF_ALL = 0.06, 16  # of a further template: its share, and its beats among all that the source had
STEADY_SHARE = 0.6  # of the beats of a further template
MOST_SPREAD = 0.25  # median over the points of a further template
FIRST_SHARE = 0.3  # of the first template; with less there is no profile
SICK_KEPT = 0.75  # with less of its beats explained, a source was sick while it learned
FLOOR = 0.25  # of the median spread: the least spread of a point
EARLY_Q = -0.12


@dataclass(frozen=True, slots=True)
class KeptBeats:
    """The n beats of one source that its reservoir holds."""

    samples: NDArray[np.float32]  # (n, 140)
    q_before: NDArray[np.float32]  # (n,), of the beat
    q_after: NDArray[np.float32]  # (n,), of the next one
    noise_hf: NDArray[np.float32]  # (n,)
    noise_between: NDArray[np.float32]  # (n,)

    @classmethod
    def of(cls, learner: NDArray[np.void]) -> KeptBeats:
        """Those of a record (1,) of `columns.LEARNER`, in the order in which they are kept."""
        held = slice(0, int(learner["held"][0]))
        samples = learner["shape"][0, held].astype(np.float32) * learner["step"][0, held, None]
        before, after, quick, between = (
            learner[name][0, held].astype(np.float32) for name in ("q_before", "q_after", "noise_hf", "noise_between")
        )
        return cls(samples, before, after, quick, between)


@dataclass(frozen=True, slots=True)
class Learned:
    """What a source's first beats say about it."""

    templates: NDArray[np.void]  # (m,), records of `columns.TEMPLATE`; none if no kind of beat is frequent enough
    kept: float  # share of the beats that fit a template
    is_sick: bool
    noise_hf: float
    noise_between: float  # NaN where it is not known


def learn(beats: KeptBeats, had: int) -> Learned:
    """The profile of a source that had so many beats, of which these are kept."""
    first, members = _cluster(beats.samples)
    if len(members) < max(FIRST_SHARE * len(beats.samples), LEAST_BEATS) or first["scale"][0] < LEAST_SCALE:
        return Learned(np.empty(0, TEMPLATE), 0.0, is_sick=True, noise_hf=math.nan, noise_between=math.nan)
    templates, fits = [first], _fits(beats.samples, first)
    noise = [float(np.median(values[fits])) for values in (beats.noise_hf, beats.noise_between)]
    explained, is_sick = fits, False
    left = np.flatnonzero(~explained)
    least = max(LEAST_BEATS, LEAST_SHARE * len(explained), LEAST_OF_ALL * len(explained) / had)
    while len(left) >= least and len(templates) < LEARNED_TEMPLATES:
        other, inside = _cluster(beats.samples[left])
        members = left[inside]
        if len(members) < least:
            break
        if _is_normal(beats, members) and np.median(other["spread"]) < MOST_SPREAD:
            templates.append(other)
            explained = explained | _fits(beats.samples, other)
        elif np.nanmedian(np.append(beats.q_before[members], 0.0)) < EARLY_Q:
            is_sick = True
        left = np.setdiff1d(left[~explained[left]], members)
    kept = float(explained.mean())
    return Learned(np.concatenate(templates), kept, is_sick or kept < SICK_KEPT, *noise)


def _is_normal(beats: KeptBeats, members: NDArray[np.int64]) -> bool:
    """Whether most of these beats came in the usual time, as did the beat after each of them."""
    steady = is_steady(beats.q_before[members]) & is_steady(beats.q_after[members])
    return bool(steady.mean() >= STEADY_SHARE)


def _fits(samples: NDArray[np.float32], template: NDArray[np.void]) -> NDArray[np.bool_]:
    """Which beats (n, 140) a template (1,) explains."""
    found = compare(samples, template)
    return (found.distance < FITS) & (found.correlation > FITS_CORRELATION)


def _cluster(samples: NDArray[np.float32]) -> tuple[NDArray[np.void], NDArray[np.int64]]:
    """A template (1,) of beats that are alike, and which of the beats (n, 140) they are."""
    points = unmoved(samples)
    size = max(1, len(samples) // 4)
    gram = points.T @ points
    squares = np.diag(gram)
    distances = np.maximum(squares[:, None] + squares - 2 * gram, 0) / (squares[:, None] + squares + np.float32(1e-12))
    nearest = np.partition(distances, size, axis=1)[:, : size + 1] if size < len(samples) else distances
    start = int(nearest.max(axis=1).argmin())
    template = template_of(points[:, [start]], np.full((POINTS, 1), 0.2, np.float32))
    members = np.arange(len(samples))
    for _ in range(ROUNDS):
        found = compare(samples, template)
        members = _near(found)
        if len(members) < LEAST_BEATS:
            return template, members
        inside = found.select(members)
        moved = (template["typical"].T * inside.gain + template["scale"] * inside.rest).astype(np.float32)
        template = template_of(moved, inside.smooth * np.float32(template["scale"][0] / _scale(moved)))
    return template, members


def _near(found: Residuals) -> NDArray[np.int64]:
    """Which beats are not trimmed: near enough for their kind, and of the same form in the ventricular complex."""
    size = np.sqrt(np.mean(found.smooth * found.smooth, axis=0))
    middle = median(size)
    reach = middle + TRIMMED * NORMAL_SD * median(np.abs(size - middle))
    return np.flatnonzero((size <= reach) & (found.correlation > FITS_CORRELATION))


def median(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Of the numbers in each row (…, n > 0). For some hundred, sorting takes a fraction of the time of `np.median`."""
    ordered, size = np.sort(values, axis=-1), values.shape[-1]
    middle: NDArray[np.float32] = (ordered[..., (size - 1) // 2] + ordered[..., size // 2]) * np.float32(0.5)
    return middle


def _scale(points: NDArray[np.float32]) -> np.float32:
    """Median standard deviation of beats (60, n)."""
    return np.float32(median(np.sqrt(np.mean(points * points, axis=0)))) + np.finfo(np.float32).tiny


def template_of(points: NDArray[np.float32], smooth: NDArray[np.float32]) -> NDArray[np.void]:
    """The template (1,) of beats (60, n) that are moved to each other, with their smoothed residuals (60, n)."""
    template = np.zeros(1, TEMPLATE)
    template["typical"] = levelled(median(points)[:, None]).T
    template["spread"] = floored(NORMAL_SD * median(np.abs(smooth))[None])
    template["scale"] = _scale(points)
    return template


def floored(spread: NDArray[np.float32]) -> NDArray[np.float32]:
    """Spreads (m, 60), none below a quarter of the median of its template."""
    middle = median(spread)[:, None]
    least: NDArray[np.float32] = np.maximum(spread, np.float32(FLOOR) * middle).astype(np.float32)
    return least

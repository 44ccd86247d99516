"""Beats of made-up sources: P wave, QRS complex, T wave and noise; some early and wide, some of another form."""

from __future__ import annotations

import numpy as np

from monitor.beats.window import R_CENTRED
from monitor.profiles import SourceBeats

SECONDS = R_CENTRED.seconds_from_r.astype(np.float32)
UNKNOWN = np.float32(np.nan)


def wave(centre, width, height):
    return height * np.exp(-(((SECONDS - centre) / width) ** 2))


def normal(shift=0.0, height=1.0):
    """A beat of sinus rhythm (140,), found `shift` seconds too early."""
    return height * (
        wave(-0.16 + shift, 0.02, 0.15)
        + wave(shift, 0.013, 1.2)
        - wave(0.03 + shift, 0.012, 0.3)
        + wave(0.26, 0.05, 0.3)
    )


def ventricular():
    """A wide beat (140,) without a P wave."""
    return wave(0.02, 0.05, 1.6) - wave(0.22, 0.06, 0.7)


def blocked():
    """A beat with its P wave (140,), which goes another way through the ventricles."""
    return wave(-0.16, 0.02, 0.15) - wave(0.0, 0.02, 0.5) + wave(0.05, 0.03, 1.1) - wave(0.26, 0.05, 0.25)


def source(kinds, seed=0, noise=0.02):
    """Samples (n, 140) and times (n,) in ms of a source: `N`, `V` (early) or `B` (blocked) for each beat."""
    random = np.random.default_rng(seed)
    forms = {"N": normal, "V": ventricular, "B": blocked}
    samples = np.stack([forms[kind]() for kind in kinds]) * (1 + 0.05 * random.standard_normal((len(kinds), 1)))
    samples = samples + noise * random.standard_normal(samples.shape)
    early = np.array([0.6 if kind == "V" else 1.0 for kind in kinds])
    rr = 800 * early * (1 + 0.02 * random.standard_normal(len(kinds)))
    return samples.astype(np.float32), np.cumsum(rr).astype(np.int64)


def batch(profiles, rows, samples, time_ms, noise=None):
    """Beats of these rows (n,), with RR from their times."""
    rows = np.asarray(rows, np.int64)
    between = np.full(len(rows), UNKNOWN) if noise is None else noise
    return SourceBeats(rows, samples, time_ms, profiles.intervals(rows, time_ms), between)


def played(profiles, kinds, seed=0, noise=0.02, row=None):
    """All beats of one source in one batch; returns its row and what was scored."""
    row = int(profiles.add()[0]) if row is None else row
    samples, time_ms = source(kinds, seed, noise)
    return row, profiles.observe(batch(profiles, np.full(len(time_ms), row), samples, time_ms))

"""One round of a batch: compare the beats with profiles, remember them, and change the profiles whose time has come."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from monitor.beats.beat import SAMPLES
from monitor.profiles.adaptation import adapt, add_matches, matches
from monitor.profiles.batch import Notice, NoticeKind, Scored
from monitor.profiles.columns import (
    BLOCK,
    KNOWN,
    LEARNING,
    MAX_TEMPLATES,
    NEVER,
    NONE,
    SICK,
    Tables,
    blank_learner,
    records_at,
)
from monitor.profiles.conduction import as_templates, followed, is_complete, keeps_p_wave, new_candidates
from monitor.profiles.learning import FITS, KeptBeats, Learned, learn
from monitor.profiles.reservoir import keep_some
from monitor.profiles.residual import high_frequency
from monitor.profiles.rhythm import is_steady, rhythm
from monitor.profiles.rounds import Round, waves
from monitor.profiles.scoring import nearest, score

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from monitor.profiles.batch import SourceBeats

BEATS_AT_ONCE = 496  # a multiple of 16, see `residual`. With 512, whose columns share places in the cache, slower
LEAST_BEATS = 60  # of learning
LONGEST_STEP_MS = 3000  # between two beats that counts as time with beats
MOST_NOISE = 1.2  # beats with more say nothing about conduction
_KEPT_BEAT = np.dtype(
    [("samples", "<f4", SAMPLES), ("q", "<f4"), ("noise_hf", "<f4"), ("noise_between", "<f4")],
)


def observe_round(tables: Tables, one: Round, beats: SourceBeats, scored: Scored) -> None:
    """Compare the beats of a round with the profiles, fill in their results, and remember the beats."""
    sources = tables.sources.read(one.rows)
    number = sources["beats"][one.source] + np.arange(len(one.source)) - one.starts[one.source]
    at = rhythm(sources["rr"], sources["q"], beats.rr_seconds[one.beat], one.source)
    scored.prematurity[one.beat] = at.prematurity
    sources["rr"], sources["q"] = at.last_rr, at.last_q
    _count(sources, one, beats.time_ms[one.beat])
    tables.sources.write(one.rows, sources)
    templates = sources["template_count"][one.source]
    order = np.argsort(templates, kind="stable")  # as many templates in a block, where that is possible
    learning, known = np.split(order, [len(order) - np.count_nonzero(templates)])
    for part in _blocks_of_waves(one.source[learning]):
        some = learning[part]
        learner = sources["learning"][one.source[some]].astype(np.int64)
        keep_some(tables.learners.rows, learner, number[some], _kept_beats(beats, one.beat[some], at.q[some]))
    lasting = []
    for part in _blocks(known):
        is_unlike = _score(tables, records_at(sources, one.source[part]), one.beat[part], beats, scored)
        lasting.append(part[is_unlike & is_steady(at.q[part])])
    if lasting:
        some = np.sort(np.concatenate(lasting))
        _follow(tables, one.rows[one.source[some]], one.beat[some], beats)


def _blocks(beats: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Beats (n,) in parts that fit into the cache of the processor."""
    return [beats[start : start + BEATS_AT_ONCE] for start in range(0, len(beats), BEATS_AT_ONCE)]


def _blocks_of_waves(row: NDArray[np.integer]) -> Iterator[NDArray[np.int64]]:
    """Beats of sources (n,), ascending, in parts with at most one of each that fit into the cache."""
    return (part for wave in waves(row) for part in _blocks(wave))


def _score(
    tables: Tables, sources: NDArray[np.void], beat: NDArray[np.int64], beats: SourceBeats, scored: Scored
) -> NDArray[np.bool_]:
    """Score beats of sources (n,) that have a profile, and remember what their templates need to follow.

    `beat` (n,): their places in the batch. Returns which of them (n,) fit no template, though there is little noise.
    """
    samples, prematurity = beats.samples.take(beat, axis=0), scored.prematurity[beat]
    near = nearest(samples, sources, tables.templates)
    noise = np.fmax(high_frequency(samples) - sources["noise_hf"], beats.noise[beat] - sources["noise_between"])
    scored.score[beat] = score(near.found.qrs_distance, prematurity, noise)
    scored.qrs_distance[beat], scored.distance[beat] = near.found.qrs_distance, near.found.distance
    scored.noise[beat], scored.template[beat] = noise, near.number
    add_matches(tables.templates.rows, near.row, near.found, matches(near.found, prematurity))
    is_unlike: NDArray[np.bool_] = (near.found.distance >= FITS) & (noise < MOST_NOISE)
    return is_unlike


def _follow(tables: Tables, rows: NDArray[np.int64], beat: NDArray[np.int64], beats: SourceBeats) -> None:
    """Take beats that fit no template into the candidates of their sources, whose rows (n,) ascend.

    `beat` (n,): their places in the batch.
    """
    for part in _blocks_of_waves(rows):
        of_part, samples, time_ms = rows[part], beats.samples[beat[part]], beats.time_ms[beat[part]]
        held = tables.sources.rows["candidate"][of_part].astype(np.int64)
        begins, goes_on = np.flatnonzero(held == NONE), np.flatnonzero(held != NONE)
        if len(begins):
            taken = tables.candidates.take(len(begins))
            tables.sources.rows["candidate"][of_part[begins]] = taken
            tables.candidates.write(taken, new_candidates(samples[begins], time_ms[begins]))
        if len(goes_on):
            candidates = tables.candidates.read(held[goes_on])
            after = followed(candidates, samples[goes_on], time_ms[goes_on])
            tables.candidates.write(held[goes_on], after)


def _kept_beats(beats: SourceBeats, beat: NDArray[np.int64], q: NDArray[np.float32]) -> NDArray[np.void]:
    """What a reservoir may keep of beats, whose places in the batch (n,) are given."""
    kept = np.empty(len(beat), _KEPT_BEAT)
    kept["samples"], kept["q"] = beats.samples[beat], q
    kept["noise_hf"], kept["noise_between"] = high_frequency(beats.samples[beat]), beats.noise[beat]
    return kept


def _count(sources: NDArray[np.void], one: Round, time_ms: NDArray[np.int64]) -> None:
    """Count the beats of sources (k,) and the time with beats."""
    starts, last = one.starts, sources["last_ms"]
    before = np.empty_like(time_ms)
    before[1:] = time_ms[:-1]
    before[starts] = last
    steps = np.clip(time_ms - before, 0, LONGEST_STEP_MS)
    steps[(before == NEVER) | (time_ms == NEVER)] = 0
    heard = np.add.reduceat(steps, starts)
    heard[sources["phase"] != LEARNING] = 0
    sources["heard_ms"] += heard.astype(np.int32)
    sources["last_ms"] = time_ms[starts + one.counts - 1]
    sources["beats"] += one.counts.astype(np.int32)
    sources["since"] += one.counts.astype(np.int8)


def change(tables: Tables, one: Round, learning_ms: int) -> list[Notice]:
    """Change the profiles of sources that have had BLOCK beats since the last time."""
    sources = tables.sources.rows
    is_due = sources["since"][one.rows] >= BLOCK
    if not is_due.any():
        return []
    due, last = one.rows[is_due], one.beat[(one.starts + one.counts - 1)[is_due]]
    sources["since"][due] = 0
    phase = sources["phase"][due]
    is_ready = (phase == LEARNING) & (sources["heard_ms"][due] >= learning_ms) & (sources["beats"][due] >= LEAST_BEATS)
    templates = sources["templates"][due[phase == KNOWN]].ravel()
    adapt(tables.templates, templates[templates != NONE].astype(np.int64))
    notices = [
        Notice(_learn(tables, row), row, beat)
        for row, beat in zip(due[is_ready].tolist(), last[is_ready].tolist(), strict=True)
    ]
    has_candidate = sources["candidate"][due] != NONE
    changed = _new_conduction(tables, due[has_candidate])
    beats = last[has_candidate][changed]
    return notices + [
        Notice("changed-conduction", row, beat)
        for row, beat in zip(due[has_candidate][changed].tolist(), beats.tolist(), strict=True)
    ]


def _learn(tables: Tables, row: int) -> NoticeKind:
    """End the learning of a source: it gets a profile, or begins again."""
    source = tables.sources.rows[row]
    held = np.array([source["learning"]])
    learned = learn(KeptBeats.of(tables.learners.rows[held]), int(source["beats"]))
    if not len(learned.templates):
        tables.learners.rows[held] = blank_learner()
        source["beats"] = source["heard_ms"] = 0
        return "not-learned"
    tables.learners.give_back(held)
    source["learning"], source["phase"] = NONE, KNOWN
    _give_templates(tables, row, learned)
    return "sick-while-learning" if learned.is_sick else "learned"


def _give_templates(tables: Tables, row: int, learned: Learned) -> None:
    source = tables.sources.rows[row]
    count = len(learned.templates)
    taken = tables.templates.take(count)
    tables.templates.rows[taken] = learned.templates
    source["templates"][:count], source["template_count"] = taken, count
    source["noise_hf"], source["noise_between"] = learned.noise_hf, learned.noise_between
    source["kept"], source["flags"] = learned.kept, SICK * learned.is_sick


def _new_conduction(tables: Tables, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Make templates of the candidates of these sources (k,) that are complete; returns which sources have one now."""
    sources = tables.sources.rows
    candidates = tables.candidates.read(sources["candidate"][rows].astype(np.int64))
    complete = is_complete(candidates)
    complete &= sources["template_count"][rows] < MAX_TEMPLATES
    typical = tables.templates.rows["typical"][sources["templates"][rows, 0]]
    complete &= keeps_p_wave(candidates["typical"], typical)
    changed = np.flatnonzero(complete)
    if not len(changed):
        return changed
    taken = tables.templates.take(len(changed))
    tables.templates.write(taken, as_templates(candidates[changed]))
    at = rows[changed]
    sources["templates"][at, sources["template_count"][at]] = taken
    sources["template_count"][at] += 1
    tables.candidates.give_back(sources["candidate"][at])
    sources["candidate"][at] = NONE
    return changed

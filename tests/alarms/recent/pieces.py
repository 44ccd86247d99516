"""Beats of several sources, cut into batches."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

SOURCES = 3


@st.composite
def cut_sources(draw, longest=80):
    """Sources (n,) of beats, and where batches of them end."""
    source = draw(st.lists(st.integers(0, SOURCES - 1), max_size=longest))
    ends = draw(st.lists(st.integers(0, len(source)), max_size=8))
    return np.array(source, np.int64), [*sorted(ends), len(source)]


def in_pieces(rule, carry, columns, ends):
    """The result columns of a rule over these batches, one after the other, and the carry after the last one."""
    found, start = [], 0
    for end in ends:
        column, carry = rule(carry, *(one[start:end] for one in columns))
        found.append(column)
        start = end
    return np.concatenate(found), carry


def assert_batches_do_not_matter(rule, carry, columns, ends):
    """The same results and carries in one batch, in these batches, and beat by beat."""
    size = len(columns[0])
    whole, after = in_pieces(rule, carry, columns, [size])
    for other in (ends, range(1, size + 1)):
        if size:
            parts, then = in_pieces(rule, carry, columns, other)
            assert np.array_equal(whole, parts)
            assert all(map(np.array_equal, after, then))

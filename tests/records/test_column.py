"""A column gives its values back, however they are asked for and however many buffers hold them."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from monitor.records.column import Column

values = st.lists(st.none() | st.binary(max_size=5), max_size=6)


@given(st.lists(values, max_size=4), st.data())
def test_values_come_back_in_their_order_by_every_way(parts, data):
    column, wanted = Column.join([Column.of(part) for part in parts]), [value for part in parts for value in part]
    assert list(column) == wanted
    assert column.objects(100).tolist() == wanted
    assert [column[row] for row in range(len(wanted))] == wanted
    rows = [row for row in range(len(wanted)) if data.draw(st.booleans())]
    assert list(column.select(np.array(rows, np.intp))) == [wanted[row] for row in rows]


@given(st.lists(values, max_size=4), st.binary(min_size=1, max_size=2), st.binary(min_size=1, max_size=2), st.data())
def test_values_with_the_same_frame_are_found_and_taken_out_of_it(parts, before, after, data):
    framed = [[value and before + value + after for value in part] for part in parts]
    mixed = [data.draw(st.permutations(one + other)) for one, other in zip(framed, parts, strict=True)]
    column, wanted = Column.join([Column.of(part) for part in mixed]), [value for part in mixed for value in part]
    rows = np.array([row for row in range(len(wanted)) if data.draw(st.booleans())], np.intp)
    frame = len(before) + len(after)
    found = [len(wanted[row] or b"") >= frame and wanted[row].startswith(before) for row in rows]
    found = [one and wanted[row].endswith(after) for one, row in zip(found, rows, strict=True)]
    assert column.framed(rows, before, after).tolist() == found
    inner = column.select(rows[found]).trimmed(len(before), len(after))
    assert [view.tobytes() for view in inner.views()] == [wanted[row][len(before) : -len(after)] for row in rows[found]]

"""A column gives its values back, however they are asked for and however many buffers hold them."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from monitor.column import Column

values = st.lists(st.none() | st.binary(max_size=5), max_size=6)


@given(st.lists(values, max_size=4), st.data())
def test_values_come_back_in_their_order_by_every_way(parts, data):
    column, wanted = Column.join([Column.of(part) for part in parts]), [value for part in parts for value in part]
    assert list(column) == wanted
    assert column.objects().tolist() == wanted
    assert [column[row] for row in range(len(wanted))] == wanted
    rows = [row for row in range(len(wanted)) if data.draw(st.booleans())]
    assert list(column.select(np.array(rows, np.intp))) == [wanted[row] for row in rows]

"""No character that a terminal obeys comes through, and JSON keeps its meaning."""

from __future__ import annotations

import json
import logging

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from monitor import log
from monitor.terminal import printable, printable_json, table

HOSTILE = "\x1b]0;title\x07 \x9b2J \u202e \u2066 \u2028 \u2029 \x7f \U000e0041"


@given(st.text())
@example(HOSTILE)
def test_text_is_printable_and_keeps_what_was(text):
    assert printable(text).isprintable()
    assert all(one in (other, "\ufffd") for one, other in zip(printable(text), text, strict=True))


@given(
    st.recursive(
        st.text() | st.integers() | st.none(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
@example({HOSTILE: [HOSTILE]})
def test_json_is_one_printable_line_of_the_same_meaning(value):
    for text in (json.dumps(value, ensure_ascii=False), json.dumps(value, ensure_ascii=False, indent=1)):
        assert printable_json(text).isprintable()
        assert json.loads(printable_json(text)) == value


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_log_line_obeys_nobody(form, capsys):
    log.set_up("INFO", form)
    logging.getLogger("monitor").error("from outside: %s", HOSTILE, exc_info=ValueError(HOSTILE))
    lines = capsys.readouterr().err.split("\n")
    assert all(map(str.isprintable, lines))
    if form == "json":
        assert HOSTILE in orjson.loads(lines[0])["message"]


def test_the_cells_of_a_table_stand_below_each_other_and_a_long_one_moves_its_own_line_alone():
    long = "x" * 200
    header, first, second = table([("name", "number"), ("a", "1"), (long, "2")])
    assert header.index("number") == first.index("1")
    assert second == f"{long}  2"

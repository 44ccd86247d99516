"""JSON beats are read fast, and just as the strict parser would read them: every verdict, sentence and bit."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.beats import json_numbers
from monitor.beats.json_beat import read_alike, read_samples, strict_samples
from monitor.records.column import Column
from monitor.records.strict_json import UnclearError

READERS = list(dict.fromkeys([json_numbers.read_numbers, json_numbers.by_orjson]))  # where there are two
SAMPLES = [f"{x:.8g}" for x in np.random.default_rng(7).normal(size=140)]
LIST = f"[{','.join(SAMPLES)}]"
ODD_LISTS = [
    "[[1],2]",
    "[1],[2]",
    "[1]]",
    "[[1]",
    "[]",
    "[{}]",
    "[1}]",
    '["]"]',
    '["[",1]',
    f"[{LIST}]",
    LIST.replace(",", ",[", 1) + "]",
]

ODD = """
0 0.0 -0 -0.0 -0e5 0e-0 1e-0 1E5 1e+5 1e-05 1e-400 -1e-400 4.9e-324 1.17e-38 16777217 9007199254740993 5e-1 1e9 -1e9
1000000001 1e10 3.4e38 3.41e38 1e39 9e99 -9e99 90e98 1e308 1e309 18446744073709551615 18446744073709551616
-9223372036854775809 01 -01 00 +1 .5 1. -.5 - e5 1e 1e+ 0x1 1_0 1,1 1.2.3 1-1 --1 NaN Infinity -Infinity nan true
false null "1" "" "a [] [1] [1 1] {} {"a":1} {"samples":[]} /**/1
"""
ODD_ENTRIES = [*ODD.split(), "\N{ARABIC-INDIC DIGIT ONE}", "\N{ZERO WIDTH SPACE}1"]
entries = st.one_of(
    st.floats(-1e9, 1e9).map(repr),
    st.integers(-(10**9), 10**9).map(str),
    st.sampled_from([*ODD_ENTRIES, "", " ", "1 1", "1\x0b", "1\x0c", "1\x00", "1" * 400, "0." + "0" * 400 + "1"]),
)
blanks = st.sampled_from([*["", " ", "\n\t\r "] * 12, "\x0b", "\N{NO-BREAK SPACE}", "\ufeff"])
names = st.sampled_from([*"abcdefgh" * 3, "samples", "s\\u0061mples", "", "[", "]{", "\\u0061", '\\"', "ü"])
OTHERS = r"""
0 -0 12 1.5 1e999 18446744073709551616 NaN -Infinity true null "" "II" "[" "]" "[1]" "{" "samples" "\"" "\\" "\x" "ü"
"\ud800" "\u00fc" "\ud83d\ude00" [] [0] [[]] [[1],[2]] ["a","b"] {} {"a":1} {"a":1,"a":2} {"a":{"b":"c"}}
{"samples":[]} {"samples":0} [{"a":1,"a":1}] {"a":["b"],"a":"c"}
"""
scalars = st.sampled_from([*OTHERS.split(), '"a b"', '"\x00"', '"\x7f"', '"\ud800"'])


@st.composite
def lists(draw):
    """140 samples, as a rule, a few of them spelt in an unusual way."""
    texts = SAMPLES * 2
    for place, entry in draw(st.lists(st.tuples(st.integers(0, 139), entries), max_size=2)):
        texts[place] = entry
    count, blank = draw(st.sampled_from([140] * 15 + [0, 1, 139, 141, 280])), draw(blanks)
    return f"[{blank}{f',{blank}'.join(texts[:count])}{blank}]"


@st.composite
def objects(draw):
    """A beat with fields before and behind its samples, doubled and nested ones too."""
    fields = draw(st.lists(st.tuples(names, st.one_of(scalars, scalars, scalars, lists())), max_size=3))
    fields.insert(draw(st.integers(0, len(fields))), ("samples", draw(lists())))
    blank = draw(blanks)
    inside = f",{blank}".join(f'"{name}"{blank}:{value}' for name, value in fields)
    return f"{{{inside}{blank}}}{blank}".encode(errors="surrogatepass")


@st.composite
def damaged(draw):
    """The same with bytes missing, changed, doubled or put in, often where the text has its joints."""
    value = bytearray(draw(objects()))
    for _ in range(draw(st.integers(1, 2))):
        joint = draw(st.sampled_from([b"[", b"]", b"{", b"}", b'"', b":", b",", b"-", b"."]))
        place = draw(st.sampled_from([value.find(joint), value.rfind(joint), draw(st.integers(0, len(value)))]))
        there = max(place + draw(st.integers(-1, 1)), 0)
        end = there + draw(st.sampled_from([0, 0, 1, 1, 2, 40]))
        new = st.sampled_from([b'[]{}",:\\0123-+.eEtfnNI \t\x00\x0b\x1f\x7f'[i : i + 1] for i in range(27)])
        more = st.sampled_from([b"", b"\xff", b"\xef\xbb\xbf", b"\xed\xa0\x80", b'"samples":', b"9e99,", bytes(value)])
        value[there:end] = draw(st.one_of(new, new, more))
    return bytes(value)


def strict_verdict(value):
    try:
        return strict_samples(value)
    except UnclearError as error:
        return error.reason, error.detail


def verdicts(values, reader):
    """As `parse.parse` has them read: first what is written alike, then the rest."""
    out = np.zeros((len(values), 140), np.float32)
    left = read_alike(Column.of(values), np.arange(len(values)), out, reader)
    samples = np.zeros((len(left), 140), np.float32)
    refused = read_samples([values[row] for row in left], samples, reader)
    out[left] = samples
    results = [row.tobytes() for row in out]
    for place, error in refused.items():
        results[left[place]] = (error.reason, error.detail)
    return results


@given(st.lists(st.one_of(objects(), damaged()), min_size=1, max_size=5))
def test_every_verdict_and_every_bit_is_the_strict_parsers(values):
    wanted = [strict_verdict(value) for value in values]
    for reader in READERS:
        assert verdicts(values, reader) == wanted
        for row in range(len(values)):
            assert verdicts([values[row]] * 40 + values, reader) == [wanted[row]] * 40 + wanted


@given(
    st.lists(
        st.one_of(lists(), st.binary(max_size=9).map(bytes.hex), st.sampled_from(ODD_LISTS)), min_size=1, max_size=5
    )
)
def test_beats_that_are_written_alike_are_judged_one_by_one(inner):
    values = [f'{{"samples":[{text[1:-1]}]}}'.encode(errors="surrogatepass") for text in inner]
    wanted, good = [strict_verdict(value) for value in values], f'{{"samples":{LIST}}}'.encode()
    for reader in READERS:
        assert verdicts([good] * 30 + values + [good] * 30, reader)[30:-30] == wanted
        assert verdicts(values * 20, reader) == wanted * 20


def test_of_beats_written_alike_none_is_left_to_the_slower_way():
    forms = [b'{"samples":%s}', b'{"lead":"II","samples": %s }', b'{"samples":%s,"n":1}']
    values = [form % LIST.encode() for form in forms for _ in range(40)] + [b"{}"]
    out = np.zeros((121, 140), np.float32)
    assert read_alike(Column.of(values), np.arange(121), out).tolist() == [120]
    assert {row.tobytes() for row in out[:120]} == {strict_samples(values[0])}


@given(st.lists(st.floats(-1e9, 1e9), min_size=140, max_size=140))
def test_the_samples_are_the_strict_parsers_to_the_bit(samples):
    value = json.dumps({"samples": samples}).encode()
    wanted = np.array(samples, np.float32).tobytes()
    assert strict_samples(value) == wanted
    assert all(verdicts([value], reader) == [wanted] for reader in READERS)


@pytest.mark.parametrize("entry", ODD_ENTRIES)
def test_one_odd_entry_is_judged_as_by_the_strict_parser_and_its_neighbours_stay(entry):
    odd = f'{{"samples":[{",".join([*SAMPLES[:70], entry, *SAMPLES[71:]])}]}}'.encode()
    good = f'{{"samples":{LIST}}}'.encode()
    for reader in READERS:
        assert verdicts([good] * 40 + [odd] + [good] * 40, reader)[39:42] == [
            strict_samples(good),
            strict_verdict(odd),
            strict_samples(good),
        ]


def test_without_simdjson_orjson_reads_the_numbers():
    command = (
        "import sys; sys.modules['simdjson'] = None; from monitor.beats import json_numbers; "
        "print(json_numbers.read_numbers.__name__)"
    )
    root = Path(json_numbers.__file__).parents[2]
    results = subprocess.run([sys.executable, "-c", command], cwd=root, capture_output=True, text=True, check=True)
    assert results.stdout == "by_orjson\n"


N = ",".join(SAMPLES)
CONSPIRACIES = [  # well-formed only together, or where the numbers of one are taken for another's
    (f'{{"samples":[{N[: N.rindex(",")]}]}}', f'{{"samples":[9e99,{N}]}}'),
    (f'{{"samples":[{N},9e99]}}', f'{{"samples":[{N}]}}'),
    (f'{{"samples":[{N},9e99,{N}]}}', '{"samples":[]}'),
    (f'{{"samples":[{N},1,{N}]}}', f'{{"samples":[{N},9e99,{N},9e99,{N}]}}'),
    (f'{{"samples":[[{N}]}}', f'{{"samples":[{N}]]}}'),
    (f'{{"samples":["{N}]}}', f'{{"samples":[{N}"]}}'),
    (f'{{"samples":[{{"a":1,{N}]}}', f'{{"samples":[{N}}}]}}'),
    (f'{{"x":{LIST},"samples":[]}}', f'{{"samples":[],"x":{LIST}}}'),
    (f'{{"x":"{LIST}","samples":[]}}', f'{{"x":"{LIST}","samples":{LIST}}}'),
    (f'{{"samples":0,"x":{LIST}}}', f'{{"samples":0,"x":{LIST},"y":[]}}'),
    (f'{{"samples":"","x":{LIST}}}', f'{{"samples":{{}},"x":{LIST},"y":[0]}}'),
    (f'{{"x":{{"samples":{LIST}}},"samples":[]}}', f'{{"x":{{"samples":{LIST}}}}}'),
    (f'{{"samples":{LIST},"samples":{LIST}}}', f'{{"samples":[],"samples":{LIST}}}'),
    (f'{{"samples":{LIST},"s\\u0061mples":[]}}', f'{{"s\\u0061mples":{LIST}}}'),
    (f'{{"samples":{LIST},"a":1,"a":2}}', f'{{"a":"b","samples":{LIST},"a":"b"}}'),
    (f'{{"samples":{LIST},"a":{{"b":1,"b":2}}}}', f'{{"samples":{LIST},"a":[{{"b":1,"b":2}}]}}'),
    (f'{{"samples":{LIST},"a":{{"b":1}},"a":0}}', f'{{"samples":{LIST},"a":"\\"","\\u0061":1}}'),
    (f'{{"a":"\\"samples\\":{LIST}","samples":{LIST}}}', f'{{"samples":{LIST}}} {{"samples":{LIST}}}'),
    (f'{{"samples":{LIST[:-1]}', f"{LIST[1:]}}}"),
    ("[", "]"),
    (LIST, f'["samples",{LIST}]'),
    ('"samples"', '{"samples":['),
]


@pytest.mark.parametrize("values", CONSPIRACIES)
@pytest.mark.parametrize("reader", READERS)
def test_no_two_values_together_pass_what_the_strict_parser_refuses(values, reader):
    one, other = (value.encode() for value in values)
    for batch in ([one], [other], [one, other], [other, one], [one, other] * 20):
        assert verdicts(batch, reader) == [strict_verdict(value) for value in batch]


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
@pytest.mark.parametrize("depth", [60, 500, 1010, 5000])
def test_what_is_nested_deeply_beside_the_samples_is_judged_as_by_the_strict_parser(opening, closing, depth):
    value = f'{{"samples":{LIST},"a":{opening * depth}0{closing * depth}}}'.encode()
    assert verdicts([value], json_numbers.read_numbers) == [strict_verdict(value)]


def seconds(work):
    """The best of five: the time it takes while the machine does nothing else."""
    taken = []
    for _ in range(5):
        began = time.thread_time()
        work()
        taken.append(time.thread_time() - began)
    return min(taken)


def usual(n, **fields):
    return json.dumps({**fields, "samples": [float(x) for x in SAMPLES], "sequence": n}).encode()


USUAL = {
    "samples alone": lambda _: f'{{"samples":{LIST}}}'.encode(),
    "some fields": lambda n: usual(n, lead="II", ok=True, at="2026-11-24T12:00:00Z"),
    "escapes, objects and lists": lambda n: usual(n, name="M\u00fcller", device={"id": n}, leads=["I", "II"]),
    "counts": lambda n: f'{{"samples":{[n, *range(-70, 69)]}}}'.encode(),
    "the sensor off in every fiftieth": lambda n: usual(n).replace(b"[", b"[" if n % 50 else b"[null,"),
}


@pytest.mark.parametrize("make", USUAL.values(), ids=USUAL.keys())
def test_usual_beats_take_less_than_half_of_the_strict_parsers_time(make):
    values = [make(n) for n in range(1, 129)]
    out = np.empty((len(values), 140), np.float32)
    fast = seconds(lambda: read_samples(values, out))
    assert 2 * fast < seconds(lambda: [strict_verdict(value) for value in values])


LARGE = b",".join(b'"%d":1' % number for number in range(1000))
TWICE = b'{"a":1,"a":1,%b}' % LARGE


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (TWICE, "no-samples"),
        (b'{"samples":[%b],"a":1,"a":1}' % b",".join([b"1"] * 3000), "wrong-length"),
        (b'{"samples":7,%b}' % LARGE, "not-numbers"),
        (b'{"samples":[%b],"a":1,"a":1,%b}' % (b",".join([b"1"] * 140), LARGE), "duplicate-keys"),
        (TWICE[:-1], "not-json"),
    ],
    ids=["no samples", "too many", "a number", "a field twice", "cut off"],
)
def test_of_a_large_value_the_shape_is_looked_at_first(value, reason):
    assert len(value) > 4096
    with pytest.raises(UnclearError) as caught:
        strict_samples(value)
    assert caught.value.reason == reason


def test_thousands_of_numbers_are_not_given_to_the_parser_of_numbers():
    values = [b'{"samples":[%b]}' % b",".join([b"1"] * 30_000)] * 40
    column, out, asked = Column.of(values), np.zeros((len(values), 140), np.float32), []
    left = read_alike(column, np.arange(len(values)), out, lambda text: asked.append(text) or np.empty(0))
    refused = read_samples(values, out, lambda text: asked.append(text) or np.empty(0))
    assert left.tolist() == list(refused) == list(range(len(values)))
    assert {error.reason for error in refused.values()} == {"wrong-length"}
    assert not asked

"""A segmenter is stored and restored at any moment, and a forged state is refused or does no harm."""

from __future__ import annotations

import contextlib
import json

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.beats.window import Window
from monitor.recordings.segmenter import Segmenter, joined
from tests.recordings import mitdb
from tests.recordings.test_segmenter import HZ, assert_same, lead, segments

BYTES_A_LEAD = 32_000


def noisy(seed, seconds=14.0):
    """A lead with noise, a gap and a pause."""
    signal, _ = lead(seconds, rate=60 + seed % 90, noise=0.05, seed=seed)
    signal[1000 : 1000 + seed % 300] = np.nan
    signal[2200:2900] = 0.3
    return signal


@settings(max_examples=25)
@given(st.lists(st.integers(0, 1500), min_size=1, max_size=8), st.integers(0, 2**16))
def test_a_segmenter_that_is_restored_again_and_again_finds_the_beats_of_one_that_never_stopped(sizes, seed):
    signal = noisy(seed)
    segmenter, found = Segmenter(HZ), []
    for chunk in np.split(signal, np.cumsum(sizes)):
        found.append(segmenter.feed(chunk))
        segmenter = Segmenter.restore(segmenter.state())
    assert_same(joined([*found, segmenter.finish()]), segments(signal))


def test_a_real_record_with_many_leads_and_another_window_goes_on_behind_a_restart():
    signal = np.stack([mitdb.read(name).signal[: 90 * 360] for name in ("100", "208", "106")])
    window = Window("r-centred", 0.2, 0.9)
    whole, segmenter = Segmenter(mitdb.HZ, 3, window), Segmenter(mitdb.HZ, 3, window)
    early = segmenter.feed(signal[:, :16_000])
    state = segmenter.state()
    segmenter = Segmenter.restore(state)
    assert segmenter.state() == state
    assert len(state) < 3 * BYTES_A_LEAD
    expected = joined([whole.feed(signal[:, :16_000]), whole.feed(signal[:, 16_000:])])
    assert_same(joined([early, segmenter.feed(signal[:, 16_000:])]), expected)


def test_a_finished_segmenter_stays_finished():
    segmenter = Segmenter(HZ)
    segmenter.finish()
    with pytest.raises(ValueError, match="is finished"):
        Segmenter.restore(segmenter.state()).feed(np.zeros(10))


def stored():
    segmenter = Segmenter(HZ)
    segmenter.feed(noisy(5))
    return segmenter.state()


STATE = stored()


def forged(**changes):
    """A state in which arrays are replaced by what functions make of them."""
    arrays = {name: array.copy() for name, array in safetensors.numpy.load(STATE).items()}
    for name, change in changes.items():
        arrays[name] = change(arrays[name])
    return safetensors.numpy.save(arrays)


def put(place, value):
    def change(array):
        array[place] = value
        return array

    return change


@pytest.mark.parametrize(
    ("state", "why"),
    [
        (b"", "it cannot be read"),
        (STATE[:-1], "it cannot be read"),
        (b"\xff" * 100, "it cannot be read"),
        ("text", "it is not bytes"),
        (safetensors.numpy.save({"whole": np.zeros(6, np.int64)}), "it has other parts"),
        (forged(whole=put(0, 1)), "it is of version 1, where 2 is read"),
        (forged(whole=put(1, 2)), "its pending are not possible"),
        (forged(whole=put(3, 7)), "its sample numbers contradict each other"),
        (forged(whole=put(1, 10**15)), "it has other parts"),
        (forged(setting=put(0, np.nan)), "its setting are not possible"),
        (forged(setting=put(0, 0)), "its sample numbers contradict each other"),
        (forged(setting=put(1, 5)), "the window has 5 and 0.408 s before and after R"),
        (forged(signal=put((0, 0), np.inf)), "its signal are not possible"),
        (forged(envelope=put((0, 0), -1)), "its envelope are not possible"),
        (forged(level=lambda level: level.astype(np.float32)), "its level are not possible"),
        (forged(beats=put((-1, 0), 1e9)), "its peaks are out of order"),
        (forged(beats_of=put(0, 0)), "beats are not as many as it says"),
        (forged(pending=lambda _: np.zeros((1, 10_000))), "too many samples wait"),
        (forged(waiting=lambda _: np.array([[1, 5, -1]])), "a waiting beat lies outside"),
    ],
)
def test_bytes_that_are_no_state_are_refused_with_a_sentence(state, why):
    with pytest.raises(ValueError, match=r"this is not the state of a segmenter") as caught:
        Segmenter.restore(state)
    assert why in str(caught.value)


@settings(max_examples=60)
@given(st.data())
def test_forged_values_are_refused_or_make_a_segmenter_that_works(data):
    arrays = {name: array.copy() for name, array in safetensors.numpy.load(STATE).items()}
    for _ in range(data.draw(st.integers(1, 4))):
        name = data.draw(st.sampled_from(sorted(name for name, array in arrays.items() if array.size)))
        place = data.draw(st.integers(0, arrays[name].size - 1))
        value = data.draw(st.sampled_from([-1, 0, 1, 7, 300, 3200, 10**6, 2**40, 2**61]))
        arrays[name].flat[place] = bool(value % 2) if arrays[name].dtype == bool else value
    try:
        segmenter = Segmenter.restore(safetensors.numpy.save(arrays))
    except ValueError:
        return
    found = joined([segmenter.feed(noisy(1)), segmenter.finish()] if not int(arrays["whole"][5]) else [])
    assert np.isfinite(found.samples).all()


@settings(max_examples=60)
@given(st.integers(0, len(STATE) - 1), st.integers(0, 255))
def test_one_wrong_byte_is_refused_or_does_no_harm(place, byte):
    state = STATE[:place] + bytes([byte]) + STATE[place + 1 :]
    with contextlib.suppress(ValueError):
        Segmenter.restore(state).feed(noisy(2))


def test_a_state_runs_nothing_and_is_json_and_arrays():
    length = int.from_bytes(STATE[:8], "little")
    assert json.loads(STATE[8 : 8 + length])["signal"]["dtype"] == "F64"

"""Reads the MIT-BIH records that the tests use: format 212, two leads, and the beat annotations."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from tests.conftest import REPOSITORY

HZ = 360.0
BEAT_CODES = {
    1: "N",
    2: "L",
    3: "R",
    4: "a",
    5: "V",
    6: "F",
    7: "J",
    8: "A",
    9: "S",
    10: "E",
    11: "j",
    13: "Q",
    34: "e",
}
SKIP, NOTE, NUMBER, SUBTYPE, CHANNEL = 59, 63, 60, 61, 62


class Record(NamedTuple):
    """One lead in mV, and the annotated beats: samples since the start, and the code of each."""

    name: str
    signal: np.ndarray
    beats: np.ndarray
    codes: np.ndarray


def folder() -> Path:
    """Where the records are; skips the test where there are none."""
    for place in (os.environ.get("ECG_DATA"), REPOSITORY.parent / "shared" / "data"):
        if place and (Path(place) / "mitdb").is_dir():
            return Path(place) / "mitdb"
    pytest.skip("needs MIT-BIH records: set ECG_DATA to a folder that has mitdb/")


def names() -> list[str]:
    return sorted(path.stem for path in folder().glob("*.hea"))


def read(name: str) -> Record:
    """The lead MLII, or the first where a record has none."""
    head, *signals = (folder() / f"{name}.hea").read_text().splitlines()[:3]
    fields = [line.split() for line in signals]
    index = next((number for number, field in enumerate(fields) if field[-1] == "MLII"), 0)
    raw = np.fromfile(folder() / f"{name}.dat", np.uint8).reshape(-1, 3).astype(np.int16)
    pairs = np.stack([(raw[:, 1] & 0x0F) << 8 | raw[:, 0], (raw[:, 1] & 0xF0) << 4 | raw[:, 2]], axis=1)
    pairs[pairs > 2047] -= 4096
    gain, zero = float(fields[index][2].split("/")[0].split("(")[0]), int(fields[index][4])
    assert float(head.split()[2]) == HZ
    return Record(name, (pairs[:, index] - zero) / gain, *annotations(name))


def annotations(name: str) -> tuple[np.ndarray, np.ndarray]:
    words = np.fromfile(folder() / f"{name}.atr", "<u2").tolist()
    at, sample, beats, codes = 0, 0, [], []
    while words[at]:
        code, value = words[at] >> 10, words[at] & 0x3FF
        at += 1
        if code == SKIP:
            sample += words[at] << 16 | words[at + 1]
            at += 2
        elif code == NOTE:
            at += (value + 1) // 2
        elif code not in (NUMBER, SUBTYPE, CHANNEL):
            sample += value
            if code in BEAT_CODES:
                beats.append(sample)
                codes.append(BEAT_CODES[code])
    return np.array(beats), np.array(codes)


def matched(beats: np.ndarray, found: np.ndarray, reach: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Which beats were found and which found ones are beats, each at most once; the distances of the pairs."""
    is_found, is_beat, distances = np.zeros(len(beats), bool), np.zeros(len(found), bool), []
    for number, beat in enumerate(beats.tolist()):
        start, end = np.searchsorted(found, [beat - reach, beat + reach])
        near = [place for place in range(start, end) if not is_beat[place]]
        if near:
            best = min(near, key=lambda place: abs(found[place] - beat))
            is_found[number], is_beat[best] = True, True
            distances.append(found[best] - beat)
    return is_found, is_beat, np.array(distances)

"""Beats out of files onto the topic, dealt to sources as if so many leads were being recorded."""

from __future__ import annotations

import itertools
import json
import random
import signal
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from monitor import beatfile
from monitor.errors import RefusedError
from monitor.record import Message

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from monitor.broker import Publisher

BEAT_MS = 800  # 75 beats a minute


@dataclass(frozen=True, slots=True)
class Plan:
    """How beats are dealt out: to how many sources, in which form, how fast, from when on."""

    sources: int = 1
    rate: float | None = None  # beats per second over all sources; None = as fast as it goes
    form: Literal["float32", "json"] = "float32"
    start_ms: int | None = None  # None: each beat is stamped when it is sent
    shuffle: int | None = None
    loop: bool = False


@dataclass(frozen=True, slots=True)
class Stock:
    """The beats at hand, n of them; `abnormal` None where the files have no labels."""

    samples: NDArray[np.float32]  # (n, 140)
    abnormal: NDArray[np.bool_] | None


def load(paths: tuple[Path, ...]) -> Stock:
    """All beats of the files, in order. Raises RefusedError naming the file that holds no beats."""
    files = [beatfile.read(path) for path in paths]
    labels = [file.abnormal for file in files if file.abnormal is not None]
    if 0 < len(labels) < len(files):
        raise RefusedError("some of the files have labels and some have not: publish them one after the other")
    return Stock(np.concatenate([file.samples for file in files]), np.concatenate(labels) if labels else None)


def messages(stock: Stock, topic: str, plan: Plan) -> Iterator[tuple[Message, int | None]]:
    """Each beat as a message with its timestamp in ms (None = now); endless with `loop`.

    A label, where there is one, goes into the header `label`, which the monitor never reads.
    """
    order = list(range(len(stock.samples)))
    if plan.shuffle is not None:
        random.Random(plan.shuffle).shuffle(order)
    for count, row in enumerate(itertools.cycle(order) if plan.loop else order):
        lead, turn = count % plan.sources, count // plan.sources
        headers = () if stock.abnormal is None else (("label", b"abnormal" if stock.abnormal[row] else b"normal"),)
        stamp = None if plan.start_ms is None else plan.start_ms + turn * BEAT_MS
        yield Message(topic, source_name(lead), encode(stock.samples[row], plan.form), headers), stamp


def source_name(lead: int) -> bytes:
    return b"source-%05d" % lead


def encode(samples: NDArray[np.float32], form: Literal["float32", "json"]) -> bytes:
    """One beat (140,) as the record value that `docs/messages.md` describes."""
    if form == "float32":
        return samples.astype("<f4").tobytes()
    return json.dumps({"samples": [float(f"{sample:.8g}") for sample in samples.tolist()]}).encode()


def paced(items: Iterator[tuple[Message, int | None]], rate: float | None) -> Iterator[tuple[Message, int | None]]:
    """The items no faster than `rate` a second."""
    began = time.monotonic()
    for count, item in enumerate(items):
        if rate is not None and (ahead := began + count / rate - time.monotonic()) > 0:
            time.sleep(ahead)
        yield item


def send_all(publisher: Publisher, items: Iterable[tuple[Message, int | None]]) -> int:
    """Send until the items end or Ctrl-C; how many were handed to the producer.

    Ctrl-C waits for the record that is being handed over: one that the client took by half would hold up its `flush`.
    A second one does not wait.
    """
    sent, is_sending, is_asked = 0, False, False

    def note(*_: object) -> None:
        nonlocal is_asked
        if is_asked or not is_sending:
            raise KeyboardInterrupt
        is_asked = True

    before = signal.signal(signal.SIGINT, note)
    try:
        for message, stamp in items:
            is_sending = True
            publisher.send(message, stamp)
            is_sending = False
            sent += 1
            if is_asked:
                break
    except KeyboardInterrupt:
        pass
    finally:
        signal.signal(signal.SIGINT, before)
    return sent

"""Reads the probes and metrics of a monitor once a second, and compares them with the actual state."""

from __future__ import annotations

import itertools
import json
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.chaos.members import Member

NOTICE_SECONDS = 30.0  # the monitor has to notice an outage within this time
RECOVER_SECONDS = 60.0  # within which it has to be ready again


@dataclass(frozen=True, slots=True)
class Sample:
    """The answers of the monitor's pages at one time."""

    at: float
    live: int  # status of /healthz
    ready: int  # status of /readyz
    wrong: str  # what /readyz names, comma separated
    up: float  # ecg_monitor_broker_up


class Probe:
    """Reads the pages of a member once a second, in its own thread."""

    def __init__(self, member: Member) -> None:
        self.samples: list[Sample] = []
        self._member = member
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="probe", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.wait(1.0):
            self.samples.append(self._sample())

    def _sample(self) -> Sample:
        daemon = self._member.daemon
        at, (live, _), (ready, body), up = (
            time.monotonic(),
            daemon.get("/healthz"),
            daemon.get("/readyz"),
            daemon.metric("broker_up"),
        )
        return Sample(at, live, ready, ",".join(json.loads(body)["wrong"]) if body else "no answer", up)

    def close(self) -> None:
        self._stop.set()
        self._thread.join(30)


def judge(samples: Sequence[Sample], lost: float, back: float) -> Iterator[str]:
    """Yield each wrong answer of the monitor."""
    for sample in samples:
        at = f"{sample.at - lost:+.0f} s after the broker went"
        if sample.live != 200:
            yield f"{at}: /healthz answered {sample.live}"
        if sample.at < lost - 1 and (sample.ready, sample.up) != (200, 1):
            yield f"{at}: /readyz answered {sample.ready} ({sample.wrong}), broker_up {sample.up:g}"
        if lost + NOTICE_SECONDS < sample.at < back - 1:
            if (sample.ready, sample.up) != (503, 0):
                yield f"{at}: /readyz answered {sample.ready}, broker_up {sample.up:g}"
            elif "broker" not in sample.wrong:
                yield f"{at}: /readyz named {sample.wrong or 'nothing'}, not the broker"
        if sample.at > back + RECOVER_SECONDS and (sample.ready, sample.up) != (200, 1):
            yield f"{at}: /readyz answered {sample.ready} ({sample.wrong}), broker_up {sample.up:g}"


def changes(samples: Sequence[Sample], lost: float) -> tuple[str, ...]:
    """The times at which the monitor's answers changed."""
    states = [
        (sample.at, f"/healthz {sample.live}, /readyz {sample.ready} ({sample.wrong}), broker_up {sample.up:g}")
        for sample in samples
    ]
    firsts = [next(same) for _, same in itertools.groupby(states, key=lambda one: one[1])]
    return tuple(f"{at - lost:+.1f} s {what}" for at, what in firsts)


def delays(samples: Sequence[Sample], lost: float, back: float) -> dict[str, float]:
    """Seconds until the monitor reported the outage, and until it reported the end of the outage."""
    noticed = [sample.at - lost for sample in samples if lost < sample.at and sample.ready == 503]
    ready = [sample.at - back for sample in samples if sample.at > back and sample.ready == 200]
    missing = float("nan")
    return {"seconds to notice": min(noticed, default=missing), "seconds to recover": min(ready, default=missing)}

"""Recordings of five people, played as five beds to a monitor whose model has learnt from sixteen others.

The monitor learns each of the five from its first minutes, and judges it by its own normal then.
"""

from __future__ import annotations

import os
import sys
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import orjson

from monitor import broker
from monitor.alarms.rule import PHYSIOLOGICAL_CAUSES
from monitor.alarms.run_rule import MERGE_MS
from monitor.backtest import OpenStretch, PlayedEpisode
from monitor.demo import comparison, step
from monitor.demo.comparison import RecordComparison
from monitor.demo.instance import broker_with_topics, running_monitor
from monitor.errors import MonitorError
from monitor.recordings import open_recording

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from monitor.recordings import Recording
    from monitor.settings import Settings

# MIT-BIH records, one person each. All with a run of ventricular beats are played, two with very many such beats, and
# one with nearly none. No one is in both lists.
PLAYED = ("100", "106", "119", "124", "208")
LEARNT = (
    *("101", "103", "105", "108", "109", "111", "112", "113"),
    *("114", "115", "116", "117", "118", "121", "122", "123"),
)
LEAD = "MLII"
FREQUENT_ECTOPY = PHYSIOLOGICAL_CAUSES[1]
SPEED = 60  # so that half an hour takes half a minute
MEANING = f"""
The monitor learns each person from the first {comparison.LEARNING_SECONDS / 60:.0f} minutes, which do not count, and \
alarms at beats unlike that person's
own. A run is three or more ventricular beats in a row, as annotated; it is found if an alarm is open then. An alarm is
false without a run, whatever caused it; "but for changes" leaves out those at an annotated change of rhythm or
conduction. Openings within {MERGE_MS // 1000} s are one alarm. Frequent ectopy, of low priority, is not counted. Five \
people
with a handful of runs are no forecast: docs/alarms.md has 21 people."""


def fetched(source: Path | None, folder: Path) -> bool:
    """Put the recordings into `folder`: from a folder that has them, or from PhysioNet. Says so if they are not had."""
    place = [] if source is None else ["--from", str(source)]
    for name, records in (("played", PLAYED), ("learnt", LEARNT)):
        command = step.trainer("fetch", *records, "--out", str(folder / name), *place)
        if step.exit_code(f"getting {len(records)} recordings", command):
            click.echo(
                "No recordings can be had, for the reason printed above: this demo has shown ECG5000 only. "
                "--recordings names a folder with records of the MIT-BIH database"
            )
            return False
    return True


def local_folder() -> Path | None:
    """The folder `mitdb` in the one that ECG_DATA names; None where there is none."""
    folder = Path(os.environ.get("ECG_DATA", "")) / "mitdb"
    return folder if "ECG_DATA" in os.environ and folder.is_dir() else None


def compared(folder: Path, out: Path) -> list[RecordComparison]:
    """Train, play and compare, with the recordings that `fetched` has put there. Model and logs are written to `out`.

    Raises MonitorError if a step fails.
    """
    model, learnt = out / "population.safetensors", str(folder / "learnt")
    options = ("--lead", LEAD, "--out", str(model))
    step.run(f"training a model on {len(LEARNT)} other people", step.trainer("ecg", "--data", learnt, *options))
    recordings = [open_recording(folder / "played" / name, lead=LEAD) for name in PLAYED]
    start = datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=max(one.seconds for one in recordings))
    with broker_with_topics(model, out / "recordings-broker.log") as config:
        with running_monitor(config, out / "recordings-monitor.log") as running:
            command = [sys.executable, "-m", "monitor", "publish", *(str(one.path) for one in recordings)]
            command += ["--lead", LEAD, "--speed", str(SPEED), "--start", start.isoformat()]
            step.run(f"playing {len(PLAYED)} recordings", command, running.environment)
            running.wait_until_judged(len(_values(config, config.beats_topic)))
        alerts = [orjson.loads(value) for value in _values(config, config.alerts_topic)]
    return [_compared(one, start, alerts) for one in recordings]


def _values(config: Settings, topic: str) -> list[bytes]:
    with broker.Reader(config, topic, from_beginning=True) as reader:
        return [record.value or b"" for record in reader.until_end()]


def _compared(recording: Recording, start: datetime, alerts: Sequence[Mapping[str, Any]]) -> RecordComparison:
    name = recording.path.stem
    if recording.annotations is None:
        raise MonitorError(f"{recording.path}: has no annotations")
    own = [one for one in alerts if one["source"] == f"{name}-{LEAD}" and one["kind"] == "physiological"]
    found = episodes(own, start, recording.seconds)
    return comparison.compare(name, recording.seconds, recording.annotations, found)


def episodes(alerts: Sequence[Mapping[str, Any]], start: datetime, seconds: float) -> list[PlayedEpisode]:
    """The episodes of a source that began at `start` and was played for so many seconds, in order.

    Frequent ectopy is left out: where a run comes in it, the episode begins there.
    """

    def since_start(time: str) -> float:
        return (datetime.fromisoformat(time) - start).total_seconds()

    stretches: defaultdict[str, list[OpenStretch]] = defaultdict(list)  # one for each opening
    last: dict[str, Mapping[str, Any]] = {}
    still_open: set[str] = set()
    for one in alerts:
        is_run, own = one["cause"] != FREQUENT_ECTOPY, stretches[one["id"]]
        is_open = one["id"] in still_open
        if is_run and not is_open and one["event"] != "closed":
            still_open.add(one["id"])
            own.append(OpenStretch(since_start(one["beat_time"]), seconds))
        elif is_open and one["event"] == "closed":
            still_open.remove(one["id"])
            own[-1] = OpenStretch(own[-1].start, min(since_start(one["closed_at"]), seconds))
        if own:
            last[one["id"]] = one
    return [
        PlayedEpisode(tuple(stretches[id_]), one["priority"], one["beats"]["abnormal"]) for id_, one in last.items()
    ]

"""The commands `profile show` and `reset`: show what a source's own normal is, and let it be learned again."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from monitor import broker, settings
from monitor.alarms import control_message
from monitor.commands import show, user_name, write_control
from monitor.errors import RefusedError
from monitor.profiles.columns import NEVER
from monitor.profiles.drawing import draw_template
from monitor.profiles.points import SECONDS
from monitor.profiles.profiles import Profiles
from monitor.records.record import GROUP_HEADER, record_time
from monitor.terminal import count_of, printable

if TYPE_CHECKING:
    from monitor.profiles.profiles import ProfileSummary
    from monitor.settings import Settings


@dataclass(frozen=True, slots=True)
class FoundProfile:
    """A source's profile as a monitor wrote it last."""

    partition: int
    written_ms: int  # since the epoch
    summary: ProfileSummary


@click.group()
def profile() -> None:
    """Show and reset the profiles of sources.

    A profile is a source's own normal, which the monitor learns from its first minutes. A source is one lead of one
    patient; its name is the key of its records.
    """


_source = click.option("--source", required=True, metavar="NAME", help="The source; its name is its records' key.")


@profile.command(name="show")
@_source
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object for each partition that has its beats.")
def show_one(source: str, *, as_json: bool) -> None:
    """Show the profile of a source.

    It is shown as it was written last, which may be some minutes ago. Each template is drawn: the typical beat as a
    line, its usual spread as dots, in the unit of the beats and without their mean and slope, from 0.2 s before the R
    peak to 0.36 s after it.
    """
    control_message.profile_key(source)
    config = settings.read()
    found = _stored_profiles(config, source.encode())
    if not found:
        raise RefusedError(_not_known(config, source))
    for one in found:
        show(json.dumps(_fields(source, one)) if as_json else "\n".join(_lines(source, one)))


@profile.command()
@_source
@click.option("--by", default=user_name, show_default="your user name", help="Who resets it; it is kept with it.")
@click.option("--note", default="", metavar="TEXT", help="The reason; it is kept with it.")
def reset(source: str, by: str, note: str) -> None:
    """Forget the profile of a source: it learns again.

    Running monitors do so within seconds. Until the source has learned, the model judges its beats, once its first 12
    beats show that it knows the lead. An open alarm stays open meanwhile.
    """
    config, key = settings.read(), control_message.profile_key(source)
    message = control_message.encode_reset(by, note)
    found = _stored_profiles(config, source.encode())
    if not found:
        show(f"warning: {_not_known(config, source)}", err=True)
    version = write_control(config, key, message, "ecg-monitor profile show")
    if (last := max((one.summary.reset for one in found), default=-1)) >= version:
        raise RefusedError(
            f"{printable(source)} is not reset: its last reset has version {last}, this one only {version}, because "
            f"{config.control_topic} was created again. Delete its row on {config.profiles_topic_name}"
        )
    show(f"{printable(source)}: will be learned again, version {version}")


def _not_known(config: Settings, source: str) -> str:
    return (
        f"no profile of {printable(source)} is known on {config.profiles_topic_name}: a monitor writes one when it has "
        "read some thousand beats"
    )


def _stored_profiles(config: Settings, source: bytes) -> list[FoundProfile]:
    """The profiles of a source, by partition. Prints a warning for each row that monitors cannot use."""
    last: dict[int, tuple[int, bytes]] = {}
    group = config.group_id.encode()
    with broker.Reader(config, config.profiles_topic_name, from_beginning=True) as reader:
        for record in reader.until_end():
            is_own = all(value == group for name, value in record.headers if name == GROUP_HEADER)
            if record.key != source or not is_own:
                continue
            last.pop(record.partition, None)
            if record.value is not None:
                last[record.partition] = record.timestamp, record.value
    found = []
    for partition, (time_ms, value) in sorted(last.items()):
        profiles = Profiles()
        restored = profiles.restore([value])
        for fault in restored.faults.values():
            show(f"warning: the row in partition {partition} cannot be used: {fault}", err=True)
        found += [FoundProfile(partition, time_ms, profiles.summary(int(row))) for row in restored.rows if row >= 0]
    return found


def _state(summary: ProfileSummary) -> str:
    if not summary.is_learned:
        return "learning"
    return "learned while sick" if summary.is_sick else "learned"


def _lines(source: str, one: FoundProfile) -> list[str]:
    """A profile for people."""
    summary = one.summary
    facts = [
        f"{printable(source)}: {_state(summary)}",
        count_of(summary.beats, "beat"),
        f"{summary.learned_seconds:.0f} s learned",
    ]
    if math.isfinite(summary.kept):
        facts.append(f"{summary.kept:.0%} of its beats kept")
    last = "not known" if summary.last_ms == NEVER else record_time(summary.last_ms)
    lines = [", ".join(facts), f"last beat {last}, partition {one.partition}, offset {summary.offset}"]
    if summary.reset >= 0:
        lines.append(f"reset by a person, version {summary.reset}")
    for number, (typical, spread) in enumerate(zip(summary.typical, summary.spread, strict=True), 1):
        lines += ["", f"template {number} of {len(summary.typical)}", *draw_template(typical, spread)]
    return lines


def _fields(source: str, one: FoundProfile) -> dict[str, Any]:
    """A profile for programs."""
    summary = one.summary
    return {
        "source": source,
        "partition": one.partition,
        "state": "learning" if not summary.is_learned else "sick" if summary.is_sick else "learned",
        "beats": summary.beats,
        "learned_seconds": summary.learned_seconds,
        "kept": summary.kept if math.isfinite(summary.kept) else None,
        "last_beat": None if summary.last_ms == NEVER else record_time(summary.last_ms),
        "offset": summary.offset,
        "reset": None if summary.reset < 0 else summary.reset,
        "written": record_time(one.written_ms),
        "seconds": np.round(SECONDS, 5).tolist(),
        "templates": [
            {"typical": _rounded(typical), "spread": _rounded(spread)}
            for typical, spread in zip(summary.typical, summary.spread, strict=True)
        ],
    }


def _rounded(values: Any) -> list[float]:
    return [float(f"{value:.6g}") for value in values.tolist()]

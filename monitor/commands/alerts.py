"""The command `alerts`: prints each alert as one line, and draws the beat above what was expected."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import click
import orjson

from monitor import broker, settings
from monitor.commands import show
from monitor.terminal import count_of, printable, printable_json

if TYPE_CHECKING:
    from collections.abc import Iterable

LEVELS = " ▁▂▃▄▅▆▇█"
COLUMNS = 70


def readable(value: bytes | None) -> str:
    """The text for one record of the alerts topic; a record that is not an alert gives a line that says so."""
    try:
        alert = orjson.loads(value or b"")
        return "\n".join([_facts(alert), *_drawing(alert)])
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError, OverflowError):
        return f"(not an alert: {count_of(len(value or b''), 'byte')})"


def _facts(alert: dict[str, Any]) -> str:
    beats, seen, ended = alert["beats"], alert.get("acknowledged"), alert.get("ended")
    time = alert["beat_time"]
    if alert["event"] in {"acknowledged", "closed"}:  # by a command, which has no beat
        time = time or (ended or seen or {}).get("at")
    name = "LATCHED" if alert.get("presence") == "latched" else alert["event"].upper()
    facts = [
        time or "no timestamp",
        "REOPENED" if alert.get("reopened") else name,
        alert["priority"],
        alert["kind"],
        " ".join([alert["cause"], *(f"({mark})" for mark in alert.get("marks") or ())]),
        alert["source"],
        f"{beats['abnormal']} of {count_of(beats['seen'], 'beat')} flagged",
        *_scores(alert),
        *(_by("acknowledged", seen) if seen else ()),
        *(_by("ended", ended) if ended else ()),
    ]
    return "  ".join(map(printable, [*facts, alert["id"]]))


def _by(what: str, command: dict[str, Any]) -> list[str]:
    """Who did something to an alarm, and why."""
    return [": ".join(filter(None, (f"{what} by {command['by']}", command["note"])))]


def _scores(alert: dict[str, Any]) -> list[str]:
    """The score that decided first, then the other one. Alerts of older versions have no personal score."""
    score, personal = alert["score"], alert.get("personal_score")
    found = []
    if score is not None:
        found.append(f"score {score:.3g} against threshold {alert['threshold']:.3g}, p {alert['p_value']:.2g}")
    if personal is not None:
        found.insert(0 if alert.get("decided_by") == "personal" else len(found), f"personal score {personal:.3g}")
    decided = alert.get("decided_by")
    return [*found, f"decided by {decided} score"] if decided else found


def _drawing(alert: dict[str, Any]) -> list[str]:
    curves = {"beat": alert["samples"], "typical": alert.get("typical"), "model": alert["reconstruction"]}
    present = {name: curve for name, curve in curves.items() if curve}
    if not present:
        return []
    known = [value for curve in present.values() for value in curve if value is not None]
    lowest, highest = min(known), max(known)
    return [f"    {name:7} {_sparkline(curve, lowest, highest)}" for name, curve in present.items()]


def _sparkline(curve: list[float | None], lowest: float, highest: float) -> str:
    """The curve as one row of block characters, drawn between `lowest` and `highest`. Adjacent samples are averaged.

    A typical beat has no values in the margins of its window: nothing is drawn there.
    """
    per_column = max(1, len(curve) // COLUMNS)
    columns = [curve[at : at + per_column] for at in range(0, len(curve), per_column)]
    return "".join(_block([value for value in column if value is not None], lowest, highest) for column in columns)


def _block(values: list[float], lowest: float, highest: float) -> str:
    if not values:
        return " "
    span = (highest - lowest) or 1.0
    return LEVELS[min(8, max(0, int(8.999 * (sum(values) / len(values) - lowest) / span)))]


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print each alert as it is on the topic: one JSON object.")
@click.option(
    "--from-beginning", is_flag=True, help="Start with the oldest alert in Kafka.  [default: new alerts only]"
)
@click.option("--source", metavar="NAME", help="Show alerts of this source only.  [default: of all]")
@click.option("--count", type=click.IntRange(1), help="Stop after this many alerts.  [default: only at Ctrl-C]")
def alerts(*, as_json: bool, from_beginning: bool, source: str | None, count: int | None) -> None:
    """Show alerts as they arrive, with a drawing of the beat.

    An episode is a time in which a source is in alarm. An alert says that an episode has opened, opened again soon
    after it had closed, become more urgent (updated) or closed, that it is over and somebody has to see it
    (latched), or that somebody has acknowledged it or has to look again (reminded). The beat that caused it is
    drawn, and below it, on the same scale, the source's own typical beat, where it has a profile, and the model's
    reconstruction.
    """
    config = settings.read()
    with broker.Reader(config, config.alerts_topic, from_beginning=from_beginning) as reader:
        whose = "" if source is None else f" of {printable(source)}"
        click.echo(f"waiting for alerts{whose} on {config.alerts_topic}; Ctrl-C ends it", err=True)
        try:
            for record in itertools.islice(_follow(reader, source), count):
                _print(record.value, as_json=as_json)
        except KeyboardInterrupt:
            pass


def _print(value: bytes | None, *, as_json: bool) -> None:
    """Print one record. With `as_json` what is not JSON goes to standard error: it is for people alone."""
    if not as_json:
        show(readable(value))
        return
    try:
        orjson.loads(value or b"")
    except orjson.JSONDecodeError:
        show(f"(not JSON: {count_of(len(value or b''), 'byte')})", err=True)
    else:
        show(printable_json((value or b"").decode()))


def _follow(reader: broker.Reader, source: str | None) -> Iterable[Any]:
    """The alerts of one source, or of all; the key of an alert is its source."""
    while True:
        yield from (record for record in reader.poll() if source is None or record.key == source.encode())

"""A storm from start to end: play, play in peace, compare."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from tests.chaos import reading
from tests.chaos.checker import Difference, compare, compare_alerts, doubles
from tests.chaos.load import GOOD
from tests.chaos.report import Report
from tests.chaos.stage import Stage
from tests.chaos.storm import Storm

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.chaos.plan import Plan
    from tests.chaos.stage import Means
    from tests.chaos.storm import Tally


def play_storm(name: str, plan: Plan, seed: int, means: Means) -> Report:
    """Disturb one group, leave the other in peace, and report where their outputs differ."""
    began = time.monotonic()
    with Stage(means, plan, seed) as stage:
        tally = Storm(stage).run()
        stormed = time.monotonic() - began
        differences, figures = compare_groups(stage)
        faults = (*_faults(tally), *tracebacks(stage))
    done = {"kills": tally.kills, "kills with work": tally.kills_with_work, "freezes": tally.freezes}
    done |= {"leaves": tally.leaves, "node kills": tally.node_kills, "members": plan.members, "nodes": plan.nodes}
    done |= {"lives": sum(member.lives for member in stage.members)}
    ended = [f"{one.member} {one.code}: {one.said}" for one in tally.ended]
    seconds = {"storm seconds": stormed, "drain seconds": tally.drain_seconds, "seconds": time.monotonic() - began}
    return Report(name, seed, figures | done | {"ended by themselves": ended} | seconds, differences, faults)


def compare_groups(stage: Stage) -> tuple[dict[str, Difference], dict[str, Any]]:
    """Both groups' alerts; and the disturbed one's dead letters and scores against the load itself."""
    in_peace = reading.read_alerts(stage.play_in_peace())
    if twice := doubles(in_peace):
        raise RuntimeError(f"the undisturbed run is no reference: it doubled {twice[0]}")
    waited = reading.settle(stage.settings, stage.settings.alerts_topic)
    differences = {"alerts": compare_alerts(in_peace, reading.read_alerts(stage.settings))}
    kinds = reading.kinds(stage.settings)
    bad = [place for place, kind in kinds.items() if kind != GOOD]
    letters = reading.letters(stage.settings)
    differences["dead letters"] = compare(bad, (place for place, _ in letters))
    if stage.plan.scores:
        good = kinds.keys() - set(bad)
        differences["scores"] = compare(good, reading.score_places(stage.settings))
    figures = {
        "beats": len(kinds) - len(bad),
        "bad records": len(bad),
        "bad kinds": len(set(kinds.values()) - {GOOD}),
        "reasons": len({reason for _, reason in letters}),
        "events": len(in_peace),
        "episodes": len({alert["id"] for alert in in_peace}),
        "silent ends": sum(alert["cause"] == "silent" for alert in in_peace),
        "technical": sum(alert["kind"] == "technical" for alert in in_peace),
        "seconds to settle": waited,
    }
    return differences, figures


def _faults(tally: Tally) -> Iterator[str]:
    """A monitor may end with 1, and says why, for its supervisor to start it again; nothing else."""
    yield from (f"{one.member} ended by itself, code {one.code}: {one.said}" for one in tally.ended if one.code != 1)
    yield from (f"{name} left with code {code}: {said}" for name, code, said in tally.left)


def tracebacks(stage: Stage) -> Iterator[str]:
    for member in stage.members:
        if count := member.log().count("Traceback"):
            yield f"{count} tracebacks in the log of {member.name}"

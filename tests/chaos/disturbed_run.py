"""One scenario from start to end: a disturbed run, an undisturbed run, and the comparison of both."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from tests.chaos import readback
from tests.chaos.checker import Difference, compare, compare_alerts, compare_letters, doubles
from tests.chaos.disturbances import Disturbances
from tests.chaos.load import GOOD
from tests.chaos.report import Report
from tests.chaos.testbed import Testbed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.chaos.disturbances import Tally
    from tests.chaos.scenarios import Scenario
    from tests.chaos.testbed import Inputs


def run_disturbed(name: str, plan: Scenario, seed: int, inputs: Inputs) -> Report:
    """Disturb one group but not the other, and report where their outputs differ."""
    began = time.monotonic()
    with Testbed(inputs, plan, seed) as stage:
        storm, stuck = Disturbances(stage), []
        try:
            storm.run()
        except TimeoutError as error:  # then the comparison tells what is missing
            stuck.append(str(error))
            stage.stop_monitors()
        tally, stormed = storm.tally, time.monotonic() - began
        differences, figures = compare_groups(stage)
        faults = (*stuck, *_faults(tally, plan), *tracebacks(stage))
    done = {"kills": tally.kills, "kills with work": tally.kills_with_work, "freezes": tally.freezes}
    done |= {"leaves": tally.leaves, "node kills": tally.node_kills, "members": plan.members, "nodes": plan.nodes}
    done |= {"lives": sum(member.lives for member in stage.members)}
    ended = [f"{one.member} {one.code}: {one.message}" for one in (*tally.ended, *tally.left)]
    seconds = {"storm seconds": stormed, "drain seconds": tally.drain_seconds, "seconds": time.monotonic() - began}
    return Report(name, seed, figures | done | {"exit codes": ended} | seconds, differences, faults, tuple(tally.acts))


def compare_groups(stage: Testbed) -> tuple[dict[str, Difference], dict[str, Any]]:
    """Compare the alerts of both groups, and the dead letters and scores of the disturbed group with the load."""
    in_peace = readback.read_alerts(stage.run_undisturbed())
    if twice := doubles(in_peace):
        raise RuntimeError(f"the undisturbed run is no reference: it doubled {twice[0]}")
    waited = readback.wait_for_transactions(stage.settings, stage.settings.alerts_topic)
    differences = {"alerts": compare_alerts(in_peace, readback.read_alerts(stage.settings))}
    records, letters = readback.beats(stage.settings), readback.letters(stage.settings)
    kinds = {place: dict(record.headers)["kind"].decode() for place, record in records.items()}
    bad = {place: records[place] for place, kind in kinds.items() if kind != GOOD}
    differences["dead letters"] = compare_letters(bad, letters)
    if stage.plan.scores:
        differences["scores"] = compare(kinds.keys() - bad.keys(), readback.score_places(stage.settings))
    figures = {
        "beats": len(kinds) - len(bad),
        "bad records": len(bad),
        "bad kinds": len({kinds[place] for place in bad}),
        "reasons": len({letter.reason for letter in letters}),
        "events": len(in_peace),
        "episodes": len({alert["id"] for alert in in_peace}),
        "personal": sum(alert["decided_by"] == "personal" for alert in in_peace),
        "stops": sum((alert["cause"], alert["event"]) == ("no-signal", "opened") for alert in in_peace),
        "technical": sum(alert["kind"] == "technical" for alert in in_peace),
        "seconds until no transaction was open": waited,
    }
    return differences, figures


def _faults(tally: Tally, plan: Scenario) -> Iterator[str]:
    """If nodes are killed, a monitor may end with code 1 and a message. Every other end is a fault."""
    for how, ends in (("ended by itself", tally.ended), ("was asked to leave", tally.left)):
        for one in ends:
            if not (plan.node_kills and one.code == 1 and one.message.startswith("error: ")):
                yield f"{one.member} {how}, code {one.code}: {one.message}"


def tracebacks(stage: Testbed) -> Iterator[str]:
    for member in stage.members:
        if count := member.log().count("Traceback"):
            yield f"{count} tracebacks in the log of {member.name}"

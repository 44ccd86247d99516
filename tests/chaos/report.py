"""The result of a scenario: figures, differences and faults, as JSON and as text."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from tests.chaos.checker import Difference

if TYPE_CHECKING:
    from pathlib import Path

SHOWN = 5


@dataclass(frozen=True, slots=True)
class Report:
    """It holds when nothing differs and nothing is at fault."""

    scenario: str
    seed: int
    figures: dict[str, Any]
    differences: dict[str, Difference] = field(default_factory=dict)
    faults: tuple[str, ...] = ()
    acts: tuple[str, ...] = ()  # what happened when; in the JSON alone

    @property
    def holds(self) -> bool:
        return not self.faults and all(difference.holds for difference in self.differences.values())

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self) | {"holds": self.holds}, indent=1, default=str) + "\n")

    def text(self) -> str:
        lines = [f"{self.scenario}, seed {self.seed}: {'holds' if self.holds else 'DOES NOT HOLD'}"]
        lines += [f"  {name:18} {_shown(value)}" for name, value in self.figures.items()]
        for name, difference in self.differences.items():
            lines.append(
                f"  {name:18} " + ", ".join(f"{count:,} {what}" for what, count in difference.counts().items())
            )
            for what in ("lost", "made_up", "doubled", "changed"):
                lines += [f"    {what}: {one}" for one in getattr(difference, what)[:SHOWN]]
        return "\n".join([*lines, *(f"  fault: {fault}" for fault in self.faults)])


def _shown(value: Any) -> str:
    return f"{value:,.1f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)

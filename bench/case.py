"""What every contender gets: the same broker, model and beats."""

from __future__ import annotations

from dataclasses import dataclass

from monitor.model import Model
from monitor.settings import Settings


@dataclass(frozen=True, slots=True)
class Case:
    """The same beats and model for every contender; each brings a group of its own."""

    address: str
    model: Model
    beats: int
    delivery: str

    def settings(self, group: str) -> Settings:
        return Settings(bootstrap_servers=self.address, group_id=group, session_timeout_ms=6000, delivery=self.delivery)

"""The personal side of a step: beats are held against the profiles of their sources, and flagged by the rule `run`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from monitor.alarms.run_columns import RunCarry, flag
from monitor.profiles.sources import SourceProfiles

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from monitor.alarms.run_rule import RunRule
    from monitor.beats.beat import Beats
    from monitor.profiles import Notice
    from monitor.records.record import Assigned

"""NVIDIA's GPUs, as torch sees them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable


def devices() -> int:
    """How many there are."""
    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def memory(device: torch.device) -> dict[str, Callable[[], float]]:
    """Functions that give bytes of a GPU's memory, callable at any time from any thread, by name."""
    total = torch.cuda.get_device_properties(device).total_memory
    return {
        "allocated": partial(torch.cuda.memory_allocated, device),
        "reserved": partial(torch.cuda.memory_reserved, device),
        "total": lambda: total,
    }

"""One file for each command of `ecg-monitor`, named like the command."""

from monitor.log import count_of

__all__ = ["count_of"]

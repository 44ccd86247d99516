"""How a threshold is chosen from scores, and what it costs in false alarms."""

"""How a threshold is chosen from scores, and what it costs in false alarms.

`conformal` turns a false-alarm budget into a threshold. `false_alarms` says what a threshold costs on a ward.
"""

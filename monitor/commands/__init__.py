"""One file for each command of `ecg-monitor`, named like the command."""


def count_of(number: int, noun: str) -> str:
    """A number with its noun: 1 beat, 2 beats."""
    return f"{number} {noun}{'' if number == 1 else 's'}"

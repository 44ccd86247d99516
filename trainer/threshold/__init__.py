"""How a threshold is chosen from the scores of normal beats."""

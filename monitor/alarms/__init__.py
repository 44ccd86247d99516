"""From scores to alerts: thresholds, control messages, the episode rule, episode state and the alert messages."""

"""The demo: training, an embedded broker, the daemon and a summary against the labels."""

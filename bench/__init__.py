"""The monitor beside its peers: one broker, the same beats, model and cores, in turn, each in a fresh process."""

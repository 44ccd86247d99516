"""One step from records to a checkpoint, and the loop around it."""

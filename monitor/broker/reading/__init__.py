"""Reading from Kafka: the group's consumer, single topics, and episode state."""

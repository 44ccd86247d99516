"""Columns of Kafka records, the messages and the checkpoint of a step, and strict JSON. Imports no Kafka client."""

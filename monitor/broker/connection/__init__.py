"""Connections to a broker: options of the Kafka client, TLS, and one sentence that explains a failure."""

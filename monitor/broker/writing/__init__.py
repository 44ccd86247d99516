"""Writing to Kafka: producers, transactions, delivery strategies, and the replay of dead letters."""

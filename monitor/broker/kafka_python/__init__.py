"""All code that uses private parts of kafka-python. No other package may."""

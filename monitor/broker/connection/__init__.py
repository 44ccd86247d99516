"""How a broker is reached: client settings, TLS, and one sentence for each failure."""

"""How a command reaches an endpoint and what honestly came of it."""

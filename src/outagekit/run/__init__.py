"""The engine: a pure core (`state`, `decide`) in a thin shell (`coordinator`, `lanes`)."""

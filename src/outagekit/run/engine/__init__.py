"""The pure core of a run: what its records lead to, and what should happen next."""

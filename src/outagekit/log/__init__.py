"""The incident log: one append-only, hash-chained file per run (docs/log-format.md)."""

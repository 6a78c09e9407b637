"""Plans: what would happen, to whom, in which order, and whether it may. No network, no clock."""

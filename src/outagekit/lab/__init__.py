"""The lab: simulated machines behind real protocols on loopback, their faults and the score."""

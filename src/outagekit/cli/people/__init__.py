"""People at the terminals of a run: what is asked, what they may answer, who said it."""

"""The screen while a run goes on: what is known becomes counts, counts become lines."""

"""What is said when a run is over: what is fixed, what is not, what to do next."""

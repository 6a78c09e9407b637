"""A WS-Man (WinRM) server on loopback in front of simulated Windows machines."""
